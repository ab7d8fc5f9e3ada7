"""What doctor judges from figures alone: versions, the clock, space, sizes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agebackup.model.findings import Finding, Severity
from agebackup.model.timer import Timer, missed, silent
from agebackup.model.watch import Watch

EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
_SKEW = timedelta(minutes=10)
"""How far an archive's time may lie ahead: another machine's clock may be that much faster."""
ICLOUD_LIMIT = 50 * 10**9
"""Bytes; iCloud Drive takes no larger file."""
_ROOM = 3
"""For how many more archives like the last one there should be space."""


@dataclass(frozen=True)
class KnownBad:
    """Versions `since` ... `until`, but for those `mended`, have a defect that matters here."""

    program: str
    since: tuple[int, ...]
    until: tuple[int, ...]
    severity: Severity
    fact: str
    remedy: str
    mended: tuple[tuple[int, ...], ...] = ()

    def covers(self, version: tuple[int, ...]) -> bool:
        """Return whether `version` has the defect."""
        return self.since <= version <= self.until and version not in self.mended


KNOWN_BAD = (
    KnownBad(
        "sqlite",
        (3, 7, 0),
        (3, 51, 2),
        "note",
        "has the WAL-reset defect: two connections that write and checkpoint at the same instant "
        "can, very rarely, damage a database in WAL mode.",
        "3.51.3 mends it, and so do 3.50.7 and 3.44.6 (sqlite.org/wal.html#walresetbug). What "
        "matters most is the version that the application itself uses.",
        mended=((3, 44, 6), (3, 50, 7)),
    ),
    KnownBad(
        "sqlite",
        (3, 52, 0),
        (3, 52, 0),
        "warning",
        "was withdrawn by its makers a week after its release.",
        "Use 3.51.3, or 3.53.0 and later (sqlite.org/changes.html).",
    ),
)
"""Sources: sqlite.org/wal.html, section "The WAL-Reset Bug"; sqlite.org/changes.html."""

OLDEST = {"sqlite": (3, 27, 0), "pyrage": (1, 2, 3)}
"""Below these what agebackup needs is not there: VACUUM INTO (sqlite.org/changes.html), and what
pyproject.toml asks of pyrage."""


def of_versions(versions: Mapping[str, str]) -> tuple[Finding, ...]:
    """Return what is known against `versions` of programs, named as in `KNOWN_BAD`."""
    found = []
    for program, text in versions.items():
        version = tuple(int(part) for part in re.findall(r"[0-9]+", text)[:3])
        subject = f"{program} {text}"
        if version < OLDEST.get(program, ()):
            wanted = ".".join(map(str, OLDEST[program]))
            found.append(
                Finding(
                    "error",
                    "version-too-old",
                    subject,
                    f"It is older than {wanted}, which backups need.",
                    "Upgrade it, or install agebackup for a newer Python.",
                )
            )
        found += [
            Finding(bad.severity, "version-known-bad", subject, f"It {bad.fact}", bad.remedy)
            for bad in KNOWN_BAD
            if bad.program == program and bad.covers(version)
        ]
    return tuple(found)


def of_clock(now: datetime, newest: datetime | None) -> tuple[Finding, ...]:
    """Return whether the clock can be right; `newest` is the time of the newest archive or run."""
    if not EARLIEST <= now < LATEST:
        return (_clock(f"It says {now:%Y-%m-%d}, which cannot be."),)
    if newest is not None and newest > now + _SKEW:
        return (
            _clock(
                f"It says {now:%Y-%m-%d %H:%M}, but there is an archive or run of "
                f"{newest:%Y-%m-%d %H:%M} (UTC)."
            ),
        )
    return ()


def _clock(fact: str) -> Finding:
    return Finding(
        "error",
        "clock",
        "clock",
        fact,
        "Set it, and let the system keep it by NTP: names, retention and status go by it.",
    )


def of_space(place: str, free: int | None, size: int | None) -> tuple[Finding, ...]:
    """Return whether `free` bytes in `place` are enough for archives of `size` bytes."""
    if free is None or not size:
        return ()
    remedy = "Free some space, or let retention keep less ([apps.NAME.retention])."
    if free < size:
        fact = f"{free:,} bytes are free, but the last archive took {size:,}."
        return (Finding("error", "space", place, fact, remedy),)
    if free < _ROOM * size:
        fact = f"{free:,} bytes are free: fewer than {_ROOM} more archives of {size:,} bytes fit."
        return (Finding("warning", "space", place, fact, remedy),)
    return ()


def of_size(archive: str, size: int) -> tuple[Finding, ...]:
    """Return whether a cloud client will carry an archive of `size` bytes."""
    if size <= ICLOUD_LIMIT:
        return ()
    return (
        Finding(
            "warning",
            "too-large-for-icloud",
            archive,
            f"It has {size:,} bytes; iCloud Drive takes no file over 50 GB.",
            "In iCloud it stays on this machine alone: choose another destination, compress it, or "
            "leave derived files out.",
        ),
    )


def of_recipients(app: str, recipients: Sequence[str]) -> tuple[Finding, ...]:
    """Return whether one lost key would cost all archives of `app`."""
    if len(recipients) != 1:
        return ()
    return (
        Finding(
            "note",
            "single-recipient",
            app,
            "Its archives can be opened with one private key alone: if that is lost, so are they.",
            "Make a second pair (agebackup keygen), name both recipients, and keep the keys in two "
            "places.",
        ),
    )


def of_timer(
    app: str, watch: Watch, timer: Timer | None, heard: datetime | None, now: datetime
) -> tuple[Finding, ...]:
    """Return whether something backs `app` up by itself, and was heard of lately.

    `timer` is the one that takes it; `heard` is when the last run ended.
    """
    if watch.enabled is False:
        fact = f"{app} is disabled in the configuration: nothing backs it up by itself."
        return (Finding("note", "disabled", app, fact, "Set enabled = true, or leave it out."),)
    if timer is None:
        return (
            Finding(
                "warning" if watch.enabled else "note",
                "no-timer",
                app,
                "No timer that agebackup installed backs it up.",
                f"Install one: agebackup schedule install {app}",
            ),
        )
    last = max(timer.since, heard) if heard else timer.since
    silence = missed(timer.expected(watch.interval), last, now)
    return (silent(timer, app, silence),) if silence is not None else ()
