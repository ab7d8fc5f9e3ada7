"""All that is known of the apps' backups as one page of HTML that needs nothing else.

It loads nothing, runs no script and sends nothing: its policy forbids all of that, and allows one
style sheet, by its hash. Everything that was not written here passes `_shown` and is escaped.
"""

import base64
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from agebackup.errors import SHOWN, counted, printable
from agebackup.model.drills import decode_receipt
from agebackup.model.durations import span_text
from agebackup.model.findings import Finding, Severity, worst_first
from agebackup.model.names import ArchiveName
from agebackup.model.overview import AppOverview, Overview, Shelf, Shelved
from agebackup.model.records import DrillRecord
from agebackup.model.redaction import redacted
from agebackup.model.sizes import human_bytes
from agebackup.reporting.growth import Growth, growth
from agebackup.reporting.run_days import RunDays, Wrong, run_days
from agebackup.reporting.timeline import Timeline, timeline

MARK = '<meta name="generator" content="agebackup report">'
"""Stands at the beginning of every page, and tells one from a file of the person's own."""
MARK_WITHIN = 400
"""Bytes of a page within which that is."""
ROWS = 500
"""So many archives are listed one by one; the drawing has all."""
FEW = 12
"""So many drills and failures are listed one by one, the last ones."""
STATES = {
    "fresh": ("fresh", "good"),
    "known": ("known", "plain"),
    "disabled": ("disabled", "plain"),
    "at-risk": ("at risk", "bad"),
    "stale": ("stale", "bad"),
    "never": ("never backed up", "bad"),
    "unknown": ("nothing known", "bad"),
}
"""What each state is called, and how it looks."""


@dataclass(frozen=True)
class Complaint:
    """A finding, or how many more there are of its kind."""

    severity: Severity
    fact: str
    remedy: str
    code: str


@dataclass(frozen=True)
class DrillRow:
    """A drill with what its receipt tells: the archive's id, or its name where it has none.

    `share` of the longest recovery time in percent.
    """

    record: DrillRecord
    archive: str
    share: float
    point: str
    assertions: str


@dataclass(frozen=True)
class Section:
    """All that stands in the section of one app."""

    about: AppOverview
    complaints: tuple[Complaint, ...]
    audits: tuple[tuple[Complaint, ...], ...]
    main: Shelf | None
    timeline: Timeline | None
    growth: Growth | None
    days: RunDays | None
    wrong: tuple[Wrong, ...]
    drills: tuple[DrillRow, ...]
    rows: tuple[Shelved, ...]


def as_page(overview: Overview) -> str:
    """Return the page, whole: nothing else belongs to it."""
    style = files("agebackup.reporting").joinpath("templates/report.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _environment(overview.made)
        .get_template("report.html")
        .render(
            overview=overview,
            sections=tuple(_section(one, overview.made) for one in overview.apps),
            mark=MARK,
            style=style,
            digest=digest,
            states=STATES,
            listed=ROWS,
        )
    )


def is_page(beginning: bytes) -> bool:
    """Return whether a file that begins so is a page that `as_page` made."""
    return MARK.encode() in beginning[:MARK_WITHIN]


def _environment(made: datetime) -> Environment:
    environment = Environment(
        loader=PackageLoader("agebackup.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def ago(then: datetime) -> str:
        age = span_text(made - then)
        return f"{age} ago" if then <= made else f"{age} ahead of the clock"

    environment.filters |= {
        "moment": lambda time: f"{time.astimezone(UTC):%Y-%m-%d %H:%M}",
        "day": lambda time: f"{time.astimezone(UTC):%Y-%m-%d}",
        "iso": lambda time: f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "ago": ago,
        "size": human_bytes,
        "counted": counted,
        "span": lambda seconds: span_text(timedelta(seconds=seconds)),
        "number": lambda count: f"{count:,}",
    }
    return environment


def _shown(value: object) -> object:
    """Return what is put into the page for `value`: of a text no character that acts, no key."""
    return printable(redacted(value)) if type(value) is str else value


def _section(about: AppOverview, now: datetime) -> Section:
    main = next((one for one in about.shelves if one.archives), None)
    main = main or next(iter(about.shelves), None)
    days = run_days(about.runs, now) if about.runs else None
    return Section(
        about,
        _complaints(finding for one in about.judged for finding in one.findings),
        tuple(_complaints(one.findings) for one in about.audited),
        main,
        timeline(main.archives, now) if main else None,
        growth(about.made),
        days,
        days.wrong[:FEW] if days else (),
        _drills(about.drills or ()),
        main.archives[:ROWS] if main else (),
    )


def _complaints(findings: Iterable[Finding]) -> tuple[Complaint, ...]:
    """Return the complaints, the gravest first; of one kind the first few, then their number."""
    kinds: dict[tuple[Severity, str], list[Finding]] = defaultdict(list)
    for one in worst_first(tuple(findings)):
        kinds[one.severity, one.code].append(one)
    found = []
    for (severity, code), ones in kinds.items():
        found += [Complaint(severity, _fact(one), one.remedy, code) for one in ones[:SHOWN]]
        if len(ones) > SHOWN:
            more = f"and {len(ones) - SHOWN:,} more of the same kind"
            found.append(Complaint(severity, more, "", code))
    return tuple(found)


def _fact(one: Finding) -> str:
    return one.fact if not one.subject or one.subject in one.fact else f"{one.subject}: {one.fact}"


def _drills(drills: Sequence[DrillRecord]) -> tuple[DrillRow, ...]:
    longest = max((one.seconds or 0.0 for one in drills[:FEW]), default=0.0)
    return tuple(_drill(one, longest) for one in drills[:FEW])


def _drill(one: DrillRecord, longest: float) -> DrillRow:
    receipt = decode_receipt(one.receipt)
    asked = receipt.assertions if receipt else ()
    age = receipt.newest_age if receipt else None
    name = ArchiveName.parse(one.archive)
    return DrillRow(
        one,
        name.id if name else one.archive,
        share=round(100 * (one.seconds or 0.0) / longest, 1) if longest else 0.0,
        point=span_text(timedelta(seconds=age)) if age is not None else "",
        assertions=f"{sum(1 for each in asked if each.ok)} of {len(asked)}" if asked else "",
    )
