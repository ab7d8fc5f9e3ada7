"""Where things lie inside a bag (RFC 8493) and in which order an archive holds them."""

DATA = "data/"
BAGIT = "bagit.txt"
RECOVER = "RECOVER.md"
BAG_INFO = "bag-info.txt"
PAYLOAD_MANIFEST = "manifest-sha256.txt"
MANIFEST = "manifest.json"
TAG_MANIFEST = "tagmanifest-sha256.txt"
SIGNATURE = "tagmanifest-sha256.txt.sig"

LEADING_TAG_FILES = (BAGIT, RECOVER)
TRAILING_TAG_FILES = (BAG_INFO, PAYLOAD_MANIFEST, MANIFEST)
"""Written after the payload; the tag manifest, which lists all five, follows them."""

BAGIT_TEXT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"

SQLITE_MAGIC = b"SQLite format 3\x00"
SQLITE_COMPANIONS = ("-wal", "-shm", "-journal")
"""Files beside a database that must never be archived or restored (FORMAT.md)."""
