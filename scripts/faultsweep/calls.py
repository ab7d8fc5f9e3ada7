"""What strace wrote down: one `Call` per system call, numbered as its injection counts them."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BEGUN = re.compile(r"^(?:(\d+) +)?(\w+)\((.*)$")
_RESUMED = re.compile(r"^(?:(\d+) +)?<\.\.\. (\w+) resumed>(.*)$")
_RESULT = re.compile(r"^(.*)\) += (\?|-?\d+|0x[0-9a-f]+)(.*)$")
_UNFINISHED = "<unfinished ...>"
_DESCRIPTOR = re.compile(r"^\d+<([^<>]*)>")
_NAMED = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^<>]*)>, )?"((?:[^"\\]|\\.)*)"')
_PATH_CALLS = re.compile(r"(rename|link|unlink|mkdir|rmdir|open|creat|symlink|chmod|stat|access)")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call. `number` counts the calls of this name in this process, from 1."""

    process: int
    name: str
    number: int
    arguments: str
    result: str

    @property
    def failed(self) -> bool:
        """Whether the call gave an error, or never came back."""
        return self.result.startswith(("-", "?"))

    @property
    def descriptor_path(self) -> str | None:
        """The path behind the call's first argument, where that is a descriptor."""
        match = _DESCRIPTOR.match(self.arguments)
        return match[1].removesuffix(" (deleted)") if match else None

    @property
    def paths(self) -> tuple[str, ...]:
        """The absolute paths that the call names, in order."""
        if not _PATH_CALLS.search(self.name):
            return ()
        return tuple(
            os.path.normpath(os.path.join(directory or "/", name))
            for directory, name in _NAMED.findall(self.arguments)
        )


def read_calls(log: Path) -> tuple[Call, ...]:
    """Return the calls of a strace log in the order in which they ended."""
    return tuple(_calls(log.read_text(errors="replace").splitlines()))


def _calls(lines: list[str]) -> Iterator[Call]:
    counts: Counter[tuple[int, str]] = Counter()
    pending: dict[tuple[int, str], tuple[int, str]] = {}
    for line in lines:
        if match := _BEGUN.match(line):
            process, name = int(match[1] or 0), match[2]
            counts[process, name] += 1
            number, text = counts[process, name], match[3]
            if text.rstrip().endswith(_UNFINISHED):
                pending[process, name] = number, text.rstrip().removesuffix(_UNFINISHED)
                continue
        elif match := _RESUMED.match(line):
            process, name = int(match[1] or 0), match[2]
            number, text = pending.pop((process, name), (0, ""))
            text += match[3]
        else:
            continue
        ended = _RESULT.match(text)
        arguments, result = (ended[1], ended[2]) if ended else (text, "?")
        yield Call(process, name, number, arguments, result)
    for (process, name), (number, text) in pending.items():
        yield Call(process, name, number, text, "?")


def struck(log: Path) -> bool:
    """Return whether the fault of this run did strike, by its log."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return "(INJECTED)" in text or "--- SIG" in text or "+++ killed by" in text
