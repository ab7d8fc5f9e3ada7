"""What a timer's job needs besides, so that gh and rclone work at night as they do by day."""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from agebackup.model.whereabouts import CARRIERS, Kind

if TYPE_CHECKING:
    from agebackup.model.profile import Profile

TIMER_PATH = "/usr/bin:/bin"
"""Where a timer looks for programs unless it is told otherwise."""
_VARIABLES: Mapping[Kind, tuple[str, ...]] = {
    "github": ("GH_HOST", "GH_CONFIG_DIR"),
    "rclone": ("RCLONE_CONFIG",),
}
"""What says where the programs keep their own things; none of them can hold a secret."""


def carrying_variables(
    profiles: "Iterable[Profile]", environment: Mapping[str, str], timer_path: str = TIMER_PATH
) -> dict[str, str]:
    """Return the variables without which the remotes of `profiles` would not be reached.

    `PATH` is among them where one of the programs lies elsewhere than in `timer_path`.
    """
    kinds = _kinds(profiles)
    names = [name for kind in kinds for name in _VARIABLES[kind]]
    found = {name: environment[name] for name in names if environment.get(name)}
    places = []
    for kind in kinds:
        program = CARRIERS[kind]
        if shutil.which(program, path=timer_path) is None:
            where = shutil.which(program, path=environment.get("PATH", ""))
            places += [os.path.dirname(os.path.abspath(where))] if where else []
    if places:
        found["PATH"] = ":".join(dict.fromkeys([*places, *timer_path.split(":")]))
    return found


def carriers_own_places(
    profiles: "Iterable[Profile]", environment: Mapping[str, str]
) -> tuple[Path, ...]:
    """Return the directories that the programs write to: rclone keeps renewed logins in its own.

    Sources: rclone.org/docs, "--config"; `gh help environment`, GH_CONFIG_DIR.
    """
    home = environment.get("HOME", "/")
    usual = Path(environment.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"))
    rclone = environment.get("RCLONE_CONFIG")
    places: dict[Kind, Path] = {
        "github": Path(os.path.abspath(environment.get("GH_CONFIG_DIR") or usual / "gh")),
        "rclone": Path(os.path.abspath(rclone)).parent if rclone else usual / "rclone",
    }
    return tuple(places[kind] for kind in _kinds(profiles))


def _kinds(profiles: "Iterable[Profile]") -> list[Kind]:
    kinds = {place.kind for profile in profiles for place in profile.remotes}
    return sorted(kind for kind in kinds if kind in CARRIERS)
