"""The texts that tell a stranger how to get everything back without agebackup. No secrets."""

from collections.abc import Sequence
from datetime import datetime

from agebackup.errors import shortened
from agebackup.model.origin import NAMESPACE

RECOVERY_NOTE = "AGEBACKUP-RECOVER.txt"
"""Name of the note that lies beside the archives in a destination."""

_NOTE = """\
HOW TO GET THESE BACKUPS BACK - WITHOUT AGEBACKUP

The files in this folder whose names look like

    APP-20261120T021500Z-1f2e3d4c.tar.age

are backups. Each one is complete in itself: the newest is enough. Date and time in the name are
UTC. Each is an ordinary tar file encrypted with age (https://age-encryption.org).

You need the private key. It is not in this folder. It is a text file with a line that begins with
AGE-SECRET-KEY-1 (or an SSH private key), kept off the machine that made the backups, perhaps on
paper: a typed-in line in a text file works just as well. It is called key.txt below.

If agebackup is installed, this does everything, with every check:

    agebackup restore ARCHIVE.tar.age -i key.txt --target restored

Without it, put the archive and the key into a new folder and do this. Every command that fails
means: stop, and do not trust what came out so far.

LINUX     (install age: "apt install age", "dnf install age", "pacman -S age" ...)

    umask 077
    age -d -i key.txt -o backup.tar ARCHIVE.tar.age
    tar xf backup.tar
    cd APP
    sha256sum -c --quiet manifest-sha256.txt
    sha256sum -c --quiet tagmanifest-sha256.txt

MACOS     (install age: "brew install age")

    umask 077
    age -d -i key.txt -o backup.tar ARCHIVE.tar.age
    tar xf backup.tar
    cd APP
    shasum -a 256 -c manifest-sha256.txt
    shasum -a 256 -c tagmanifest-sha256.txt

WINDOWS   (install age: "winget install FiloSottile.age"; then in PowerShell, whose pipes
          damage binary data before version 7.4: decrypt to a file, as here)

    age -d -i key.txt -o backup.tar ARCHIVE.tar.age
    tar xf backup.tar
    cd APP
    Get-Content manifest-sha256.txt -Encoding UTF8 | ForEach-Object {
      $hash, $name = $_ -split "  ", 2
      if ((Get-FileHash -LiteralPath $name).Hash -ne $hash) { "DIFFERS: $name" } }

If a name ends in .tar.zst.age, it is compressed: install zstd, decrypt with "-o backup.tar.zst",
and run "zstd -d --rm backup.tar.zst" before the tar command.

Where space is short, Linux and macOS can decrypt and unpack at once, in bash or zsh:

    set -o pipefail
    age -d -i key.txt ARCHIVE.tar.age | tar xf -

Your files are then in APP/data. APP/RECOVER.md says what they are and how to put them back.
Delete backup.tar afterwards: it is not encrypted.
"""


def recovery_note() -> str:
    """Return the text of `AGEBACKUP-RECOVER.txt`."""
    return _NOTE


def recover_text(archive: str, app: str, time: str, contents: Sequence[str]) -> bytes:
    """Return RECOVER.md for the bag `app`: what it is, what it holds, how to put it back.

    `contents` are lines for a list, one per database and tree, already fit to be shown.
    """
    held = "\n".join(f"- {line}" for line in contents) or "- nothing"
    return f"""\
# A backup of {app}

Made by agebackup on {time} (UTC) as `{archive}`. This folder is a BagIt bag (RFC 8493):
your files are in `data/`, everything else describes and checks them.

## What it holds

{held}

`manifest.json` says it exactly: sizes, hashes, rows per table, what was left out and why.

## Check it

On Linux, in this folder:

    sha256sum -c --quiet manifest-sha256.txt
    sha256sum -c --quiet tagmanifest-sha256.txt

On macOS: `shasum -a 256 -c manifest-sha256.txt`, and the same with `tagmanifest-sha256.txt`.
No line may say FAILED. If `tagmanifest-sha256.txt` is missing, the archive was cut short.

## Put it back

1. Stop the application.
2. Move its present state aside; do not delete it yet.
3. Copy what is in `data/` to where the application keeps it. Beside a database, delete files of
   the same name that end in `-wal`, `-shm` or `-journal`: they belong to the state that you moved
   away and would damage this one.
4. If `manifest.json` lists `empty_directories`, make them.
5. If it says `"journal_mode": "wal"` for a database, most applications set that again by
   themselves; `sqlite3 FILE "PRAGMA journal_mode=wal"` does it by hand.
6. Start the application, look, and only then delete the old state.

The same, with every check: `agebackup restore {archive} -i KEY --target DIRECTORY`.
""".encode()


def pointers_text(lines: Sequence[str]) -> bytes:
    """Return what RECOVER.md of an archive with pointers says besides; `lines` are fit to be shown.

    The first of them only: the file is to stay small.
    """
    lacking = "\n".join(f"- {line}" for line in shortened(lines))
    return f"""
## What is not in here

The application also needs what it keeps elsewhere. That was never in this archive; fetch it
yourself:

{lacking}

`pointers` in `manifest.json` lists it, the first 10,000 one by one. Where an element there has
`sql`, the restored database says all of them: `sqlite3 FILE "SQL"`.
""".encode()


def signed_text(time: datetime) -> bytes:
    """Return what RECOVER.md of an archive signed for `time`, in UTC, says besides."""
    return f"""
## Who made it

It is signed. You need OpenSSH 8.8 or later, and the file of allowed signers that you keep, not one
that came with the archive; NAME is what its line for the signer begins with. In this folder:

    TZ=UTC ssh-keygen -Y verify -f allowed_signers -I NAME -n {NAMESPACE} \\
      -Overify-time={time:%Y%m%d%H%M%S} \\
      -s tagmanifest-sha256.txt.sig < tagmanifest-sha256.txt

It must say `Good "{NAMESPACE}" signature`. That is worth something only together with both checks
above, and `"archive"` in `manifest.json` must be the name of the file that you decrypted: else
somebody has put this archive in another one's place. The time is the archive's own, so that
a key that has expired since still counts. Add `-r FILE` with the keys that were stolen.
""".encode()
