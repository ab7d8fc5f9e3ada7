"""Read a bag that was extracted into a directory, as strictly as one in a stream.

Everything is opened by its name in the descriptor of the directory above it, following no symlink.
"""

import errno
import os
import stat
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from agebackup.errors import FailedError, NotFoundError, VerificationError, printable
from agebackup.model.layout import (
    BAGIT,
    BAGIT_TEXT,
    LEADING_TAG_FILES,
    PAYLOAD_MANIFEST,
    RECOVER,
    SIGNATURE,
    TAG_MANIFEST,
    TRAILING_TAG_FILES,
)
from agebackup.model.limits import MIB, Limits
from agebackup.model.ustar import EXECUTABLE, PLAIN
from agebackup.snapshot.archive import HEAD, Member, over_limit, write_payload
from agebackup.snapshot.bag_checks import bounded
from agebackup.snapshot.bag_contents import BagContents, Payload, Receiver, parse_lines
from agebackup.snapshot.bag_format import require_readable, tag_limit
from agebackup.snapshot.bag_reader import Found, judge
from agebackup.snapshot.places import is_place
from agebackup.system.progress import Progress

_TAGS = (*LEADING_TAG_FILES, *TRAILING_TAG_FILES, TAG_MANIFEST)
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY = _FILE | os.O_DIRECTORY
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG)
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a fifo",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_extracted(
    directory: Path, receiver: Receiver, *, limits: Limits, progress: Progress
) -> BagContents:
    """Read the bag in `directory` and return what it holds; see `read_bag`.

    The payload goes through `receiver` in the order of manifest-sha256.txt. What lies in the
    directory and is no part of the bag (files, links, devices) is among the differences; empty
    directories are not. Raises `NotFoundError` where there is no such directory.
    """
    top = _opened(directory)
    try:
        reading = _Extracted(top, limits, progress)
        for name in _TAGS:
            reading.read_tag(name, required=True)
        reading.read_tag(SIGNATURE, required=False)
        if reading.found.tags[BAGIT] != BAGIT_TEXT:
            raise VerificationError(f"{printable(str(directory))} is not a BagIt 1.0 bag.")
        require_readable(bytes(reading.found.tags[RECOVER]))
        reading.found.differences += bounded(reading.payload(receiver))
        reading.found.differences += bounded(reading.strangers())
        return judge(reading.found, progress)
    finally:
        os.close(top)


class _Extracted:
    def __init__(self, top: int, limits: Limits, progress: Progress) -> None:
        self.found = Found(None, Payload(limits))
        self._top = top
        self._limits = limits
        self._progress = progress

    def read_tag(self, name: str, *, required: bool) -> None:
        """Take in the tag file `name`."""
        descriptor = _open_file(self._top, name)
        if descriptor is None:
            if not required:
                return
            raise VerificationError(
                f"{name} is missing: this is no extracted archive, or only a part of one.",
                hint="Name the folder that holds manifest.json; extract the archive anew.",
            )
        which, limit = tag_limit(name, self._limits)
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(limit + 1)
        if len(content) > limit:
            raise over_limit(which, limit)
        self.found.add_tag(name, content)

    def payload(self, receiver: Receiver) -> Iterator[str]:
        """Read what the payload manifest lists; yield what of it is not to be read."""
        parent, directory = "", -1
        try:
            for name, _ in parse_lines(self.found.tags[PAYLOAD_MANIFEST]):
                place = name.decode("utf-8", "surrogateescape")
                if not is_place(place):
                    yield f"payload manifest: {printable(place)} is not a path in data/"
                    continue
                above, _, last = place.rpartition("/")
                if above != parent:
                    _close(directory)
                    parent, directory = above, self._open_directory(above)
                descriptor = None if directory < 0 else _open_file(directory, last)
                if descriptor is None:
                    yield f"payload: {printable(place)} is not there as a regular file"
                    continue
                with os.fdopen(descriptor, "rb", buffering=0) as file:
                    self._read(place, file.fileno(), receiver)
        finally:
            _close(directory)

    def _read(self, place: str, descriptor: int, receiver: Receiver) -> None:
        status = os.fstat(descriptor)
        mode = EXECUTABLE if status.st_mode & stat.S_IXUSR else PLAIN
        member = Member(place, status.st_size, status.st_mtime_ns // 10**9, mode)
        self.found.payload.admit(member)
        head = os.pread(descriptor, HEAD, 0)
        sink = receiver.begin(place, member, head)
        digest, size = sha256(), 0
        while chunk := os.read(descriptor, MIB):
            digest.update(chunk)
            size += len(chunk)
            if sink is not None:
                write_payload(sink, chunk)
            self._progress.advance(len(chunk))
        receiver.end(place, digest.digest())
        self.found.payload.add(member._replace(size=size), digest.digest(), head)

    def strangers(self) -> Iterator[str]:
        """Yield what lies in the directory and is no part of the bag."""
        known = {*_TAGS, SIGNATURE, "data"}
        for entry in _entries(self._top):
            if entry.name not in known:
                yield f"{printable(entry.name)} is no part of the bag"
        waiting = ["data"]
        while waiting:
            self._progress.advance(0)
            parent = waiting.pop()
            descriptor = self._open_directory(parent)
            if descriptor < 0:
                continue
            try:
                for entry in _entries(descriptor):
                    place = f"{parent}/{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(place)
                    elif not entry.is_file(follow_symlinks=False):
                        kind = _KINDS.get(stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode))
                        yield f"payload: {printable(place)} is {kind}, no regular file"
                    elif not self.found.payload.places.holds_file(place):
                        yield f"payload: {printable(place)} is there, but is not listed"
            finally:
                os.close(descriptor)

    def _open_directory(self, place: str) -> int:
        """Return a descriptor of the directory `place`, -1 where it is not there as one."""
        parts = place.split("/")
        if len(parts) > self._limits.depth + 1:
            raise over_limit("depth", self._limits.depth)
        descriptor = os.dup(self._top)
        for part in parts:
            try:
                below = os.open(part, _DIRECTORY, dir_fd=descriptor)
            except OSError as error:
                if error.errno not in _NOT_THERE:
                    raise _unreadable(place, error) from None
                below = -1
            os.close(descriptor)
            descriptor = below
            if below < 0:
                break
        return descriptor


def _opened(directory: Path) -> int:
    shown = printable(str(directory))
    try:
        return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"There is no directory {shown}.") from None
    except OSError as error:
        raise _unreadable(str(directory), error) from None


def _open_file(directory: int, name: str) -> int | None:
    """Return a descriptor of the regular file `name`, None where there is none."""
    try:
        descriptor = os.open(name, _FILE, dir_fd=directory)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise _unreadable(name, error) from None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None


def _entries(directory: int) -> Iterator[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        yield from entries


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)


def _unreadable(name: str, error: OSError) -> FailedError:
    return FailedError(
        f"{printable(name)} cannot be read: {error.strerror}.",
        hint="Check its permissions and the drive it lies on.",
    )
