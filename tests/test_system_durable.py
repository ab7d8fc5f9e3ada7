"""Publishing files and placing directories: whole or not at all, whatever fails when."""

import errno
import os
import re
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from system_faults import OWN_MOUNTS, calls, fault, kill_points, run

from agebackup.errors import FailedError, NotFoundError, RefusedError, UsageError
from agebackup.system.claims import Claims
from agebackup.system.durable import (
    TEMPORARY_NAME,
    failure,
    place_directory,
    publication,
    rename_new,
    temporary_name,
    write_durably,
)
from agebackup.system.workspace import claimed_directory

pytestmark = pytest.mark.linux

PUBLISH = """
with publication(here / "dest", "a.age", claims, replace={replace}) as draft:
    for piece in (b"new" * 1000, b"er", b"!"):
        draft.write(piece)
"""
NEW = b"new" * 1000 + b"er!"
PLACE = """
with claimed_directory(here, claims, prefix="restore") as staging:
    (staging.path / "file").write_text("new")
    (staging.path / "deep").mkdir()
    (staging.path / "deep" / "file").write_text("new")
    place_directory(staging, here / "target", here / "target.pre_restore")
"""
NO_EXCHANGE = "renameat2:error=EINVAL"


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    """An empty destination."""
    (tmp_path / "dest").mkdir()
    return tmp_path / "dest"


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    """The claims of this test's user."""
    return Claims(tmp_path / "state" / "claims")


def leftovers(here: Path) -> list[Path]:
    """Every temporary thing and every claim that is still there."""
    named = [path for path in here.rglob("*") if TEMPORARY_NAME.fullmatch(path.name)]
    return named + list((here / "state" / "claims").glob("*"))


def fresh(here: Path, *, old: bool) -> None:
    """Make `here` a destination again, and a target, with an old state where `old`."""
    shutil.rmtree(here, ignore_errors=True)
    (here / "dest").mkdir(parents=True)
    if old:
        (here / "dest" / "a.age").write_bytes(b"old")
        (here / "target" / "deep").mkdir(parents=True)
        (here / "target" / "deep" / "file").write_text("old")
        (here / "target" / "file").write_text("old")


def state(directory: Path) -> str | None:
    """Say whether a whole "old" or "new" state lies in `directory`; None where it is absent."""
    if not directory.exists():
        return None
    found = {(directory / name).read_text() for name in ("file", "deep/file")}
    assert len(found) == 1, "a mixture"
    assert sorted(os.listdir(directory)) == ["deep", "file"]
    return found.pop()


def test_a_published_file_is_private_and_whole(dest: Path, claims: Claims) -> None:
    """A file appears only at the end, complete, readable by its owner alone, whatever the umask."""
    umask = os.umask(0o777)
    try:
        with publication(dest, "a.age", claims, replace=False) as draft:
            os.write(draft.descriptor, b"content")
            assert not (dest / "a.age").exists()
            assert os.pread(draft.descriptor, 7, 0) == b"content"
            assert TEMPORARY_NAME.fullmatch(draft.path.name)
    finally:
        os.umask(umask)
    assert os.listdir(dest) == ["a.age"]
    assert (dest / "a.age").read_bytes() == b"content"
    assert stat.S_IMODE((dest / "a.age").stat().st_mode) == 0o600
    assert not leftovers(dest.parent)


def test_an_exception_leaves_the_old_file(dest: Path, claims: Claims) -> None:
    """Whatever fails while a file is written, the file of that name stays and nothing else."""
    (dest / "a.age").write_bytes(b"old")
    with (
        pytest.raises(KeyboardInterrupt),
        publication(dest, "a.age", claims, replace=True) as draft,
    ):
        os.write(draft.descriptor, b"half")
        raise KeyboardInterrupt
    assert (dest / "a.age").read_bytes() == b"old"
    assert os.listdir(dest) == ["a.age"]
    assert not leftovers(dest.parent)


def test_nothing_is_replaced_unless_asked(dest: Path, claims: Claims) -> None:
    """A file that appeared meanwhile under the archive's name is kept, and the run refused."""
    with (
        pytest.raises(RefusedError, match=r"a\.age exists already"),
        publication(dest, "a.age", claims, replace=False),
    ):
        (dest / "a.age").write_bytes(b"somebody else's")
    assert (dest / "a.age").read_bytes() == b"somebody else's"
    assert not leftovers(dest.parent)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "../a", "a\0b"])
def test_a_name_is_one_name(dest: Path, claims: Claims, name: str) -> None:
    """Nothing is ever written outside of the directory that was named."""
    with (
        pytest.raises(UsageError, match="cannot be a file's name"),
        publication(dest, name, claims, replace=True),
    ):
        pytest.fail("nothing may be begun")


def test_an_absent_directory_is_not_found(tmp_path: Path, claims: Claims) -> None:
    """A destination that is not there is never made silently: the drive may not be mounted."""
    with (
        pytest.raises(NotFoundError, match="does not exist"),
        publication(tmp_path / "none", "a", claims, replace=True),
    ):
        pytest.fail("nothing may be begun")


def test_a_file_is_no_directory(tmp_path: Path, claims: Claims) -> None:
    """A destination that is a file is said to be none."""
    (tmp_path / "file").touch()
    with (
        pytest.raises(FailedError, match="Not a directory"),
        publication(tmp_path / "file", "a", claims, replace=True),
    ):
        pytest.fail("nothing may be begun")


def _replaced(dest: Path) -> None:
    dest.rename(dest.with_name("moved"))
    dest.mkdir()


def _removed(dest: Path) -> None:
    shutil.rmtree(dest)


@pytest.mark.parametrize("meddle", [_replaced, _removed])
def test_a_directory_that_changed_is_noticed(
    dest: Path, claims: Claims, meddle: Callable[[Path], None]
) -> None:
    """Nothing counts as published where the destination is not what it was at the beginning."""
    with (
        pytest.raises(FailedError, match="replaced, unmounted or removed"),
        publication(dest, "a.age", claims, replace=False) as draft,
    ):
        os.write(draft.descriptor, b"content")
        meddle(dest)
    assert not list(dest.parent.rglob("a.age"))
    assert not [p for p in leftovers(dest.parent) if TEMPORARY_NAME.fullmatch(p.name)]


def test_a_draft_that_was_exchanged_is_noticed(dest: Path, claims: Claims) -> None:
    """Somebody who can write to the destination cannot have a file of theirs published as ours."""
    with (
        pytest.raises(FailedError, match="temporary file"),
        publication(dest, "a.age", claims, replace=False) as draft,
    ):
        draft.path.unlink()
        draft.path.write_bytes(b"theirs")
    assert not (dest / "a.age").exists()


def test_an_unmounted_drive_is_noticed(tmp_path: Path) -> None:
    """A drive that is unmounted during the run gets no file, nor does the directory under it."""
    fresh(tmp_path, old=False)
    done = run(
        """
        import subprocess
        subprocess.run(["mount", "-t", "tmpfs", "none", here / "dest"], check=True)
        with publication(here / "dest", "a.age", claims, replace=False) as draft:
            os.write(draft.descriptor, b"content")
            subprocess.run(["umount", "-l", here / "dest"], check=True)
        """,
        tmp_path,
        under=OWN_MOUNTS,
    )
    assert done.stdout.startswith("FailedError The directory"), done
    assert "unmounted" in done.stdout
    assert not os.listdir(tmp_path / "dest")


def test_a_full_disk_is_said_with_its_name(tmp_path: Path) -> None:
    """A destination without space is named, and what was written there is gone again."""
    fresh(tmp_path, old=False)
    done = run(
        """
        import subprocess
        subprocess.run(["mount", "-t", "tmpfs", "-osize=64k", "none", here / "dest"], check=True)
        try:
            with publication(here / "dest", "a.age", claims, replace=False) as draft:
                while True:
                    draft.write(bytes(4096))
        finally:
            print(os.listdir(here / "dest"), os.listdir(here / "state" / "claims"))
        """,
        tmp_path,
        under=OWN_MOUNTS,
    )
    assert done.stdout == f"[] []\nFailedError The disk of {tmp_path}/dest is full.\n", done


def test_a_read_only_destination_is_said(tmp_path: Path) -> None:
    """A destination that can only be read is named as such."""
    fresh(tmp_path, old=False)
    done = run(
        """
        import subprocess
        subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", here / "dest"], check=True)
        with publication(here / "dest", "a.age", claims, replace=False):
            pass
        """,
        tmp_path,
        under=OWN_MOUNTS,
    )
    assert done.stdout == f"FailedError {tmp_path}/dest can only be read.\n", done


def test_a_forbidden_destination_is_said(tmp_path: Path) -> None:
    """A destination where this user may not write is named, with the reason."""
    fresh(tmp_path, old=False)
    for path in (*tmp_path.parents, tmp_path):
        if path.stat().st_uid == os.geteuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o055)
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    done = run(
        """
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        else:
            os.chmod(here / "dest", 0o500)
        with publication(here / "dest", "a.age", claims, replace=False):
            pass
        """,
        tmp_path,
    )
    assert done.stdout == f"FailedError Writing in {tmp_path}/dest is not allowed.\n", done


def test_order_of_durability(tmp_path: Path) -> None:
    """The content is on the disk before the name, and the name before success is reported."""
    fresh(tmp_path, old=False)
    made = calls(PUBLISH.format(replace=False), tmp_path)
    text = "\n".join(made)
    dest = re.escape(str(tmp_path / "dest"))
    order = [
        rf"fsync\(\d+<{re.escape(str(tmp_path))}/state/claims/\w+\.json>\)",
        rf"fsync\(\d+<{dest}/\.~agebackup-\w+\.nosync\.tmp>\)",
        rf"renameat2\(\d+<{dest}>, .*, \"a\.age\", RENAME_NOREPLACE\)",
        rf"fsync\(\d+<{dest}>\)",
        r"unlink\(.*/state/claims/\w+\.json\"",
    ]
    found = [re.search(pattern, text) for pattern in order]
    assert all(found), (order, text)
    places = [match.start() for match in found if match]
    assert places == sorted(places), text


@pytest.mark.parametrize("replace", [False, True])
def test_killed_at_any_call_a_file_is_old_or_new(tmp_path: Path, *, replace: bool) -> None:
    """After SIGKILL at any step, and the next run's sweep, a file is whole, old or new."""
    scenario, here = PUBLISH.format(replace=replace), tmp_path / "here"
    fresh(here, old=replace)
    before = b"old" if replace else None
    for point in kill_points(calls(scenario, here)):
        fresh(here, old=replace)
        done = run(scenario, here, under=fault(point))
        file = here / "dest" / "a.age"
        content = file.read_bytes() if file.exists() else None
        assert content in ([NEW] if done.stdout else [before, NEW]), point
        Claims(here / "state" / "claims").sweep()
        assert not leftovers(here), point
        assert (file.read_bytes() if file.exists() else None) == content, point


@pytest.mark.parametrize("replace", [False, True])
def test_a_failed_fsync_publishes_nothing(tmp_path: Path, *, replace: bool) -> None:
    """A disk that reports a failed write is believed the first time: the old state stays."""
    scenario, here = PUBLISH.format(replace=replace), tmp_path / "here"
    fresh(here, old=replace)
    made = [call for call in calls(scenario, here) if call.startswith("fsync")]
    for number, call in enumerate(made, 1):
        fresh(here, old=replace)
        done = run(scenario, here, under=fault(f"fsync:error=EIO:when={number}"))
        assert done.stdout.startswith("FailedError The disk of"), (call, done)
        names = os.listdir(here / "dest")
        assert names == (["a.age"] if replace else []), call
        if replace:
            assert (here / "dest" / "a.age").read_bytes() == b"old"
        assert not leftovers(here), call


@pytest.mark.parametrize("error", ["ENOSPC", "EDQUOT", "EIO", "EROFS", "EINTR"])
@pytest.mark.parametrize("call", ["write", "renameat2", "fchmod"])
def test_a_refusing_disk_leaves_nothing(tmp_path: Path, call: str, error: str) -> None:
    """Whichever call the disk refuses with whatever reason, the old state is intact."""
    scenario, here = PUBLISH.format(replace=False), tmp_path / "here"
    for number in (1, 4):
        fresh(here, old=False)
        done = run(scenario, here, under=fault(f"{call}:error={error}:when={number}"))
        names = os.listdir(here / "dest")
        assert names == (["a.age"] if "done" in done.stdout else []), done
        assert "Traceback" not in done.stderr, done
        assert not leftovers(here)


def test_where_no_replacing_cannot_be_asked_for(tmp_path: Path) -> None:
    """On file systems without RENAME_NOREPLACE, or without links too, nothing is replaced."""
    here = tmp_path / "here"
    for faults in ((NO_EXCHANGE,), (NO_EXCHANGE, "linkat:error=EPERM")):
        for old in (False, True):
            fresh(here, old=old)
            done = run(PUBLISH.format(replace=False), here, under=fault(*faults))
            assert done.stdout.split()[0] == ("RefusedError" if old else "done"), done
            assert (here / "dest" / "a.age").read_bytes() == (b"old" if old else NEW)
            assert not leftovers(here)


def test_killed_between_link_and_unlink(tmp_path: Path) -> None:
    """A run that died while a file had two names leaves only the right one after the sweep."""
    here = tmp_path / "here"
    fresh(here, old=False)
    for number in (1, 2):
        kill = f"unlink:signal=SIGKILL:when={number}"
        fresh(here, old=False)
        run(PUBLISH.format(replace=False), here, under=fault(NO_EXCHANGE, kill))
        Claims(here / "state" / "claims").sweep()
        assert (here / "dest" / "a.age").read_bytes() == NEW
        assert not leftovers(here)


def test_a_small_file_is_written_durably(dest: Path, claims: Claims) -> None:
    """A small file is written like an archive, with the mode that was asked for."""
    write_durably(dest / "note", b"text", claims, mode=0o644, replace=False)
    assert (dest / "note").read_bytes() == b"text"
    assert stat.S_IMODE((dest / "note").stat().st_mode) == 0o644
    with pytest.raises(RefusedError):
        write_durably(dest / "note", b"other", claims, replace=False)
    write_durably(dest / "note", b"other", claims, replace=True)
    assert (dest / "note").read_bytes() == b"other"
    assert not leftovers(dest.parent)


@given(st.sampled_from(["", "restore", "create"]))
def test_temporary_names_are_recognised(label: str) -> None:
    """Every temporary name is one that sync clients skip and that the sweep knows again."""
    name = temporary_name(label)
    assert TEMPORARY_NAME.fullmatch(name)
    assert name.startswith(".~") and name.endswith(".nosync.tmp")
    assert not TEMPORARY_NAME.fullmatch(name + "x")
    assert not TEMPORARY_NAME.fullmatch("x" + name)


def test_a_directory_takes_the_place_of_an_empty_one(tmp_path: Path, claims: Claims) -> None:
    """A restore into a target that is absent or empty appears in one step."""
    for prepare in (Path.mkdir, lambda path: None):
        target = tmp_path / "target"
        prepare(target)
        with claimed_directory(tmp_path, claims, prefix="restore") as staging:
            (staging.path / "file").write_text("new")
            place_directory(staging, target, None)
        assert os.listdir(target) == ["file"]
        assert not leftovers(tmp_path)
        shutil.rmtree(target)


def _filled(target: Path) -> None:
    target.mkdir()
    (target / "file").touch()


def _linked(target: Path) -> None:
    target.symlink_to(target.parent)


@pytest.mark.parametrize(
    "prepare, why",
    [(_filled, "is not empty"), (Path.touch, "no directory|not a directory"), (_linked, "not a")],
)
def test_a_target_that_may_not_be_replaced(
    tmp_path: Path, claims: Claims, prepare: Callable[[Path], None], why: str
) -> None:
    """A full directory without leave to keep it aside, a file and a link are refused, untouched."""
    target = tmp_path / "target"
    prepare(target)
    before = target.lstat()
    with (
        pytest.raises(RefusedError, match=why),
        claimed_directory(tmp_path, claims, prefix="restore") as staging,
    ):
        place_directory(staging, target, None)
    assert target.lstat() == before
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("faults", [(), (NO_EXCHANGE,)], ids=["exchange", "two renames"])
def test_the_old_state_is_kept(tmp_path: Path, faults: tuple[str, ...]) -> None:
    """A replaced directory lies whole beside the new one, whatever the file system can do."""
    here = tmp_path / "here"
    fresh(here, old=True)
    done = run(PLACE, here, under=fault(*faults))
    assert done.stdout == "done\n", done
    assert (state(here / "target"), state(here / "target.pre_restore")) == ("new", "old")
    assert not leftovers(here)


@pytest.mark.parametrize("faults", [(), (NO_EXCHANGE,)], ids=["exchange", "two renames"])
def test_killed_at_any_call_a_directory_is_old_or_new(
    tmp_path: Path, faults: tuple[str, ...]
) -> None:
    """After SIGKILL at any step, and the sweep, the target is old, or new with the old one kept."""
    here = tmp_path / "here"
    fresh(here, old=True)
    ends = set()
    made = calls(PLACE, here, *faults)
    points = [p for p in kill_points(made) if not (faults and p.startswith("renameat2"))]
    for point in points:
        fresh(here, old=True)
        run(PLACE, here, under=fault(*faults, point))
        if not faults:
            assert state(here / "target") is not None, point
        Claims(here / "state" / "claims").sweep()
        end = (state(here / "target"), state(here / "target.pre_restore"))
        assert end in {("old", None), ("new", "old")}, point
        assert not leftovers(here), point
        ends.add(end)
    assert len(ends) == 2


def test_a_failed_swap_puts_the_old_state_back(tmp_path: Path) -> None:
    """Where the second of two renames fails, the first is undone and the target is as before."""
    here = tmp_path / "here"
    fresh(here, old=True)
    made = [call for call in calls(PLACE, here, NO_EXCHANGE) if call.startswith("rename(")]
    for number in range(1, len(made) + 1):
        fresh(here, old=True)
        failing = f"rename:error=EIO:when={number}"
        done = run(PLACE, here, under=fault(NO_EXCHANGE, failing))
        assert done.stdout.startswith("FailedError"), done
        assert (state(here / "target"), state(here / "target.pre_restore")) == ("old", None)
        assert not leftovers(here)


@pytest.mark.parametrize("old", [False, True])
def test_a_parent_that_cannot_be_synced_undoes_the_swap(tmp_path: Path, *, old: bool) -> None:
    """Where the disk fails to keep the new names, the old state is put back in its place."""
    here = tmp_path / "here"
    fresh(here, old=old)
    made = [call for call in calls(PLACE, here) if call.startswith("fsync")]
    fresh(here, old=old)
    done = run(PLACE, here, under=fault(f"fsync:error=EIO:when={len(made)}"))
    assert done.stdout.startswith("FailedError The disk of"), done
    assert state(here / "target") == ("old" if old else None)
    assert state(here / "target.pre_restore") is None
    assert not leftovers(here)


def test_a_taken_name_for_the_old_state_is_refused(tmp_path: Path, claims: Claims) -> None:
    """An older kept state is never overwritten by the next one."""
    fresh(tmp_path, old=True)
    shutil.copytree(tmp_path / "target", tmp_path / "kept")
    with (
        pytest.raises(RefusedError, match="kept exists already"),
        claimed_directory(tmp_path, claims, prefix="restore") as staging,
    ):
        (staging.path / "file").touch()
        place_directory(staging, tmp_path / "target", tmp_path / "kept")
    assert state(tmp_path / "kept") == state(tmp_path / "target") == "old"
    assert not leftovers(tmp_path)


def test_rename_new_never_replaces(tmp_path: Path) -> None:
    """A rename that must not replace refuses files, links and directories alike."""
    (tmp_path / "a").touch()
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "directory").mkdir()
    for name in ("link", "directory", "a"):
        with pytest.raises(FileExistsError):
            rename_new(tmp_path / "a", tmp_path / name)
    rename_new(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").exists() and not (tmp_path / "a").exists()


def test_every_refusal_is_a_sentence_with_a_hint(tmp_path: Path) -> None:
    """Whatever a disk says, the person reads a sentence that names the place, and a hint."""
    for number in range(1, 134):
        error = failure(OSError(number, os.strerror(number)), tmp_path)
        assert str(tmp_path) in error.message and error.message.endswith(".")
        assert error.hint


def test_an_error_of_somebody_elses_file_is_not_blamed_on_the_disk(tmp_path: Path) -> None:
    """What fails to be read while a draft is written is not said of the destination."""
    with (
        pytest.raises(OSError, match="read"),
        publication(tmp_path, "a", Claims(tmp_path / "state"), replace=False),
    ):
        raise OSError(errno.EIO, "an attachment cannot be read")
