"""What `push`, `create` and `run` share: from a profile to what carries its archives away."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agebackup.cli import directories
from agebackup.cli.console import Console
from agebackup.cli.scope import now
from agebackup.errors import counted, printable, shortened

if TYPE_CHECKING:
    from agebackup.ledger import Ledger
    from agebackup.model.profile import Profile
    from agebackup.model.whereabouts import Whereabouts
    from agebackup.operations.push import PushReport
    from agebackup.operations.pusheverywhere import Places, Pusher, Pushing
    from agebackup.operations.pushlooks import PushOrder
    from agebackup.operations.record import Post
    from agebackup.system.progress import Progress


def push_order(profile: "Profile", to: Console) -> "PushOrder":
    """Return what is asked of a push of `profile`'s archives."""
    from agebackup.operations.pushlooks import PushOrder

    shrink = profile.watch.shrink == "refuse"
    return PushOrder(profile.name, profile.retention, now, shrink, to.settings.yes)


def push_places(profile: "Profile", remotes: "Sequence[Whereabouts]", to: Console) -> "Places":
    """Return the folder of `profile` and what reaches each of `remotes`; nothing is reached yet."""
    from agebackup.cli.remotes import remote_at
    from agebackup.cli.wiring import folder_at
    from agebackup.operations.pusheverywhere import Places

    reach = {place.text: partial(remote_at, place, to) for place in remotes}
    folder = folder_at(str(profile.destination))
    lock_file = directories.push_lock_file(profile.name)
    return Places(folder, reach, lock_file, directories.claims())


def pusher(profile: "Profile | None", to: Console) -> "Pusher | None":
    """Return what carries the archives of `profile` away after a run; None where nothing does."""
    if profile is None or not profile.remotes or profile.destination is None:
        return None
    declared = profile

    def carry(
        ledger: "Ledger | None", progress: "Progress", note: Callable[..., None]
    ) -> "Pushing":
        from agebackup.operations.pusheverywhere import push_everywhere

        places = push_places(declared, declared.remotes, to)
        return push_everywhere(push_order(declared, to), places, ledger, progress, note)

    return carry


def push_owed(profile: "Profile", post: "Post", to: Console) -> "Pushing | None":
    """Carry what the ledger says is owed; None where that is nothing, or cannot be known."""
    from agebackup.ledger import LedgerError
    from agebackup.operations.pusheverywhere import owes
    from agebackup.operations.reachable import silent

    carry, ledger = pusher(profile, to), post.ledger
    if carry is None or ledger is None:
        return None
    order, here = push_order(profile, to), os.path.realpath(str(profile.destination))
    try:
        folders = [Path(place.place) for place in profile.remotes if place.is_folder]
        dead = {str(path) for path in silent(folders, to.progress)}
        keys = [one.text if one.place in dead else key_of(one) for one in profile.remotes]
        if not any(owes(order, (here, key), ledger) for key in keys):
            return None
    except LedgerError:  # whoever opened it has said so
        return None

    def note(event: str, **fields: Any) -> None:
        if problem := post.journal.event(event, profile.name, **fields):
            to.output.warn_once(problem)

    return carry(ledger, to.progress, note)


def key_of(place: "Whereabouts") -> str:
    """Return what the ledger calls `place`."""
    return os.path.realpath(place.place) if place.is_folder else place.text


def pushing_fields(pushing: "Pushing | None") -> list[dict[str, Any]]:
    """Return what `--json` says of each place after a run."""
    return [one.fields() for one in pushing.pushes] if pushing else []


def tell_pushing(pushing: "Pushing", to: Console) -> None:
    """Say what was carried where, and warn of what is owed."""
    if pushing.busy:
        to.output.say(f"  {pushing.busy.message} What is not carried yet is left to it.")
    for report in pushing.reports:
        tell_report(report, to)


def tell_report(report: "PushReport", to: Console) -> None:
    """Say what became of one place."""
    where, say = printable(report.destination), to.output.say
    if report.sent:
        say(f"  pushed to {where}: {counted(len(report.sent), 'archive')}, {report.bytes:,} bytes")
        for line in shortened([f"{one.name}  {one.why}" for one in report.sent]):
            say(f"    {line}")
    elif report.complete:
        say(f"  {where}: nothing is owed")
    if report.confirmed:
        say(f"  {where}: {counted(len(report.confirmed), 'archive')} found to be there already")
    if report.pruning.pruned:
        say(f"  {where}: {counted(len(report.pruning.pruned), 'archive')} pruned")
    if report.pruning.message:
        to.output.warn(report.pruning.message)
    for line in shortened([_failure(one.archive, report.why(one)) for one in report.failures]):
        to.output.warn(f"Not pushed to {where}: {line}")
    for hint in dict.fromkeys(one.error.hint for one in report.failures if one.error.hint):
        say(f"  {hint}")


def _failure(archive: str, message: str) -> str:
    return f"{archive}: {message}" if archive else message


def limited(places: "Sequence[Whereabouts]", rate: str | None) -> "tuple[Whereabouts, ...]":
    """Return `places` with the bandwidth that was asked for, where one was."""
    if rate is None:
        return tuple(places)
    return tuple(replace(place, bandwidth=rate) for place in places)
