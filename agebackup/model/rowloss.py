"""What a migration or a rebuild did to the rows of a database, against what was recorded."""

from collections.abc import Mapping
from dataclasses import dataclass

from agebackup.errors import counted, printable
from agebackup.model.rules import DatabaseRules, Tolerance

_SHOWN = 80


@dataclass(frozen=True)
class RowChanges:
    """`lost` are sentences on tables that lost more than they may, `added` the names of new ones.

    `tolerated` are sentences on tables that lost what they may lose.
    """

    lost: tuple[str, ...] = ()
    tolerated: tuple[str, ...] = ()
    added: tuple[str, ...] = ()


def row_changes(
    recorded: Mapping[str, int],
    found: Mapping[str, int],
    rules: DatabaseRules,
    tolerance: Tolerance,
    *,
    exact: bool = False,
) -> RowChanges:
    """Compare the rows `recorded` of each table with those `found`.

    `tolerance` holds for tables of which `rules` say nothing. A table that is gone has lost all its
    rows. With `exact`, rows that came on top count as those that are lost.
    """
    lost: list[str] = []
    tolerated: list[str] = []
    for table, before in sorted(recorded.items()):
        after = found.get(table)
        missing = before - (after or 0)
        if after is not None and (missing == 0 or (missing < 0 and not exact)):
            continue
        allowed = rules.tolerances.get(table, tolerance).allows(abs(missing), before)
        text = _said(table, before, after)
        (tolerated if allowed else lost).append(text)
    added = tuple(_shown(table) for table in sorted(found.keys() - recorded.keys()))
    return RowChanges(tuple(lost), tuple(tolerated), added)


def _said(table: str, before: int, after: int | None) -> str:
    if after is None:
        return f"table {_shown(table)} is gone, which had {counted(before, 'row')}"
    return f"table {_shown(table)} has {counted(after, 'row')}, the archive recorded {before:,}"


def _shown(table: str) -> str:
    text = printable(table)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
