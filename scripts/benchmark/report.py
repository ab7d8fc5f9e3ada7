"""Results as values, as Markdown tables and as JSON."""

import json
import os
import platform
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Line:
    """One contender in one workload: its median seconds, its ratio, the goal and the memory."""

    workload: str
    name: str
    against: str
    median: float
    ratio: float
    goal: float | None
    runs: Sequence[float]
    peak_bytes: int | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal was met; None without one."""
        return None if self.goal is None else self.ratio <= self.goal


@dataclass(frozen=True)
class Growth:
    """Time and memory of create by the number of files."""

    files: int
    seconds: float
    peak_bytes: int | None


@dataclass
class Results:
    """Everything that was measured."""

    small: bool
    rounds: int
    lines: list[Line] = field(default_factory=list)
    growth: list[Growth] = field(default_factory=list)

    def missed(self) -> list[Line]:
        """Return the lines that missed their goal."""
        return [line for line in self.lines if line.met is False]

    def as_json(self) -> str:
        """Return all of it, every single run included."""
        lines = [{**asdict(line), "met": line.met} for line in self.lines]
        growth = [asdict(step) for step in self.growth]
        return json.dumps(
            {
                "machine": machine(),
                "small": self.small,
                "rounds": self.rounds,
                "lines": lines,
                "growth": growth,
                "bytes_per_file": bytes_per_file(self.growth),
            },
            indent=1,
        )


def machine() -> Mapping[str, object]:
    """Say on what the figures were taken."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    said = subprocess.run(("age", "--version"), capture_output=True, text=True, check=False)
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 1e9, 1),
        "system": platform.platform(),
        "python": sys.version.split()[0],
        "sqlite": sqlite3.sqlite_version,
        "age": said.stdout.strip(),
    }


def heading(results: Results) -> str:
    """Return a sentence on the circumstances."""
    about = machine()
    size = " Small sizes, of which start-up is a part: no goals." if results.small else ""
    return (
        f"{about['cores']} cores, {about['memory_gb']} GB, {about['system']}, "
        f"Python {about['python']}, SQLite {about['sqlite']}, age {about['age']}; "
        f"medians of {results.rounds} runs, order rotated, warm caches unless asked.{size}"
    )


def table(lines: Sequence[Line]) -> str:
    """Return a Markdown table of `lines`."""
    rows = [
        (
            line.name,
            f"{line.median:.2f}",
            f"{line.ratio:.2f}",
            "" if line.goal is None else f"≤ {line.goal:g}",
            {True: "met", False: "missed", None: ""}[line.met],
            megabytes(line.peak_bytes),
        )
        for line in lines
    ]
    against = lines[0].against if lines else ""
    return _markdown(("", "seconds", f"x {against}", "goal", "", "peak MB"), rows)


def growth_table(growth: Sequence[Growth]) -> str:
    """Return a Markdown table of time and memory by the number of files."""
    rows = [
        (
            f"{step.files:,}",
            f"{step.seconds:.1f}",
            f"{step.seconds / step.files * 1e6:.0f}",
            megabytes(step.peak_bytes),
        )
        for step in growth
    ]
    text = _markdown(("files", "seconds", "µs a file", "peak MB"), rows)
    slope = bytes_per_file(growth)
    return text if slope is None else f"{text}\n\n{slope:.0f} bytes a file (goal: at most 400)."


def bytes_per_file(growth: Sequence[Growth]) -> float | None:
    """Return by how much the peak grows for each file beyond the smallest measured number."""
    if len(growth) < 2 or growth[0].peak_bytes is None or growth[-1].peak_bytes is None:
        return None
    first, last = growth[0], growth[-1]
    return (growth[-1].peak_bytes - growth[0].peak_bytes) / (last.files - first.files)


def megabytes(count: int | None) -> str:
    """Return `count` bytes in whole megabytes, nothing for None."""
    return "" if count is None else f"{count / 1e6:.0f}"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| "
        + " | ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    )
