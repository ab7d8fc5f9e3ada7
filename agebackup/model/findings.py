"""What audit, status and doctor found: a fact, how bad it is, and what to do about it."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
"""error: data is or may be lost, or no backups are made; warning: soon so; note: a mere fact."""

ORDER: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing found. `code` is a stable word for programs, such as "archive-gone".

    `subject` is what it is about (an app, an archive, a file), `fact` one sentence, `remedy` what
    the person can do. `fixable`: `doctor --fix` can do it safely.
    """

    severity: Severity
    code: str
    subject: str
    fact: str
    remedy: str = ""
    fixable: bool = False


def worst_first(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Return `findings` with the gravest first, otherwise in their order."""
    return tuple(sorted(findings, key=lambda finding: ORDER.index(finding.severity)))
