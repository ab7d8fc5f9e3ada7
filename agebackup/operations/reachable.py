"""Require that the places of an app answer at all, before a run depends on them.

A dead network mount hangs whoever looks at it, often beyond any signal. One such app must keep no
other from its backup, night after night.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from agebackup.errors import NotFoundError, printable
from agebackup.model.profile import Profile
from agebackup.model.provenance import VersionFile
from agebackup.system.probing import within
from agebackup.system.progress import Progress

PATIENCE = 30.0
"""Seconds for a first answer: a disk that sleeps needs about ten."""


def require_answers(profile: Profile, progress: Progress, *, seconds: float = PATIENCE) -> None:
    """Raise `NotFoundError` if the destination or a source of `profile` hangs for `seconds`.

    What is absent answers too. To be called from the main thread; may raise `StoppedError`.
    """
    require_alive(tuple(dict.fromkeys(_places(profile))), progress, seconds=seconds)


def require_alive(paths: Sequence[Path], progress: Progress, *, seconds: float = PATIENCE) -> None:
    """Raise `NotFoundError` if one of `paths` hangs for `seconds`; as `require_answers`."""
    for path in silent(paths, progress, seconds=seconds):
        raise NotFoundError(
            f"{printable(str(path))} did not answer within {seconds:g} seconds.",
            hint="See to the drive or the network share; umount -l takes a dead mount away.",
        )


def silent(
    paths: Sequence[Path], progress: Progress, *, seconds: float = PATIENCE
) -> tuple[Path, ...]:
    """Return those of `paths` that hang for `seconds`; as `require_answers`."""
    answers = within(seconds, [partial(asked, path) for path in paths], progress)
    return tuple(path for path, answer in zip(paths, answers, strict=True) if answer is None)


def asked(path: Path) -> dict[str, object]:
    """Look at `path` as whoever uses it will; what that says does not matter."""
    with suppress(OSError):
        os.stat(path)
        os.statvfs(path)
    return {}


def source_places(profile: Profile) -> tuple[Path, ...]:
    """Return the directories that are looked at for what `profile` declares."""
    trees = (*(one.path for one in profile.attachments), *profile.config, *profile.tokens)
    files = (*(one.path for one in profile.databases), *profile.recipients_files)
    pointers = (one.path for one in profile.pointers if one.path is not None)
    return (*trees, *(path.parent for path in (*files, *pointers)))


def origin_places(profile: Profile) -> tuple[Path, ...]:
    """Return the directories that are looked at for the record alone: a run does without them."""
    version, checkout = profile.version, profile.provenance
    found = (version.path.parent,) if isinstance(version, VersionFile) else ()
    return (*found, checkout.path) if checkout else found


def _places(profile: Profile) -> tuple[Path, ...]:
    destination = () if profile.destination is None else (profile.destination,)
    return (*destination, *source_places(profile))
