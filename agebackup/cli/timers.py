"""The installed timers, as `status` and `doctor` look at them: there, and as they were?"""

import plistlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from agebackup.cli import directories
from agebackup.cli.console import Console
from agebackup.cli.scope import now
from agebackup.cli.terminal import Reporter
from agebackup.errors import AgebackupError, StoppedError
from agebackup.model.timer import Timer
from agebackup.system.clock import Deadline
from agebackup.system.progress import Stop

if TYPE_CHECKING:
    from agebackup.scheduling import Installed

Sight = Literal["", "gone", "altered"]
"""How a timer that was installed is found: as it was (""), not at all, or firing at other times."""
_LOOK, _PATIENCE = 3.0, 2.5
"""Seconds that all of the looking may take, and that it takes before it is ended in good order."""


def timers(to: Console) -> Mapping[str, Timer]:
    """Return the installed timers by app ("": one for all); what cannot be known is a warning.

    Takes 3 seconds at most: a timer that nothing was seen of by then counts as there.
    """
    from agebackup.scheduling import installed

    try:
        known = installed(directories.schedule_file())
    except AgebackupError as error:
        to.output.warn(f"Which timers are installed is not known: {error.message}")
        return {}
    seen = _seen(known.values(), to)
    return {app: timer_of(one, seen.get(app, "")) for app, one in known.items()}


def timer_of(one: "Installed", sight: Sight) -> Timer:
    """Return `one` as it was found, with the moment of its next firing unless that is unknown."""
    following = None if sight else one.every.next_after(now())
    return Timer(
        one.app,
        one.kind,
        one.every.text,
        one.seconds,
        one.since,
        gone=sight == "gone",
        altered=sight == "altered",
        next_run=following,
    )


def sight_of(one: "Installed", to: Console) -> Sight:
    """Look for `one` where it was installed; raises `FailedError` where that cannot be read."""
    from agebackup.cli.timing import timers_where

    texts = timers_where(one, to).present(one.app)
    if one.kind == "cron":
        return _in_crontab(one, "".join(texts.values()))
    if one.kind == "launchd":
        return _in_plist(one, "".join(texts.values()))
    return _in_units(one, texts)


def last_told(app: str) -> tuple[datetime | None, datetime | None]:
    """Return when the app's last run ended and the last good one began, as last-run.json says."""
    from agebackup.model.lastrun import ended_in, success_in

    try:
        content = directories.last_run_file(app).read_bytes()
    except OSError:
        return None, None
    success = success_in(content)
    return ended_in(content), success.time if success else None


def _in_crontab(one: "Installed", text: str) -> Sight:
    from agebackup.scheduling.cron import fields, installed_command

    if installed_command(text) is None:
        return "gone"  # or commented out, which comes to the same
    return "" if re.search(rf"^{re.escape(fields(one.every))} ", text, re.MULTILINE) else "altered"


def _in_units(one: "Installed", texts: Mapping[str, str]) -> Sight:
    from agebackup.scheduling.systemd import calendar

    text = next((text for place, text in texts.items() if place.endswith(".timer")), None)
    if text is None:
        return "gone"
    return "" if f"OnCalendar={calendar(one.every)}" in text.splitlines() else "altered"


def _in_plist(one: "Installed", text: str) -> Sight:
    from agebackup.scheduling.launchd import moments

    if not text:
        return "gone"
    try:
        found = plistlib.loads(text.encode())["StartCalendarInterval"]
    except (ValueError, KeyError, TypeError, plistlib.InvalidFileException):
        return "altered"
    return "" if found == moments(one.every) else "altered"


def _seen(known: "Iterable[Installed]", to: Console) -> Mapping[str, Sight]:
    """Return how each timer is found; of what could not be looked at, with a warning, nothing."""
    from agebackup.system.probing import within

    alike: dict[tuple[str, bool], list[Installed]] = {}
    for one in known:
        alike.setdefault((one.kind, one.system), []).append(one)
    asked = [partial(_look, ones, to) for ones in alike.values()]
    seen: dict[str, Sight] = {}
    for (kind, _), result in zip(alike, within(_LOOK, asked, to.progress), strict=True):
        found: Any = result or {"problem": f"{kind} does not answer."}
        seen |= found.get("seen", {})
        if "problem" in found:
            to.output.warn(f"Whether the timers are still there is not known: {found['problem']}")
    return seen


def _look(ones: "Collection[Installed]", to: Console) -> dict[str, object]:
    """Return what a child process hands over; whatever it asked has ended by then."""
    impatient = replace(to, progress=Reporter(_Impatience(), to.output))
    seen: dict[str, object] = {}
    for one in ones:
        try:
            seen[one.app] = sight_of(one, impatient)
        except StoppedError:
            return {"seen": seen, "problem": f"{one.kind} does not answer."}
        except AgebackupError as error:
            return {"seen": seen, "problem": error.message}
        except OSError as error:
            return {"seen": seen, "problem": f"{error.strerror}."}
    return {"seen": seen}


class _Impatience(Stop):
    """Asks for the end when time is up."""

    def __init__(self) -> None:
        super().__init__()
        self._deadline = Deadline(_PATIENCE)

    def check(self) -> None:
        if self._deadline.expired:
            raise StoppedError(0)
