"""Wishes: an installed timer is tried out once, and never twice or late."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agebackup.operations.wish import VALID, leave_wish, take_wish
from agebackup.system.claims import Claims

NOW = datetime(2026, 11, 21, 3, 30, tzinfo=UTC)


@pytest.fixture
def wish(tmp_path: Path) -> Path:
    """A file with a wish of NOW."""
    (tmp_path / "claims").mkdir(mode=0o700)
    leave_wish(tmp_path / "notes", NOW, Claims(tmp_path / "claims"))
    return tmp_path / "notes"


def test_a_wish_is_granted_once(wish: Path) -> None:
    """The next run makes an archive although none is due; the one after it does not."""
    assert wish.stat().st_mode & 0o777 == 0o600
    assert take_wish(wish, NOW + timedelta(minutes=1))
    assert not wish.exists() and not take_wish(wish, NOW)


@pytest.mark.parametrize("later", [VALID * 2, -VALID * 2])
def test_an_old_wish_is_nobodys(wish: Path, later: timedelta) -> None:
    """What a timer never came to take is thrown away, whichever way the clock went."""
    assert not take_wish(wish, NOW + later)
    assert not wish.exists()


@pytest.mark.parametrize("content", [b"", b"soon", b"\xff\xfe", b"2026-11-21T03:30:00"])
def test_what_is_no_wish_is_thrown_away(wish: Path, content: bytes) -> None:
    """A damaged file asks for nothing, and does not stay."""
    wish.write_bytes(content)
    assert not take_wish(wish, NOW)
    assert not wish.exists()


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_only_a_plain_file_of_ones_own_is_a_wish(wish: Path, kind: str) -> None:
    """A link to a wish elsewhere asks for nothing, and a FIFO lets nobody wait."""
    elsewhere = wish.rename(wish.with_name("elsewhere"))
    if kind == "link":
        wish.symlink_to(elsewhere)
    else:
        os.mkfifo(wish)
    assert not take_wish(wish, NOW)
    assert elsewhere.exists()


def test_a_wish_that_cannot_be_removed_is_not_granted(wish: Path) -> None:
    """Else each night's run would be one that nobody asked for; a directory stays where it is."""
    wish.unlink()
    wish.mkdir()
    assert not take_wish(wish, NOW)
