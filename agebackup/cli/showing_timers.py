"""How timers are shown: what is installed, what would be, and how the two differ."""

import difflib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from agebackup.cli.console import Console
from agebackup.cli.scope import now
from agebackup.cli.timing import job_where, timers_where
from agebackup.errors import printable
from agebackup.scheduling import Installed
from agebackup.scheduling.job import Job, Timers

_Files = Mapping[str, str]
"""Text by the place that it goes to, or was found in."""
_ALIKE = "No difference: what is installed is what would be."


def would_install(timers: Timers, job: Job, out: Console, *, diff: bool) -> int:
    """Show what would be installed, or how that differs from what is; return the exit code."""
    rendered = timers.render(job)
    present = timers.present(job.app) if diff else {}
    lines = _diff(present, rendered) if diff else []
    for place, text in () if diff else rendered.items():
        lines += [f"# {place}", *text.splitlines()]
    if not lines:
        out.output.say(_ALIKE)
    fields = {"files": dict(rendered), **({"installed": dict(present)} if diff else {})}
    out.output.result("\n".join(lines), **fields)
    return 0


def show_differences(chosen: Sequence[Installed], out: Console) -> None:
    """Show how what is installed differs from what would be."""
    lines: list[str] = []
    rows = []
    for one in chosen:
        timers = timers_where(one, out)
        rendered = timers.render(job_where(one, out))
        present = timers.present(one.app)
        lines += _diff(present, rendered)
        what = {"app": one.app or None, "task": one.task}
        rows.append({**what, "files": dict(rendered), "installed": dict(present)})
    if not lines:
        out.output.say(_ALIKE if chosen else "No timer is installed.")
    out.output.result("\n".join(lines), timers=rows)


def show_timers(chosen: Sequence[Installed], out: Console) -> None:
    """Show a line for each timer: kind, how often, when next, since when."""
    rows = [_row(one, out) for one in chosen]
    lines = [_line(row, one) for row, one in zip(rows, chosen, strict=True)]
    out.output.result("\n".join(lines or ["No timer is installed."]), timers=rows)


def local(moment: datetime) -> str:
    """Return `moment` for a person: local time, as `--every` is, with the zone's name."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M %Z}"


def paths(places: Sequence[str]) -> str:
    """Return those of `places` that are files, one a line: cron's is none."""
    return "\n".join(printable(place) for place in places if place.startswith("/"))


def _diff(present: _Files, rendered: _Files) -> list[str]:
    lines: list[str] = []
    for place in sorted({*rendered, *present}):
        texts = (present.get(place, "").splitlines(), rendered.get(place, "").splitlines())
        lines += difflib.unified_diff(*texts, f"{place} (installed)", place, lineterm="")
    return lines


def _row(one: Installed, out: Console) -> dict[str, Any]:
    return {
        "app": one.app or None,
        "task": one.task,
        "kind": one.kind,
        "system": one.system,
        "every": one.every.text,
        "next_run": one.every.next_after(now()).isoformat(),
        "since": one.since.isoformat(),
        "present": bool(timers_where(one, out).present(one.app)),
    }


def _line(row: Mapping[str, Any], one: Installed) -> str:
    drill = "drill, " if one.task == "drill" else ""
    what = f"{one.app or 'all apps'}: {drill}{one.kind}, {one.every.text}"
    if not row["present"]:
        again = f"agebackup schedule install {one.app}".rstrip()
        again += f" --drill {one.every.text} -i KEY" if drill else ""
        return f"{what}, but it is GONE: {again}"
    following = local(datetime.fromisoformat(row["next_run"]))
    return f"{what}, next {following}, installed {local(one.since)}"
