"""The journals of swaps: one durable file each, in a directory of the app's own."""

import json
import os
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from agebackup.errors import RefusedError, printable
from agebackup.model.swap import VERSION, Move, SwapRecord
from agebackup.system.claims import Claims
from agebackup.system.durable import write_durably
from agebackup.system.regular import content
from agebackup.system.syncing import explained, sync_path

_NAME = re.compile(r"([0-9]{8}T[0-9]{6}Z(?:-undo)?)\.json", re.ASCII)
_LONGEST = 64 << 20
"""Bytes; each part of a swap has a few hundred."""


@dataclass(frozen=True)
class SwapRecords:
    """The swaps of one app, as `directory`/KEY.json (0600). Reading makes nothing there."""

    app: str
    directory: Path
    claims: Claims

    def all(self) -> tuple[SwapRecord, ...]:
        """Return every record, oldest first.

        Raises `RefusedError` for one that is damaged or of a later version: what it says is not
        guessed; `FailedError` where the directory cannot be read.
        """
        with explained(self.directory):
            try:
                found = [_NAME.fullmatch(name) for name in os.listdir(self.directory)]
            except FileNotFoundError:
                return ()
        return tuple(self.read(key) for key in sorted(match[1] for match in found if match))

    def open(self) -> tuple[SwapRecord, ...]:
        """Return the records of swaps at work or cut off, oldest first; raises as `all`."""
        return tuple(record for record in self.all() if record.open)

    def moment(self, time: datetime) -> datetime:
        """Return `time`, or the next second that no record's is before or at: for a new record."""
        return max([time, *(record.time + timedelta(seconds=1) for record in self.all())])

    def read(self, key: str) -> SwapRecord:
        """Return the record with that key; raises as `all`."""
        file = self.file(key)
        with explained(self.directory):
            text = content(file, _LONGEST)
        try:
            raw = json.loads(text)
            if isinstance(raw, dict) and raw.get("version") != VERSION:
                raise _damaged(file, f"is of version {raw.get('version')!r}, not {VERSION}")
            record = msgspec.convert(raw, SwapRecord)
        except (ValueError, RecursionError, msgspec.ValidationError):
            raise _damaged(file, "is damaged") from None
        named = (record.app, record.key) == (self.app, key)
        if not named or not record.moves or not all(map(_coherent, record.moves)):
            raise _damaged(file, "contradicts itself")
        return record

    def put(self, record: SwapRecord) -> None:
        """Write `record`, in place of an earlier stage of it; on the disk when this returns.

        Raises `FailedError`; an earlier stage is then still there.
        """
        self._make()
        text = json.dumps(msgspec.to_builtins(record), indent=1).encode() + b"\n"
        again = record.stage != "swapping"
        write_durably(self.file(record.key), text, self.claims, replace=again)

    def remove(self, key: str) -> None:
        """Remove the record with that key, durably; it may be gone. Raises `FailedError`."""
        with explained(self.directory):
            try:
                os.unlink(self.file(key))
            except FileNotFoundError:
                return
            sync_path(self.directory)

    def file(self, key: str) -> Path:
        """Return where the record with that key lies."""
        return self.directory / f"{key}.json"

    def _make(self) -> None:
        above = [path for path in (self.directory, *self.directory.parents) if not path.exists()]
        with explained(self.directory):
            for path in reversed(above):
                path.mkdir(mode=0o700, exist_ok=True)
                sync_path(path.parent)


def _coherent(move: Move) -> bool:
    mains = [Path(path) for path in (move.target, move.incoming, move.outgoing)]
    return (
        len(set(mains)) == 3
        and len({path.parent for path in mains}) == 1
        and all(path.is_absolute() for path in (*mains, Path(move.ground)))
    )


def _damaged(file: Path, why: str) -> RefusedError:
    kind = "undone" if file.stem.endswith("-undo") else "pre_restore"
    return RefusedError(
        f"The journal of a restore, {printable(str(file))}, {why}; nothing is guessed from it.",
        hint=f"What was put aside then is called NAME.{kind}_{file.stem[:16]}, "
        "beside each place. See to it that each place holds what it should, then remove the file.",
    )
