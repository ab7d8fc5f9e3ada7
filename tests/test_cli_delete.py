"""delete: what a person names goes, but never the last good archive by mistake."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Keys, World
from pseudo_terminal import Terminal, on_terminal
from sample_app import SampleApp
from shelf import TODAY, Shelf, named, shelf, under
from system_faults import fault

from agebackup.destinations.folder import Folder
from agebackup.errors import StoppedError
from agebackup.ledger import open_ledger
from agebackup.operations.delete import delete
from agebackup.operations.inventory import find_archive
from agebackup.system.lock import exclusive
from agebackup.system.progress import Progress

NAMES = [named(day, 0xAAAA0000 + day) for day in range(1, 5)]
"""Newest first."""


@pytest.fixture
def out(world: World) -> Shelf:
    """A folder with four good archives."""
    out = shelf(world)
    for name in NAMES:
        out.put(name)
    return out


def asked(world: World, *words: object) -> Terminal:
    return on_terminal(world, "delete", *words)


def test_file_and_record_go(world: World, out: Shelf) -> None:
    """The file is gone, and the ledger knows when and why: audit does not miss it."""
    done = world.run("--json", "delete", NAMES[3].id, f"out/{NAMES[2]}", "--yes")
    assert done.code == 0, done.err
    assert json.loads(done.out)["deleted"] == [str(NAMES[3]), str(NAMES[2])]
    assert out.names() == {str(NAMES[0]), str(NAMES[1])}
    for name in NAMES[2:]:
        row = out.row(name)
        assert row.deleted and (row.deleted_why, row.pending) == ("deleted by hand", "")
    assert not json.loads(world.run("--json", "list").out)["destinations"][0]["missing"]


def test_what_went_is_said_and_logged(world: World, out: Shelf) -> None:
    """The path once, then a sentence; the name alone on stdout; and the log still knows later."""
    done = world.run("delete", "latest", "--yes")
    assert (done.code, done.out) == (0, f"{NAMES[0]}\n")
    assert done.err == f"  {out.path / str(NAMES[0])}\nDeleted {NAMES[0]}.\n"
    (event,) = json.loads(world.run("--json", "log", "notes").out)["events"]
    assert (event["event"], event["archive"]) == ("deleted", str(NAMES[0]))
    assert f"deleted {NAMES[0]}: deleted by hand" in world.run("log").out


def test_a_person_is_asked(world: World, out: Shelf) -> None:
    """On a terminal the paths are shown, and only a yes removes anything."""
    for answer, code in (("n\n", 1), ("\n", 1), ("\x04", 1), ("y\n", 0)):
        shown = asked(world, "latest").finish([("[y/N]", answer)])
        assert shown.code == code, shown.raw
        assert str(out.path / str(NAMES[0])) in shown.raw.replace("\r\n", "")
        assert (shown.screen[-1] == "agebackup: Nothing was deleted.") is (code == 1), shown.raw
    assert out.names() == set(map(str, NAMES[1:]))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_question_can_be_left(world: World, out: Shelf, how: signal.Signals) -> None:
    """Ctrl-C and SIGTERM end the question at once, without another key, and nothing went."""
    terminal = asked(world, "latest")
    terminal.await_prompt("[y/N]")
    if how == signal.SIGINT:
        terminal.type("\x03")
    else:
        terminal.process.send_signal(how)
    shown = terminal.finish()
    assert shown.code == 128 + how, shown.raw
    assert shown.screen[-1].startswith("agebackup: The run was "), shown.raw
    assert len(out.names()) == 4 and not out.row(NAMES[0]).deleted


@pytest.mark.parametrize("words", [(), ("--json",), ("-q",)])
def test_without_a_terminal_nothing_is_asked(
    world: World, out: Shelf, words: tuple[str, ...]
) -> None:
    """A script has to say --yes; silence is no consent."""
    done = world.run(*words, "delete", "latest", stdin="y\n")
    assert done.code == 2 and "--yes" in done.err + done.out
    assert len(out.names()) == 4


def test_the_last_good_one_stays(world: World, out: Shelf) -> None:
    """Damaged, unproved, unknown, foreign, returned ones do not count; --even-last is the way."""
    out.put(named(0, 1), bad=True)
    out.put(named(0, 2), proved=False)
    out.put(named(0, 3), known=False)
    out.put(named(0, 4, "photos"))
    out.put(named(0, 5), foreign=True)
    out.put(named(0, 6), deleted=TODAY, deleted_why="pruned")
    good = [name.id for name in NAMES]
    refused = world.run("delete", *good, "--yes")
    assert refused.code == 13 and "last good archive of notes" in refused.err
    assert len(out.names()) == 10
    assert world.run("delete", *good[1:], "--yes").code == 0
    assert world.run("delete", good[0], "--yes").code == 13
    assert world.run("delete", good[0], "--yes", "--even-last").code == 0
    assert len(out.names()) == 6


def test_where_none_is_good_the_last_one_stays(world: World) -> None:
    """An app that only has unproved archives does not lose them all either."""
    out = shelf(world)
    for number in (1, 2):
        out.put(named(number, number), proved=False)
    done = world.run("delete", "00000001", "00000002", "--yes")
    assert done.code == 13 and "last archive" in done.err
    assert world.run("delete", "00000001", "--yes").code == 0


@pytest.mark.parametrize("other", ["out/../out", "link", "{absolute}"])
def test_one_folder_under_several_names_is_one_folder(world: World, out: Shelf, other: str) -> None:
    """Naming the folder in two ways does not get round the guard."""
    (world.directory / "link").symlink_to("out")
    path = other.format(absolute=out.path)
    words = [f"out/{NAMES[0]}", f"out/{NAMES[1]}", f"{path}/{NAMES[2]}", f"{path}/{NAMES[3]}"]
    assert world.run("delete", *words, "--yes").code == 13
    assert len(out.names()) == 4


def test_the_same_one_named_twice_goes_once(world: World, out: Shelf) -> None:
    """By id, by name and by path, it is one archive."""
    done = world.run("delete", NAMES[3].id, str(NAMES[3]), f"./out/{NAMES[3]}", "--yes")
    assert (done.code, done.out) == (0, f"{NAMES[3]}\n")


def test_kept_ones_stay(world: World, out: Shelf) -> None:
    """What is marked as kept is not deleted, with --even-last neither; all others stay too."""
    assert world.run("keep", NAMES[3].id).code == 0
    done = world.run("delete", NAMES[2].id, NAMES[3].id, "--yes", "--even-last")
    assert done.code == 13 and str(NAMES[3]) in done.err and len(out.names()) == 4
    assert world.run("unkeep", NAMES[3].id).code == 0
    assert world.run("delete", NAMES[2].id, NAMES[3].id, "--yes").code == 0


def test_a_kept_one_in_the_cloud_stays(world: World, out: Shelf) -> None:
    """The mark counts for an archive whose content is only in the cloud, too."""
    path = out.put(named(6, 6), kept=True)
    os.truncate(path, 0)
    os.truncate(path, 1 << 20)
    assert world.run("delete", "00000006", "--yes").code == 13
    assert world.run("unkeep", "00000006").code == 0
    assert world.run("delete", "00000006", "--yes").code == 0 and not path.exists()


def test_a_stub_is_left_alone(world: World, out: Shelf) -> None:
    """Where only iCloud's stub is here, the archive is not deleted by a guess."""
    stub = out.path / f".{named(6, 6)}.icloud"
    stub.write_bytes(b"stub")
    done = world.run("delete", "00000006", "--yes")
    assert done.code == 13 and "iCloud" in done.err and stub.exists()


def test_one_from_the_future_can_go(world: World, out: Shelf) -> None:
    """What a wrong clock made can be named by its id and removed."""
    future = out.put(named(-400, 6))
    assert world.run("delete", "00000006", "--yes").code == 0 and not future.exists()


def test_an_unknown_one_can_go(world: World, out: Shelf) -> None:
    """Another machine's archive goes when a person names it, and the ledger takes note."""
    path = out.put(named(6, 6), known=False)
    assert world.run("delete", "00000006", "--yes").code == 0 and not path.exists()
    assert out.row(named(6, 6)).foreign and out.row(named(6, 6)).deleted


@pytest.mark.parametrize("kind", ["link", "directory", "pipe"])
def test_what_is_no_file_is_refused(world: World, out: Shelf, kind: str) -> None:
    """A link, directory or pipe with an archive's name stays, and what it leads to as well."""
    fake = out.path / str(named(6, 6))
    if kind == "link":
        fake.symlink_to(str(NAMES[0]))
    elif kind == "directory":
        fake.mkdir()
    else:
        os.mkfifo(fake)
    done = world.run("delete", f"out/{fake.name}", "--yes", seconds=30)
    assert done.code == 13 and os.path.lexists(fake) and len(out.names()) == 5


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("out/mine.age", 13),
        ("out/absent.age", 10),
        ("nonono", 10),
        ("1", 10),
        (f"out/{named(9, 9)}", 10),
        (f"absent/{named(9, 9)}", 10),
        (str(named(9, 9)), 10),
        ("", 2),
        ("aaaa", 2),
        ("out", 13),
        ("/", 13),
        (".", 13),
        ("x" * 5000, 10),
    ],
)
def test_nonsense_is_answered(world: World, out: Shelf, text: str, code: int) -> None:
    """Something else's file is never removed; one wrong name, and nothing goes."""
    (out.path / "mine.age").write_bytes(b"mine")
    done = world.run("delete", NAMES[3].id, text, "--yes", "--even-last")
    assert done.code == code and "Traceback" not in done.err and not done.out, done.err
    assert len(out.names()) == 5


def test_without_any_archive_named(world: World, out: Shelf) -> None:
    """Nothing named is not everything."""
    assert world.run("delete", "--yes").code == 2 and len(out.names()) == 4


def test_a_run_at_work_comes_first(world: World, out: Shelf) -> None:
    """While the app is backed up nothing of it is deleted: 11."""
    lock = world.state / "locks" / "notes.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(lock, wait_seconds=0, what="a run", progress=Progress()):
        assert world.run("delete", "latest", "--yes").code == 11
    assert len(out.names()) == 4
    assert world.run("delete", "latest", "--yes").code == 0


def test_a_person_who_thinks_holds_up_nobody(
    world: World, out: Shelf, app: SampleApp, keys: Keys
) -> None:
    """While the question waits for its answer a backup can be made."""
    terminal = asked(world, NAMES[3].id)
    words = ("--app", "notes", "--to", "out", "-r", keys.recipient)
    created = world.run("create", *app.create_arguments, *words)
    assert created.code == 0, created.err
    assert terminal.finish([("[y/N]", "y\n")]).code == 0
    assert len(out.names() & set(map(str, NAMES))) == 3


def test_a_file_that_was_swapped_meanwhile_stays(world: World, out: Shelf) -> None:
    """What lies there under that name since the question is not what the person said yes to."""
    path = out.path / str(NAMES[3])
    terminal = asked(world, NAMES[3].id)
    other = world.directory / "other"
    other.write_bytes(b"something else")

    def swap() -> None:
        os.replace(other, path)

    shown = _answered(terminal, swap)
    assert shown == 1 and path.read_bytes() == b"something else"
    assert (out.row(NAMES[3]).deleted, out.row(NAMES[3]).pending) == (None, "")


def test_a_mark_that_was_set_meanwhile_counts(world: World, out: Shelf) -> None:
    """What another terminal marks as kept while the question waits, stays."""
    terminal = asked(world, NAMES[3].id)
    assert _answered(terminal, lambda: world.run("keep", NAMES[3].id)) == 13
    assert len(out.names()) == 4


def _answered(terminal: Terminal, meanwhile: Callable[[], object]) -> int:
    """Do `meanwhile` once the question is there, then say yes; return the exit code."""
    terminal.await_prompt("[y/N]")
    meanwhile()
    terminal.type("y\n")
    return terminal.finish().code


@pytest.mark.linux
def test_a_folder_that_refuses(world: World, out: Shelf) -> None:
    """Where the file cannot be removed it is still an archive, and the ledger says so."""
    done = under(world, fault("unlinkat:error=EIO"), "delete", NAMES[3].id, "--yes")
    assert done.code == 1 and "Traceback" not in done.err and len(out.names()) == 4, done.err
    assert (out.row(NAMES[3]).deleted, out.row(NAMES[3]).pending) == (None, "")


def test_a_stop_between_two_spares_the_rest(world: World, out: Shelf) -> None:
    """Whoever stops a long deletion keeps every archive that had not gone yet."""
    folder, progress = Folder(out.path), Progress()
    with open_ledger(world.state / "ledger.db") as ledger:
        wanted = [find_archive(str(name), folder, ledger, TODAY) for name in NAMES[1:]]
        going = delete(wanted, folder, ledger, TODAY, progress)
        assert next(going) == NAMES[1]
        progress.stop.request(signal.SIGTERM)
        with pytest.raises(StoppedError):
            next(going)
    assert out.names() == {str(NAMES[0]), *map(str, NAMES[2:])}
    assert not out.row(NAMES[2]).deleted


@pytest.mark.linux
def test_a_failure_half_way_says_what_is_gone(world: World, out: Shelf) -> None:
    """Of several archives those that went before the failure are named."""
    number = _nth(world, out, "unlinkat", str(NAMES[2]))
    program = fault(f"unlinkat:error=EIO:when={number + 1}")
    done = under(world, program, "delete", NAMES[3].id, NAMES[1].id, "--yes")
    assert done.code == 1 and f"{NAMES[3]} is gone already" in done.err, done.err
    assert out.names() == {str(NAMES[0]), str(NAMES[1])}


@pytest.mark.linux
@pytest.mark.parametrize("gone", [False, True])
def test_killed_on_the_way(
    world: World, out: Shelf, app: SampleApp, keys: Keys, gone: bool
) -> None:
    """A deletion cut short, before the file went or after, is ended by the next run."""
    number = _nth(world, out, "unlinkat", str(NAMES[2]))
    program = fault(f"unlinkat:signal=KILL:when={number}")
    assert under(world, program, "delete", NAMES[3].id, "--yes").code in (-9, 137)
    assert out.row(NAMES[3]).pending == "delete" and out.row(NAMES[3]).deleted
    assert "cut short" in world.run("list").out
    if gone:
        (out.path / str(NAMES[3])).unlink()
    words = ("--app", "notes", "--to", "out", "-r", keys.recipient)
    assert world.run("create", *app.create_arguments, *words).code == 0
    assert str(NAMES[3]) not in out.names() and out.row(NAMES[3]).pending == ""
    assert {str(name) for name in NAMES[:2]} <= out.names()


def _nth(world: World, out: Shelf, call: str, about: str) -> int:
    """Delete NAMES[2]; return which of the calls named `call` was about it."""
    log = world.directory.parent / "strace.log"
    program = fault(f"{call}:delay_exit=1", log=log)
    assert under(world, program, "delete", NAMES[2].id, "--yes").code == 0
    lines = [line for line in log.read_text().splitlines() if f" {call}(" in f" {line}"]
    return next(number for number, line in enumerate(lines, start=1) if about in line)


@pytest.mark.linux
def test_a_cut_short_deletion_never_takes_the_last_good_one(
    world: World, out: Shelf, app: SampleApp, keys: Keys
) -> None:
    """If all others are damaged by then, the next run takes the decision back."""
    number = _nth(world, out, "unlinkat", str(NAMES[2]))
    under(world, fault(f"unlinkat:signal=KILL:when={number}"), "delete", NAMES[3].id, "--yes")
    for name in NAMES[:2]:
        (out.path / str(name)).write_bytes(b"")
    words = ("--app", "notes", "--to", "out", "-r", keys.recipient)
    assert world.run("create", *app.create_arguments, *words).code == 0
    assert str(NAMES[3]) in out.names() and out.row(NAMES[3]).deleted is None


@pytest.mark.linux
def test_what_is_kept_since_then_stays(
    world: World, out: Shelf, app: SampleApp, keys: Keys
) -> None:
    """Whoever reads in `list` that a deletion was cut short can still take it back with keep."""
    number = _nth(world, out, "unlinkat", str(NAMES[2]))
    under(world, fault(f"unlinkat:signal=KILL:when={number}"), "delete", NAMES[3].id, "--yes")
    assert world.run("keep", NAMES[3].id).code == 0
    words = ("--app", "notes", "--to", "out", "-r", keys.recipient)
    assert world.run("create", *app.create_arguments, *words).code == 0
    assert str(NAMES[3]) in out.names() and out.row(NAMES[3]).deleted is None


@pytest.mark.linux
def test_another_file_of_that_name_is_not_what_was_to_go(
    world: World, out: Shelf, app: SampleApp, keys: Keys
) -> None:
    """A file of another size that came into the place of one that was to go, stays."""
    number = _nth(world, out, "unlinkat", str(NAMES[2]))
    under(world, fault(f"unlinkat:signal=KILL:when={number}"), "delete", NAMES[3].id, "--yes")
    path: Path = out.path / str(NAMES[3])
    path.write_bytes(b"brought back by somebody")
    words = ("--app", "notes", "--to", "out", "-r", keys.recipient)
    assert world.run("create", *app.create_arguments, *words).code == 0
    assert path.exists() and out.row(NAMES[3]).pending == ""


def test_a_ledger_that_cannot_be_used_keeps_everything(world: World, out: Shelf) -> None:
    """Without a ledger nothing is deleted: it would not be known as meant."""
    (world.state / "ledger.db").write_bytes(b"no database " * 1000)
    done = world.run("delete", f"out/{NAMES[3]}", "--yes")
    assert done.code != 0 and "Traceback" not in done.err and len(out.names()) == 4
