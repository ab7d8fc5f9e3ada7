"""How fast agebackup is, against what a good engineer would type, and how much memory it takes."""
