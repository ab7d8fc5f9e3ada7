"""clean: what dead runs left goes, what lives stays, and disagreements are listed."""

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import Keys, World
from sample_app import SampleApp
from shelf import named, shelf
from waiting import until_locked

from agebackup.operations.clean import CleanOrder, clean
from agebackup.system.claims import Claims

PRIVATE = ".~agebackup-create-0123456789abcdef.nosync.tmp"


def created(world: World, app: SampleApp, keys: Keys) -> Path:
    done = world.run(
        "create", *app.create_arguments, "--to", "out", "--mkdir", "-r", keys.recipient
    )
    assert done.code == 0, done.err
    return Path(done.out.strip())


def test_an_orphaned_private_copy_goes(world: World, app: SampleApp, keys: Keys) -> None:
    """A copy in plaintext that no run knows of is removed, and before that only shown."""
    created(world, app, keys)
    (world.cache / PRIVATE).mkdir(parents=True)
    (world.cache / PRIVATE / "copy.db").write_text("plaintext")
    (world.cache / "something else").write_text("mine")
    shown = world.run("clean", "--dry-run")
    assert PRIVATE in shown.out and (world.cache / PRIVATE).exists()
    done = world.run("clean")
    assert PRIVATE in done.out and not (world.cache / PRIVATE).exists()
    assert (world.cache / "something else").exists()
    assert "nothing to clean" in world.run("clean").out


def test_what_a_claim_names_stays(world: World, app: SampleApp, keys: Keys) -> None:
    """What a living run has claimed is never touched."""
    created(world, app, keys)
    claims = Claims(world.state / "claims")
    with claims.claim(world.cache / PRIVATE) as claim:
        claim.path.mkdir()
        claim.identify()
        done = world.run("clean")
        assert done.code == 0 and PRIVATE not in done.out
        assert (world.cache / PRIVATE).exists()


def test_the_draft_of_a_living_run_is_not_called_anothers(
    world: World, app: SampleApp, keys: Keys
) -> None:
    """While a run of this machine writes, nobody is told to remove what it writes."""
    draft = created(world, app, keys).with_name(PRIVATE)
    with Claims(world.state / "claims").claim(draft) as claim:
        draft.write_bytes(b"half")
        claim.identify()
        for words in ((), ("--dry-run",), ("--to", "out")):
            done = world.run("clean", *words)
            assert done.code == 0 and PRIVATE not in done.out + done.err
        assert draft.exists()


def test_what_a_dead_run_left_is_listed_once(world: World, app: SampleApp, keys: Keys) -> None:
    """A dry run names each file that would go once, the draft beside the archives too."""
    draft = created(world, app, keys).with_name(PRIVATE)
    script = (
        "import os, sys; from pathlib import Path; from agebackup.system.claims import Claims\n"
        "with Claims(Path(sys.argv[1])).claim(Path(sys.argv[2])) as claim:\n"
        "    claim.path.write_bytes(b'half'); claim.identify(); os._exit(0)\n"
    )
    claims = str(world.state / "claims")
    subprocess.run([sys.executable, "-c", script, claims, str(draft)], check=True)
    assert world.run("clean", "--dry-run").out.count(PRIVATE) == 1 and draft.exists()
    assert world.run("clean").out.count(PRIVATE) == 1 and not draft.exists()


def test_what_a_killed_run_left_goes(world: World, app: SampleApp, keys: Keys) -> None:
    """After SIGKILL `clean` removes what the run had claimed."""
    created(world, app, keys)
    process = world.start("create", *app.create_arguments, "--to", "out", "-r", keys.recipient)
    until_locked(world, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert world.run("clean").code == 0
    assert not world.leftovers()


def test_a_run_that_begins_meanwhile_keeps_its_copy(tmp_path: Path) -> None:
    """A copy that a run makes while clean is looking around is that run's."""

    class Meanwhile(Claims):
        """A run claims and makes its copy as soon as the claims were read."""

        def named(self) -> frozenset[Path]:
            known = super().named()
            with self.claim(tmp_path / PRIVATE) as claim:
                claim.path.mkdir()
                claim.release()
            return known

    now = datetime.now(UTC)
    clean(CleanOrder((), (tmp_path,), now), None, Meanwhile(tmp_path / "claims"))
    assert (tmp_path / PRIVATE).exists()


def test_what_was_claimed_by_another_path_stays(world: World, tmp_path: Path) -> None:
    """A workspace that is reached through a link holds the same living copies."""
    (world.home / "cache").symlink_to(tmp_path)
    (tmp_path / "agebackup" / PRIVATE).mkdir(parents=True)
    with Claims(world.state / "claims").claim(tmp_path / "agebackup" / PRIVATE) as claim:
        assert world.run("clean").code == 0
        assert claim.path.exists()


@pytest.mark.linux
def test_another_users_copy_stays(world: World) -> None:
    """In a workspace that users share, everybody cleans up after themselves."""
    mine, other = (world.cache / PRIVATE.replace("0123", number) for number in ("1111", "2222"))
    for path in (mine, other):
        path.mkdir(parents=True)
    if os.geteuid() == 0:
        os.chown(other, 12345, 12345)
        assert world.run("clean").code == 0
        assert not mine.exists() and other.exists()


def test_a_row_without_a_file_is_noted_on_request(world: World, app: SampleApp, keys: Keys) -> None:
    """An archive that somebody removed is listed, and with --forget audit misses it no longer."""
    first = created(world, app, keys)
    created(world, app, keys)
    first.unlink()
    assert world.run("audit").code == 4
    listed = world.run("clean")
    assert "without-file" in listed.out and first.name in listed.out
    assert first.name in world.run("clean", "--forget", "--dry-run").out
    assert world.run("audit").code == 4
    assert first.name in world.run("clean", "--forget").out
    assert world.run("audit").code == 0
    noted = json.loads(world.run("--json", "log").out)["events"]
    forgotten = [one for one in noted if one["event"] == "forgotten"]
    assert [(one["app"], one["archive"]) for one in forgotten] == [("ledger", first.name)]
    assert "gone from the folder" in forgotten[0]["message"]


def test_files_without_a_row_and_half_written_ones_are_only_listed(
    world: World, app: SampleApp, keys: Keys
) -> None:
    """What may be another machine's stays, whatever it looks like."""
    first = created(world, app, keys)
    stray = first.with_name(first.name.replace("ledger-2", "other-2"))
    shutil.copy(first, stray)
    half = first.with_name(PRIVATE)
    half.write_bytes(b"half")
    done = world.run("--json", "clean", "--to", "out")
    assert {one["code"] for one in json.loads(done.out)["findings"]} == {"without-row", "temporary"}
    assert stray.exists() and half.exists()


def test_without_any_destination_the_workspace_is_cleaned(world: World) -> None:
    """Where nothing is configured there is still something that a restore may have left."""
    (world.cache / PRIVATE).mkdir(parents=True)
    assert world.run("clean").code == 0
    assert not (world.cache / PRIVATE).exists()


@pytest.mark.parametrize(
    ("words", "code"), [(("--to", "absent"), 10), (("NO/APP",), 2), (("unknown",), 10)]
)
def test_nonsense_is_answered(world: World, words: tuple[str, ...], code: int) -> None:
    """A wrong name is a sentence and an exit code."""
    done = world.run("clean", *words)
    assert done.code == code and done.err


def test_nothing_is_forgotten_of_an_unmounted_drive(world: World) -> None:
    """An empty folder in its place is refused; --yes is for who knows that all are gone."""
    out = shelf(world)
    names = [named(day, day) for day in (1, 2)]
    for name in names:
        out.put(name)
    out.path.rename(world.directory / "unmounted")
    out.path.mkdir()
    for words in (("--dry-run",), ()):
        refused = world.run("clean", "--forget", *words)
        assert refused.code == 13 and "None of the 2 archives" in refused.err
    assert not any(out.row(name).deleted for name in names)
    assert world.run("clean", "--forget", "--yes").code == 0
    assert all(out.row(name).deleted for name in names)


def test_what_was_forgotten_by_mistake_is_taken_back(world: World) -> None:
    """`ledger rebuild --mine` lets archives count again that are there after all."""
    out, name = shelf(world), named(1, 1)
    out.put(name)
    out.put(named(2, 2))
    away = (out.path / str(name)).rename(world.directory / str(name))
    assert world.run("clean", "--forget").code == 0 and out.row(name).deleted
    away.rename(out.path / str(name))
    assert world.run("ledger", "rebuild", "out").code == 0 and out.row(name).deleted
    assert world.run("ledger", "rebuild", "out", "--mine").code == 0
    row = out.row(name)
    assert row.deleted is None and row.deleted_why == "" and row.proved
