"""`destination` in the config file: a folder, and further places that copies are carried to."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agebackup.config.tables import DestinationTable, Where, convert
from agebackup.errors import UsageError
from agebackup.model.bandwidth import require_bandwidth
from agebackup.model.whereabouts import Whereabouts, parse_whereabouts

Listed = tuple[Where, DestinationTable]
"""One of several destinations, and where it stands."""


def split(raw: str | list[Any] | None, where: Where) -> tuple[str | None, Sequence[Listed]]:
    """Return the first destination, where archives are published, and the others.

    Raises `UsageError` where the first is no folder: what has no local archive has nothing to
    carry, and a backup that waits for the network is none on the night the network is down.
    """
    if raw is None or isinstance(raw, str):
        first, others = raw, []
    else:
        tables = [_table(one, where / f"[{i}]") for i, one in enumerate(raw)]
        if not tables:
            raise where.error("it names no place", "Name a directory.")
        (here, table), *others = tables
        first = table.to
        if table != DestinationTable(to=first):
            raise here.error(
                "only 'to' can be said of the first", "It is a folder of this machine."
            )
    if first is not None and not _parsed(first, where).is_folder:
        raise where.error(
            f"{first!r} cannot come first",
            "Archives are published in a directory of this machine, and copies carried elsewhere: "
            f'destination = ["/a/directory", "{first}"].',
        )
    if others and first is not None and first.endswith(".age"):
        raise where.error(
            f"copies of {first!r} cannot be carried elsewhere",
            "Each archive replaces that file; copies have names of their own. Name a directory.",
        )
    return first, others


def remotes(
    listed: Sequence[Listed], first: Path | None, path: Callable[[str, Where], Path]
) -> tuple[Whereabouts, ...]:
    """Return the places of `listed`, which come behind the folder `first`.

    `path` makes a folder's text the absolute path it means.
    """
    found: dict[str, Whereabouts] = {}
    for here, table in listed:
        place = _parsed(table.to, here)
        if place.is_folder:
            place = replace(place, place=str(path(table.to, here)))
        if table.allow_public and place.kind != "github":
            raise (here / "allow_public").error(
                "only a repository of GitHub's is public or not", "Leave it out."
            )
        if place.text in found or place.text == str(first):
            raise here.error(f"{place.text!r} is named twice", "Each place gets one copy.")
        found[place.text] = replace(place, allow_public=table.allow_public, bandwidth=table.bwlimit)
    return tuple(found.values())


def _table(raw: object, where: Where) -> Listed:
    given: str | DestinationTable = convert(raw, str | DestinationTable, where)
    if isinstance(given, str):
        return where, DestinationTable(to=given)
    try:
        require_bandwidth(given.bwlimit)
    except UsageError as error:
        raise (where / "bwlimit").again(error) from None
    return where, given


def _parsed(text: str, where: Where) -> Whereabouts:
    try:
        return parse_whereabouts(text)
    except UsageError as error:
        raise where.again(error) from None
