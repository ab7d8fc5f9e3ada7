"""Parts of a live application are swapped all or none, whatever fails or dies, and back again."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import live_parts
import pytest
from live_parts import after_swap, after_undo, build, settled, staged_state, state, swapped, undone
from system_faults import calls, fault, kill_points, run

pytestmark = pytest.mark.linux

TESTS = Path(__file__).parent
SCENARIO = f"""
sys.path.insert(0, {str(TESTS)!r})
import live_parts
live_parts.{{verb}}(here)
"""
NO_EXCHANGE = ("renameat2:error=EINVAL",)
RENAMING = ("rename", "renameat", "link", "linkat", "unlink", "unlinkat", "mkdir")
NO_LINKS = (*NO_EXCHANGE, "link:error=EPERM", "linkat:error=EPERM")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world in which nothing was swapped yet."""
    here = tmp_path_factory.mktemp("before")
    build(here)
    return here


@pytest.fixture(scope="module")
def new(before: Path) -> live_parts.State:
    """What the swapped application consists of."""
    return staged_state(before)


def again(template: Path, here: Path) -> live_parts.State:
    """Make `here` a copy of `template`; return the state of the application."""
    shutil.rmtree(here, ignore_errors=True)
    shutil.copytree(template, here)
    return state(here / "live")


def test_a_swap_puts_everything_in_place(
    before: Path, new: live_parts.State, tmp_path: Path
) -> None:
    """Every part is the new one, and beside it lies the old one, openable with its companions."""
    old = again(before, tmp_path / "here")
    swapped(tmp_path / "here")
    app = tmp_path / "here" / "live"
    assert state(app) == after_swap(old, new)
    for name in ("ledger.db", "events.db", "torn.db"):
        assert list(live_parts.rows(app / name)) == [f"new {name}"]
        assert list(live_parts.rows(app / f"{name}.pre_restore_{live_parts.ID}")) == [f"old {name}"]


def test_an_undo_brings_everything_back(
    before: Path, new: live_parts.State, tmp_path: Path
) -> None:
    """Every byte of the state before is back, -wal and -journal included; the other is aside."""
    old = again(before, tmp_path / "here")
    swapped(tmp_path / "here")
    undone(tmp_path / "here")
    assert state(tmp_path / "here" / "live") == after_undo(old, new)


def points(verb: str, template: Path, here: Path, faults: tuple[str, ...]) -> Iterator[str]:
    again(template, here)
    made = calls(SCENARIO.format(verb=verb), here, *faults)
    refused = {what.split(":")[0] for what in faults}
    for one in kill_points(made):
        call = one.split(":")[0]
        if call not in refused and (not faults or call in RENAMING):
            yield one


@pytest.mark.parametrize("faults", [(), NO_EXCHANGE, NO_LINKS], ids=["exchange", "links", "plain"])
def test_killed_at_any_call(
    before: Path, new: live_parts.State, tmp_path: Path, faults: tuple[str, ...]
) -> None:
    """After SIGKILL at any step the next command makes it wholly old or wholly new."""
    here = tmp_path / "here"
    ends = set()
    for point in points("swapped", before, here, faults):
        old = again(before, here)
        run(SCENARIO.format(verb="swapped"), here, under=fault(*faults, point))
        settled(here)
        now = state(here / "live")
        assert now in (old, after_swap(old, new)), point
        assert not list(live_parts.claims(here).named()), point
        ends.add(now == old)
    assert len(ends) == 2
