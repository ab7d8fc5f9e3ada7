"""Read an archive or an extracted bag with every check, trusting nothing in it."""

import os
import stat
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agebackup.errors import FailedError, NoIdentityError, NotFoundError, VerificationError
from agebackup.model.ageheader import Header, possible_plaintext
from agebackup.model.layout import DATA
from agebackup.model.limits import Limits
from agebackup.model.manifest import DatabaseRecord, Manifest
from agebackup.model.names import ArchiveName, printable
from agebackup.model.ustar import RECORD
from agebackup.operations.receivers import Selection
from agebackup.operations.references import References, TreePlace
from agebackup.snapshot.bag import BagContents, Receiver, read_bag
from agebackup.snapshot.inspection import DatabaseFacts, answer, examine, open_untrusted
from agebackup.snapshot.keys import Identities
from agebackup.snapshot.sealed import opening, quick_check
from agebackup.system.progress import Progress


@dataclass(frozen=True)
class Reading:
    """How archives are read: with which identities, within which limits."""

    identities: Identities
    limits: Limits
    progress: Progress


@contextmanager
def open_archive(path: Path) -> Iterator[int]:
    """Yield a descriptor of the archive at `path`, a regular file that is really there."""
    shown = printable(str(path))
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFoundError(f"There is no archive {shown}.", hint=_absent_hint(path)) from None
    except OSError as error:
        raise FailedError(
            f"The archive {shown} cannot be read: {error.strerror}.",
            hint="Check its permissions and the drive it lies on.",
        ) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise VerificationError(f"{shown} is not a regular file, so it is no archive.")
        if status.st_size and not status.st_blocks:
            raise NotFoundError(
                f"{shown} is not on this machine: only its name is, its content is in the cloud.",
                hint="Let the cloud client download it, then try again.",
            )
        yield descriptor
    finally:
        os.close(descriptor)


def _absent_hint(path: Path) -> str:
    if os.path.lexists(path.with_name(f".{path.name}.icloud")):
        return "iCloud has moved it off this machine: open it in the Finder to download it."
    return "Check the name, and that the drive or cloud folder is there."


def read_archive(path: Path, receiver: Receiver, reading: Reading) -> BagContents:
    """Decrypt and read the whole archive at `path`, feeding `receiver`; return its contents.

    Raises as `opening` and `read_bag` do. The contents' differences are not yet judged.
    """
    with open_archive(path) as descriptor, naming(path):
        reading.progress.phase("reading", os.fstat(descriptor).st_size)
        with opening(
            descriptor, reading.identities, limits=reading.limits, progress=reading.progress
        ) as plaintext:
            return read_bag(plaintext, receiver, limits=reading.limits, progress=reading.progress)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let complaints about the content of an archive say which archive it is."""
    try:
        yield
    except (VerificationError, NoIdentityError) as error:
        error.message = f"{printable(str(path))}: {error.message}"
        raise


def check_from_outside(path: Path, descriptor: int) -> Header:
    """Check the header and exact size of an open archive, without a key; return its header.

    A tar that is not compressed fills whole records (FORMAT.md), so that its size says more.
    """
    with naming(path):
        header = quick_check(descriptor)
        name = ArchiveName.parse(path.name)
        content = possible_plaintext(header.length, os.fstat(descriptor).st_size)
        if name and not name.compressed and content is not None and content % RECORD:
            raise VerificationError(
                "Its size is not that of a whole archive.",
                hint="It was cut short or grew: take another copy of the file.",
            )
    return header


@dataclass
class Examiner:
    """Examines databases as they arrive, two at a time, beside the reading of the rest."""

    reading: Reading
    _pool: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(2, thread_name_prefix="examine")
    )
    _found: dict[str, tuple[Path, Future[DatabaseFacts]]] = field(default_factory=dict)

    def __enter__(self) -> "Examiner":
        return self

    def __exit__(self, *failure: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def arrived(self, place: str, path: Path) -> None:
        """Begin to examine the complete private file `path`, which is `place` of the bag."""
        self._found[place] = (path, self._pool.submit(self._examine, path))

    def _examine(self, path: Path) -> DatabaseFacts:
        with closing(open_untrusted(path)) as connection:
            seconds = self.reading.limits.seconds
            return examine(connection, deadline_seconds=seconds, stop=self.reading.progress.stop)

    def differences(self, contents: BagContents, selection: Selection) -> list[str]:
        """Return a line for each promise that a database within `selection` breaks."""
        lines: list[str] = []
        references = References(
            tuple(
                TreePlace(tree.name, tree.path)
                for tree in contents.manifest.trees
                if tree.role == "attachments"
            )
        )
        for record in contents.manifest.databases:
            if record.path in self._found:
                lines += self._compare(record, references)
            elif selection.wants(record.path.removeprefix(DATA)):
                lines.append(f"{_shown(record)}: is not a database among the first payload files")
        if references.active:
            lines += _reference_differences(references, contents)
        return lines

    def _compare(self, record: DatabaseRecord, references: References) -> list[str]:
        path, future = self._found[record.path]
        try:
            facts = future.result()
            lines = [f"{_shown(record)}: integrity_check: {line}" for line in facts.problems]
            lines += fact_differences(record, facts)
            if not facts.problems:
                lines += self._answers(record, path, references)
        except FailedError as error:
            lines = [f"{_shown(record)}: {error.message}", *error.details]
        return lines

    def _answers(self, record: DatabaseRecord, path: Path, references: References) -> list[str]:
        lines: list[str] = []
        stop, seconds = self.reading.progress.stop, self.reading.limits.seconds
        with closing(open_untrusted(path)) as connection:
            for count in record.counts:
                rows = list(answer(connection, count.sql, deadline_seconds=seconds, stop=stop))
                if rows != [(count.value,)]:
                    lines.append(f"{_shown(record)}: the count {printable(count.name)} differs")
            for query in record.references:
                rows = answer(connection, query.sql, deadline_seconds=seconds, stop=stop)
                found = references.add(rows, printable(record.name))
                if found != query.rows:
                    lines.append(
                        f"{_shown(record)}: its reference query gives {found} rows, "
                        f"the manifest says {query.rows}"
                    )
        return lines


def fact_differences(record: DatabaseRecord, facts: DatabaseFacts) -> list[str]:
    """Return a line for each recorded fact of a database that its examination contradicts."""
    lines = [
        f"{_shown(record)}: {name.replace('_', ' ')} is {printable(str(found))}, "
        f"the manifest says {printable(str(promised))}"
        for name in (
            "user_version",
            "application_id",
            "schema_sha256",
            "page_size",
            "encoding",
            "foreign_key_violations",
        )
        if (found := getattr(facts, name)) != (promised := getattr(record, name))
    ]
    for table in sorted(facts.rows.keys() | record.rows.keys()):
        found, promised = facts.rows.get(table), record.rows.get(table)
        if found != promised:
            lines.append(
                f"{_shown(record)}: table {printable(table)} has "
                f"{'no' if found is None else found} rows, "
                f"the manifest says {'nothing of it' if promised is None else promised}"
            )
    return lines


def _reference_differences(references: References, contents: BagContents) -> list[str]:
    for place in references.places():
        digest = contents.digest_of(place)
        if digest is not None:
            references.settle(place, digest)
    known = set(contents.manifest.missing)
    return [line for line in references.problems() if line not in known]


def _shown(record: DatabaseRecord) -> str:
    return printable(record.path.removeprefix(DATA))


def name_warnings(path: Path, manifest: Manifest) -> tuple[str, ...]:
    """Return a warning where the file's name is an archive's, but not this archive's."""
    if ArchiveName.parse(path.name) and path.name != manifest.archive:
        return (
            f"The file is called {printable(path.name)}, but it was made as "
            f"{printable(manifest.archive)}: somebody renamed or exchanged it.",
        )
    return ()


def incompleteness(manifest: Manifest) -> tuple[str, ...]:
    """Return a warning where the archive was published although files were missing."""
    if manifest.complete:
        return ()
    lost = sum(1 for one in manifest.skipped if one.lost) + len(manifest.missing)
    return (f"The archive was published incomplete: {lost:,} files were missing or wrong.",)
