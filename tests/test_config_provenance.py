"""What the config file says of an app's origin and of what lies outside: meaning and refusals."""

from pathlib import Path

import pytest
from test_config import findings, loaded, source, touch

from agebackup.config.adapting import KnownDeclaration, fit
from agebackup.config.known import parse_known
from agebackup.errors import UsageError
from agebackup.model.command import Command
from agebackup.model.profile import Profile
from agebackup.model.provenance import Checkout, Version, VersionFile
from agebackup.model.source import PointerSource


def load(directory: Path, lines: str) -> Profile:
    return loaded(directory, "[apps.x]\n" + lines)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ('"1.2"', "1.2"),
        ('["app", "-V"]', Command(("app", "-V"), 10.0)),
        ('{command = ["app"], seconds = 2}', Command(("app",), 2.0)),
        ('{file = "$DATA/VERSION"}', VersionFile(Path("/srv/data/VERSION"))),
    ],
)
def test_what_says_the_version(tmp_path: Path, said: str, meant: Version) -> None:
    """It is a text, what a command prints, or the first line of a file."""
    assert load(tmp_path, f"version = {said}").version == meant


def test_checkout_and_pointers(tmp_path: Path) -> None:
    """Paths stand in the app's base; queries go to each database that an entry finds."""
    profile = load(
        tmp_path,
        """
        root = "state"
        provenance = {checkout = "../code", seconds = 3}
        pointer_check = {argv = ["look"], seconds = 9}
        databases.a = "a.db"
        databases.w = {glob = "w/{name}.db"}
        pointers.one = {database = "a", sql = "SELECT 1"}
        pointers.each = {database = "w", sql = "SELECT 2", hint = "ask Bo"}
        pointers.file = {file = "list.txt"}
        """,
    )
    state = tmp_path / "state"
    assert profile.provenance == Checkout(tmp_path / "code", 3.0)
    assert profile.pointer_check == Command(("look",), 9.0)
    one, each, file = profile.pointers
    assert one == PointerSource("one", "a", "SELECT 1")
    assert each == PointerSource("each", "w", "SELECT 2", hint="ask Bo")
    assert file == PointerSource("file", path=state / "list.txt")
    touch(state, "a.db", "w/1.db", "w/2.db")
    found = source(profile)
    assert found.pointers == (file,)
    assert [one.pointers for one in found.databases] == [(one,), (each,), (each,)]


REFUSED = [
    ("version = 3", "version: expected a text or a table or a list"),
    ("version = []", "version: expected a list of length >= 1"),
    ("version = ['']", "version: a command needs a program"),
    ("version = {}", "version: it needs either 'file' or 'command'"),
    ("version = {file = 'a', command = ['b']}", "version: it needs either 'file' or 'command'"),
    ("version = {file = 'a', seconds = 1}", "version.seconds: only a 'command'"),
    ("version = {command = ['a'], seconds = 0}", "version.seconds: expected a number > 0"),
    ("version = {fle = 'a'}", "version.fle: there is no such key"),
    ("version = {file = ''}", "version.file: a path cannot be empty"),
    ("provenance = '.'", "provenance: expected a table"),
    ("provenance = {}", "provenance: the key 'checkout' is missing"),
    ("provenance = {checkout = '$GONE'}", "provenance.checkout: the environment variable GONE"),
    ("provenance = {checkout = '.', second = 1}", "provenance.second: there is no such key"),
    ("pointers = ['a']", "pointers: expected a table"),
    ("pointers.a = 'x'", "pointers.a: expected a table"),
    ("pointers.a = {}", "pointers.a: it needs either 'file', or 'database' and 'sql'"),
    ("pointers.a = {file = 'x', sql = 'y'}", "pointers.a: it needs either"),
    ("pointers.a = {database = 'd'}", "pointers.a: it needs either"),
    ("pointers.a = {database = 'd', sql = ' '}", "pointers.a: it needs either"),
    ("pointers.a = {database = 'e', sql = 'y'}", "pointers.a.database: no such database"),
    ("pointers.a = {file = 'x', hint = 'a\\nb'}", "pointers.a.hint: a hint is one line"),
    (f"pointers.a = {{file = 'x', hint = '{'h' * 301}'}}", "pointers.a.hint: a hint is one line"),
    ("pointers.' ' = {file = 'x'}", 'pointers." ": the name of pointers'),
    (f"pointers.{'n' * 101} = {{file = 'x'}}", ": the name of pointers is 1 to 100"),
    ("pointers.a = {file = '~you/x'}", "pointers.a.file: ~you is not understood"),
    ("pointer_check = 'look'", "pointer_check: expected a table or a list"),
    ("pointer_check = []", "pointer_check: a command needs a program"),
]


@pytest.mark.parametrize(("lines", "said"), REFUSED)
def test_what_does_not_fit_is_named(tmp_path: Path, lines: str, said: str) -> None:
    """File and key are named where something cannot be meant."""
    lines = lines.replace("'a\\nb'", '"a\\nb"')
    with pytest.raises(UsageError) as caught:
        load(tmp_path, f"{lines}\ndatabases.d = 'd.db'")
    assert caught.value.message.startswith(f"{tmp_path}/config.toml: apps.x.")
    assert said in caught.value.message


def test_what_config_check_finds(tmp_path: Path) -> None:
    """What only the record would lack is a note; what would fail a run is wrong."""
    text = """
    version = {file = "VERSION"}
    provenance = {checkout = "code"}
    pointer_check = ["./look"]
    databases.a = "a.db"
    pointers.remote = {file = "remote.txt"}
    """
    found = findings(load(tmp_path, text), search_path=str(tmp_path))
    assert not found["version.file"].fatal and not found["provenance.checkout"].fatal
    assert "no program git" in found["provenance"].text and not found["provenance"].fatal
    assert found["pointers.remote.file"].fatal and found["pointer_check"].fatal
    touch(tmp_path, "VERSION", "remote.txt", "look", "git")
    for program in ("look", "git"):
        (tmp_path / program).chmod(0o755)
    (tmp_path / "code").mkdir()
    found = findings(load(tmp_path, text), search_path=str(tmp_path))
    assert not {key for key in found if key.startswith(("version", "prov", "point"))}


KNOWN = """
title = "Notes"
summary = "notes"
[app]
attachments = ["."]
version = {file = "VERSION"}
provenance = {checkout = "."}
pointers = {remote = {file = "remote.txt"}}
"""


def test_a_profile_may_say_it_too(tmp_path: Path) -> None:
    """A known application's checkout and version are declared where they are there; all that a
    profile names lies below the root."""
    file = Path("/own/notes.toml")
    known = parse_known(KNOWN.encode(), file)
    declaration = KnownDeclaration("notes", known, tmp_path)
    assert fit(declaration).left_out == ("version", "provenance")
    touch(tmp_path, "VERSION", ".git/HEAD")
    fitted = fit(declaration)
    assert not fitted.left_out and fitted.app["provenance"] == {"checkout": "."}
    assert fitted.app["pointers"] == {"remote": {"file": "remote.txt"}}
    for inside in ("VERSION", "remote.txt", "."):
        text = KNOWN.replace(f'"{inside}"}}', '"/etc"}')
        with pytest.raises(UsageError, match="/etc is not below the app's root"):
            parse_known(text.encode(), file)
