"""What `doctor` tries at the places that copies are carried to."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agebackup.cli.console import Console
from agebackup.cli.remotes import github_at, rclone_at
from agebackup.cli.wiring import folder_at

if TYPE_CHECKING:
    from agebackup.model.findings import Finding
    from agebackup.model.profile import Profile


def of_remotes(
    profiles: "Sequence[Profile]", stuck: "frozenset[Path]", out: Console, *, fix: bool
) -> "Iterator[Finding]":
    """Yield what keeps copies from being carried to each remote of `profiles`; each once.

    The folders `stuck` do not answer, which was said, and are not looked at.
    """
    from agebackup.operations.doctor_github import of_github
    from agebackup.operations.doctor_rclone import of_rclone

    for place in dict.fromkeys(place for profile in profiles for place in profile.remotes):
        out.progress.stop.check()
        if place.kind == "rclone":
            yield from of_rclone(rclone_at(place, out))
        elif place.kind == "github":
            yield from of_github(github_at(place, out), fix=fix)
        elif Path(place.place) not in stuck:
            yield from _of_folder(place.place)


def _of_folder(path: str) -> "Iterator[Finding]":
    """Yield what keeps copies from being written to a further folder."""
    from agebackup.cli import directories
    from agebackup.model.findings import Finding
    from agebackup.operations.doctor import of_destination

    folder = folder_at(path)
    if not folder.path.is_dir():
        yield Finding(
            "error",
            "destination-missing",
            folder.key,
            "It is no directory, so no copy can be carried there.",
            "If it lies on another drive, mount that first; else make it with mkdir.",
        )
    else:
        yield from of_destination(folder, directories.claims(), ())
