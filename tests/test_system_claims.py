"""Claims: what a dead run left is removed, what anybody else has is not."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from system_faults import OWN_MOUNTS, fault, run, start

from agebackup.errors import FailedError
from agebackup.system.claims import Claim, Claims
from agebackup.system.descent import folders_below
from agebackup.system.durable import temporary_name

pytestmark = pytest.mark.linux

STATE = Path("state") / "claims"
HOLD = """
with private_directory(here / "work", claims, prefix="create") as private:
    (private / "deep" / "er").mkdir(parents=True)
    (private / "deep" / "er" / "secret").write_text("plaintext")
    (private / "link").symlink_to(here / "precious")
    print(private, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A place with something precious beside what is temporary."""
    (tmp_path / "work").mkdir()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("precious")
    return tmp_path


@contextmanager
def living(scenario: str, here: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Run `scenario` until it waits for its stdin; yield it and the line that it said."""
    with start(scenario, here, stdin=subprocess.PIPE) as process:
        assert process.stdout
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def died(scenario: str, here: Path) -> str:
    """Run `scenario` until it waits, kill it with SIGKILL, and return the line that it said."""
    with living(scenario, here) as (process, said):
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    return said


def written(here: Path, **record: object) -> Path:
    """Leave a claim as a dead run would have."""
    (here / STATE).mkdir(parents=True, exist_ok=True)
    file = here / STATE / "0123456789abcdef.json"
    record.setdefault("folder", Path(str(record["path"])).parent.stat().st_ino)
    file.write_text(json.dumps(record) + "\n")
    return file


def test_what_a_killed_run_left_is_removed(here: Path) -> None:
    """Private copies of a run that was killed are gone after the next sweep, and it is said."""
    private = died(HOLD, here)
    assert (Path(private) / "deep" / "er" / "secret").exists()
    assert Claims(here / STATE).sweep() == (f"Removed {private}, left by a run that was cut off.",)
    assert not os.listdir(here / "work")
    assert not os.listdir(here / STATE)
    assert (here / "precious" / "file").read_text() == "precious"


def test_what_a_living_run_holds_is_left_alone(here: Path) -> None:
    """A sweep removes what the dead left while another run is at work, and nothing of that one."""
    dead = died(HOLD, here)
    with living(HOLD, here) as (process, private):
        (words,) = Claims(here / STATE).sweep()
        assert dead in words
        assert (Path(private) / "deep" / "er" / "secret").read_text() == "plaintext"
        assert len(os.listdir(here / STATE)) == 1
        out, _ = process.communicate("")
    assert out == "done\n"
    assert not os.listdir(here / "work") and not os.listdir(here / STATE)


def test_a_forked_worker_keeps_no_claim(here: Path) -> None:
    """A worker that outlives its parent for a moment does not keep the dead run's claim."""
    scenario = """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with private_directory(here / "work", claims, prefix="create") as private:
        reading, writing = os.pipe()
        worker = Worker.start(lambda: {"": os.read(reading, 1)}, keep=[reading, writing])
        print(private, flush=True)
        sys.stdin.read()
    """
    private = died(scenario, here)
    assert private in Claims(here / STATE).sweep()[0]


def test_a_claim_ends_with_its_body(here: Path) -> None:
    """A claimed file is removed at the end, unless it was released; the claim always is."""
    claims = Claims(here / STATE)
    for release in (False, True):
        with claims.claim(here / "work" / temporary_name()) as claim:
            claim.path.write_text("content")
            claim.identify()
            if release:
                claim.release()
        assert claim.path.exists() == release
        assert not os.listdir(here / STATE)


def test_a_folder_that_could_not_be_looked_at_at_first(here: Path) -> None:
    """A claim on what lies there all the same ends with its body, and is not left for ever."""
    claims, folder = Claims(here / STATE), here / "late"
    with claims.claim(folder / temporary_name()) as claim:
        folder.mkdir()
        claim.path.write_text("a draft")
        claim.identify()
        claim.path.unlink()
    assert not list((here / STATE).iterdir())


def test_only_our_own_names_can_be_claimed(here: Path) -> None:
    """Nothing with a name that a person could have given can ever be claimed, and so removed."""
    with pytest.raises(ValueError, match="our own"), Claims(here / STATE).claim(here / "precious"):
        pytest.fail("no such claim")


def _another_directory(path: Path) -> None:
    path.mkdir()
    (path / "file").write_text("somebody else's")


def _a_link(path: Path) -> None:
    path.symlink_to(path.parent.parent / "precious")


@pytest.mark.parametrize("made", [None, 1])
@pytest.mark.parametrize("prepare", [_another_directory, _a_link])
def test_what_is_not_ours_stays(
    here: Path, prepare: Callable[[Path], None], made: int | None
) -> None:
    """What the dead run did not make stays, whatever its name; links are not followed."""
    path = here / "work" / temporary_name()
    prepare(path)
    written(here, path=str(path), made=made)
    assert Claims(here / STATE).sweep() == ()
    assert os.path.lexists(path)
    assert (here / "precious" / "file").read_text() == "precious"
    assert not os.listdir(here / STATE)


def test_a_draft_on_a_drive_that_numbers_anew_is_removed(here: Path) -> None:
    """A half archive on a FAT stick is removed although its inode changed with the mount."""
    path = here / "work" / temporary_name()
    path.write_text("half")
    written(here, path=str(path), made=1)
    assert len(Claims(here / STATE).sweep()) == 1
    assert not path.exists()


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir])
def test_what_was_made_but_not_recorded_is_removed_if_empty(
    here: Path, make: Callable[[Path], None]
) -> None:
    """A run that died between making a thing and recording it leaves nothing either."""
    path = here / "work" / temporary_name()
    make(path)
    written(here, path=str(path))
    assert len(Claims(here / STATE).sweep()) == 1
    assert not path.exists()


def test_a_drive_that_is_away_is_swept_when_it_is_back(here: Path) -> None:
    """What a dead run left on a drive is removed by the first run that finds the drive again."""
    (here / "drive").mkdir()
    died(HOLD.replace('"work"', '"drive"'), here)
    claims = Claims(here / STATE)
    (here / "drive").rename(here / "elsewhere")
    assert claims.sweep() == ()
    (here / "drive").mkdir()
    assert claims.sweep() == ()
    (here / "drive").rmdir()
    (here / "elsewhere").rename(here / "drive")
    assert len(claims.sweep()) == 1
    assert not os.listdir(here / "drive") and not os.listdir(here / STATE)


def test_what_cannot_be_removed_stays_claimed(here: Path) -> None:
    """A sweep that cannot remove something says so, does the rest, and the next one tries again."""
    done = run(
        """
        import subprocess
        (here / "disk").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "none", here / "disk"], check=True)
        pids = []
        for parent in (here / "disk", here / "work"):
            pid = os.fork()
            if pid == 0:
                with private_directory(parent, claims, prefix="create"):
                    os.kill(os.getpid(), signal.SIGKILL)
            os.waitpid(pid, 0)
        subprocess.run(["mount", "-o", "remount,ro", here / "disk"], check=True)
        for _ in range(2):
            for words in claims.sweep():
                print(words)
        subprocess.run(["mount", "-o", "remount,rw", here / "disk"], check=True)
        print(len(claims.sweep()), os.listdir(here / "disk"))
        """,
        here,
        under=OWN_MOUNTS,
    )
    lines = done.stdout.splitlines()
    assert sum("removing it failed: Read-only file system" in line for line in lines) == 2, done
    assert sum(line.startswith("Removed") for line in lines) == 1
    assert lines[-2:] == ["1 []", "done"]
    assert not os.listdir(here / "work")


DEEP = """
with private_directory(here / "work", claims, prefix="create") as private:
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    below = os.open(private, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=below)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=below))
        os.symlink(here / "precious", "link", dir_fd=below)
        deeper = os.open("d", os.O_RDONLY, dir_fd=below)
        os.close(below)
        below = deeper
    os.close(below)
"""
SWEEP = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
print(len(claims.sweep()))
"""


def test_a_tree_of_any_depth_is_removed(here: Path) -> None:
    """A hostile archive's 3000 nested directories go like any others, at `ulimit -n 64`."""
    assert run(DEEP, here).stdout == "done\n"
    assert not os.listdir(here / "work") and not os.listdir(here / STATE)
    done = run(DEEP + "    os.kill(os.getpid(), signal.SIGKILL)\n", here)
    assert done.returncode == -signal.SIGKILL
    assert len(os.listdir(here / "work")) == 1
    assert run(SWEEP, here).stdout == "1\ndone\n"
    assert not os.listdir(here / "work") and not os.listdir(here / STATE)
    assert (here / "precious" / "file").read_text() == "precious"


def test_a_directory_moved_away_while_it_is_removed_is_not_followed(here: Path) -> None:
    """The way back up from a directory is only taken where it leads to where it came from."""
    for name in ("a/b/c", "elsewhere"):
        (here / name).mkdir(parents=True)
    top = os.open(here / "a", os.O_RDONLY)
    folders = folders_below(top)
    assert next(folders).files == []
    (here / "a" / "b" / "c").rename(here / "elsewhere" / "c")
    with pytest.raises(OSError, match="moved"):
        next(folders)
    os.close(top)


def test_what_cannot_be_removed_at_the_end_is_said_by_the_next_run(here: Path) -> None:
    """A run that cannot remove its private copies ends all the same; the next sweep tells."""
    done = run(
        """
        import subprocess
        with private_directory(here / "work", claims, prefix="create") as private:
            (private / "disk").mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "none", private / "disk"], check=True)
        print(*claims.sweep(), len(os.listdir(here / "state" / "claims")))
        subprocess.run(["umount", private / "disk"], check=True)
        print(len(claims.sweep()), os.listdir(here / "work"))
        """,
        here,
        under=OWN_MOUNTS,
    )
    first, second, _ = done.stdout.splitlines()
    assert "is left over; removing it failed: another file system is mounted in it" in first, done
    assert first.endswith(" 1") and second == "1 []"


def _a_loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, _a_loop, os.mkfifo])
def test_what_is_no_claim_does_not_stop_a_run(here: Path, make: Callable[[Path], None]) -> None:
    """An odd entry among the claims is said in a sentence, and everything else is swept.

    The file stands for one of another user's, which cannot be opened.
    """
    died(HOLD, here)
    for file in (here / STATE).iterdir():
        file.rename(file.with_name("zzz.json"))
    odd = here / STATE / "aaa.json"
    make(odd)
    under = (*fault("openat:error=EACCES"), "-P", str(odd)) if make is Path.touch else ()
    first, second, _ = run(
        "print(*claims.sweep(), sep='\\n')", here, under=under
    ).stdout.splitlines()
    assert f"{odd} cannot be taken for a claim: " in first
    assert second.startswith("Removed ")
    assert os.listdir(here / STATE) == ["aaa.json"]


@pytest.mark.parametrize(
    "record", [{"path": "/a\0/NAME"}, {"path": "NAME", "made": 1, "target": 3}]
)
def test_a_claim_with_impossible_values_does_not_stop_a_run(
    here: Path, record: dict[str, object]
) -> None:
    """Whatever a claim file holds, a sweep ends with a sentence at most."""
    file = written(here, path=str(here / temporary_name()))
    path = str(record["path"]).replace("NAME", temporary_name())
    file.write_text(json.dumps(record | {"path": path, "kept": "a", "folder": 1}) + "\n")
    assert len(Claims(here / STATE).sweep()) <= 1


def test_leftovers_below_a_linked_directory_leave_no_claim(here: Path) -> None:
    """Where the destination is a link to a directory, claims of dead runs are forgotten as well."""
    (here / "linked").symlink_to(here / "work")
    private = died(HOLD.replace('"work"', '"linked"'), here)
    shutil.rmtree(private)
    assert Claims(here / STATE).sweep() == ()
    assert not os.listdir(here / STATE)


def test_an_interrupted_listing_is_made_again(here: Path) -> None:
    """A signal that strikes while the claims are opened does not fail the run."""
    died(HOLD, here)
    claims = here / STATE
    under = (*fault("openat:error=EINTR:when=1"), "-P", str(claims))
    assert run("print(len(claims.sweep()))", here, under=under).stdout == "1\ndone\n"


def test_two_sweeps_at_once_agree(here: Path) -> None:
    """Runs that start at the same moment share the cleaning up without failing each other."""
    for _ in range(3):
        died(HOLD, here)
    sweep = 'print(len(claims.sweep()), end=" ", flush=True)'
    both = [start(sweep, here) for _ in range(2)]
    outs = [process.communicate()[0].split() for process in both]
    assert all(out[1:] == ["done"] for out in outs)
    assert sum(int(out[0]) for out in outs) == 3
    assert not os.listdir(here / "work") and not os.listdir(here / STATE)


def test_a_claim_made_while_others_sweep_holds(here: Path) -> None:
    """A claim that is made while another process sweeps all the time is never lost."""
    sweeping = """
    print("ready", flush=True)
    while (here / "work").exists():
        claims.sweep()
    """
    claims = Claims(here / STATE)
    with living(sweeping, here) as (process, _):
        for _ in range(200):
            with claims.claim(here / "work" / temporary_name()) as claim:
                assert len(os.listdir(here / STATE)) == 1
                claim.path.touch()
                claim.identify()
                assert claim.path.exists()
        shutil.rmtree(here / "work")
        assert process.wait(timeout=30) == 0


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 400), junk=st.binary(max_size=40))
def test_a_torn_claim_does_no_harm(
    cut: int, junk: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A claim file that a power cut tore at any byte, or garbage, never makes a sweep fail."""
    here = tmp_path_factory.mktemp("torn")
    (here / "work").mkdir()
    path = here / "work" / temporary_name()
    path.mkdir()
    (path / "file").touch()
    first = written(here, path=str(path)).read_bytes()
    file = written(here, path=str(path), made=path.stat().st_ino)
    whole = first + file.read_bytes()
    file.write_bytes(whole[:cut] + junk)
    Claims(here / STATE).sweep()
    assert path.exists() == (cut < len(whole))
    assert not os.listdir(here / STATE)


@pytest.mark.parametrize("path", ["precious", 3, None, ["a"], "\0"])
def test_a_claim_on_anything_else_is_none(here: Path, path: object) -> None:
    """A claim file that names what was never ours has no effect, whoever wrote it."""
    if path == "precious":
        path = str(here / "precious")
    made = (here / "precious").stat().st_ino
    (here / STATE).mkdir(parents=True)
    record = {"path": path, "folder": here.stat().st_ino, "made": made}
    (here / STATE / "0123456789abcdef.json").write_text(json.dumps(record) + "\n[1]\n{}\n")
    assert Claims(here / STATE).sweep() == ()
    assert (here / "precious" / "file").exists()


def test_no_claims_no_sweep(tmp_path: Path) -> None:
    """The very first run sweeps nothing and makes nothing."""
    assert Claims(tmp_path / "state").sweep() == ()
    assert not os.listdir(tmp_path)


def test_a_state_directory_that_is_none(tmp_path: Path) -> None:
    """Where claims cannot be kept nothing temporary is made, and the reason is said."""
    (tmp_path / "state").touch()
    with pytest.raises(FailedError, match="Not a directory"):
        Claims(tmp_path / "state").sweep()
    with (
        pytest.raises(FailedError, match="state"),
        Claims(tmp_path / "state").claim(tmp_path / temporary_name()),
    ):
        pytest.fail("nothing may be begun")


class Swap:
    """A swap that was cut off, taken apart: new, old, and what lies where."""

    def __init__(self, here: Path) -> None:
        self.here = here
        self.new, self.old = here / "new", here / "old"
        self.staging = here / temporary_name("restore")
        self.target, self.kept = here / "target", here / "target.pre_restore"
        for directory in (self.new, self.old):
            directory.mkdir()
            (directory / "file").write_text(directory.name)
        written(
            here,
            path=str(self.staging),
            made=self.new.stat().st_ino,
            target=str(self.target),
            kept=str(self.kept),
            old=self.old.stat().st_ino,
        )

    def found(self) -> dict[str, str]:
        """Return the content under each name that exists."""
        places = {"staging": self.staging, "target": self.target, "kept": self.kept}
        return {n: (p / "file").read_text() for n, p in places.items() if p.exists()}


def test_a_swap_that_had_not_begun_is_undone(tmp_path: Path) -> None:
    """A run that died before its swap leaves the old state in its place and nothing beside it."""
    for name in ("staging", "kept"):
        (tmp_path / name).mkdir()
        swap = Swap(tmp_path / name)
        swap.new.rename(getattr(swap, name))
        swap.old.rename(swap.target)
        assert len(Claims(swap.here / STATE).sweep()) == 1
        assert swap.found() == {"target": "old"}
        assert not os.listdir(swap.here / STATE)


def test_a_swap_that_was_half_done_is_finished(tmp_path: Path) -> None:
    """A run that died between its two renames is brought to its end by the next one."""
    swap = Swap(tmp_path)
    swap.new.rename(swap.staging)
    swap.old.rename(swap.kept)
    (words,) = Claims(tmp_path / STATE).sweep()
    assert "is complete" in words and str(swap.kept) in words
    assert swap.found() == {"target": "new", "kept": "old"}
    assert not os.listdir(tmp_path / STATE)


def test_a_swap_that_was_done_keeps_the_old_state(tmp_path: Path) -> None:
    """The old state is never taken for leftovers, although the claim names its place."""
    swap = Swap(tmp_path)
    swap.new.rename(swap.target)
    swap.old.rename(swap.kept)
    (words,) = Claims(tmp_path / STATE).sweep()
    assert str(swap.kept) in words
    assert swap.found() == {"target": "new", "kept": "old"}
    assert not os.listdir(tmp_path / STATE)


def test_a_swap_that_is_history_is_forgotten(tmp_path: Path) -> None:
    """Where nothing temporary is left of a swap, both states are left in peace."""
    swap = Swap(tmp_path)
    swap.new.rename(tmp_path / "elsewhere")
    swap.old.rename(swap.kept)
    swap.target.mkdir()
    (swap.target / "file").write_text("later")
    assert Claims(tmp_path / STATE).sweep() == ()
    assert swap.found() == {"target": "later", "kept": "old"}
    assert not os.listdir(tmp_path / STATE)


def test_a_swap_that_others_meddled_with_is_left_to_the_person(tmp_path: Path) -> None:
    """Where the application made a new target meanwhile, all three stay, and the person is told."""
    swap = Swap(tmp_path)
    swap.new.rename(swap.staging)
    swap.old.rename(swap.kept)
    swap.target.mkdir()
    (swap.target / "file").write_text("the application's")
    for _ in range(2):
        (words,) = Claims(tmp_path / STATE).sweep()
        assert str(swap.kept) in words and str(swap.staging) in words
        assert swap.found() == {"staging": "new", "target": "the application's", "kept": "old"}


def test_names_of_any_kind_are_recorded(tmp_path: Path) -> None:
    """A temporary thing in a directory whose name is no text at all is found again as well."""
    odd = tmp_path / os.fsdecode(b"\xff\n\x1b[31m")
    odd.mkdir()
    died(HOLD.replace('here / "work"', f"Path({str(odd)!r})"), tmp_path)
    (words,) = Claims(tmp_path / STATE).sweep()
    assert words.isprintable()
    assert not os.listdir(odd)


def test_a_claim_says_what_it_holds(here: Path) -> None:
    """The record of a claim is complete on the disk as soon as the thing is made."""
    claims = Claims(here / STATE)
    with claims.claim(here / "work" / temporary_name()) as claim:
        assert isinstance(claim, Claim)
        claim.path.touch()
        claim.identify()
        (file,) = (here / STATE).iterdir()
        record = json.loads(file.read_text().splitlines()[-1])
        assert record["path"] == str(claim.path)
        assert record["made"] == claim.path.stat().st_ino
        assert file.stat().st_mode & 0o777 == 0o600


def test_what_lay_in_a_temporary_directory_went_along(tmp_path: Path) -> None:
    """A claim on something in a claimed directory does not outlive it, whichever is swept first."""
    scenario = """
    with claimed_directory(here, claims, prefix="restore") as outer:
        with claimed_directory(outer.path, claims, prefix="databases"):
            os.kill(os.getpid(), signal.SIGKILL)
    """
    for _ in range(6):  # the order is that of random names
        run(scenario, tmp_path)
        Claims(tmp_path / "state" / "claims").sweep()
        assert not list((tmp_path / "state" / "claims").iterdir())
        assert not list(tmp_path.glob(".~*"))
