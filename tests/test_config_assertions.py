"""`assertions` in the config file: what they mean, and that a slip is told with its key."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agebackup.config.example import EXAMPLE
from agebackup.config.reading import parse_config
from agebackup.errors import UsageError
from agebackup.model.assertions import Assertion, Program, Query

FILE = Path("/home/me/config.toml")
HEAD = """
[apps.notes]
root = "/srv/notes"
[apps.notes.databases]
ledger = {path = "ledger.db", counts = {total = "SELECT 1"}}
each = {glob = "{name}/d"}
[apps.notes.assertions]
"""


def understood(lines: str) -> tuple[Assertion, ...]:
    """Return what `lines` of the table `assertions` mean."""
    (profile,) = parse_config(f"{HEAD}{lines}\n".encode(), FILE, {}).apps
    return profile.assertions


def test_what_can_be_asserted() -> None:
    """SQL with one of three expectations, and commands; each keeps its name and its order."""
    sql = 'database = "ledger", sql = "SELECT 1"'
    found = understood(
        f"a = {{{sql}, equals = 7}}\n"
        f'b = {{{sql}, equals = "x", seconds = 5}}\n'
        f"c = {{{sql}, minimum = 0.5}}\n"
        f'd = {{{sql}, manifest = "rows.my table"}}\n'
        f'e = {{{sql}, manifest = "counts.total"}}\n'
        f'f = {{{sql}, manifest = "user_version"}}\n'
        'g = {database = "each-one", sql = "SELECT 1", equals = 1}\n'
        'h = {command = ["notes", "check", "{target}"]}\n'
        'i = {command = ["./bin/check"], seconds = 60}\n'
    )
    assert [one.name for one in found] == list("abcdefghi")
    a, b, c, d, *_, h, i = found
    assert isinstance(a, Query) and (a.equals, a.seconds, a.sql) == (7, 300, "SELECT 1")
    assert isinstance(b, Query) and (b.equals, b.seconds) == ("x", 5)
    assert isinstance(c, Query) and (c.minimum, c.equals) == (0.5, None)
    assert isinstance(d, Query) and d.manifest == "rows.my table"
    assert isinstance(h, Program) and h.command.argv == ("notes", "check", "{target}")
    assert isinstance(i, Program) and i.command.argv == ("/srv/notes/bin/check",)
    assert i.command.seconds == 60


SQL = 'database = "ledger", sql = "SELECT 1"'


@pytest.mark.parametrize(
    ("line", "key", "said"),
    [
        ("a = 7", "assertions.a", "expected a table"),
        ("a = {}", "assertions.a", "needs 'database' and 'sql', or 'command'"),
        ('a = {database = "ledger", equals = 1}', "assertions.a", "needs 'database'"),
        ('a = {database = "ledger", sql = " ", equals = 1}', "assertions.a", "needs 'database'"),
        (f"a = {{{SQL}}}", "assertions.a", "needs one of 'equals', 'minimum' and 'manifest'"),
        (f"a = {{{SQL}, equals = 1, minimum = 1}}", "assertions.a", "needs one of"),
        (f"a = {{{SQL}, equals = true}}", "assertions.a.equals", "expected"),
        (f"a = {{{SQL}, equals = 2026-01-01}}", "assertions.a.equals", "expected"),
        (f"a = {{{SQL}, equals = nan}}", "assertions.a.equals", "can be compared"),
        (f"a = {{{SQL}, minimum = inf}}", "assertions.a.minimum", "can be compared"),
        (f'a = {{{SQL}, minimum = "1"}}', "assertions.a.minimum", "expected"),
        (f'a = {{{SQL}, manifest = "rows."}}', "assertions.a.manifest", "no such thing"),
        (f'a = {{{SQL}, manifest = "counts.tota"}}', "assertions.a.manifest", "no such thing"),
        (f'a = {{{SQL}, manifest = "sha256"}}', "assertions.a.manifest", "no such thing"),
        (f"a = {{{SQL}, equal = 1}}", "assertions.a.equal", "there is no such key"),
        (f"a = {{{SQL}, equals = 1, seconds = 0}}", "assertions.a.seconds", "expected"),
        ('a = {database = "x", sql = "x", equals = 1}', "assertions.a.database", "no database of"),
        ('a = {database = "each", sql = "x", equals = 1}', "assertions.a.database", "no database"),
        ("a = {command = []}", "assertions.a.command", "expected"),
        ('a = {command = "notes check"}', "assertions.a.command", "expected a list"),
        ('a = {command = [""]}', "assertions.a.command", "needs a program"),
        ('a = {command = ["{target}/bin/x"]}', "assertions.a.command", "cannot be one of the rest"),
        (f'a = {{{SQL}, command = ["x"]}}', "assertions.a.database", "of no use beside"),
        ('a = {command = ["x"], equals = 1}', "assertions.a.equals", "of no use beside"),
        ('"" = {command = ["x"]}', 'assertions.""', "needs a name"),
    ],
)
def test_what_is_refused(line: str, key: str, said: str) -> None:
    """Every slip is told by day, with the file and the very key; nothing of the file is used."""
    with pytest.raises(UsageError) as caught:
        understood(line)
    assert f"{FILE}: apps.notes.{key}: " in caught.value.message, caught.value.message
    assert said in caught.value.message


@given(st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_any_program(program: str) -> None:
    """Whatever a program is called, it is taken from this machine, or refused."""
    import json

    try:
        (one,) = understood(f"a = {{command = [{json.dumps(program)}]}}")
    except UsageError:
        return
    assert isinstance(one, Program)
    assert "/" not in one.command.argv[0] or one.command.argv[0].startswith("/")


def test_the_example_holds() -> None:
    """The commented example means what it says once its marks are taken away."""
    section = EXAMPLE.split("#[apps.notes.assertions]\n")[1].split("\n\n")[0]
    lines = "\n".join(line.removeprefix("#") for line in section.splitlines())
    assert [one.name for one in understood(lines)] == ["enough", "whole", "opens"]
