"""create: take a snapshot, write it as one encrypted archive, prove it, publish it.

The order of things is the guarantee. The publication encloses everything, so that whatever fails
inside prevents the archive's name from appearing; the encrypting worker is started before any
SQLite connection is open; databases are copied before attachments are read, so that every file
which a database names existed when its turn came.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from agebackup.errors import AgebackupError, FailedError, printable, shortened
from agebackup.model.command import Command
from agebackup.model.limits import Limits
from agebackup.model.manifest import Manifest
from agebackup.model.reports import CreateReport
from agebackup.operations.guards import guard_places, guard_space
from agebackup.operations.memory import missed, recall, remember
from agebackup.operations.order import Attempt, Order, Site
from agebackup.operations.reading import incompleteness
from agebackup.operations.receivers import HashOnly
from agebackup.operations.writing import FilesChangedError, write_snapshot
from agebackup.snapshot.bag import read_bag
from agebackup.snapshot.keys import Identities
from agebackup.snapshot.sealed import opening, sealing
from agebackup.system.clock import Stopwatch
from agebackup.system.durable import Draft
from agebackup.system.lock import exclusive
from agebackup.system.process import run_command
from agebackup.system.progress import Progress

UNLIMITED = Limits(
    members=1 << 62,
    total_bytes=1 << 62,
    depth=1 << 30,
    tag_file_bytes=1 << 40,
    manifest_bytes=1 << 40,
    expansion=1 << 40,
)
"""For reading what this very run has written, whatever its size."""

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
    """Be the only run of `app`, waiting for it as `site` says, and clean up after dead ones."""
    what = f"another run of {app}"
    with exclusive(site.lock_file, wait_seconds=site.wait_seconds, what=what, progress=progress):
        for line in site.claims.sweep():
            progress.warn(line)
        yield


def create(order: Order, site: Site, progress: Progress) -> CreateReport:
    """Publish one archive of `order.source`, within `sole_run`, and return what was written.

    Raises an `AgebackupError` of the documented families; then nothing was published, an older
    file of the same name is untouched, and nothing is left but, after SIGKILL, what the next
    run's sweep removes.
    """
    watch = Stopwatch()
    guard_places(order.source, site.destination, site.workspace)
    expected = guard_space(order.source, site, progress)
    site.destination.prepare()
    attempt = Attempt(_with_version(order, progress), site, progress, expected)
    before = recall(site.memory_file)
    with Pause(order, progress) as pause:
        manifest, size = _attempts(attempt, pause)
    return CreateReport(
        archive=manifest.archive,
        path=str(site.destination.path / site.destination.published_name(manifest.archive)),
        size=size,
        recipients=len(order.recipients.texts),
        proof=manifest.proof,
        seconds=watch.seconds,
        manifest=manifest,
        warnings=(*missed(before, manifest), *_afterwards(site, manifest, size)),
        problems=incompleteness(manifest) + ((pause.problem,) if pause.problem else ()),
    )


def _attempts(attempt: Attempt, pause: Pause) -> tuple[Manifest, int]:
    for left in reversed(range(ATTEMPTS)):
        try:
            return _publish(attempt, pause)
        except FilesChangedError as changed:
            places = attempt.volatile | changed.places
            attempt = replace(attempt, volatile=places, careful=left == 1)
    raise FailedError(
        "New files kept changing while they were read, in every attempt.",
        hint="Pause what writes them (prepare and finish in the config), or exclude them.",
        details=shortened(sorted(map(printable, attempt.volatile))),
    )


def _publish(attempt: Attempt, pause: Pause) -> tuple[Manifest, int]:
    order, site, progress = attempt.order, attempt.site, attempt.progress
    recipients, throwaway = order.recipients, None
    if order.proof:
        recipients, throwaway = recipients.with_throwaway()
    with site.destination.publication(str(order.name), site.claims) as draft:
        with sealing(draft.descriptor, recipients, level=order.level, progress=progress) as seal:
            manifest = write_snapshot(attempt, seal.plaintext)
        pause.end()
        if throwaway is not None:
            prove(draft, throwaway, manifest, progress)
        size = os.fstat(draft.descriptor).st_size
    return manifest, size


def prove(draft: Draft, throwaway: Identities, manifest: Manifest, progress: Progress) -> None:
    """Decrypt the finished draft and check it as `verify` would; raise `FailedError` if it differs.

    The databases' own checks were made on the very bytes whose hashes are compared here.
    """
    progress.phase("proving", os.fstat(draft.descriptor).st_size)
    try:
        with opening(draft.descriptor, throwaway, limits=UNLIMITED, progress=progress) as plaintext:
            contents = read_bag(plaintext, HashOnly(), limits=UNLIMITED, progress=progress)
    except FailedError:
        raise
    except AgebackupError as error:
        if error.code not in (4, 12, 13):
            raise
        raise _unproved(error.message, error.details) from error
    if contents.differences:
        raise _unproved("It does not keep its own promises.", contents.differences)
    if contents.manifest != manifest:
        raise _unproved("Its manifest is not the one that was written.", ())


def _unproved(why: str, details: tuple[str, ...]) -> FailedError:
    return FailedError(
        f"The finished archive failed its proof and was not published: {why}",
        hint="Memory or the destination's disk may be damaged: test both, then run again.",
        details=details,
    )


def _run(command: Command, order: Order, progress: Progress) -> str:
    result = run_command(
        command.argv, seconds=command.seconds, cwd=order.directory, progress=progress
    )
    return result.stdout


def _with_version(order: Order, progress: Progress) -> Order:
    """Return `order` with the text that its command for the app's version prints, if it has one.

    A version is only for the record: where it cannot be had, the backup is made without.
    """
    if isinstance(order.app_version, str):
        return order
    try:
        said = _run(order.app_version, order, progress)
    except FailedError as error:
        progress.warn(f"The app's version is not recorded: {error.message}")
        said = ""
    return replace(order, app_version=said.strip().partition("\n")[0][:200])


def _afterwards(site: Site, manifest: Manifest, size: int) -> Iterator[str]:
    """Do what follows a publication; whatever fails now is a warning, for the archive is there."""
    if size > ICLOUD_BYTES:
        yield "iCloud Drive takes no files over 50 GB: this archive will not leave the machine."
    steps: tuple[tuple[str, Callable[[], None]], ...] = (
        ("The next run will not notice what vanishes", partial(remember, site, manifest)),
        ("The recovery note is not there", partial(site.destination.leave_note, site.claims)),
    )
    for what, step in steps:
        try:
            step()
        except (AgebackupError, OSError) as error:
            yield f"{what}: {getattr(error, 'message', None) or error}"
