"""restore --in-place: bring a snapshot into the live application, all of it or nothing.

Guards first; then everything is staged, verified and migrated beside its places while the
application goes on; only then it stands still, for the safety archive and the exchange. A failure
up to the exchange changes nothing; the exchange itself is a transaction (operations/swap.py).
"""

import os
import stat
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from agebackup.errors import AgebackupError, FailedError, StoppedError, counted, printable
from agebackup.model.inplace import InPlaceReport, PlacedPart
from agebackup.model.landing import Part
from agebackup.model.swap import Kind, Swap, SwapRecord
from agebackup.model.swap import Part as Exchanged
from agebackup.operations.guards import require_space
from agebackup.operations.inplace_building import Built, build
from agebackup.operations.inplace_fitting import require_known_gates
from agebackup.operations.inplace_guards import (
    guard_early,
    live_databases,
    present_values,
    staging_place,
)
from agebackup.operations.inplace_order import InPlaceOrder, Means
from agebackup.operations.reading import incompleteness, name_warnings
from agebackup.operations.standstill import Standstill, require_not_running, run
from agebackup.operations.swap import finish, swap
from agebackup.operations.undo import undo
from agebackup.operations.unused import require_unused
from agebackup.system.clock import Stopwatch
from agebackup.system.copying import copy_compared
from agebackup.system.likeness import liken
from agebackup.system.syncing import explained
from agebackup.system.workspace import claimed_directory, ground

Places = Mapping[Part, Path]
"""Where each part lies that is about to be put into place, on the file system of its target."""


@dataclass(frozen=True)
class _Exchange:
    """An exchange that took place, and how it ended so far."""

    record: SwapRecord
    standstill: float
    safety: str | None
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def restore_in_place(order: InPlaceOrder, means: Means) -> InPlaceReport:
    """Put what `order` wants into the application's places and return what was done.

    The caller holds the app's lock and has settled what was cut off before. Raises an
    `AgebackupError`; then the application's state is as it was before, and nothing is left beside
    it but, after SIGKILL, what the next run's sweep removes or settles. Once the state is
    exchanged, failures are `problems` of the report; a stop then still raises `StoppedError`, and
    the restored state counts.
    """
    watch = Stopwatch()
    require_known_gates(order)
    told = guard_early(order, means)
    present = present_values(order, means.reading.progress)
    with ExitStack() as stack:
        claim = stack.enter_context(
            claimed_directory(staging_place(order), means.claims, prefix="inplace")
        )
        built = build(order, claim.path / "content", present, means)
        places = _beside_targets(built, stack, means)
        refused = sum(liken(path, _real(part.target)) for part, path in places.items())
        done = _exchanged(order, built, places, means)
    outcome, problems = "ok", done.problems
    if problems:
        outcome, problems = _after_failure(order, done, means)
    if outcome != "rolled-back":
        told += _finished(done.record, means)
    manifest = built.manifest
    warnings = name_warnings(order.wanted.archive, manifest) + incompleteness(manifest)
    if refused:
        warnings += (
            f"This user cannot give {counted(refused, 'file')} back to those who owned them.",
        )
    return InPlaceReport(
        app=order.profile.name,
        archive=str(order.wanted.archive),
        id=done.record.id,
        outcome=outcome,  # type: ignore[arg-type]
        parts=tuple(_placed(built, done.record)),
        seconds=watch.seconds,
        standstill=done.standstill,
        safety=done.safety,
        changes=built.changes,
        heads=built.heads,
        manifest=manifest,
        origin=built.staged.origin,
        problems=problems,
        left_out=built.staged.left_out,
        warnings=told + warnings + built.warnings + done.warnings,
    )


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _beside_targets(built: Built, stack: ExitStack, means: Means) -> dict[Part, Path]:
    """Return where each part lies; one for another file system is copied there and compared."""
    places: dict[Part, Path] = {}
    for part in built.fitted.landing.placed:
        staged = built.path_of(part)
        near = ground(_real(part.target).parent)
        with explained(near):
            elsewhere = os.lstat(staged).st_dev != os.stat(near).st_dev
        if elsewhere:
            require_space(f"the restored {part.shown}", near, part.size)
            claim = stack.enter_context(claimed_directory(near, means.claims, prefix="inplace"))
            copied = claim.path / "content"
            copy_compared(staged, copied, means.reading.progress.stop.check)
            staged = copied
        places[part] = staged
    return places


def _exchanged(order: InPlaceOrder, built: Built, places: Places, means: Means) -> _Exchange:
    """Let the application stand still, exchange its state, let it go on, and have it checked."""
    progress = means.reading.progress
    parts = tuple(Exchanged(one.target, path, _kind(one, path)) for one, path in places.items())
    with Standstill(order.profile, progress) as still:
        require_not_running(order.profile, progress)
        require_unused(live_databases(order.source))
        safety, unsafe = _safety(built, means)
        _carry(built, places, means)
        progress.stop.check()
        # The safety archive takes its time, and a timer or a socket may start the application.
        require_not_running(order.profile, progress)
        hidden = require_unused(live_databases(order.source))
        record = swap(
            Swap(order.profile.name, order.time, built.manifest.archive, parts, safety or ""),
            means.records,
        )
    problems = [still.problem] if still.problem else _checked(order, record, means)
    warnings = tuple(text for text in (hidden, unsafe) if text)
    return _Exchange(record, still.seconds, safety, tuple(problems), warnings)


def _kind(part: Part, path: Path) -> Kind:
    if part.role == "database":
        return "database"
    return "tree" if stat.S_ISDIR(path.lstat().st_mode) else "file"


def _safety(built: Built, means: Means) -> tuple[str | None, str]:
    """Make the safety archive, if one is wanted; return its path, and what is to be told."""
    if means.safety is None:
        return None, ""
    landing = built.fitted.landing
    if not any(os.path.lexists(part.target) for part in landing.parts):
        return None, "There was no state before this one, so no safety archive was made."
    try:
        return means.safety(landing), ""
    except StoppedError:
        raise
    except AgebackupError as error:
        error.message = f"The present state cannot be archived first: {error.message}"
        error.hint = (
            f"{error.hint} Or restore without that archive: --no-safety; the files that are there "
            "now are kept beside their places in any case."
        ).strip()
        raise


def _carry(built: Built, places: Places, means: Means) -> None:
    """Copy config and tokens that stay into the trees that take the place of those around them."""
    for part in built.fitted.carried:
        around = next(one for one in places if one.target in part.target.parents)
        copy = places[around] / part.target.relative_to(around.target)
        with explained(copy.parent):
            if os.path.lexists(copy):
                continue
            copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        copy_compared(part.target, copy, means.reading.progress.stop.check)


def _checked(order: InPlaceOrder, record: SwapRecord, means: Means) -> list[str]:
    """Run the app's checks; return what each that fails said."""
    problems = []
    try:
        for command in order.profile.restore.check:
            try:
                run(command, order.base, means.reading.progress)
            except FailedError as error:
                problems += [f"check failed: {error.message}", *error.details]
            except OSError as error:
                problems.append(f"check failed: {error.strerror or error}")
    except StoppedError as error:
        _finished(record, means)
        error.message = "The checks were cut off by a stop. The restored state is in place."
        error.hint = f"To bring the state before back: agebackup restore --undo {record.app}"
        raise
    return problems


def _finished(record: SwapRecord, means: Means) -> tuple[str, ...]:
    """Close the journal; the state counts already, so that a failure is only to be told."""
    try:
        finish(record, means.records)
    except AgebackupError as error:
        return (f"The next command will note that this restore is complete: {error.message}",)
    return ()


def _after_failure(
    order: InPlaceOrder, done: _Exchange, means: Means
) -> tuple[str, tuple[str, ...]]:
    """Bring the state before back if that was asked for; return the outcome and all problems."""
    problems = done.problems
    if order.rollback:
        progress = means.reading.progress
        try:
            with Standstill(order.profile, progress) as still:
                require_not_running(order.profile, progress)
                undone = undo(
                    done.record,
                    order.time,
                    means.records,
                    # Those inside an exchanged tree are no parts of their own.
                    lambda found: require_unused((*found, *live_databases(order.source))),
                )
        except AgebackupError as error:
            return "check-failed", (*problems, f"The way back failed: {error.message}")
        more = [still.problem] if still.problem else []
        aside = ", ".join(printable(str(path)) for path in undone.aside)
        more += [f"The state that failed is in {aside}."] if aside else []
        return "rolled-back", (*problems, *more)
    return "check-failed", problems


def _placed(built: Built, record: SwapRecord) -> list[PlacedPart]:
    landing = built.fitted.landing
    kept = {move.target: move.outgoing for move in record.moves if move.old.main is not None}
    return [
        PlacedPart(
            role=part.role,
            name=part.name,
            place=part.place,
            target=str(part.target),
            files=part.files,
            size=part.size,
            kept=kept.get(os.path.realpath(part.target)),
            with_it=tuple(one.place for one in landing.parts if one.outer == part.target),
        )
        for part in landing.placed
    ]
