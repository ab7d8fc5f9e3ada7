"""restore --in-place --plan: say every step, and take none of them.

The archive is read to its end, for its manifest is in there; no command is run, no database opened,
no directory made.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from agebackup.errors import FailedError, printable
from agebackup.model.command import Command
from agebackup.model.gates import Present
from agebackup.model.inplace import InPlacePlan, PlannedStep
from agebackup.model.landing import Part
from agebackup.model.manifest import Manifest
from agebackup.model.rules import INSTALLED
from agebackup.model.swap import kept_name, stamp
from agebackup.operations.contents import inspect_inside
from agebackup.operations.inplace_fitting import (
    Fitted,
    fitted,
    require_gates,
    require_known_gates,
)
from agebackup.operations.inplace_guards import require_replayable, staging_place
from agebackup.operations.inplace_order import InPlaceOrder
from agebackup.operations.provenance import version_said
from agebackup.operations.reading import Reading, incompleteness
from agebackup.operations.stage import guard_versions


def plan_in_place(order: InPlaceOrder, reading: Reading, destination: str | None) -> InPlacePlan:
    """Return what `restore_in_place` would do; `destination` is where a safety archive would go.

    Raises what would refuse the archive as such: parts without a place, versions, schemas. What
    only running commands can tell is a step of the plan.
    """
    require_known_gates(order)
    require_replayable(order.profile, from_log=order.from_log)
    inside = inspect_inside(order.wanted.archive, reading)
    manifest = inside.manifest
    fit = fitted(order, manifest)
    guard_versions(order.wanted, manifest)
    present = Present({}, {}, _version(order, reading))
    ignored = require_gates(_without_commands(order), manifest, present)
    steps = (
        *_before(order, manifest, fit),
        *_still(order, fit, destination),
        *_after(order, manifest),
    )
    warnings = inside.warnings + incompleteness(manifest) + ignored + fit.remarks
    return InPlacePlan(
        order.profile.name, str(order.wanted.archive), steps, manifest, inside.origin, warnings
    )


def _version(order: InPlaceOrder, reading: Reading) -> str:
    """Return the version of the application that is here, "" where only a command can tell."""
    version = order.profile.version
    if isinstance(version, Command):
        return ""
    with suppress(FailedError):  # only a limit of "installed" needs it, and then says so
        return version_said(version, None, reading.progress)
    return ""


def _without_commands(order: InPlaceOrder) -> InPlaceOrder:
    """Return `order` without the limit that only a command of the application knows."""
    profile = order.profile
    if not isinstance(profile.version, Command) or profile.restore.max_app_version != INSTALLED:
        return order
    rules = replace(profile.restore, max_app_version="")
    return replace(order, profile=replace(profile, restore=rules))


def _before(order: InPlaceOrder, manifest: Manifest, fit: Fitted) -> Iterator[PlannedStep]:
    rules = order.profile.restore
    asked = [*(["restore.running"] if rules.running else []), "locks and open files of databases"]
    asked += [f"gate {printable(gate.name)}" for gate in rules.gates]
    yield PlannedStep("guard", f"refuse unless all is well: {', '.join(asked)}")
    place = staging_place(order)
    size = sum(part.size for part in fit.landing.parts)
    yield PlannedStep("stage", "decrypt, build and verify beside the places", (str(place),), size)
    for part in fit.landing.placed:
        near = _nearest(part.target)
        if os.stat(near).st_dev != os.stat(place).st_dev:
            yield PlannedStep(
                "copy", f"copy {part.shown} to its file system", (str(near),), part.size
            )
    if order.from_log:
        yield from _commands("rebuild", rules.rebuild)
    else:
        yield from _commands("migrate", rules.migrate)
    if any(record.heads for record in manifest.databases):
        yield PlannedStep("heads", "compare the recorded heads")


def _still(order: InPlaceOrder, fit: Fitted, destination: str | None) -> Iterator[PlannedStep]:
    rules = order.profile.restore
    yield from _commands("pause", (rules.pause,))
    if destination is not None:
        yield PlannedStep("safety", "archive the present state", (destination,))
    for part in fit.landing.placed:
        yield _exchange(part, fit, stamp(order.time))
    yield from _commands("resume", (rules.resume,))


def _exchange(part: Part, fit: Fitted, id: str) -> PlannedStep:
    target = Path(os.path.realpath(part.target))
    inside = [one.shown for one in fit.landing.parts if one.outer == part.target]
    text = f"put {part.shown} into place"
    text += f", with {', '.join(inside)} in it" if inside else ""
    if not os.path.lexists(target):
        return PlannedStep("exchange", f"{text}, where nothing is now", (str(target),), part.size)
    kept = kept_name(target, id)
    paths = (str(target), str(kept))
    return PlannedStep("exchange", f"{text}, and keep the state before", paths, part.size)


def _after(order: InPlaceOrder, manifest: Manifest) -> Iterator[PlannedStep]:
    yield from _commands("check", order.profile.restore.check)
    if order.rollback:
        yield PlannedStep("rollback", "bring the state before back if resume or a check fails")
    if manifest.pointers:
        yield from _commands("pointers", (order.profile.pointer_check,))


def _commands(step: str, commands: tuple[Command | None, ...]) -> Iterator[PlannedStep]:
    for command in commands:
        if command is not None:
            words = " ".join(map(printable, command.argv))
            yield PlannedStep(step, f"run {words} (at most {command.seconds:g} s)")


def _nearest(path: Path) -> Path:
    real = Path(os.path.realpath(path))
    return next(above for above in real.parents if above.exists())
