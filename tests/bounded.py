"""Reads a stream in a child with hard bounds, so that no archive can take the tests along."""

import json
import os
import resource
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agebackup.errors import AgebackupError
from agebackup.model.limits import Limits
from agebackup.snapshot.bag import BagContents, Member, read_bag
from agebackup.system.progress import Progress

SECONDS = 20
MEBIBYTES = 64


class Keep:
    """A receiver that writes nothing, but knows which files it was offered."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self.digests: dict[str, bytes] = {}

    def begin(self, place: str, member: Member, head: bytes) -> int | None:
        """Ask for no bytes."""
        self.members.append(member)
        return None

    def end(self, place: str, digest: bytes) -> None:
        """Remember the hash."""
        self.digests[place] = digest


@dataclass(frozen=True)
class Judgement:
    """What a reader said: an exit code with a message and its details, or differences."""

    code: int
    message: str
    details: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        """Whether there was nothing to complain about."""
        return self.code == 0 and not self.details


def contents_of(stream: bytes, directory: Path, limits: Limits | None = None) -> BagContents:
    """Return what `read_bag` makes of `stream`, read in this process."""
    path = directory / "stream.tar"
    path.write_bytes(stream)
    with path.open("rb") as file:
        return read_bag(file.fileno(), Keep(), limits=limits or Limits(), progress=Progress())


def judged(pieces: Iterable[bytes], limits: Limits | None = None) -> Judgement:
    """Return what `read_bag` says of a stream, in at most 20 s of time and 64 MiB of memory more.

    A reader that takes more is killed, and the test fails.
    """
    (reading, writing), (result, told) = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(writing)
            _bind()
            os.write(told, json.dumps(_judge(reading, limits or Limits())).encode())
        finally:
            os._exit(0)
    os.close(reading)
    os.close(told)
    with open(writing, "wb", buffering=0) as stream, open(result, "rb") as answer:
        try:
            for piece in pieces:
                rest = memoryview(piece)
                while rest:
                    rest = rest[stream.write(rest) :]
        except BrokenPipeError:
            pass
        stream.close()
        text = answer.read()
    os.waitpid(child, 0)
    assert text, "the reader took more time or memory than it may"
    code, message, details = json.loads(text)
    return Judgement(code, message, tuple(details))


def _bind() -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(SECONDS)
    status = Path("/proc/self/statm")
    if status.exists():
        used = int(status.read_text().split()[0]) * resource.getpagesize()
        ceiling = used + MEBIBYTES * (1 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))


def _judge(descriptor: int, limits: Limits) -> tuple[int, str, tuple[str, ...]]:
    try:
        contents = read_bag(descriptor, Keep(), limits=limits, progress=Progress())
    except AgebackupError as error:
        return error.code, error.message, error.details
    return 0, "", contents.differences
