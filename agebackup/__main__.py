"""`python -m agebackup`."""

from agebackup.cli.main import main

if __name__ == "__main__":
    main()
