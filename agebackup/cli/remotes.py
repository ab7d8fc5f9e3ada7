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

__all__ = [
    "Destination",
    "Remote",
    "destination_at",
    "is_remote",
    "means_for",
    "remote_at",
    "remote_for",
]


def destination_at(text: str, to: Console) -> "Folder | Remote":
    """Return the destination that `text` names: a folder, whose existence shows when it is read,
    or a remote. Raises `UsageError` for what can be none."""
    from agebackup.destinations.folder import listed_folder

    place = parse_whereabouts(text)
    return listed_folder(place.place) if place.is_folder else remote_at(place, to)


def is_remote(text: str) -> bool:
    """Return whether `text` names something else than a folder. Raises `UsageError`."""
    return not parse_whereabouts(text).is_folder


def remote_for(text: str, to: Console) -> "Remote":
    """Return the remote that `text` names, for a folder one that is a folder."""
    return remote_at(parse_whereabouts(text), to)


def remote_at(place: Whereabouts, to: Console) -> "Remote":
    """Return what carries copies to `place` and from it; nothing is reached yet."""
    from agebackup.destinations.folder import listed_folder
    from agebackup.destinations.mirror import Mirror

    means = means_for(place, to)
    if place.kind == "rclone":
        return rclone_at(place, to)
    if place.is_folder:
        return Mirror(listed_folder(place.place), means)
    return github_at(place, to)


def github_at(place: Whereabouts, to: Console) -> "GitHub":
    """Return the releases of the repository `place`; warn that no bandwidth can be limited."""
    from agebackup.destinations.github import GitHub

    if place.bandwidth:
        to.progress.warn(f"gh cannot limit its bandwidth: {place.text} takes what there is.")
    return GitHub(place, means_for(place, to))


def rclone_at(place: Whereabouts, to: Console) -> "Rclone":
    """Return what reaches `place`, which is one of rclone's."""
    from agebackup.destinations.rclone import Rclone

    return Rclone(place, means_for(place, to))


def means_for(place: Whereabouts, to: Console) -> "Means":
    """Return what a remote works with: the programs it runs have the whole environment."""
    from agebackup.destinations.interface import Means

    return Means(
        environment=to.settings.environment,
        workspace=directories.workspace(None),
        claims=directories.claims(),
        progress=to.progress,
        bandwidth=place.bandwidth,
    )
