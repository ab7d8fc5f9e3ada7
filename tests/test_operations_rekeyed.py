"""The ledger after a rekey that was cut short: which of the two files lies there."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest
from conftest import World
from pyrage import x25519
from shelf import Shelf, named, shelf

from agebackup.destinations.folder import Folder
from agebackup.ledger import open_ledger
from agebackup.model.records import ArchiveRecord
from agebackup.operations.bookkeeping import Bookkeeping
from agebackup.operations.rekeyed import NewFile, announce

NAME = named(1, 1)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def sealed() -> bytes:
    """Return an age file that nobody else has."""
    return bytes(pyrage.encrypt(b"content", [x25519.Identity.generate().to_public()]))


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def out(world: World) -> Shelf:
    return shelf(world)


def cut_short(out: Shelf, old: bytes, new: bytes) -> ArchiveRecord:
    """Leave the ledger as a rekey that is killed between its two words to it does."""
    out.put(NAME, old, tag="word", recipients=("age1old",))
    with open_ledger(out.world.state / "ledger.db") as ledger:
        found = NewFile(len(new), digest(new), ("X25519",), ("age1new",))
        return announce(ledger, out.row(NAME), digest(old), found)


def settled(out: Shelf) -> ArchiveRecord:
    """Let the next run settle it, and return the row."""
    with open_ledger(out.world.state / "ledger.db") as ledger:
        books = Bookkeeping(ledger)
        books.settle("notes", Folder(out.path), NOW)
        assert books.losses == ()
    return out.row(NAME)


def test_the_new_file_lies_there(out: Shelf) -> None:
    """Then the rekey is complete: hash, size and recipients are its own, the old hash is known."""
    old, new = sealed(), sealed()
    announced = cut_short(out, old, new)
    assert (announced.pending, announced.size, announced.former) == ("rekey", None, (digest(old),))
    (out.path / str(NAME)).write_bytes(new)
    row = settled(out)
    assert (row.sha256, row.former, row.size) == (digest(new), (digest(old),), len(new))
    assert (row.recipients, row.pending, row.tag, row.proved) == (("age1new",), "", "word", True)
    assert row.checked == NOW


def test_the_old_file_lies_there(out: Shelf) -> None:
    """Then nothing has happened, and the row says so."""
    old, new = sealed(), sealed()
    cut_short(out, old, new)
    row = settled(out)
    assert (row.sha256, row.former, row.size) == (digest(old), (), len(old))
    assert (row.pending, row.recipients, row.tag) == ("", (), "word")
    assert row.stanzas == ("X25519",)


@pytest.mark.parametrize("content", [None, b"something else"])
def test_neither_lies_there(out: Shelf, content: bytes | None) -> None:
    """Then audit is to miss it: the row waits for nothing any more, and knows both hashes."""
    old, new = sealed(), sealed()
    cut_short(out, old, new)
    path = out.path / str(NAME)
    path.unlink() if content is None else path.write_bytes(content)
    row = settled(out)
    assert (row.pending, row.sha256, row.former) == ("", digest(new), (digest(old),))


def test_no_hash_is_forgotten(out: Shelf) -> None:
    """Where the copy from before was put back and rekeyed again, and that was cut short, audit
    goes on to tell it from the file that should be there."""
    old, new, newest = sealed(), sealed(), sealed()
    out.put(NAME, new, former=("0" * 64, digest(old)))
    with open_ledger(out.world.state / "ledger.db") as ledger:
        found = NewFile(len(newest), digest(newest), ("X25519",), ("age1new",))
        row = announce(ledger, out.row(NAME), digest(old), found)
    assert row.former == ("0" * 64, digest(old), digest(new))
    (out.path / str(NAME)).write_bytes(old)
    back = settled(out)
    assert (back.sha256, back.former) == (digest(new), ("0" * 64, digest(old)))
    assert (back.size, back.pending) == (None, "")


def test_what_cannot_be_read_now_stays_open(out: Shelf, tmp_path: Path) -> None:
    """A folder that is away may come back with either file."""
    announced = cut_short(out, sealed(), sealed())
    out.path.rename(tmp_path / "away")
    assert settled(out) == announced
