"""Puts hostile databases through verify and restore, and judges what they say of them.

Each lies in an archive whose hashes are all in order, as anybody who knows the public key can make
it; its manifest says what the sound database held.
"""

import hashlib
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
from hostile import Bag
from pyrage import x25519

from agebackup.errors import AgebackupError
from agebackup.model.limits import Limits
from agebackup.operations.answering import facts_from, facts_of
from agebackup.operations.reading import Reading
from agebackup.operations.restore import RestoreOrder, restore
from agebackup.operations.stage import Wanted
from agebackup.operations.verify import verify_archive
from agebackup.snapshot.keys import Identities
from agebackup.system.claims import Claims
from agebackup.system.process import Worker
from agebackup.system.progress import Progress
from fuzzing.databases import BASES, VIEW, Mutant, build, mutant

PLACE = "data/state.db"
SECONDS = 2
"""What --max-seconds would say: one database may take so long."""
_SLACK = 13.0
"""Seconds more that a command may take on a loaded machine; beyond them it hangs."""
_DIED = "was killed by"
_VERSIONS = slice(18, 20)
"""The two bytes of a header that a restore sets to the journal mode of the source."""


@dataclass
class Verdicts:
    """What became of the mutants; `broken` are the laws that did not hold, with their mutants."""

    counts: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    broken: list[tuple[str, Mutant]] = field(default_factory=list)


@dataclass
class Sound:
    """A database as it should be, what its manifest says of it, and the second opinion."""

    name: str
    content: bytes
    record: dict[str, object]
    opinion: dict[str, object]


class Proving:
    """A directory with a key, in which archives are made, verified and restored."""

    def __init__(self, directory: Path, bases: Iterable[str] = tuple(BASES)) -> None:
        self.directory = directory
        identity = x25519.Identity.generate()
        self._public = identity.to_public()
        self._identities = Identities((identity,), (str(self._public),))
        self.verdicts = Verdicts()
        self.sound: dict[str, Sound] = {name: self._made(name) for name in bases}

    def run(self, count: int, chance: random.Random, *, seconds: float = 1e9) -> Verdicts:
        """Judge `count` mutants, or as many as `seconds` allow, after the sound ones."""
        for sound in self.sound.values():
            self.judge(sound, Mutant(sound.name, (), sound.content))
        end = time.monotonic() + seconds
        while self.verdicts.counts["mutants"] < count and time.monotonic() < end:
            sound = self.sound[chance.choice(tuple(self.sound))]
            made = mutant(sound.name, sound.content, self.directory / "scratch", chance)
            for path in self.directory.glob("scratch*"):
                path.unlink()
            if made.content != sound.content:
                self.judge(sound, made)
        return self.verdicts

    def judge(self, sound: Sound, made: Mutant) -> None:
        """Have `made` verified and restored, and hold both to their promises."""
        archive = self.directory / "app-20261120T021500Z-1f2e3d4c.tar.age"
        archive.write_bytes(pyrage.encrypt(_bag(sound, made.content).stream(), [self._public]))
        verified, says = self._told(self._verify, archive)
        restored, _ = self._told(self._restore, archive)
        counts = self.verdicts.counts
        counts["mutants" if made.done else "sound ones"] += 1
        counts["good" if verified == 0 else f"refused with {verified}"] += 1
        counts["ended by a signal"] += _DIED in says
        counts["out of time"] += "longer than" in says
        for law in self._broken(sound, made, verified, restored):
            self.verdicts.broken.append((f"{law} {says}".strip(), made))

    def _broken(self, sound: Sound, made: Mutant, verified: int, restored: int) -> Iterator[str]:
        target = self.directory / "restored" / "state.db"
        if not made.done and verified:
            yield "a sound database was refused"
        if verified not in (0, 4) or restored != verified:
            yield f"verify ended with {verified}, restore with {restored}"
        if verified == 0:
            opinion = _opinion(made.content, self.directory)
            if opinion != sound.opinion:
                yield f"it was called good, but is not: {_differing(opinion, sound.opinion)}"
        if target.exists():
            found = bytearray(target.read_bytes())
            found[_VERSIONS] = made.content[_VERSIONS]
            if bytes(found) != made.content or restored:
                yield "what was restored is not what was in the archive"
            target.unlink()
            target.parent.rmdir()
        for path in self.directory.rglob("*"):
            if path.name not in ("state", "claims", "opinion.db", "workspace") and not (
                path.name.startswith(("app-", "scratch"))
            ):
                yield f"{path} was left behind"

    def _told(self, operation: Callable[[Path], None], archive: Path) -> tuple[int, str]:
        begun = time.monotonic()
        try:
            with _alarm(3 * (SECONDS + _SLACK)):
                operation(archive)
            code, says = 0, ""
        except AgebackupError as error:
            code, says = error.code, " ".join((error.message, *error.details))
            if not says.isprintable():
                code, says = -1, ascii(says)
        except BaseException as error:
            code, says = -2, f"{type(error).__name__}: {error}"
            if isinstance(error, KeyboardInterrupt):
                raise
        took = time.monotonic() - begun
        self.verdicts.slowest = max(self.verdicts.slowest, took)
        return (code, says) if took < SECONDS + _SLACK else (-3, f"it took {took:.0f} s. {says}")

    def _verify(self, archive: Path) -> None:
        verify_archive(archive, self.directory / "workspace", self._claims, self._reading)

    def _restore(self, archive: Path) -> None:
        order = RestoreOrder(Wanted(archive), self.directory / "restored", "kept")
        restore(order, self._claims, self._reading)

    @property
    def _claims(self) -> Claims:
        return Claims(self.directory / "state" / "claims")

    @property
    def _reading(self) -> Reading:
        return Reading(self._identities, Limits(seconds=SECONDS), Progress())

    def _made(self, name: str) -> Sound:
        path = self.directory / "sound.db"
        build(path, name)
        with Worker.start(lambda: facts_of(path)) as worker:
            facts = facts_from(worker.result(Progress()))
        assert not facts.problems, facts
        with closing(sqlite3.connect(path)) as connection:
            counts = [
                {"name": sql, "sql": sql, "value": connection.execute(sql).fetchone()[0]}
                for sql in (BASES[name][2], VIEW)
            ]
        content = path.read_bytes()
        path.unlink()
        record = {
            "journal_mode": BASES[name][1],
            "counts": counts,
            **{key: getattr(facts, key) for key in _FACTS},
        }
        return Sound(name, content, record, _opinion(content, self.directory))


_FACTS = (
    *("user_version", "application_id", "schema_sha256", "page_size", "encoding", "rows"),
    "foreign_key_violations",
)


def _bag(sound: Sound, content: bytes) -> Bag:
    """Return a bag of `content` in which every hash is right, and all else as of `sound`."""

    def lie(manifest: dict[str, object]) -> None:
        records = manifest["databases"]
        assert isinstance(records, list)
        records[0].update(sound.record)
        manifest["trees"] = []

    return Bag(files={PLACE: content}, databases=(PLACE,), lie=lie)


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """End what hangs; only where even that fails does the whole run hang."""

    def ring(number: int, frame: object) -> None:
        raise TimeoutError("it hung")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _opinion(content: bytes, directory: Path) -> dict[str, object]:
    """Return what SQLite says of a database by other statements than agebackup's, in a child."""
    path = directory / "opinion.db"
    path.write_bytes(content)

    def ask() -> dict[str, object]:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(60)
        return _asked(path)

    try:
        with Worker.start(ask) as worker:
            return worker.result(Progress())
    except AgebackupError as error:
        return {"failed": error.message}
    finally:
        path.unlink()


def _asked(path: Path) -> dict[str, object]:
    uri = f"{path.as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        connection.text_factory = lambda text: text.decode("utf-8", "backslashreplace")

        def one(sql: str) -> object:
            return connection.execute(sql).fetchone()[0]

        schema = connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite!_%' "
            "ESCAPE '!' ORDER BY CAST(type AS BLOB), CAST(name AS BLOB)"
        ).fetchall()
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0"
        ).fetchall()  # the manifest promises nothing of virtual tables but of those beneath them
        names = sorted(name for (name,) in tables if not str(name).startswith("sqlite_"))
        counted = {
            name: one('SELECT count(*) FROM "{}" NOT INDEXED'.format(name.replace('"', '""')))
            for name in names
        }
        return {
            "integrity": one("PRAGMA integrity_check"),
            "schema": hashlib.sha256(repr(schema).encode()).hexdigest(),
            "rows": counted,
            **{
                name: one(f"PRAGMA {name}")
                for name in ("user_version", "application_id", "page_size", "encoding")
            },
            "violations": len(connection.execute("PRAGMA foreign_key_check").fetchall()),
        }


def _differing(one: dict[str, object], other: dict[str, object]) -> str:
    keys = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
    return "; ".join(f"{key}: {one.get(key)!r} for {other.get(key)!r}" for key in keys)[:500]


def prove(directory: Path, count: int, seed: int, *, seconds: float = 1e9) -> Verdicts:
    """Judge `count` mutants in `directory`; the same ones for the same `seed`."""
    os.umask(0o077)
    return Proving(directory).run(count, random.Random(f"databases {seed}"), seconds=seconds)
