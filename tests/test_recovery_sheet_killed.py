"""A recovery sheet that is killed in the making: the key lies only where it was asked for."""

import re
from collections import Counter
from collections.abc import Iterator

import pytest
from conftest import Keys, World
from shelf import under
from system_faults import CHANGING, fault

from agebackup.model.sheet import MARK

pytestmark = pytest.mark.linux


def kill_points(world: World, words: tuple[object, ...]) -> Iterator[str]:
    """Yield an injection of SIGKILL for each call that changes something while `words` run."""
    log = world.directory / "strace.log"
    traced = f"trace={','.join((*CHANGING, 'pwrite64'))}"
    done = under(world, ("strace", "-f", "-qq", "-o", str(log), "-e", traced), *words)
    assert done.code == 0, done.err
    calls = re.findall(r"^\d+ +(\w+)\(", log.read_text(), re.MULTILINE)
    log.unlink()
    for name, count in Counter(calls).items():
        for number in range(1, count + 1):
            yield f"{name}:signal=SIGKILL:when={number}"


def test_killed_at_any_call(world: World, keys: Keys, other_keys: Keys) -> None:
    """After SIGKILL at each call that changes the disk, and the next run: the page is whole or not
    there, an older page is whole as it was or the new one, and no other file holds any of it."""
    page = world.directory / "page.html"
    words = ("recovery-sheet", "-i", keys.identity, "-o", page, "--overwrite")
    points = list(kill_points(world, words))
    whole = page.read_bytes()
    assert len(points) > 10
    for number, point in enumerate(points):
        older = None if number % 2 else b"the page before"
        page.unlink(missing_ok=True)
        if older is not None:
            page.write_bytes(older)
        done = under(world, fault(point), *words)
        assert done.code in (0, -9, 137), (point, done)
        there = page.read_bytes() if page.exists() else None
        assert there in (older, whole), point
        following = world.run("recovery-sheet", "-i", other_keys.identity, "-o", "next.txt")
        assert following.code == 0, following.err
        (world.directory / "next.txt").unlink()
        assert world.leftovers() == (), point
        holding = {
            path
            for top in (world.directory, world.home)
            for path in top.rglob("*")
            if path.is_file() and MARK.encode() in path.read_bytes()
        }
        assert holding <= {page}, point
