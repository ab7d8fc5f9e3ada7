"""Evicted files: what is only in the cloud is known without reading it."""

import os
from pathlib import Path

import pytest

from agebackup.system.eviction import is_dataless, is_evicted


def evicted(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        assert os.lseek(descriptor, 0, os.SEEK_CUR) == 0
        found = is_evicted(descriptor, os.fstat(descriptor))
        assert os.lseek(descriptor, 0, os.SEEK_CUR) == 0, "it is read from its beginning next"
        return found
    finally:
        os.close(descriptor)


@pytest.mark.linux
def test_a_file_without_content_is_evicted(tmp_path: Path) -> None:
    """A name and a size alone are what a cloud client leaves; an empty file is just empty."""
    hole, small, empty = (tmp_path / name for name in ("hole", "small", "empty"))
    hole.touch()
    os.truncate(hole, 1_000_000)
    small.write_bytes(b"AGE-SECRET-KEY-1")
    os.sync()
    empty.touch()
    assert [evicted(path) for path in (hole, small, empty)] == [True, False, False]
    assert not is_dataless(small.stat())
