"""Write a bag: the leading tag files, the payload, and the record of what was written."""

import os
from binascii import hexlify
from collections.abc import Callable, Sequence
from typing import NamedTuple

from agebackup.errors import FailedError, RefusedError, printable
from agebackup.model.layout import (
    BAG_INFO,
    BAGIT,
    BAGIT_TEXT,
    DATA,
    MANIFEST,
    PAYLOAD_MANIFEST,
    RECOVER,
    SIGNATURE,
    TAG_MANIFEST,
)
from agebackup.model.names import require_app, uncarriable
from agebackup.snapshot.bag_format import FORMAT_LINE
from agebackup.snapshot.places import Places, misplaced
from agebackup.snapshot.tar_writer import FileChangedError, FileRecord, TarWriter
from agebackup.system.progress import Progress


class BagTotals(NamedTuple):
    """What a finished bag holds: payload files, their bytes, names that clash."""

    files: int
    bytes: int
    clashing_names: int


class BagWriter:
    """Writes the bag `app` into `plaintext`, in the order of FORMAT.md.

    Use: `add_leading`, then `add_file` and `add_content` (databases first), then `finish`. The
    tag files' time is `mtime`, seconds since 1970. `files`, `bytes` and `clashing_names` count
    the payload so far. Keeps about 200 bytes a file. The descriptor stays open.
    """

    def __init__(self, plaintext: int, app: str, *, mtime: int, progress: Progress) -> None:
        self.files = 0
        self.bytes = 0
        self._tar = TarWriter(plaintext, require_app(app), progress)
        self._mtime = mtime
        self._places = Places()
        self._lines = bytearray()
        self._tags = bytearray()
        self._spoilt = False

    @property
    def clashing_names(self) -> int:
        """Names that equal an earlier one once case and Unicode form are folded."""
        return self._places.clashes

    def add_leading(self, recover_text: bytes) -> None:
        """Write `bagit.txt` and `RECOVER.md`; a line that names the format precedes its text."""
        self._add_tag(BAGIT, BAGIT_TEXT)
        self._add_tag(RECOVER, FORMAT_LINE + recover_text)

    def add_file(self, place: str, descriptor: int, status: os.stat_result) -> FileRecord:
        """Write the payload file at `place` from `descriptor`, whose fstat is `status`.

        Raises `FileChangedError` when it changed or failed while it was read. The bag is then
        spoilt: more files may be added, to learn which others change, but `finish` refuses.
        Raises `RefusedError` for a place that is taken or that a bag cannot carry.
        """
        self._admit(place)
        try:
            written = self._tar.add_file(place, descriptor, status)
        except FileChangedError:
            self._spoilt = True
            raise
        return self._record(written)

    def add_content(self, place: str, content: bytes) -> FileRecord:
        """Write the payload file at `place` with `content`; refuses places as `add_file` does."""
        self._admit(place)
        return self._record(self._tar.add_bytes(place, content, self._mtime))

    def finish(
        self,
        manifest: bytes,
        bag_info: Sequence[tuple[str, str]],
        sign: Callable[[bytes], bytes] | None = None,
    ) -> BagTotals:
        """Write the trailing tag files and the end of the stream.

        `bag_info` are the labels and values of `bag-info.txt`, Payload-Oxum among them; FORMAT.md
        says which there must be. `sign` returns the signature over the tag manifest it is given;
        what it raises comes out, and the stream is then without its end.
        """
        if self._spoilt:
            raise FailedError("A file changed while it was read; the archive was given up.")
        info = "".join(f"{label}: {value}\n" for label, value in bag_info)
        self._add_tag(BAG_INFO, info.encode())
        self._add_tag(PAYLOAD_MANIFEST, self._lines)
        self._add_tag(MANIFEST, manifest)
        self._tar.add_bytes(TAG_MANIFEST, self._tags, self._mtime)
        if sign is not None:
            self._tar.add_bytes(SIGNATURE, sign(bytes(self._tags)), self._mtime)
        self._tar.close()
        return BagTotals(self.files, self.bytes, self.clashing_names)

    def _admit(self, place: str) -> None:
        why = uncarriable(place) or misplaced(place)
        if not why and not place.startswith(DATA):
            why = "it is not in data/"
        why = why or self._places.add(place)
        if why:
            shown = printable(place.removeprefix(DATA))
            raise RefusedError(
                f"{shown} cannot be in the archive: {why}.", hint="Rename it, or exclude it."
            )

    def _record(self, written: FileRecord) -> FileRecord:
        self._lines += manifest_line(written)
        self.files += 1
        self.bytes += written.size
        return written

    def _add_tag(self, name: str, content: bytes | bytearray) -> None:
        self._tags += manifest_line(self._tar.add_bytes(name, content, self._mtime))


def manifest_line(file: FileRecord) -> bytes:
    """Return the line of a BagIt manifest for `file`."""
    return b"%b  %b\n" % (hexlify(file.digest), file.place.encode())
