"""What the stock programs say about an archive and about a directory; what a run left behind."""

import hashlib
import sqlite3
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import sample_app

SQLITE_MAGIC = b"SQLite format 3\x00"
TEMPORARY = (".~agebackup-", ".nosync.tmp")
LEDGER = Path("home/state/agebackup/ledger.db")
_COMPANIONS = ("-wal", "-shm", "-journal")

Content = Counter[str]
"""What a directory holds, wherever it lies: a digest per file, of a database its rows as SQL."""


def content_of(directory: Path) -> Content:
    """Return the content of `directory`; companions of a database count with the database."""
    return Counter(
        _database_digest(path) if _is_database(path) else _digest(path)
        for path in _files(directory)
        if not path.name.endswith(_COMPANIONS)
    )


def recovered(archive: Path, identity: Path, expected: Content) -> list[str]:
    """Return what is wrong with `archive`, asking age, tar, sha256sum and sqlite3 alone."""
    with tempfile.TemporaryDirectory(dir=identity.parent) as made:
        directory = Path(made)
        command = f'set -o pipefail; age -d -i "{identity}" "{archive}" | tar x'
        if complaint := _complaint(("bash", "-c", command), directory):
            return [f"{archive.name} does not come out whole: {complaint}"]
        (bag,) = directory.iterdir()
        for manifest in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
            if complaint := _complaint(("sha256sum", "-c", "--quiet", manifest), bag):
                return [f"{archive.name}: {manifest} does not hold: {complaint}"]
        if content_of(bag / "data") != expected:
            return [f"{archive.name} does not hold the application's state"]
    return []


def leftovers(trial: Path, *, plaintext_at_home: Sequence[Path]) -> list[str]:
    """Return every temporary or plaintext thing in `trial`, but for where plaintext belongs."""
    found = []
    private = [trial / "workspace", trial / "tmp", trial / "home" / "cache"]
    private += trial.glob("home/state/**/claims")
    for path in sorted(trial.rglob("*")):
        name = path.relative_to(trial).as_posix()
        if any(mark in path.name for mark in TEMPORARY):
            found.append(f"{name} is temporary")
        elif path.is_file() and any(path.is_relative_to(p) for p in private):
            found.append(f"{name} is left of a run")
        elif path.is_file() and not any(path.is_relative_to(home) for home in plaintext_at_home):
            content = path.read_bytes()
            copied = content.startswith(SQLITE_MAGIC) and path.name != "ledger.db"
            if sample_app.PLAINTEXT_MARK.encode() in content or copied:
                found.append(f"{name} holds plaintext")
    return found


def unsettled(trial: Path) -> list[str]:
    """Return what the ledger in `trial` says of archives that is not so, after a good run."""
    ledger = trial / LEDGER
    if not ledger.exists():
        return []
    with closing(sqlite3.connect(ledger)) as connection:
        (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
        rows = connection.execute(
            "SELECT destination, file_name, pending FROM archives WHERE deleted IS NULL"
        ).fetchall()
    found = [] if verdict == "ok" else [f"the ledger is damaged: {verdict}"]
    for destination, name, pending in rows:
        if pending:
            found.append(f"the ledger still awaits the end of {pending} for {name}")
        elif not (Path(destination) / name).exists():
            found.append(f"the ledger has {name}, the folder has not")
    return found


def changed_sources(app: Path, template: Path, *, names: bool) -> list[str]:
    """Return which source files are no longer byte for byte what they were.

    With `names`, files that came or went are named as well. A -shm is SQLite's scratch memory.
    """
    before, now = ({p.relative_to(root): p for p in _files(root)} for root in (template, app))
    found = [
        f"the source {name} changed"
        for name, path in before.items()
        if not path.name.endswith("-shm")
        and (name not in now or now[name].read_bytes() != path.read_bytes())
    ]
    if names:
        found += [f"{name} was left beside the sources" for name in now.keys() - before.keys()]
    return found


def _files(directory: Path) -> Iterator[Path]:
    return (path for path in sorted(directory.rglob("*")) if path.is_file())


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _database_digest(path: Path) -> str:
    with tempfile.TemporaryDirectory() as made:
        for suffix in ("", "-wal"):
            if (source := path.with_name(path.name + suffix)).exists():
                Path(made, f"copy{suffix}").write_bytes(source.read_bytes())
        script = "PRAGMA integrity_check;\n.dump\n"
        said = subprocess.run(
            ("sqlite3", f"{made}/copy"), input=script.encode(), capture_output=True, check=False
        )
    return hashlib.sha256(said.stdout + said.stderr).hexdigest()


def _complaint(command: Sequence[str], directory: Path) -> str:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    return (done.stderr.strip() or f"exit {done.returncode}") if done.returncode else ""
