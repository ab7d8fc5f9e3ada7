"""How findings reach the person, for audit, status and doctor alike."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from agebackup.cli.console import Console
from agebackup.errors import SHOWN, printable
from agebackup.model.findings import Finding, worst_first


def tell(findings: Iterable[Finding], to: Console) -> None:
    """Write `findings` to stdout, the gravest first; with --json nothing: see `fields`.

    Of one code only the first `SHOWN` are written, and how many more there are.
    """
    lines = told(findings)
    if lines and not to.settings.json:
        to.output.result("\n".join(lines))


def told(findings: Iterable[Finding]) -> list[str]:
    """Return the lines that `tell` writes: whatever a name holds, no terminal acts on it."""
    ordered = worst_first(tuple(findings))
    counts = Counter((one.severity, one.code) for one in ordered)
    seen: Counter[tuple[str, str]] = Counter()
    lines: list[str] = []
    for one in ordered:
        kind = (one.severity, one.code)
        seen[kind] += 1
        if seen[kind] <= SHOWN:
            lines += _lines(one)
        elif seen[kind] == counts[kind]:
            more = counts[kind] - SHOWN
            lines.append(f"{one.severity}: and {more:,} more of the same kind [{one.code}]")
    return lines


def fields(findings: Iterable[Finding], **more: Any) -> list[dict[str, Any]]:
    """Return all `findings` as JSON fields, the gravest first, each with `more` fields."""
    return [
        {
            "severity": one.severity,
            "code": one.code,
            "subject": one.subject,
            "fact": one.fact,
            "remedy": one.remedy,
            "fixable": one.fixable,
            **more,
        }
        for one in worst_first(tuple(findings))
    ]


def _lines(one: Finding) -> list[str]:
    subject = f"{printable(one.subject)}: " if one.subject else ""
    lines = [f"{one.severity}: {subject}{printable(one.fact)} [{one.code}]"]
    return [*lines, f"  {printable(one.remedy)}"] if one.remedy else lines
