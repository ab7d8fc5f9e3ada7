"""create: take a snapshot, write it as one encrypted archive, prove it, publish it.

The order of things is the guarantee. The publication encloses everything, so that whatever fails
inside prevents the archive's name from appearing; the encrypting worker is started before any
database of the app is open; databases are copied before attachments are read, so that every file
which a database names existed when its turn came.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from agebackup.errors import AgebackupError, FailedError, printable, shortened
from agebackup.model.changes import sudden
from agebackup.model.command import Command
from agebackup.model.devices import differs
from agebackup.model.manifest import GateRecord
from agebackup.model.records import ArchiveRecord
from agebackup.model.reports import CreateReport
from agebackup.operations.guards import guard_places, guard_space
from agebackup.operations.order import Attempt, Order, Site
from agebackup.operations.provenance import first_line, provenance_of, version_said
from agebackup.operations.publishing import Published, publish
from agebackup.operations.reading import incompleteness
from agebackup.operations.settling import settle
from agebackup.operations.writing import FilesChangedError
from agebackup.snapshot.signatures import Bench
from agebackup.system.clock import Stopwatch
from agebackup.system.lock import WAIT_OPTION, exclusive
from agebackup.system.mounts import device_of
from agebackup.system.process import run_command
from agebackup.system.progress import Progress

ICLOUD_BYTES = 50 * 10**9
"""The largest file that iCloud Drive takes."""

ATTEMPTS = 3
"""How often an archive is begun anew because large files changed while they were read."""


@dataclass
class Pause:
    """The app's own commands around the snapshot: `prepare` before it, `finish` after it.

    `finish` runs exactly once, after a failure too, and as soon as everything was read: the proof
    needs no paused application. Where it fails, the archive is still good: `problem` then says so.
    """

    order: Order
    progress: Progress
    problem: str = ""
    _ended: bool = False

    def __enter__(self) -> "Pause":
        try:
            if self.order.prepare:
                _run(self.order.prepare, self.order, self.progress)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *failure: object) -> None:
        self.end()

    def end(self) -> None:
        """Run `finish` if it has not run; a stop does not keep the application paused."""
        if self._ended or not self.order.finish:
            return
        self._ended = True
        try:
            _run(self.order.finish, self.order, Progress())
        except AgebackupError as error:
            self.problem = f"finish failed: {error.message}"


@contextmanager
def sole_run(site: Site, app: str, progress: Progress) -> Iterator[None]:
    """Be the only run of `app`, waiting for it as `site` says, and clean up after dead ones.

    Raises `RefusedError` where a restore into the app was cut off and cannot be settled: what lies
    there may be a mixture.
    """
    what = f"another run of {app}"
    wait, hint = site.wait_seconds, WAIT_OPTION
    with exclusive(site.lock_file, wait_seconds=wait, what=what, progress=progress, hint=hint):
        for one in settle(site.swaps) if site.swaps else ():
            progress.warn(one.words)
        for line in site.claims.sweep():
            progress.warn(line)
        yield


def create(order: Order, site: Site, progress: Progress) -> CreateReport:
    """Publish one archive of `order.source`, within `sole_run`, and return what was written.

    The site's books are asked and told of it; what they cannot do is a warning of the report.
    Raises an `AgebackupError` of the documented families; then nothing was published, an older
    file of the same name is untouched, and nothing is left but, after SIGKILL, what the next
    run's sweep removes.
    """
    watch = Stopwatch()
    guard_places(order.source, site.destination, site.workspace)
    expected = guard_space(order.source, site, progress)
    signed_with = _try_signing(order, site, progress)
    site.destination.prepare()
    app, books = order.source.app, site.books
    books.settle(app, site.destination, order.name.time, progress)
    order = _with_gates(_with_origin(order, progress), progress)
    order = replace(order, sequel=order.sequel or books.sequel(app))
    before = books.last(app)
    with Pause(order, progress) as pause:
        published = _attempts(Attempt(order, site, progress, expected), pause)
    manifest, record = published.manifest, published.record
    return CreateReport(
        archive=manifest.archive,
        path=str(site.destination.path / record.file_name),
        size=published.size,
        recipients=len(order.recipients.texts),
        proof=manifest.proof,
        signed_with=signed_with,
        seconds=watch.seconds,
        manifest=manifest,
        sha256=record.sha256,
        destination=record.destination,
        stanzas=record.stanzas,
        figures=published.figures,
        record=record,
        before=before,
        warnings=tuple(_afterwards(site, published, before)) + books.losses,
        problems=incompleteness(manifest) + ((pause.problem,) if pause.problem else ()),
    )


def _try_signing(order: Order, site: Site, progress: Progress) -> str:
    """Return what the archive will be signed with; a key that fails must not fail hours later."""
    if order.signing is None:
        return ""
    return order.signing.try_out(Bench(site.workspace, site.claims, progress)).key


def _attempts(attempt: Attempt, pause: Pause) -> Published:
    for left in reversed(range(ATTEMPTS)):
        try:
            return publish(attempt, pause)
        except FilesChangedError as changed:
            places = attempt.volatile | changed.places
            attempt = replace(attempt, volatile=places, careful=left == 1)
    raise FailedError(
        "New files kept changing while they were read, in every attempt.",
        hint="Pause what writes them (prepare and finish in the config), or exclude them.",
        details=shortened(sorted(map(printable, attempt.volatile))),
    )


def _run(command: Command, order: Order, progress: Progress) -> str:
    result = run_command(
        command.argv, seconds=command.seconds, cwd=order.directory, progress=progress
    )
    return result.stdout


def _with_origin(order: Order, progress: Progress) -> Order:
    """Return `order` with the app's version as a text, and with what git says of its checkout.

    They are only for the record: where they cannot be had, the backup is made without.
    """
    try:
        said = version_said(order.app_version, order.directory, progress)
    except FailedError as error:
        progress.warn(f"The app's version is not recorded: {error.message}")
        said = ""
    found = provenance_of(order.checkout, order.environment, progress)
    return replace(order, app_version=said, provenance=found)


def _with_gates(order: Order, progress: Progress) -> Order:
    """Return `order` with what the commands of its gates print; one that fails leaves a gap.

    That gap is refused by a restore in place, not by a backup: a copy without it is better.
    """
    passed = []
    for gate in order.gates:
        if gate.command is None:
            continue
        try:
            said = _run(gate.command, order, progress)
        except FailedError as error:
            shown = printable(gate.name)
            progress.warn(f"The value of the gate {shown} is not recorded: {error.message}")
            continue
        passed.append(GateRecord(name=gate.name, value=first_line(said)))
    return replace(order, passed=tuple(passed))


def _afterwards(site: Site, published: Published, before: ArchiveRecord | None) -> Iterator[str]:
    """Do what follows a publication; whatever fails now is a warning, for the archive is there."""
    record = published.record
    if before is not None and before.figures is not None:
        for finding in sudden(before.figures, published.figures):
            yield printable(f"{finding.fact} {finding.remedy}")
    if published.size > ICLOUD_BYTES:
        yield "iCloud Drive takes no files over 50 GB: this archive will not leave the machine."
    site.books.replaced(record, record.time)
    device = device_of(record.destination)
    was = site.books.saw(record.destination, device, record.time)
    if differs(was, device):
        yield (
            f"The destination lies on another device than last time ({printable(device)}, not "
            f"{printable(was)}): is the right drive mounted? If what was there is to be forgotten: "
            "agebackup clean --forget."
        )
    try:
        site.destination.leave_note(site.claims)
    except (AgebackupError, OSError) as error:
        yield f"The recovery note is not there: {getattr(error, 'message', None) or error}"
