"""What `doctor` tries at the places that copies are carried to."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from agebackup.cli.console import Console
from agebackup.cli.remotes import rclone_at

if TYPE_CHECKING:
    from agebackup.model.findings import Finding
    from agebackup.model.profile import Profile


def of_remotes(profiles: "Sequence[Profile]", out: Console) -> "Iterator[Finding]":
    """Yield what keeps copies of the archives of `profiles` from each of their remotes."""
    from agebackup.operations.doctor_rclone import of_rclone

    for place in dict.fromkeys(place for one in profiles for place in one.remotes):
        out.progress.stop.check()
        if place.kind == "rclone":
            yield from of_rclone(rclone_at(place, out))
