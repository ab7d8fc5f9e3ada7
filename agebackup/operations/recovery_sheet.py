"""recovery-sheet: put a page that is a key into a file, and a typed-back key into another one."""

import os
from collections.abc import Iterable
from pathlib import Path

from agebackup.errors import RefusedError, UsageError, VerificationError, printable
from agebackup.model import keygroups, keylines
from agebackup.model.ageheader import is_armored
from agebackup.model.sheet import PrintedKey
from agebackup.snapshot.keyfit import recipient_of
from agebackup.snapshot.keys import identities_in
from agebackup.system.claims import Claims
from agebackup.system.durable import write_durably
from agebackup.system.mounts import contains

_COMPARE = "Compare what is named with the sheet, character by character, and type it again."


def guard_sheet(target: Path, identities: Iterable[Path], destinations: Iterable[Path]) -> None:
    """Raise `RefusedError` where a key in `target` would lie beside archives or replace a key.

    `UsageError` where it is a directory. Links and bind mounts to the same place are recognised.
    """
    shown = printable(str(target))
    if target.is_dir() or not target.name:
        raise UsageError(f"{shown!r} is not a file's name.", hint="Name a new file.")
    if os.path.lexists(target) and not target.is_file():
        raise RefusedError(f"{shown} is no regular file.", hint="Choose another name.")
    for path in identities:
        if target.exists() and path.exists() and os.path.samefile(path, target):
            raise RefusedError(f"{shown} is the key itself.", hint="Choose another name.")
    for place in destinations:
        if place.is_dir() and contains(place, target.parent):
            raise RefusedError(
                f"{shown} lies in {printable(str(place))}, where archives are kept.",
                hint="The key beside what it opens protects nothing: choose a place that no cloud "
                "client looks at.",
            )


def write_key(target: Path, content: str, claims: Claims, *, replace: bool) -> None:
    """Write `content`, which holds a key, to `target`: 0600, whole or not at all.

    Raises `RefusedError` where `target` exists and is not to be replaced, `NotFoundError` where its
    directory is absent, `FailedError` where the disk refuses; then it is as it was.
    """
    if os.path.lexists(target) and not replace:
        raise RefusedError(
            f"{printable(str(target))} exists already and is not replaced.",
            hint="Choose another name; a sheet may be replaced with --overwrite.",
        )
    write_durably(target, content.encode(), claims, replace=replace)


def typed_key(text: str) -> tuple[PrintedKey, tuple[str, ...]]:
    """Return the key in `text`, which a person typed from a sheet, and remarks about its checks.

    Raises `VerificationError`, which names the groups or lines where something is wrong, and
    repeats no character of a key.
    """
    if keylines.is_lines(text):
        return _typed_lines(text), ()
    verdict = keygroups.judge_typed(text)
    if not verdict.secret:
        details = [f"group {number}" for number in verdict.groups]
        about = f": {verdict.problem}" if verdict.problem else ""
        raise VerificationError(
            f"The typed key is not right{about}.", hint=_COMPARE, details=details
        )
    key = PrintedKey("age", verdict.secret, recipient_of(verdict.secret))
    return key, _remarks(verdict.check_groups)


def _remarks(groups: tuple[int, ...]) -> tuple[str, ...]:
    if not groups:
        return ()
    if len(groups) > keygroups.GROUPS // 2:
        return ("The key is right, but the check line is that of another key.",)
    characters = ", ".join(map(str, groups))
    return (f"The key is right; only the check line is mistyped, at character {characters}.",)


def _typed_lines(text: str) -> PrintedKey:
    verdict = keylines.judge_lines(text)
    if not verdict.text:
        details = [f"line {number}" for number in verdict.lines]
        details += [f"line {number}: its check code is missing" for number in verdict.uncoded]
        about = f": {verdict.problem}" if verdict.problem else ""
        raise VerificationError(
            f"The typed key is not right{about}.", hint=_COMPARE, details=details
        )
    if is_armored(verdict.text.encode()):
        return PrintedKey("protected", verdict.text)
    ((_, public),) = identities_in("what was typed", verdict.text.encode(), None)
    return PrintedKey("ssh", verdict.text, public or "")
