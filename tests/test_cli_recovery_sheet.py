"""recovery-sheet: a page that gives a stranger everything back, and a key typed back from it."""

import json
import os
import re
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import qr_reader
from conftest import Keys, World
from pseudo_terminal import on_terminal, protected
from sample_app import SampleApp
from shelf import declare, shelf

from agebackup.model.keygroups import PREFIX
from agebackup.model.keylines import lines_of

PASSPHRASE = "correct horse"
GROUP = re.compile(r"(?<![\w-])(1?[0-9]) ([02-9AC-HJ-NP-Z]{3,5})(?!\w)")
BLOCKS = re.compile(r"^[ ▀▄█]*[▀▄█]{2,}[ ▀▄█]*")


def secret_of(keys: Keys) -> str:
    return keys.identity.read_text().split()[-1]


def groups_on(page: str) -> list[str]:
    """Return the groups of the key as a person finds them on the page, in their order."""
    found = re.findall(r"<sub>(\d+)</sub>(\w+)", page) if "<html" in page else GROUP.findall(page)
    numbered = {int(number): group for number, group in found if int(number) <= 12}
    assert sorted(numbered) == list(range(1, 13))
    return [numbered[number] for number in sorted(numbered)]


def check_line_on(page: str) -> str:
    match = re.search(r"Check line[^\n]*\n.*?(\w{4} \w{4} \w{4})|Check line.*?<span>(\w+)<", page)
    assert match
    return match[1] or match[2]


@pytest.fixture
def page(world: World, keys: Keys) -> str:
    """The text of the sheet of a key, on a machine that knows nothing else."""
    done = world.run("recovery-sheet", "-i", keys.identity, "-o", "sheet.txt")
    assert done.code == 0, done.err
    return (world.directory / "sheet.txt").read_text()


@contextmanager
def passphrase(text: str = PASSPHRASE) -> Iterator[int]:
    """Yield a descriptor that gives the passphrase."""
    reading, writing = os.pipe()
    os.write(writing, f"{text}\n".encode())
    os.close(writing)
    yield reading
    os.close(reading)


@pytest.mark.parametrize("name", ["sheet.txt", "sheet.html"])
def test_what_stands_on_the_page(world: World, keys: Keys, other_keys: Keys, name: str) -> None:
    """Whose backups, where they lie, the key in groups and its check line, commands for three
    systems, and that the page is the key; of other keys' apps nothing."""
    out, others = shelf(world), shelf(world, "others")
    declare(out, keys)
    declare(out, keys, app="photos")
    declare(others, other_keys, app="films")
    done = world.run("recovery-sheet", "-i", keys.identity, "-o", name)
    assert (done.code, done.out.strip()) == (0, str(world.directory / name))
    text = (world.directory / name).read_text()
    assert "notes, photos" in text and keys.recipient in text
    assert str(out.path) in re.sub(r"\n {16}", "", text), "wrapped where it is long"
    assert "films" not in text and "/others" not in text
    for words in ("This page IS the key", "Debian", "macOS", "Windows", "apt install age"):
        assert words in text
    assert PREFIX + "".join(groups_on(text)) == secret_of(keys)
    typed = " ".join(groups_on(text)) + "\n" + check_line_on(text)
    checked = world.run("recovery-sheet", "--check", stdin=typed)
    assert checked.code == 0 and keys.recipient in checked.out and "notes, photos" in checked.out


def test_the_text_fits_on_a_page(world: World, keys: Keys) -> None:
    """80 columns and 66 lines: a page of the plainest printer, with two apps and destinations."""
    for name in ("one", "two", "three", "four", "five", "six"):
        declare(shelf(world, name), keys, app=name)
    done = world.run("recovery-sheet", "-i", keys.identity, "-o", "-", "-q")
    lines = done.out.splitlines()
    assert done.code == 0 and len(lines) <= 66 and max(map(len, lines)) <= 80
    assert "and 3 more" in done.out


def test_the_code_in_the_text(page: str, keys: Keys) -> None:
    """A reader that knows only the standard reads the key from the printed blocks."""
    lines = [match[0].rstrip() for line in page.splitlines() if (match := BLOCKS.match(line))]
    assert qr_reader.read(qr_reader.from_blocks(lines)) == secret_of(keys)


def test_the_code_on_the_page(world: World, keys: Keys) -> None:
    """The drawing in the HTML page says the key too."""
    assert world.run("recovery-sheet", "-i", keys.identity, "-o", "s.html").code == 0
    drawing = re.search(
        r'viewBox="0 0 (\d+) \1".*?<path d="([^"]+)"', (world.directory / "s.html").read_text()
    )
    assert drawing
    size = int(drawing[1])
    modules = [[0] * size for _ in range(size)]
    for left, top, width in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", drawing[2]):
        for column in range(int(left), int(left) + int(width)):
            modules[int(top)][column] = 1
    assert qr_reader.read(modules) == secret_of(keys)
    assert not any(any(row) for row in (*modules[:4], *modules[-4:])), "white around it"


def test_the_page_loads_nothing(world: World, keys: Keys) -> None:
    """No script, no address and no file: who opens the page tells nobody. Odd names do no harm."""
    odd = shelf(world, 'a <b onload="x">&')
    declare(odd, keys)
    text = world.config.read_text()
    world.config.write_text(text.replace(str(odd.path), str(odd.path).replace('"', '\\"')))
    assert world.run("recovery-sheet", "-i", keys.identity, "-o", "sheet.html").code == 0
    page = (world.directory / "sheet.html").read_text()
    assert "a &lt;b onload=&quot;x&quot;&gt;&amp;" in page
    assert not re.search(r"<script|src=|href=|url\(|https?:", page)
    assert "default-src 'none'" in page


def test_what_the_page_says_works(world: World, app: SampleApp, keys: Keys, page: str) -> None:
    """With the printed key typed into a file, the printed commands bring everything back."""
    (world.directory / "out").mkdir()
    words = (*app.create_arguments, "--app", "notes", "--to", "out", "-r", keys.recipient)
    archive = Path(world.run("create", *words).out.strip())
    for system in ("Debian, Ubuntu", "macOS"):
        here = world.directory / system
        here.mkdir()
        (here / "key.txt").write_text(PREFIX + "".join(groups_on(page)) + "\n")
        (here / archive.name).write_bytes(archive.read_bytes())
        recipe = page.split(f"\n  {system}\n")[1].split("\n  ", 4)
        install, *commands = (line.strip() for line in recipe[:4])
        assert "install age" in install
        code = "set -e\n" + "\n".join(commands).replace("ARCHIVE.tar.age", archive.name)
        subprocess.run(["bash", "-c", code], cwd=here, check=True)
        assert (here / "notes" / "data" / "ledger.db").exists()
        assert (here / "backup.tar").stat().st_mode & 0o077 == 0


def test_nobody_else_may_read_it(world: World, keys: Keys) -> None:
    """The file is 0600 whatever the umask, also when it takes a looser one's place."""
    loose = world.directory / "sheet.html"
    loose.write_text("old")
    loose.chmod(0o666)
    words = ("recovery-sheet", "-i", keys.identity, "-o", loose)
    done = world.run(*words, umask=0)
    assert done.code == 13 and loose.read_text() == "old"
    assert world.run(*words, "--overwrite", umask=0).code == 0
    assert stat.S_IMODE(loose.stat().st_mode) == 0o600 and "RECOVERY SHEET" in loose.read_text()
    assert world.leftovers() == ()


def carried_to(place: object, world: World) -> None:
    """Declare `place` as one that copies go to, besides the first."""
    config = re.sub(
        r"destination = (.*)", rf'destination = [\1, "{place}"]', world.config.read_text()
    )
    world.config.write_text(config)


def test_copies_elsewhere_are_named(world: World, keys: Keys) -> None:
    """The page says of every place where copies lie how it is written behind --from."""
    declare(shelf(world), keys)
    carried_to("github:ada/backups", world)
    done = world.run("recovery-sheet", "-i", keys.identity, "-o", "-")
    assert done.code == 0 and "github:ada/backups" in done.out


def test_never_beside_the_archives(world: World, keys: Keys) -> None:
    """Neither in a destination nor below it, by whatever name; nor over the key itself (13)."""
    out, copies = shelf(world), world.directory / "copies"
    declare(out, keys)
    copies.mkdir()
    carried_to(copies, world)
    (out.path / "deep").mkdir()
    (world.directory / "link").symlink_to(out.path)
    below = (out.path / "s.html", out.path / "deep/s.txt", "link/s.html", "link/deep/s.txt")
    for target in (*below, copies / "s.html"):
        done = world.run("recovery-sheet", "-i", keys.identity, "-o", target)
        assert done.code == 13 and "where archives are kept" in done.err
    key = world.directory / "key.txt"
    key.write_bytes(keys.identity.read_bytes())
    key.chmod(0o600)
    done = world.run("recovery-sheet", "-i", key, "-o", key, "--overwrite")
    assert done.code == 13 and key.read_bytes() == keys.identity.read_bytes()
    done = world.run("recovery-sheet", "--check", "-o", out.path / "key.txt", stdin=secret_of(keys))
    assert done.code == 13
    assert out.names() == {"deep"}


def test_doctor_finds_one_that_was_put_there(world: World, keys: Keys) -> None:
    """A sheet that somebody moved beside the archives is an error of doctor's."""
    out, copies = shelf(world), world.directory / "copies"
    declare(out, keys)
    copies.mkdir()
    carried_to(copies, world)
    for name, folder in (("a.html", out.path), ("b.txt", copies)):
        assert world.run("recovery-sheet", "-i", keys.identity, "-o", name).code == 0
        (world.directory / name).rename(folder / name)
    found = json.loads(world.run("--json", "doctor").out)["findings"]
    named = {one["subject"] for one in found if one["code"] == "identity-in-destination"}
    assert named == {str(out.path / "a.html"), str(copies / "b.txt")}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "No file was named"),
        (("-o", "sheet.pdf"), 2, "print it to PDF"),
        (("-o", "sheet"), 2, "is a .html or a .txt file"),
        (("-o", "."), 2, "is not a file's name"),
        (("-o", "absent/sheet.txt"), 10, "does not exist"),
        (("-o", "pipe.txt"), 13, "no regular file"),
        (("typed.txt", "-o", "sheet.txt"), 2, "Only --check"),
        (("--check", "absent.txt"), 2, "is not there"),
        (("--check", "."), 2, "cannot be read"),
    ],
)
def test_what_cannot_be(
    world: World, keys: Keys, words: tuple[str, ...], code: int, said: str
) -> None:
    """Each has its sentence and its exit code, and nothing is written."""
    os.mkfifo(world.directory / "pipe.txt")
    identity = () if "--check" in words else ("-i", keys.identity)
    done = world.run("recovery-sheet", *identity, *words)
    assert done.code == code and said in done.err
    assert {path.name for path in world.directory.iterdir()} == {"pipe.txt"}


def test_keys_that_are_not_for_a_page(world: World, keys: Keys, other_keys: Keys) -> None:
    """No key, two keys, a file of two, a long RSA key: 2, with what to do instead."""
    two = world.directory / "two.txt"
    two.write_text(keys.identity.read_text() + other_keys.identity.read_text())
    two.chmod(0o600)
    rsa = world.directory / "rsa"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", rsa], check=True)
    for flags, said in {
        (): "No identity was given",
        ("-i", keys.identity, "-i", other_keys.identity): "room for one key",
        ("-i", two): "holds 2 keys",
        ("-i", rsa): "too long for a page",
        ("-i", "absent"): "is not there",
    }.items():
        done = world.run("recovery-sheet", *flags, "-o", "sheet.html")
        assert done.code == 2 and said in done.err
    assert not (world.directory / "sheet.html").exists()


def test_a_protected_key_stays_protected(world: World, keys: Keys) -> None:
    """The page holds what the passphrase protects, and says that the passphrase is needed too;
    typed back it is the same file, which stock age opens."""
    locked = protected(keys.identity, PASSPHRASE, world.directory / "locked.age")
    for name in ("sheet.txt", "sheet.html"):
        with passphrase() as number:
            words = ("recovery-sheet", "-i", locked, "-o", name, "--passphrase-fd", number)
            done = world.run(*words, pass_fds=(number,))
        assert done.code == 0, done.err
        text = (world.directory / name).read_text()
        assert "passphrase" in text and PASSPHRASE not in text + done.out + done.err
        assert secret_of(keys)[16:40] not in text.replace(" ", "")
    rows = re.findall(
        r"^ *[0-9]+ [\w+/=]+ [0-9A-F]{4}$", (world.directory / "sheet.txt").read_text(), re.M
    )
    done = world.run("recovery-sheet", "--check", "-o", "back.age", stdin="\n".join(rows))
    assert done.code == 0 and "nothing without its passphrase" in done.out
    with passphrase() as number:
        words = ("recipient", "-i", "back.age", "--passphrase-fd", number)
        assert world.run(*words, pass_fds=(number,)).out.strip() == keys.recipient
    with passphrase("wrong") as number:
        words = ("recovery-sheet", "-i", locked, "-o", "no.txt", "--passphrase-fd", number)
        assert world.run(*words, pass_fds=(number,)).code == 12
    for mistyped, where in (
        (rows[:-1], "last line is missing"),
        ([*rows[:2], rows[2].swapcase(), *rows[3:]], "line 3"),
    ):
        done = world.run("recovery-sheet", "--check", stdin="\n".join(mistyped))
        assert done.code == 4 and where in done.err


def test_an_ssh_key(world: World) -> None:
    """An ssh-ed25519 key is short enough: in lines with codes, and back it is the same file."""
    key = world.directory / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    assert world.run("recovery-sheet", "-i", key, "-o", "sheet.txt").code == 0
    text = (world.directory / "sheet.txt").read_text()
    rows = [f"{line} {code}" for line, code in lines_of(key.read_text())]
    assert all(row in text for row in rows)
    done = world.run("recovery-sheet", "--check", "-o", "back", stdin="\n".join(rows))
    assert done.code == 0 and (world.directory / "back").read_bytes() == key.read_bytes()
    rows[1] = "x" + rows[1][1:] if rows[1][0] != "x" else "y" + rows[1][1:]
    done = world.run("recovery-sheet", "--check", stdin="\n".join(rows))
    assert done.code == 4 and "line 2" in done.err


def test_a_mistyped_key_is_told_where(world: World, keys: Keys, page: str) -> None:
    """The wrong group is named, nothing of the key is repeated, and no file is written."""
    groups = groups_on(page)
    groups[4] = groups[4][::-1] if groups[4] != groups[4][::-1] else "QPZRY"
    typed = " ".join(groups) + "\n" + check_line_on(page)
    done = world.run("recovery-sheet", "--check", "-o", "back.txt", stdin=typed)
    assert done.code == 4
    assert done.err.splitlines()[1].strip() == "- group 5"
    assert not any(group in done.out + done.err for group in groups)
    assert not (world.directory / "back.txt").exists()
    printed = json.loads(world.run("--json", "recovery-sheet", "--check", stdin=typed).out)
    assert printed["error"]["details"] == ["group 5"]


def test_a_mistyped_check_line_is_no_wrong_key(world: World, keys: Keys, page: str) -> None:
    """The key is right, and which character of the check line is not, is said."""
    line = check_line_on(page).replace(" ", "")
    wrong = line[:2] + ("Q" if line[2] != "Q" else "P") + line[3:]
    done = world.run("recovery-sheet", "--check", stdin=secret_of(keys) + "\n" + wrong)
    assert done.code == 0 and "check line is mistyped, at character 3" in done.err


def test_a_typed_key_becomes_a_file(world: World, keys: Keys, page: str) -> None:
    """Whatever its spacing and case, -o makes of it what age reads: 0600, and replacing nothing."""
    typed = world.directory / "typed.txt"
    typed.write_text(f"{'  '.join(groups_on(page)).lower()}\ncheck line: {check_line_on(page)}\n")
    words = ("recovery-sheet", "--check", typed, "-o", "key.txt")
    assert world.run(*words, umask=0).code == 0
    file = world.directory / "key.txt"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    derived = subprocess.run(["age-keygen", "-y", file], capture_output=True, text=True, check=True)
    assert derived.stdout.strip() == keys.recipient
    assert world.run(*words).code == 13
    assert world.run(*words, "--overwrite").code == 13, "it may be the only copy of another key"


@pytest.mark.parametrize(
    ("typed", "code"), [("", 4), ("\x00\x01", 4), ("Q" * 70_000, 2), ("AGE-SECRET-KEY-1", 4)]
)
def test_what_is_no_key_at_all(world: World, typed: str, code: int) -> None:
    """Nothing, noise, and far too much: a sentence, never a traceback."""
    done = world.run("recovery-sheet", "--check", stdin=typed)
    assert done.code == code and "Traceback" not in done.err


def test_a_closed_standard_input(world: World) -> None:
    """Without a keyboard a file is asked for."""
    done = world.run("recovery-sheet", "--check", stdin="", close_fds=True)
    assert done.code == 4
    closed = subprocess.run(
        [
            "bash",
            "-c",
            'exec "$@" <&-',
            "",
            *map(str, (*world_command(), "recovery-sheet", "--check")),
        ],
        cwd=world.directory,
        env=dict(world.env),
        capture_output=True,
        text=True,
        check=False,
    )
    assert closed.returncode in (1, 4) and "Traceback" not in closed.stderr


def world_command() -> tuple[str, ...]:
    from sample_app import command

    return command()


def test_a_key_as_a_word_is_refused_unseen(world: World, keys: Keys) -> None:
    """Who types the key into the command line is told not to, and it is not repeated."""
    done = world.run("recovery-sheet", "--check", secret_of(keys))
    assert done.code == 2 and secret_of(keys)[16:30] not in done.out + done.err


def test_typing_on_a_terminal(world: World, keys: Keys, page: str) -> None:
    """A person is told what to type and how to end, and Ctrl-C ends it at once."""
    terminal = on_terminal(world, "recovery-sheet", "--check")
    terminal.await_prompt("end with Ctrl-D")
    terminal.type("\n".join(groups_on(page)) + f"\ncheck {check_line_on(page)}\n\x04")
    shown = terminal.finish()
    assert shown.code == 0 and "The typed key is right" in shown.raw
    terminal = on_terminal(world, "recovery-sheet", "--check")
    terminal.await_prompt("end with Ctrl-D")
    terminal.type("\x03")
    assert terminal.finish().code == 130


def test_for_a_pipe_to_the_printer(world: World, keys: Keys, page: str) -> None:
    """`-o -` writes the text to standard output alone, so that no file holds the key."""
    before = set(world.directory.rglob("*"))
    done = world.run("recovery-sheet", "-i", keys.identity, "-o", "-")
    assert (done.code, done.out, done.err) == (0, page, "")
    assert set(world.directory.rglob("*")) == before


def test_a_key_from_a_pipe(world: World, keys: Keys, page: str) -> None:
    """A password manager can give the key without a file."""
    reading, writing = os.pipe()
    os.write(writing, keys.identity.read_bytes())
    os.close(writing)
    words = ("recovery-sheet", "-i", f"/dev/fd/{reading}", "-o", "-")
    done = world.run(*words, pass_fds=(reading,))
    os.close(reading)
    assert done.code == 0 and groups_on(done.out) == groups_on(page)


def test_nothing_but_the_page_holds_the_key(world: World, keys: Keys, page: str) -> None:
    """No log, ledger, result or message has the key, in one piece or in groups."""
    done = world.run("--json", "recovery-sheet", "-i", keys.identity, "-o", "a.html", "-v")
    told = done.out + done.err
    checked = world.run("--json", "recovery-sheet", "--check", stdin=secret_of(keys))
    told += checked.out + checked.err
    files = [
        path for path in (*world.home.rglob("*"), *world.directory.rglob("*")) if path.is_file()
    ]
    for path in files:
        if path.name not in ("sheet.txt", "a.html"):
            told += path.read_bytes().decode("latin-1")
    assert secret_of(keys)[16:] not in told
    assert not any(group in told for group in groups_on(page) if len(group) == 5)
