"""`config init NAME`: what is declared by flags is what a run then takes."""

from pathlib import Path

import pytest
from conftest import Keys, World
from hypothesis import given
from hypothesis import strategies as st
from sample_app import SampleApp

from agebackup.config import Declaration, load_config, resolve
from agebackup.config.declaring import section
from agebackup.config.reading import parse_config
from agebackup.errors import UsageError
from agebackup.model.retention import Policy
from agebackup.model.source import DatabaseSource, Source, TreeSource

LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="/\0:=\n\r")
NAMES = st.text(LETTERS, min_size=1)
FILE = Path("/nowhere/config.toml")


@given(
    st.lists(NAMES.filter(lambda n: n.strip() == n and n not in (".", "..")), unique=True), NAMES
)
def test_every_path_survives_being_declared(names: list[str], directory: str) -> None:
    """Whatever a path is called, the configuration that is written means the same one."""
    base = Path("/srv") / directory.strip(". ") / "data"
    databases = tuple(DatabaseSource(n, base / n, f"data/{n}") for n in names)
    tree = TreeSource("", base / "files", "data/attachments", named_by="md5")
    written = section(Declaration(Source("notes", databases, (tree,)), destination=base / "to"))
    profile = parse_config(written.encode(), FILE, {}).app("notes")
    assert [(one.name, one.path) for one in profile.databases] == [
        (one.name, one.path) for one in databases
    ]
    assert profile.attachments[0].path == tree.path and profile.destination == base / "to"


def declared(world: World, app: SampleApp, keys: Keys, *more: object) -> tuple[object, ...]:
    return (
        *("config", "init", "notes", "--db", app.ledger, "--db", app.events),
        *("--attachments", app.blobs, "--app-config", app.config, "--to", "out", "--mkdir"),
        *("-r", keys.recipient, *more),
    )


def test_one_command_declares_an_app(world: World, app: SampleApp, keys: Keys) -> None:
    """After `config init NAME` with the flags of `create`, `create NAME` needs no flag."""
    done = world.run(*declared(world, app, keys))
    assert done.code == 0, done.err
    assert world.config.stat().st_mode & 0o777 == 0o600
    profile = load_config(world.config, world.env).app("notes")
    expected = Policy(hourly=24, daily=7, weekly=4, monthly=12, yearly=-1, manual=20)
    assert profile.retention == expected
    assert profile.watch.shrink == "refuse", "nobody asked yet what became of lost rows"
    source = resolve(profile, include_config=True, include_tokens=False)
    assert {one.place for one in source.databases} == {"data/ledger.db", "data/events.db"}
    made = world.run("create", "notes")
    assert made.code == 0, made.err
    listed = world.run("ls", made.out.strip(), "-i", keys.identity).out
    assert "config/app.toml" in listed and "token" not in listed


def test_what_stands_in_the_file_stays(world: World, app: SampleApp, keys: Keys) -> None:
    """A section is added at the end; comments and other apps are kept byte for byte."""
    world.config.parent.mkdir(parents=True)
    before = "# mine\n[apps.other]\ndatabases = {a = '/a.db'}   # a comment without a newline"
    world.config.write_text(before)
    assert world.run(*declared(world, app, keys)).code == 0
    assert world.config.read_text().startswith(before + "\n")
    once = world.config.read_bytes()
    again = world.run(*declared(world, app, keys))
    assert again.code == 2 and "declares notes already" in again.err
    assert world.config.read_bytes() == once


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--db", "missing.db", "-r", "age1"), 2, "no database file"),
        (("--db", "{db}"), 2, "No recipient"),
        (("--db", "{db}", "-r", "age1nonsense"), 2, "recipient"),
        (("--db", "{db}", "-r", "{key}", "--to", "absent"), 10, "does not exist"),
        (
            ("--db", "{db}", "-r", "{key}", "--mkdir", "--to", "github:ada/backups"),
            2,
            "in a folder first",
        ),
        (("--attachments", "absent", "-r", "{key}"), 1, "absent"),
        (("-r", "{key}"), 2, "nothing to back up"),
    ],
)
def test_nonsense_declares_nothing(
    world: World, app: SampleApp, keys: Keys, arguments: tuple[str, ...], code: int, said: str
) -> None:
    """What `create` would refuse later is refused now, and no file is made."""
    words = [word.format(db=app.ledger, key=keys.recipient) for word in arguments]
    outcome = world.run("config", "init", "notes", *words)
    assert outcome.code == code and said in outcome.err
    assert not world.config.exists()


def test_a_broken_configuration_is_not_added_to(world: World, app: SampleApp, keys: Keys) -> None:
    """A file that is not understood stays as it is."""
    world.config.parent.mkdir(parents=True)
    world.config.write_text("[apps.other\n")
    assert world.run(*declared(world, app, keys)).code == 2
    assert world.config.read_text() == "[apps.other\n"


def test_a_name_that_is_no_text_is_refused() -> None:
    """A path that TOML cannot carry is said as such."""
    path = Path("/srv/\udcff.db")
    with pytest.raises(UsageError, match="not valid UTF-8"):
        section(Declaration(Source("notes", (DatabaseSource("a", path, "data/a"),))))


REFUSED = [
    ("retention = {}", "keeps nothing"),
    ("retention = {count = 3, keep_last = 4}", "mean the same"),
    ("retention = {keep_daily = -2}", "keep_daily"),
    ("retention = {keep_within = 'soon'}", "keep_within: 'soon' is no span"),
    ("retention = {count = 3, timezone = 'Mars/Base'}", "timezone: there is no time zone"),
    ("retention = {keep_dayly = 3}", "no such key"),
    ("interval = 'often'", "interval: 'often' is no span"),
    ("retries = -1", "retries"),
    ("guard = {shrink = 'maybe'}", "shrink"),
    ("hooks = {on_success = []}", "on_success"),
    ("hooks = {healthcheck_url = 'ftp://x/SECRET'}", "healthcheck_url: it is not a web address"),
    ("hooks = {healthcheck_url = 'https://x:y/SECRET'}", "healthcheck_url: it is not a web"),
]


@pytest.mark.parametrize(("line", "said"), REFUSED)
def test_nonsense_about_nights_is_named(line: str, said: str) -> None:
    """File and key are named; the address to ping is a secret and stays unsaid."""
    with pytest.raises(UsageError) as caught:
        parse_config(f"[apps.x]\n{line}\n".encode(), FILE, {})
    assert said in caught.value.message and "SECRET" not in caught.value.message
