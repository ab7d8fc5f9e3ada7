"""Parts of a live application are swapped all or none, whatever fails or dies, and back again."""

import re
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import live_parts
import pytest
from live_parts import (
    after_swap,
    after_undo,
    build,
    half_swapped,
    half_undone,
    settled,
    staged_state,
    state,
    swapped,
    undone,
)
from system_faults import OWN_MOUNTS, calls, fault, kill_points, run

from agebackup.errors import FailedError, NotFoundError, RefusedError
from agebackup.model.swap import Kind, Part, Swap, SwapRecord, stamp
from agebackup.operations.kept import Expired, Keeping, remove_expired
from agebackup.operations.swap import prospect, swap
from agebackup.operations.swapping import carry_out
from agebackup.operations.undo import undo, undoable

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
    # where a system lacks something, every other step of what is then done instead
    for point in [*points("swapped", before, here, faults)][:: 2 if faults else 1]:
        old = again(before, here)
        run(SCENARIO.format(verb="swapped"), here, under=fault(*faults, point))
        settled(here)
        now = state(here / "live")
        assert now in (old, after_swap(old, new)), point
        assert not list(live_parts.claims(here).named()), point
        ends.add(now == old)
    assert len(ends) == 2


@pytest.mark.parametrize("half", [half_swapped, half_undone])
def test_a_stranger_in_the_way_is_left_alone(
    before: Path, tmp_path: Path, half: Callable[[Path], None]
) -> None:
    """Where the application made a new file meanwhile, nothing is touched and the file is named."""
    here = tmp_path / "here"
    again(before, here)
    half(here)
    stranger = here / "live" / "torn.db-journal"
    if half is half_undone:
        stranger = here / "live" / f"ledger.db.pre_restore_{live_parts.ID}-wal"
    stranger.write_text("somebody else's")
    now = state(here / "live")
    with pytest.raises(RefusedError, match=stranger.name) as refusal:
        settled(here)
    assert "run this command again" in refusal.value.hint
    assert state(here / "live") == now
    stranger.unlink()
    settled(here)
    assert not live_parts.records(here).open()


def test_no_new_swap_before_the_last_is_settled(before: Path, tmp_path: Path) -> None:
    """What was cut off is settled first; until then the application is not touched again."""
    here = tmp_path / "here"
    again(before, here)
    half_swapped(here)
    with pytest.raises(RefusedError, match="not settled yet"):
        swapped(here, live_parts.UNDO_TIME)
    with pytest.raises(NotFoundError, match="no restore of live that could be undone"):
        undone(here)


@pytest.mark.parametrize("name", ["ledger.db", "ledger.db-wal", "blobs"])
def test_a_taken_name_is_refused(before: Path, tmp_path: Path, name: str) -> None:
    """A state that is kept already is never replaced: refused before anything is done."""
    here = tmp_path / "here"
    again(before, here)
    base, _, suffix = name.partition("-")
    taken = f"{base}.pre_restore_{live_parts.ID}" + (f"-{suffix}" if suffix else "")
    (here / "live" / taken).write_text("kept")
    old = state(here / "live")
    with pytest.raises(RefusedError, match="is taken"):
        swapped(here)
    assert state(here / "live") == old
    assert not live_parts.records(here).all()


def part(target: Path, staged: Path | None, kind: Kind) -> Swap:
    return Swap("live", live_parts.TIME, "a.age", (Part(target, staged, kind),))


@pytest.mark.parametrize(
    "target, staged, kind, said",
    [
        ("blobs", "file", "file", "is no regular file"),
        ("app.toml", "tree", "tree", "is no directory"),
        ("app.toml/below", "file", "file", "is no directory"),
        ("new.db", "torn", "database", "no database at rest"),
        ("new", "tree", "file", "no file at rest"),
        ("new", "/proc/self/status", "file", "another file system"),
    ],
)
def test_what_cannot_be_exchanged_is_refused(
    before: Path, tmp_path: Path, target: str, staged: str, kind: Kind, said: str
) -> None:
    """A place of another kind, and what may not be put into one, are named beforehand."""
    here = tmp_path / "here"
    old = again(before, here)
    made = here / "staged"
    (made / "tree").mkdir(parents=True)
    for name in ("file", "torn", "torn-wal"):
        (made / name).touch()
    with pytest.raises((RefusedError, NotFoundError, FailedError), match=said):
        swap(part(here / "live" / target, made / staged, kind), live_parts.records(here))
    assert state(here / "live") == old


def test_a_mount_point_is_refused(before: Path, tmp_path: Path) -> None:
    """A place that is a mount point cannot change names, and is said to be one."""
    here = tmp_path / "here"
    again(before, here)
    done = run(
        SCENARIO.format(verb="swapped").replace(
            "import live_parts",
            'import live_parts, subprocess\nblobs = here / "live" / "blobs"\n'
            'subprocess.run(["mount", "-t", "tmpfs", "none", blobs], check=True)',
        ),
        here,
        under=OWN_MOUNTS,
    )
    assert "RefusedError" in done.stdout and "is a mount point" in done.stdout, done


def test_a_link_means_the_place_it_leads_to(before: Path, tmp_path: Path) -> None:
    """A config that is a link stays one: the file that it leads to is exchanged, and kept there."""
    here = tmp_path / "here"
    again(before, here)
    link = here / "linked.toml"
    link.symlink_to(here / "live" / "app.toml")
    (here / "staged").write_text("new")
    swap(part(link, here / "staged", "file"), live_parts.records(here))
    assert link.is_symlink() and link.read_text() == "new"
    assert (here / "live" / f"app.toml.pre_restore_{live_parts.ID}").read_text() == "old"


def test_a_busy_place_takes_everything_back(before: Path, tmp_path: Path) -> None:
    """An application that writes after the journal was begun is noticed; all is as before."""
    here = tmp_path / "here"
    old = again(before, here)
    made = prospect_of(here)
    (here / "live" / "events.db-wal").write_bytes(b"more")
    with pytest.raises(RefusedError, match=r"events\.db-wal changed"):
        carry_out(made, live_parts.records(here))
    assert state(here / "live") == old | {"events.db-wal": b"more"}
    assert not live_parts.records(here).all()


def prospect_of(here: Path) -> SwapRecord:
    (here / "staged").mkdir()
    parts = live_parts.stage(here / "live", here / "staged")
    return prospect(Swap("live", live_parts.TIME, "a.age", parts), live_parts.records(here))


def test_undo_keeps_what_was_written_since(before: Path, tmp_path: Path) -> None:
    """Rows written after the restore are put aside with their -wal, and it is said where."""
    here = tmp_path / "here"
    again(before, here)
    swapped(here)
    live = here / "live"
    with closing(sqlite3.connect(live / "ledger.db")) as connection:
        connection.execute("INSERT INTO t VALUES ('since')")
        connection.commit()
    (live / "app.toml").unlink()
    (live / "app.toml").write_text("written anew")
    known = live_parts.records(here)
    done = undo(undoable(known), live_parts.UNDO_TIME, known, lambda paths: "not all was seen")
    aside = live / f"ledger.db.undone_{live_parts.UNDO_ID}"
    assert {path.name for path in done.changed} == {
        aside.name,
        f"app.toml.undone_{live_parts.UNDO_ID}",
    }
    assert list(live_parts.rows(aside)) == ["new ledger.db", "since"]
    assert list(live_parts.rows(live / "ledger.db")) == ["old ledger.db"]
    assert done.warnings == ("not all was seen",)


def test_undo_says_that_a_kept_state_was_opened(before: Path, tmp_path: Path) -> None:
    """Whoever looked into a kept database with SQLite changed its bytes: it comes back, and is
    said to."""
    here = tmp_path / "here"
    again(before, here)
    swapped(here)
    kept = here / "live" / f"ledger.db.pre_restore_{live_parts.ID}"
    with closing(sqlite3.connect(kept)) as connection:
        connection.execute("INSERT INTO t VALUES ('by hand')")
        connection.commit()
    known = live_parts.records(here)
    (warning,) = undo(undoable(known), live_parts.UNDO_TIME, known, lambda paths: "").warnings
    assert "ledger.db: the state that was kept had been written to" in warning
    assert list(live_parts.rows(here / "live" / "ledger.db")) == ["old ledger.db", "by hand"]


def test_undo_needs_every_kept_state(before: Path, tmp_path: Path) -> None:
    """Where one of the kept states is gone, nothing is undone."""
    here = tmp_path / "here"
    again(before, here)
    swapped(here)
    kept = here / "live" / f"events.db.pre_restore_{live_parts.ID}"
    kept.unlink()
    now = state(here / "live")
    with pytest.raises(NotFoundError, match=kept.name):
        undone(here)
    assert state(here / "live") == now


def test_undo_asks_the_guard_first(before: Path, tmp_path: Path) -> None:
    """A guard that refuses is asked of every database, before anything is done."""
    here = tmp_path / "here"
    again(before, here)
    swapped(here)
    now, known, asked = state(here / "live"), live_parts.records(here), []

    def guard(paths: Sequence[Path]) -> str:
        asked.extend(path.name for path in paths)
        raise RefusedError("in use")

    with pytest.raises(RefusedError, match="in use"):
        undo(undoable(known), live_parts.UNDO_TIME, known, guard)
    assert asked == ["ledger.db", "events.db", "torn.db"]
    assert state(here / "live") == now


def test_restores_are_undone_one_after_the_other(before: Path, tmp_path: Path) -> None:
    """Of two restores the later one is undone first, then the earlier one, then there is none."""
    here = tmp_path / "here"
    known = live_parts.records(here)
    old = again(before, here)
    swapped(here)
    between = state(here / "live")
    later = live_parts.TIME + timedelta(seconds=1)
    swapped(here, later)
    first = undo(undoable(known), live_parts.UNDO_TIME, known, lambda paths: "").record
    assert first.undoes == stamp(later)
    now = state(here / "live")
    assert now == now | between
    after = live_parts.UNDO_TIME + timedelta(seconds=1)
    undo(undoable(known), after, known, lambda paths: "")
    now = state(here / "live")
    assert now == now | old
    with pytest.raises(NotFoundError):
        undoable(known)


@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda text: text[: len(text) // 2], "is damaged"),
        (lambda text: b"", "is damaged"),
        (lambda text: b"[" * 100_000, "is damaged"),
        (lambda text: text.replace(b'"version": 1', b'"version": 2'), "is of version 2"),
        (lambda text: text.replace(b'"swapping"', b'"flying"'), "is damaged"),
        (lambda text: text.replace(b'"app": "live"', b'"app": "other"'), "contradicts itself"),
        (lambda text: text.replace(b"/live/events.db.pre", b"/events.db.pre"), "contradicts"),
    ],
)
def test_a_damaged_journal_is_not_guessed_from(
    before: Path, tmp_path: Path, damage: Callable[[bytes], bytes], said: str
) -> None:
    """What cannot be read for certain moves nothing; the hint says how kept states are called."""
    here = tmp_path / "here"
    again(before, here)
    half_swapped(here)
    (journal,) = (live_parts.machine(here) / "restores" / "live").glob("*.json")
    journal.write_bytes(damage(journal.read_bytes()))
    now = state(here / "live")
    with pytest.raises(RefusedError, match=said) as refusal:
        settled(here)
    assert f"pre_restore_{live_parts.ID}" in refusal.value.hint
    assert state(here / "live") == now


def test_a_journal_is_private(before: Path, tmp_path: Path) -> None:
    """Journals and their directory are the person's alone."""
    here = tmp_path / "here"
    again(before, here)
    swapped(here)
    directory = live_parts.machine(here) / "restores" / "live"
    (journal,) = directory.iterdir()
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_whether_names_can_be_exchanged_is_known_beforehand(tmp_path: Path) -> None:
    """A place is tried with two files of our own, of which none is left."""
    ask = """
    from agebackup.system.rehearsal import can_exchange
    print(can_exchange(here, claims))
    """
    assert run(ask, tmp_path).stdout == "True\ndone\n"
    assert run(ask, tmp_path, under=fault(*NO_EXCHANGE)).stdout == "False\ndone\n"
    assert not [path for path in tmp_path.rglob("*") if ".~agebackup" in path.name]


def keeping(here: Path, days: int = 30) -> Keeping:
    return Keeping(live_parts.records(here), here / "lock", timedelta(days=days))


def test_kept_states_go_when_their_time_is_over(
    before: Path, new: live_parts.State, tmp_path: Path
) -> None:
    """What a restore put aside stays as long as it is to be kept, then every byte of it goes."""
    here = tmp_path / "here"
    old = again(before, here)
    swapped(here)
    soon, late = (live_parts.TIME + timedelta(days=days) for days in (30, 31))
    assert remove_expired(keeping(here), soon, dry_run=False) == Expired()
    planned = remove_expired(keeping(here), late, dry_run=True)
    assert state(here / "live") == after_swap(old, new)
    assert remove_expired(keeping(here), late, dry_run=False).done == planned.done
    assert len(planned.done) == 6 and "kept for more than 30d" in planned.done[0]
    assert state(here / "live") == new
    assert not live_parts.records(here).all()


def test_an_undone_state_goes_like_any_other(before: Path, tmp_path: Path) -> None:
    """What an undo put aside goes too, and directories that the restore had made with it."""
    here = tmp_path / "here"
    old = again(before, here)
    swapped(here)
    undone(here)
    late = live_parts.UNDO_TIME + timedelta(days=31)
    remove_expired(keeping(here), late, dry_run=False)
    assert state(here / "live") == old


def test_the_only_state_is_never_removed(before: Path, tmp_path: Path) -> None:
    """Where what was restored is gone, what was put aside stays, and it is said why."""
    here = tmp_path / "here"
    again(before, here)
    swapped(here)
    (here / "live" / "events.db").unlink()
    now = state(here / "live")
    late = live_parts.TIME + timedelta(days=400)
    (finding,) = remove_expired(keeping(here), late, dry_run=False).findings
    assert finding.code == "only-state" and finding.subject.endswith(f"_{live_parts.ID}")
    assert state(here / "live") == now


def test_a_kept_state_on_a_drive_that_is_away_is_not_forgotten(
    before: Path, tmp_path: Path
) -> None:
    """What cannot be reached now is removed when it can be."""
    here = tmp_path / "here"
    again(before, here)
    swapped(here)
    late = live_parts.TIME + timedelta(days=400)
    (here / "live").rename(here / "away")
    (here / "live").mkdir()
    (finding,) = remove_expired(keeping(here), late, dry_run=False).findings
    assert finding.code == "kept-unread" and "Mount" in finding.remedy
    (here / "live").rmdir()
    (here / "away").rename(here / "live")
    assert len(remove_expired(keeping(here), late, dry_run=False).done) == 6


def test_nothing_goes_while_a_swap_is_not_settled(before: Path, tmp_path: Path) -> None:
    """As long as a journal is open, nothing that was ever put aside is removed."""
    here = tmp_path / "here"
    again(before, here)
    half_undone(here)
    now = state(here / "live")
    late = live_parts.TIME + timedelta(days=400)
    (finding,) = remove_expired(keeping(here), late, dry_run=False).findings
    assert finding.code == "restore-unsettled"
    assert state(here / "live") == now


def test_another_thing_of_a_kept_name_is_not_removed(before: Path, tmp_path: Path) -> None:
    """Only the very thing that was put aside goes, not what somebody gave its name."""
    here = tmp_path / "here"
    again(before, here)
    swapped(here)
    mine = here / "live" / f"app.toml.pre_restore_{live_parts.ID}"
    mine.rename(here / "moved")
    mine.write_text("mine")
    remove_expired(keeping(here), live_parts.TIME + timedelta(days=31), dry_run=False)
    assert mine.read_text() == "mine"


def test_the_order_on_the_disk(before: Path, tmp_path: Path) -> None:
    """Each step is on the disk before the next one may be: a power cut cannot turn them round."""
    here = tmp_path / "here"
    again(before, here)
    made = calls(SCENARIO.format(verb="swapped"), here)
    live = rf"<{re.escape(str(here / 'live'))}>"
    journal = r'restores/live>, "\.~agebackup.*\.nosync\.tmp", .*"2026\d+T\d+Z\.json"'
    wanted = [
        rf"renameat2\(.*{journal}",
        r"fsync\(.*restores/live>",
        r'renameat2\(.*inplace.*/ledger\.db", .*/\.~agebackup-swap-',
        rf"fsync\(\d+{live}",
        r'renameat2\(.*/ledger\.db-shm", .*/ledger\.db\.pre_restore_\w+-shm"',
        r'renameat2\(.*/ledger\.db-wal", .*/ledger\.db\.pre_restore_\w+-wal"',
        rf"fsync\(\d+{live}",
        r'renameat2\(.*agebackup-swap-.*, .*/ledger\.db", RENAME_EXCHANGE',
        r'renameat2\(.*agebackup-swap-.*, .*/ledger\.db\.pre_restore_\w+"',
        rf"fsync\(\d+{live}",
        r'renameat2\(.*agebackup-swap-.*, .*/blobs", RENAME_EXCHANGE',
        rf"fsync\(\d+{live}",
        r'renameat2\(.*/obsolete", .*/obsolete\.pre_restore_\w+"',
        rf"fsync\(\d+{live}",
        rf"renameat2\(.*{journal}, RENAME_EXCHANGE",
        r"fsync\(.*restores/live>",
    ]
    left = iter(made)
    for pattern in wanted:
        assert any(re.match(pattern, call) for call in left), (pattern, made)


MOUNTED = """
import subprocess
sys.path.insert(0, {tests!r})
import live_parts
from datetime import timedelta
from agebackup.operations.kept import Keeping, remove_expired
from agebackup.system.leftovers import removed
blobs, drive = here / "live" / "blobs", here / "drive"
"""


def test_a_tree_that_holds_a_mount_point_is_refused(before: Path, tmp_path: Path) -> None:
    """A drive that is mounted inside a tree does not go aside with it."""
    here = tmp_path / "here"
    old = again(before, here)
    (here / "drive").mkdir()
    done = run(
        MOUNTED.format(tests=str(TESTS))
        + 'subprocess.run(["mount", "--bind", drive, blobs / "deep"], check=True)\n'
        + "live_parts.swapped(here)\n",
        here,
        under=OWN_MOUNTS,
    )
    assert "RefusedError" in done.stdout and "mounted in it" in done.stdout, done
    assert {n: c for n, c in state(here / "live").items() if n in old} == old


@pytest.mark.parametrize("kind", ["--bind", "tmpfs"])
def test_what_is_mounted_in_a_kept_state_is_not_removed(
    before: Path, tmp_path: Path, kind: str
) -> None:
    """A drive that somebody mounted in a kept state is told, and no byte on it is touched."""
    here = tmp_path / "here"
    again(before, here)
    swapped(here)
    (here / "drive").mkdir()
    words = '"--bind", drive' if kind == "--bind" else '"-t", "tmpfs", "none"'
    # Where /proc tells nothing, another device does.
    direct = (
        ""
        if kind == "--bind"
        else "try:\n    removed(kept, kept.stat().st_ino)\n"
        "except OSError as error:\n    print(error.strerror)\n"
    )
    done = run(
        MOUNTED.format(tests=str(TESTS))
        + f'kept = blobs.with_name("blobs.pre_restore_{live_parts.ID}")\n'
        + f'subprocess.run(["mount", {words}, kept / "deep"], check=True)\n'
        + '(kept / "deep" / "precious").write_text("1")\n'
        + 'keeping = Keeping(live_parts.records(here), here / "lock", timedelta(days=30))\n'
        + "now = live_parts.TIME + timedelta(days=31)\n"
        + "print(remove_expired(keeping, now, dry_run=False))\n"
        + direct
        + 'print("left:", (kept / "deep" / "precious").exists())\n',
        here,
        under=OWN_MOUNTS,
    )
    assert "kept-mounted" in done.stdout and "left: True" in done.stdout, done
    assert not direct or "another file system" in done.stdout, done


def test_the_journals_do_not_go_aside_with_a_tree(before: Path, tmp_path: Path) -> None:
    """A tree around agebackup's own records is refused before anything is written."""
    here = tmp_path / "here"
    again(before, here)
    (here / "staged").mkdir()
    known = live_parts.records(here)
    with pytest.raises(RefusedError, match="own records lie in it"):
        swap(part(here / "home", here / "staged", "tree"), known)
    assert not known.all() and (here / "staged").is_dir()
