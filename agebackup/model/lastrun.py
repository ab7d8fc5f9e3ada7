"""What other programs are told of an app's last run: last-run.json, and every hook's stdin."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from agebackup.model.records import RunRecord

SCHEMA = "agebackup/last-run/v1"


@dataclass(frozen=True)
class Success:
    """The last run that published a complete archive: the moment in its name, and the name."""

    time: datetime
    archive: str


@dataclass(frozen=True)
class Pruning:
    """What became of pruning after a run.

    `status`: "none" (no policy, or the run was no success), "done", "held" (after a sudden
    shrinkage), "refused" (more than the policy's `max_prune`) or "failed". `pruned` are names.
    """

    status: str = "none"
    pruned: tuple[str, ...] = ()
    message: str = ""


@dataclass(frozen=True)
class Push:
    """What became of the copies in one place after a run.

    `status`: "ok", "failed" (so many archives are `owed` still, as `message` says), "stopped", or
    "left" to another push that was at work. `pushed` are names.
    """

    destination: str
    status: str = "ok"
    pushed: tuple[str, ...] = ()
    owed: int = 0
    message: str = ""

    def fields(self) -> dict[str, Any]:
        """Return what JSON.md documents."""
        return {
            "destination": self.destination,
            "status": self.status,
            "pushed": list(self.pushed),
            "owed": self.owed,
            "message": self.message,
        }


@dataclass(frozen=True)
class LastRun:
    """A run that has ended. `path` is where its archive lies, "" if there is none."""

    run: RunRecord
    path: str = ""
    host: str = ""
    tries: int = 1
    warnings: tuple[str, ...] = ()
    pruning: Pruning = field(default_factory=Pruning)
    last_success: Success | None = None
    pushes: tuple[Push, ...] = ()

    @property
    def stopped(self) -> bool:
        """Whether a signal asked for its end, be it while its archive was being carried away."""
        return self.run.outcome == "stopped" or (self.run.exit_code or 0) > 128

    def fields(self) -> dict[str, Any]:
        """Return what JSON.md documents as `agebackup/last-run/v1`."""
        run, success = self.run, self.last_success
        return {
            "schema": SCHEMA,
            "app": run.app,
            "run": run.id,
            "kind": run.kind,
            "outcome": run.outcome,
            "exit": run.exit_code,
            "message": run.message,
            "phase": run.phase,
            "tries": self.tries,
            "begun": stamp(run.begun),
            "ended": stamp(run.ended) if run.ended else None,
            "seconds": run.seconds,
            "archive": run.archive or None,
            "path": self.path or None,
            "destination": run.destination or None,
            "size": run.size,
            "warnings": list(self.warnings),
            "pruning": {
                "status": self.pruning.status,
                "pruned": list(self.pruning.pruned),
                "message": self.pruning.message,
            },
            "pushes": [one.fields() for one in self.pushes],
            "last_success": {"time": stamp(success.time), "archive": success.archive}
            if success
            else None,
            "host": self.host,
            "versions": dict(run.versions),
        }

    def text(self) -> bytes:
        """Return the whole file's content."""
        return json.dumps(self.fields(), indent=1).encode() + b"\n"


def stamp(moment: datetime) -> str:
    """Return `moment` as RFC 3339 has it, in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_stamp(text: object) -> datetime | None:
    """Return the moment that `stamp` wrote, or None for anything else."""
    try:
        return datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def success_in(content: bytes) -> Success | None:
    """Return the last success that a last-run.json tells of; None where it tells of none.

    Whatever else the bytes hold, nothing is raised.
    """
    success = _table(_parsed(content).get("last_success"))
    time = parse_stamp(success.get("time"))
    return Success(time, str(success.get("archive", ""))) if time else None


def published_in(content: bytes) -> datetime | None:
    """Return when the last archive that the file tells of was made, complete or not."""
    fields, success = _parsed(content), success_in(content)
    incomplete = fields.get("outcome") == "incomplete"
    moments = (success.time if success else None, incomplete and parse_stamp(fields.get("begun")))
    return max((moment for moment in moments if moment), default=None)


def ended_in(content: bytes) -> datetime | None:
    """Return when the run that the file tells of ended, well or badly; None where it does not."""
    return parse_stamp(_parsed(content).get("ended"))


def complaint_in(content: bytes, begun: datetime) -> str:
    """Return why the run that the file tells of was no success; "" for one from before `begun`."""
    ended, said = ended_in(content), _parsed(content).get("message")
    recent = ended is not None and ended >= begun.replace(microsecond=0)
    return said if recent and isinstance(said, str) else ""


def made_in(content: bytes, begun: datetime) -> tuple[str, tuple[str, ...]] | None:
    """Return where the archive lies, and the names of those that were pruned after it.

    None where the run that the file tells of is from before `begun`, or made no archive.
    """
    fields = _parsed(content)
    run, path = parse_stamp(fields.get("begun")), fields.get("path")
    if run is None or run < begun.replace(microsecond=0) or not isinstance(path, str):
        return None
    pruned = _table(fields.get("pruning")).get("pruned")
    return path, tuple(map(str, pruned if isinstance(pruned, list) else ()))


def cut_off(run: RunRecord) -> RunRecord:
    """Return `run`, which never ended, as the next run finds it: nobody knows when it died."""
    reached = f" It had come to: {run.phase}." if run.phase else ""
    message = f"The run was cut off: it was killed, or the machine went down.{reached}"
    return replace(run, outcome="stopped", message=message)


def _parsed(content: bytes) -> Mapping[str, Any]:
    try:
        return _table(json.loads(content))
    except (ValueError, RecursionError):
        return {}


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
