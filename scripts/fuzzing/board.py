"""What a fuzzing process and its parent share: counts, and the input that is being tried.

It survives the process, however that ends.
"""

import mmap
import struct
from pathlib import Path

from fuzzing.targets import LONGEST

_HEAD = struct.Struct("<QQdQ")
_ROOM = LONGEST + (1 << 16)


class Board:
    """The shared file at `path`; findings lie beside it, an input and a sentence each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.exists():
            path.write_bytes(bytes(_HEAD.size + _ROOM))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)

    @property
    def runs(self) -> int:
        """How many inputs were tried to the end."""
        return self._head()[0]

    @property
    def refused(self) -> int:
        """How many of them were refused."""
        return self._head()[1]

    @property
    def begun(self) -> float:
        """When the present input began, by the monotonic clock; 0 between two of them."""
        return self._head()[2]

    @property
    def data(self) -> bytes:
        """The last input."""
        return self._memory[_HEAD.size :][: self._head()[3]]

    def begin(self, data: bytes, now: float) -> None:
        """Note that `data` is being tried from `now` on."""
        kept = data[:_ROOM]
        self._memory[_HEAD.size : _HEAD.size + len(kept)] = kept
        self._set(self.runs, self.refused, now, len(kept))

    def end(self, *, refused: bool) -> None:
        """Note that it was tried."""
        runs, before, _, length = self._head()
        self._set(runs + 1, before + refused, 0.0, length)

    def found(self, sentence: str) -> None:
        """Keep the present input and `sentence`; of each kind of sentence only the first."""
        name = "".join(c if c.isalnum() else "-" for c in sentence)[:60]
        place = self._path.with_name(f"{self._path.stem}-{name}")
        if not place.with_suffix(".txt").exists():
            place.with_suffix(".input").write_bytes(self.data)
            place.with_suffix(".txt").write_text(sentence + "\n")

    def findings(self) -> dict[str, bytes]:
        """Return the sentences and inputs that were kept."""
        return {
            path.read_text().strip(): path.with_suffix(".input").read_bytes()
            for path in sorted(self._path.parent.glob(f"{self._path.stem}-*.txt"))
        }

    def _head(self) -> tuple[int, int, float, int]:
        found: tuple[int, int, float, int] = _HEAD.unpack(self._memory[: _HEAD.size])
        return found

    def _set(self, *values: float) -> None:
        self._memory[: _HEAD.size] = _HEAD.pack(*values)
