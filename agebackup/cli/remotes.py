"""From what a person writes of a destination to the collaborator that reaches it."""

from typing import TYPE_CHECKING

from agebackup.cli import directories
from agebackup.cli.console import Console
from agebackup.model.whereabouts import Whereabouts, parse_whereabouts

if TYPE_CHECKING:
    from agebackup.destinations.folder import Folder
    from agebackup.destinations.github import GitHub
    from agebackup.destinations.interface import Destination, Means, Remote
    from agebackup.destinations.rclone import Rclone

__all__ = ["Destination", "Remote", "destination_at", "is_folder", "remote_at"]


def is_folder(text: str) -> bool:
    """Return whether `text` names a folder, not a place beyond. Raises `UsageError`."""
    return parse_whereabouts(text).is_folder


def destination_at(text: str, to: Console) -> "Folder | Remote":
    """Return the destination that `text` names: a folder, whose existence shows when it is read,
    or a remote. Raises `UsageError` for what can be none."""
    from agebackup.destinations.folder import listed_folder

    place = parse_whereabouts(text)
    return listed_folder(place.place) if place.is_folder else remote_at(place, to)


def remote_at(place: Whereabouts, to: Console) -> "Remote":
    """Return what carries copies to `place`, be it a folder, and from it; nothing is reached yet.

    Warns where the bandwidth was to be limited and cannot be.
    """
    if place.kind == "rclone":
        return rclone_at(place, to)
    if place.bandwidth:
        to.progress.warn(f"Only rclone limits its bandwidth: {place.text} takes what there is.")
    if place.kind == "github":
        return github_at(place, to)
    from agebackup.destinations.folder import listed_folder
    from agebackup.destinations.mirror import Mirror

    return Mirror(listed_folder(place.place), _means(place, to))


def github_at(place: Whereabouts, to: Console) -> "GitHub":
    """Return the releases of the repository `place`."""
    from agebackup.destinations.github import GitHub

    return GitHub(place, _means(place, to))


def rclone_at(place: Whereabouts, to: Console) -> "Rclone":
    """Return what reaches `place`, which is one of rclone's."""
    from agebackup.destinations.rclone import Rclone

    return Rclone(place, _means(place, to))


def _means(place: Whereabouts, to: Console) -> "Means":
    """Return what a remote works with: the programs it runs have the whole environment."""
    from agebackup.destinations.interface import Means

    return Means(
        environment=to.settings.environment,
        workspace=directories.workspace(None),
        claims=directories.claims(),
        progress=to.progress,
        bandwidth=place.bandwidth,
    )
