"""The config file: what it means, how it is refused, and what an app resolves to."""

import os
import re
import stat
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agebackup.config import EXAMPLE, check, load_config, resolve, write_example
from agebackup.config.provenance import PointerTable, ProvenanceTable, VersionTable
from agebackup.config.tables import (
    AppTable,
    CommandTable,
    DatabaseRulesTable,
    DatabaseTable,
    GateTable,
    RestoreTable,
    TreeTable,
)
from agebackup.errors import FailedError, UsageError
from agebackup.model.command import Command
from agebackup.model.profile import Finding, Profile, compression_level
from agebackup.model.source import Count, Source, TreeSource

ENVIRONMENT = {"HOME": "/home/me", "DATA": "/srv/data", "ODD": "/a*b"}
Load = Callable[[str], Profile]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Read `[apps.x]` with the given lines; the file lies in tmp_path."""

    def read(lines: str) -> Profile:
        return loaded(tmp_path, "[apps.x]\n" + lines)

    return read


def loaded(directory: Path, text: str | bytes) -> Profile:
    (directory / "config.toml").write_bytes(text.encode() if isinstance(text, str) else text)
    return load_config(directory / "config.toml", ENVIRONMENT).app("x")


def source(profile: Profile, *, config: bool = False, tokens: bool = False) -> Source:
    return resolve(profile, include_config=config, include_tokens=tokens)


def places(found: Source) -> list[str]:
    databases = [database.place for database in found.databases]
    return databases + [tree.place for tree in found.trees]


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"content")


# What a file means


def test_everything_that_can_be_declared(load: Load, tmp_path: Path) -> None:
    """Every key arrives in the profile as it was meant, with absolute paths."""
    profile = load(
        """
        root = "state"
        attachments = { photos = "photos", mail = { path = "mail", named_by = "sha256" } }
        config = ["a.toml"]
        tokens = ["token", "/etc/token"]
        derived = ["cache/"]
        exclude = ["*.tmp"]
        follow_symlinks = true
        raw_sqlite = true
        version = "1.2"
        prepare = ["pause", "now"]
        finish = { argv = ["resume"], seconds = 2.5 }
        recipients = ["age1abc", "ssh-ed25519 AAAA me"]
        recipients_files = ["../keys.txt"]
        destination = "~/backups"
        consistency = "per-database"
        compress = "zstd:7"
        proof = false
        [apps.x.databases]
        one = "one.db"
        two = { path = "/two.db", counts = { n = "SELECT 1" }, max_user_version = 0 }
        many = { glob = "ws/{name}/d.db", minimum = 0, references = ["SELECT 2", "SELECT 3"] }
        """
    )
    root = tmp_path / "state"
    assert (profile.name, profile.base, profile.root) == ("x", root, root)
    photos, mail = profile.attachments
    assert (photos.name, photos.path, photos.named_by) == ("photos", root / "photos", None)
    assert (mail.name, mail.path, mail.named_by) == ("mail", root / "mail", "sha256")
    assert profile.config == (root / "a.toml",)
    assert profile.tokens == (root / "token", Path("/etc/token"))
    assert (profile.derived, profile.exclude) == (("cache/",), ("*.tmp",))
    assert profile.follow_symlinks and profile.raw_sqlite and not profile.proof
    assert profile.version == "1.2"
    assert profile.prepare == Command(("pause", "now"), 300.0)
    assert profile.finish == Command(("resume",), 2.5)
    assert profile.recipients == ("age1abc", "ssh-ed25519 AAAA me")
    assert profile.recipients_files == (tmp_path / "keys.txt",)
    assert profile.destination == Path("/home/me/backups")
    assert (profile.consistency, profile.level) == ("per-database", 7)
    one, two, many = profile.databases
    assert (one.name, one.path, one.pattern) == ("one", root / "one.db", "")
    assert (two.path, two.counts) == (Path("/two.db"), (Count("n", "SELECT 1"),))
    assert two.max_user_version == 0
    assert (many.path, many.pattern, many.minimum) == (root, "ws/{name}/d.db", 0)
    assert many.references == ("SELECT 2", "SELECT 3")


def test_what_is_not_declared_has_safe_defaults(load: Load, tmp_path: Path) -> None:
    """An app that says little gets one instant, a proof, no compression, and no links followed."""
    profile = load('version = ["app", "--version"]\ndatabases.a = "a.db"')
    assert profile.base == tmp_path and profile.root is None
    assert profile.databases[0].path == tmp_path / "a.db"
    assert (profile.consistency, profile.level, profile.proof) == ("atomic", None, True)
    assert not profile.follow_symlinks and not profile.raw_sqlite
    assert profile.version == Command(("app", "--version"), 10.0)


def test_attachments_may_be_a_list(load: Load) -> None:
    """One unnamed directory has no name, several are called like their directories."""
    assert [tree.name for tree in load('attachments = ["blobs"]').attachments] == [""]
    several = load('attachments = ["a/blobs", { path = "photos", named_by = "md5" }]').attachments
    assert [tree.name for tree in several] == ["blobs", "photos"]
    assert several[1].named_by == "md5"


@pytest.mark.parametrize(
    "text, path",
    [
        ("~", "/home/me"),
        ("~/x", "/home/me/x"),
        ("$DATA/x", "/srv/data/x"),
        ("${DATA}2/x", "/srv/data2/x"),
        ("/a/$$DATA", "/a/$DATA"),
        ("/a/~/b", "/a/~/b"),
        ("/a/./b/../c", "/a/c"),
        ("$ODD", "/a*b"),
    ],
)
def test_paths_expand(load: Load, text: str, path: str) -> None:
    """`~` and variables of the environment that was handed in are replaced in every path."""
    assert load(f"destination = '{text}'").destination == Path(path)


def test_a_relative_path_stands_in_the_root(load: Load, tmp_path: Path) -> None:
    """The root stands in the config file's directory, everything else in the root."""
    assert load("root = '../r'\nconfig = ['c']").config == (tmp_path.parent / "r" / "c",)
    assert load("config = ['c']").config == (tmp_path / "c",)
    assert load("root = '$DATA'\ntokens = ['t']").tokens == (Path("/srv/data/t"),)


def test_a_file_may_begin_with_a_bom_and_have_windows_lines(tmp_path: Path) -> None:
    """What editors on other systems do to a text file does no harm."""
    text = '\ufeff[apps.x]\r\nroot = "/r"\r\n'
    assert loaded(tmp_path, text.encode()).root == Path("/r")


# What is refused


REFUSED = [
    ('rot = "x"', "apps.x.rot: there is no such key", "Did you mean 'root'? Allowed here: root, "),
    ("zzz = 1", "apps.x.zzz: there is no such key", "Allowed here: root, databases, "),
    ("config = 'a'", "apps.x.config: expected a list, got a text", ""),
    ("config = [1]", "apps.x.config[0]: expected a text, got a whole number", ""),
    ("config = ['a', '']", "apps.x.config[1]: a path cannot be empty", ""),
    ('root = "a\\u0000b"', "apps.x.root: a path cannot hold a NUL", ""),
    ("root = '~you/x'", "apps.x.root: ~you is not understood", "whole path"),
    ("root = '$GONE/x'", "apps.x.root: the environment variable GONE is not set", "whole path"),
    ("root = 'a$'", "apps.x.root: a lone '$'", "$$"),
    ("proof = 'yes'", "apps.x.proof: expected true or false, got a text", ""),
    ("proof = 1", "apps.x.proof: expected true or false, got a whole number", ""),
    (
        "consistency = 'atomc'",
        "apps.x.consistency: 'atomc' is not allowed",
        "Did you mean 'atomic'? Allowed here: atomic, per-database.",
    ),
    ("destination = ['/a', '/a/']", "apps.x.destination[1]: '/a' is named twice", "one copy"),
    ("destination = ['/a', 'github:a/b', 'github:A/B']", "'github:a/b' is named twice", "one copy"),
    ("destination = 'github:a/b'", "'github:a/b' cannot come first", "/a/directory"),
    ("destination = [{to = '/a', bwlimit = '1M'}, '/b']", "destination[0]: only 'to'", "a folder"),
    (
        "destination = ['/a', {to = 'rclone:r:b', allow_public = true}]",
        "destination[1].allow_public",
        "Leave it out",
    ),
    ("compress = 'gzip'", "apps.x.compress: 'gzip' is no compression", "zstd:LEVEL"),
    ("compress = 'zstd:20'", "apps.x.compress: 'zstd:20' is no compression", "from 1 to 19"),
    ("derived = ['!a']", "apps.x.derived[0]: '!a' is not a pattern", "no negation"),
    ("exclude = ['a', '']", "apps.x.exclude[1]: '' is not a pattern", ""),
    ("prepare = 'pause'", "apps.x.prepare: expected a table or a list, got a text", ""),
    ("prepare = []", "apps.x.prepare: a command needs a program", ""),
    ("prepare = { seconds = 1 }", "apps.x.prepare: the key 'argv' is missing", ""),
    ("finish = { argv = ['a'], seconds = 0 }", "apps.x.finish.seconds: expected a number > 0", ""),
    ("finish = { argv = ['a'], seconds = nan }", "apps.x.finish.seconds: expected a number", ""),
    (
        "finish = { argv = ['a'], second = 1 }",
        "apps.x.finish.second: there is no such key",
        "Did you mean 'seconds'? Allowed here: argv, seconds.",
    ),
    ("version = []", "apps.x.version: expected a list of length >= 1", ""),
    ("attachments = 3", "apps.x.attachments: expected a table or a list", ""),
    ("attachments = [{}]", "apps.x.attachments[0]: the key 'path' is missing", ""),
    (
        "attachments.a = { path = 'a', named_by = 'sha512' }",
        "apps.x.attachments.a.named_by: 'sha512' is not allowed",
        "Allowed here: sha256, sha1, md5.",
    ),
    ("attachments.'a/b' = 'x'", 'apps.x.attachments."a/b": a name cannot', ""),
    ("databases = ['a.db']", "apps.x.databases: expected a table, got a list", ""),
    ("databases.a = 1", "apps.x.databases.a: expected a text or a table", ""),
    ("databases.'a=b' = 'x'", 'apps.x.databases."a=b": a database', ""),
    ("databases.'' = 'x'", 'apps.x.databases."": a database', ""),
    ("databases.a = {}", "apps.x.databases.a: it needs either 'path' or 'glob'", ""),
    ("databases.a = { path = 'a', glob = '{name}' }", "it needs either 'path' or 'glob'", ""),
    ("databases.a = { path = 'a', minimum = 1 }", "databases.a.minimum: only a 'glob'", ""),
    ("databases.a = { glob = '{name}', minimum = -1 }", "a.minimum: expected a whole number", ""),
    (
        "databases.a = { glob = '*.db' }",
        "a.glob: a glob must hold {name}, once",
        "",
    ),
    ("databases.a = { glob = '{name}x{name}' }", "a.glob: a glob must hold {name}, once", ""),
    ("databases.a = { glob = '**/{name}' }", "a.glob: ** is not understood here", ""),
    ("databases.a = { glob = '[z-a]{name}' }", "a.glob: '[z-a]{name}' is not a glob", ""),
    ("databases.a = { path = 'a', counts = { 'n o' = 1 } }", 'a.counts."n o": expected a text', ""),
    ("databases.a = { path = 'a', max_user_version = 'x' }", "a.max_user_version: expected", ""),
    (
        "databases.a = { path = 'a', pat = 1 }",
        "apps.x.databases.a.pat: there is no such key",
        "Did you mean 'path'? Allowed here: path, glob, minimum, ",
    ),
    ("recipients = ['keys.txt']", "apps.x.recipients[0]: this is not a public key", "_files"),
    ("retaining = 7", "apps.x.retaining: there is no such key", "Allowed here"),
    ("root = 2026-01-01", "apps.x.root: expected a text, got", ""),
]


@pytest.mark.parametrize("lines, message, hint", REFUSED)
def test_what_does_not_fit_is_named(
    load: Load, tmp_path: Path, lines: str, message: str, hint: str
) -> None:
    """File and key are named, and what is allowed there; the exit code is that of usage."""
    with pytest.raises(UsageError) as caught:
        load(lines)
    assert caught.value.message.startswith(f"{tmp_path}/config.toml: apps.x.")
    assert message in caught.value.message and caught.value.message.endswith(".")
    assert hint in caught.value.hint
    assert caught.value.code == 2


def test_a_private_key_among_the_recipients_is_not_echoed(load: Load) -> None:
    """A secret that was put into the wrong place stays out of the message."""
    secret = "AGE-SECRET-KEY-1QQPQQQQQQQQQQ"
    with pytest.raises(UsageError) as caught:
        load(f"recipients = ['{secret}']")
    said = caught.value.message + caught.value.hint
    assert secret not in said and "QQQ" not in said and "AGE-SECRET" not in said


@pytest.mark.parametrize(
    "text, message",
    [
        ("[apps.x", "it is not TOML"),
        ("[apps.x]\nroot = 'a'\nroot = 'b'", "it is not TOML"),
        (b"[apps.x]\nroot = '\xff'", "it is not UTF-8 text"),
        ("a = " + "[" * 100_000, "it is not TOML"),
        ("[app.x]", "app: there is no such key"),
        ("apps = 1", "apps: expected a table, got a whole number"),
        ("apps.x = 1", "apps.x: expected a table, got a whole number"),
        ("[apps.Notes]", "apps.Notes: 'Notes' cannot be an app's name"),
        ("[apps.'a b\u202e']", 'apps."a b\\u202e": '),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, text: str | bytes, message: str) -> None:
    """A file that is not TOML, or whose tables are not ours, is refused with its place in it."""
    with pytest.raises(UsageError) as caught:
        loaded(tmp_path, text)
    assert f"{tmp_path}/config.toml: {message}" in caught.value.message


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """An absent file points to `config init`; a directory or a loop is said as itself."""
    with pytest.raises(UsageError, match="There is no configuration file") as caught:
        load_config(tmp_path / "gone.toml", {})
    assert "config init" in caught.value.hint
    (tmp_path / "loop").symlink_to("loop")
    for name, why in ((".", "Is a directory"), ("loop", "symbolic links")):
        with pytest.raises(UsageError, match=why):
            load_config(tmp_path / name, {})


def test_without_a_home_only_the_tilde_fails(tmp_path: Path) -> None:
    """A file without `~` works where HOME is not set; with one it says so."""
    (tmp_path / "c.toml").write_text("[apps.x]\nroot = '/r'\n[apps.y]\nroot = '~/r'")
    with pytest.raises(UsageError, match=r"apps\.y\.root: .* HOME is not set"):
        load_config(tmp_path / "c.toml", {})


def test_an_unknown_app_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    """A misspelt app's name is answered with the likeliest and with all of them."""
    (tmp_path / "c.toml").write_text("[apps.notes]\n[apps.mail]\n")
    config = load_config(tmp_path / "c.toml", {})
    assert [app.name for app in config.apps] == ["notes", "mail"]
    with pytest.raises(UsageError, match="declares no app 'note'") as caught:
        config.app("note")
    assert caught.value.hint == "Did you mean 'notes'? Allowed here: notes, mail."


ANY_KEY = st.sampled_from(["path", "glob", "argv", "counts", "a"]) | st.text()
ANY_VALUE: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(ANY_KEY, inner),
    max_leaves=6,
)


@given(ANY_VALUE, st.sampled_from([field.name for field in msgspec.structs.fields(AppTable)]))
def test_no_value_whatever_ends_in_a_traceback(value: Any, key: str) -> None:
    """Any value under any key is understood or refused as usage, never a crash."""
    from agebackup.config.reading import _profile
    from agebackup.config.tables import Where

    try:
        profile = _profile("x", {key: value}, Where(Path("c"), ("apps", "x")), ENVIRONMENT)
    except UsageError as error:
        assert error.message.startswith("c: apps.x")
    else:
        assert profile.name == "x"


@pytest.mark.parametrize(
    "text, level", [("none", None), ("zstd", 3), ("zstd:1", 1), ("zstd:19", 19)]
)
def test_compression_levels(text: str, level: int | None) -> None:
    """Compression is off, at Zstandard's default, or at a level from 1 to 19."""
    assert compression_level(text) == level


@pytest.mark.parametrize("text", ["", "zstd:", "zstd:0", "zstd:019", "zstd:20", "ZSTD", "zstd:3\n"])
def test_other_compression_is_refused(text: str) -> None:
    """Nothing else is taken for a compression."""
    with pytest.raises(UsageError):
        compression_level(text)


# What an app resolves to


def test_with_a_root_everything_keeps_its_path(load: Load, tmp_path: Path) -> None:
    """In the bag everything lies as it does below the root, so that a restore gives that tree."""
    profile = load(
        """
        root = "."
        attachments = ["."]
        config = ["etc/a.toml"]
        tokens = ["etc/token"]
        derived = ["cache/"]
        exclude = ["*.tmp"]
        databases.a = "db/a.db"
        """
    )
    found = source(profile, config=True, tokens=True)
    assert places(found) == ["data/db/a.db", "data", "data/etc/a.toml", "data/etc/token"]
    assert found.trees[0].below_root == ""
    assert (found.derived, found.excluded) == (("cache/",), ("*.tmp",))
    assert [tree.role for tree in found.trees] == ["attachments", "config", "tokens"]
    (below,) = source(load("root = '.'\nattachments = ['b/c']")).trees
    assert (below.place, below.below_root) == ("data/b/c", "b/c/")


def test_without_a_root_everything_lies_under_its_name(load: Load) -> None:
    """Without a root nothing of the machine's paths is in the bag."""
    profile = load(
        """
        attachments = ["/x/blobs"]
        config = ["/etc/a.toml"]
        tokens = ["/var/token"]
        databases = { ledger = "/x/l.db", "e.db" = "/y/e.db" }
        """
    )
    assert places(source(profile, config=True, tokens=True)) == [
        *("data/ledger", "data/e.db", "data/attachments"),
        *("data/config/a.toml", "data/tokens/token"),
    ]
    named = source(load("attachments = { photos = '/p', mail = '/m' }"))
    assert places(named) == ["data/attachments/photos", "data/attachments/mail"]
    assert {tree.below_root for tree in named.trees} == {""}


def test_config_and_tokens_are_withheld_unless_asked_for(load: Load, tmp_path: Path) -> None:
    """What was not asked for is named as withheld, so that no other tree carries it."""
    profile = load("root = '.'\nattachments = ['.']\nconfig = ['c']\ntokens = ['t']")
    assert source(profile).withheld == (tmp_path / "c", tmp_path / "t")
    assert source(profile, config=True).withheld == (tmp_path / "t",)
    assert not source(profile, config=True, tokens=True).withheld
    assert len(source(profile).trees) == 1


def test_consistency_is_single_for_a_single_database(load: Load) -> None:
    """Several databases show one instant unless told otherwise; one alone is simply one."""
    assert source(load("databases = { a = 'a' }")).consistency == "single"
    assert source(load("databases = { a = 'a', b = 'b' }")).consistency == "atomic"
    apart = load("consistency = 'per-database'\ndatabases = { a = 'a', b = 'b' }")
    assert source(apart).consistency == "per-database"


def test_what_is_declared_of_a_database_arrives(load: Load) -> None:
    """Counts, references and the schema guard go along with each database, also of a glob."""
    (database,) = source(
        load("databases.a = { path='a', counts={n='S'}, references='R', max_user_version=3 }")
    ).databases
    assert database.counts == (Count("n", "S"),)
    assert (database.references, database.max_user_version) == (("R",), 3)


CONTRADICTIONS = [
    ("root = '/r'\ndatabases.a = '/elsewhere/a.db'", "lies outside the root of x, /r"),
    ("root = '/r'\nattachments = ['../s']", "lies outside the root"),
    ("databases.attachments = 'a'\nattachments = ['b']", "would both be attachments"),
    ("config = ['/a/c', '/b/c']\ndatabases.a = 'a'", "would both be config/c"),
    ("attachments = ['/a/x', '/b/x']", "would both be attachments/x"),
    ("databases.attachments = 'a'\nattachments.n = 'b'", "would lie inside"),
    ("root = '.'\nattachments = ['.', '.']", "would both be"),
    ("root = '.'\ndatabases = { a = 'x', b = 'x/y' }", "would lie inside"),
    ("root = '.'\nconfig = ['.']\ndatabases.a = 'a'", "cannot be its config as a whole"),
    ("config = ['c']", "declares no tokens"),
    ("", "declares no config"),
    ("root = '.'\ndatabases.a = \"new\\nline\"", "cannot be archived"),
    ("root = '.'\nattachments = ['blank ']", "cannot be archived"),
]


@pytest.mark.parametrize("lines, message", CONTRADICTIONS)
def test_contradictions_are_refused(load: Load, lines: str, message: str) -> None:
    """Two sources at one place, a source outside the root and the like are usage errors."""
    config = "config" in message or "config" in lines
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        source(load(lines), config=config, tokens="tokens" in message)
    assert caught.value.hint


def test_an_app_without_anything_is_refused(load: Load) -> None:
    """An archive of nothing would be taken for a backup."""
    with pytest.raises(UsageError, match="nothing to back up"):
        source(load("config = ['c']\ntokens = ['t']"))


def test_a_tree_inside_another_is_no_contradiction(load: Load) -> None:
    """Where a source lies in the bag as it lies in the outer tree, both are welcome."""
    profile = load("root = '.'\nattachments = ['.', 'blobs/x']\ndatabases.a = 'blobs/a.db'")
    assert places(source(profile)) == ["data/blobs/a.db", "data", "data/blobs/x"]


def test_one_database_cannot_be_declared_twice(load: Load, tmp_path: Path) -> None:
    """Under two names, by symlink or hard link, it would be locked against itself."""
    touch(tmp_path, "a.db")
    (tmp_path / "soft.db").symlink_to("a.db")
    os.link(tmp_path / "a.db", tmp_path / "hard.db")
    for other in ("a.db", "soft.db", "hard.db"):
        with pytest.raises(UsageError, match="are the same file"):
            source(load(f"databases = {{ a = 'a.db', b = '{other}' }}"))


def test_a_source_inside_withheld_tokens_is_refused(load: Load, tmp_path: Path) -> None:
    """What is declared both as a token and as something to back up is a contradiction."""
    (tmp_path / "alias").symlink_to("keys")
    (tmp_path / "keys").mkdir()
    for lines in ("databases.a = 'keys/a.db'", "attachments = ['alias/x']", "config = ['keys']"):
        profile = load(f"tokens = ['keys']\n{lines}")
        with pytest.raises(UsageError, match="declared as config or tokens"):
            source(profile, config="config" in lines)


# Globs of databases


def names(profile: Profile) -> list[str]:
    return [database.name for database in source(profile).databases]


def test_a_glob_finds_each_database(load: Load, tmp_path: Path) -> None:
    """Each match is a database of its own name and place, and next week's match is one too."""
    touch(tmp_path, "ws/beta/d.db", "ws/alpha/d.db", "ws/alpha/d.db-wal", "ws/.hidden/d.db")
    touch(tmp_path, "ws/file", "ws/empty/other")
    (tmp_path / "ws" / "directory" / "d.db").mkdir(parents=True)
    (tmp_path / "ws" / "dangling").symlink_to("nowhere")
    profile = load("root = '.'\ndatabases.w = { glob = 'ws/{name}/d.db' }")
    assert names(profile) == ["w-alpha", "w-beta"]
    assert places(source(profile)) == ["data/ws/alpha/d.db", "data/ws/beta/d.db"]
    touch(tmp_path, "ws/gamma/d.db")
    assert names(profile) == ["w-alpha", "w-beta", "w-gamma"]
    unrooted = load("databases.w = { glob = 'ws/{name}/d.db' }")
    assert places(source(unrooted)) == ["data/w-alpha", "data/w-beta", "data/w-gamma"]


@pytest.mark.parametrize(
    "glob, found",
    [
        ("d/{name}.db", ["a", "b"]),
        ("d/{name}", ["a.db", "b.db", "c.db-x"]),
        ("d/{name}.db*", ["a", "b", "c"]),
        ("{name}/{name}.db", ["d-a", "d-b", "odd*-e"]),
        ("?/{name}.db", ["a", "b"]),
        ("[!x]/[ab]{name}", [".db", ".db"]),
        ("./x/../d/a{name}", [".db"]),
        (r"odd\*/{name}", ["e.db"]),
        ("$PWDX/{name}", ["e.db"]),
        ("gone/{name}", []),
        ("d/a.db/{name}", []),
    ],
)
def test_what_a_glob_finds(tmp_path: Path, glob: str, found: Sequence[str]) -> None:
    """`{name}` and the usual wildcards find files, literally meant characters themselves."""
    touch(tmp_path, "d/a.db", "d/b.db", "d/b.db-wal", "d/b.db-journal", "d/c.db-x", "odd*/e.db")
    (tmp_path / "c.toml").write_text(f"[apps.x]\ndatabases.w = {{ glob = '{glob}', minimum = 0 }}")
    environment = {"PWDX": f"{tmp_path}/odd*"}
    profile = load_config(tmp_path / "c.toml", environment).app("x")
    if len(set(found)) < len(found):
        with pytest.raises(UsageError, match="two databases called"):
            names(profile)
    elif found:
        assert names(profile) == [f"w-{name}" for name in found]
    else:
        with pytest.raises(UsageError, match="nothing to back up"):
            names(profile)


def test_a_glob_may_leave_the_base(tmp_path: Path) -> None:
    """Without a root a glob may point anywhere, by `..` or by an absolute path."""
    (tmp_path / "etc").mkdir()
    touch(tmp_path, "d/a.db")
    for glob in ("../d/{name}.db", f"{tmp_path}/d/{{name}}.db"):
        (tmp_path / "etc" / "config.toml").write_text(
            f"[apps.x]\ndatabases.w = {{ glob = '{glob}' }}"
        )
        profile = load_config(tmp_path / "etc" / "config.toml", {}).app("x")
        assert names(profile) == ["w-a"]


def test_too_few_matches_fail(load: Load, tmp_path: Path) -> None:
    """Fewer matches than the minimum, one by default, are a failure: a disk may be missing."""
    touch(tmp_path, "d/a.db")
    assert names(load("databases.w = { glob = 'd/{name}' }")) == ["w-a.db"]
    for rest in ("'d/{name}', minimum = 2", "'gone/{name}'"):
        with pytest.raises(FailedError, match="at least") as caught:
            names(load(f"databases.w = {{ glob = {rest} }}"))
        assert caught.value.code == 1


def test_a_glob_that_cannot_look_fails(load: Load, tmp_path: Path) -> None:
    """A directory that cannot be searched is an error: a database in it would be missed."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "loop").symlink_to("loop")
    with pytest.raises(FailedError, match="cannot be searched"):
        names(load("databases.w = { glob = 'd/{name}/x.db', minimum = 0 }"))


def test_two_globs_cannot_give_one_name(load: Load, tmp_path: Path) -> None:
    """Databases that would have one place in the bag are refused, whoever found them."""
    touch(tmp_path, "d/b-c", "e/c")
    with pytest.raises(UsageError, match="would both be"):
        names(load("databases = { a = { glob='d/{name}' }, a-b = { glob='e/{name}' } }"))


# config check


def findings(profile: Profile, **more: Any) -> dict[str, Finding]:
    return {finding.key: finding for finding in check(profile, **more).findings}


def test_a_sound_app_has_no_findings(load: Load, tmp_path: Path) -> None:
    """Everything there, readable and writable: the app resolves, config and tokens included."""
    touch(tmp_path, "r/a.db", "r/c", "r/t", "keys", "r/run")
    (tmp_path / "r" / "blobs").mkdir()
    (tmp_path / "r" / "run").chmod(0o755)
    (tmp_path / "out").mkdir()
    profile = load(
        """
        root = "r"
        databases.a = "a.db"
        attachments = ["blobs"]
        config = ["c"]
        tokens = ["t"]
        recipients_files = ["../keys"]
        destination = "../out"
        prepare = ["./run"]
        finish = ["sh", "-c", "true"]
        """
    )
    resolution = check(profile, search_path=os.environ["PATH"])
    assert not resolution.findings and resolution.usable
    assert resolution.source is not None
    assert places(resolution.source) == ["data/a.db", "data/blobs", "data/c", "data/t"]


def test_everything_wrong_is_found_at_once(load: Load, tmp_path: Path) -> None:
    """Each thing that is absent, of the wrong kind or empty is a finding with its key."""
    touch(tmp_path, "r/file", "r/prog")
    (tmp_path / "r" / "empty.db").touch()
    (tmp_path / "r" / "dir").mkdir()
    os.mkfifo(tmp_path / "r" / "fifo")
    profile = load(
        """
        root = "r"
        databases = { gone = "gone.db", empty = "empty.db", dir = "dir" }
        attachments = { f = "file", g = "nowhere" }
        config = ["fifo"]
        tokens = ["no-token"]
        recipients_files = ["dir"]
        destination = "../unmounted"
        version = ["no-such-program-anywhere"]
        prepare = ["./prog"]
        finish = ["also-no-such-program"]
        """
    )
    found = findings(profile, search_path="/bin")
    assert {key: finding.text.removeprefix(f"{tmp_path}/") for key, finding in found.items()} == {
        "databases.gone": "r/gone.db: No such file or directory",
        "databases.empty": "r/empty.db is empty: no database",
        "databases.dir": "r/dir is not a file",
        "attachments.f": "r/file is not a directory",
        "attachments.g": "r/nowhere: No such file or directory",
        "config": "r/fifo is not a file or directory",
        "tokens": "r/no-token: No such file or directory",
        "recipients_files": "r/dir is not a file",
        "destination": "unmounted: No such file or directory",
        "version": "there is no program no-such-program-anywhere that can be run",
        "prepare": "there is no program ./prog that can be run",
        "finish": "there is no program also-no-such-program that can be run",
    }
    assert not check(profile).usable
    assert "finish" not in findings(profile)


def test_what_a_flag_can_supply_is_only_noted(load: Load, tmp_path: Path) -> None:
    """Without recipients or destination the app is still usable: create asks for them."""
    touch(tmp_path, "a.db")
    profile = load("databases = { a = 'a.db', w = { glob = 'ws/{name}', minimum = 0 } }")
    found = findings(profile)
    assert set(found) == {"recipients", "destination", "databases.w"}
    assert not any(finding.fatal for finding in found.values())
    assert check(profile).usable


def test_a_contradiction_is_a_finding(load: Load) -> None:
    """Where the app resolves to nothing, check says why instead of failing."""
    resolution = check(load("root = '/r'\ndatabases.a = '/b'"))
    assert resolution.source is None and not resolution.usable
    assert "lies outside the root" in resolution.findings[0].text


@pytest.mark.parametrize("destination", ["blobs/out", "alias/out", "blobs/out/one.age"])
def test_a_destination_inside_the_attachments_is_found(
    load: Load, tmp_path: Path, destination: str
) -> None:
    """Archives must not land in what is backed up, by whatever path."""
    (tmp_path / "blobs" / "out").mkdir(parents=True)
    (tmp_path / "alias").symlink_to("blobs")
    found = findings(load(f"attachments = ['blobs']\ndestination = '{destination}'"))
    assert "lies inside" in found["destination"].text and found["destination"].fatal


def test_checking_opens_no_database(load: Load, tmp_path: Path) -> None:
    """Neither check nor resolve reads what is declared: a fifo in its place blocks none."""
    os.mkfifo(tmp_path / "a.db")
    assert findings(load("databases.a = 'a.db'"))["databases.a"].text.endswith("is not a file")


# config init


def test_the_example_is_commented_out_and_complete(tmp_path: Path) -> None:
    """As written it declares nothing; with its `#` removed it declares every key there is."""
    file = tmp_path / "new" / "sub" / "config.toml"
    write_example(file)
    assert file.read_text() == EXAMPLE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert load_config(file, {}).apps == ()
    (file.parent / "paths.env").touch()
    file.write_text(re.sub(r"^#(?=[^\s#])", "", EXAMPLE, flags=re.MULTILINE))
    (profile,) = load_config(file, {"HOME": "/home/me"}).apps
    assert len(profile.databases) == 3 and profile.finish
    restoring = (RestoreTable, GateTable, DatabaseRulesTable)
    outside = (VersionTable, ProvenanceTable, PointerTable)
    for table in (AppTable, DatabaseTable, TreeTable, CommandTable, *restoring, *outside):
        for field in msgspec.structs.fields(table):
            assert re.search(rf"^#.*\b{field.name}\b( =|\])", EXAMPLE, re.MULTILINE), field.name


def test_the_example_shows_the_defaults(tmp_path: Path) -> None:
    """What the example says of switches is what holds without them."""
    file = tmp_path / "c.toml"
    (tmp_path / "paths.env").touch()
    file.write_text(re.sub(r"^#(?=[^\s#])", "", EXAMPLE, flags=re.MULTILINE))
    (shown,) = load_config(file, {"HOME": "/home/me"}).apps
    plain = Profile("x", tmp_path)
    for key in ("follow_symlinks", "raw_sqlite", "consistency", "level", "proof"):
        assert getattr(shown, key) == getattr(plain, key)


def test_the_example_replaces_nothing(tmp_path: Path) -> None:
    """An existing file, or a symlink to nowhere, stays as it is."""
    (tmp_path / "c.toml").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("c.toml", "link"):
        with pytest.raises(UsageError, match="exists already"):
            write_example(tmp_path / name)
    assert (tmp_path / "c.toml").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_an_example_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """A directory that cannot be made, or a full disk, is a failure without a half file."""
    (tmp_path / "file").touch()
    with pytest.raises(FailedError, match="cannot be written"):
        write_example(tmp_path / "file" / "c.toml")
    with pytest.raises(FailedError, match="Not a directory"):
        write_example(tmp_path / "file" / "sub" / "c.toml")


@pytest.mark.linux
def test_an_example_on_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """A disk that is full is a failure, and no half example stays there."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", tmp_path], check=True)
    try:
        (tmp_path / "filler").write_bytes(bytes(4096))
        with pytest.raises(FailedError, match="No space left"):
            write_example(tmp_path / "c.toml")
        assert [path.name for path in tmp_path.iterdir()] == ["filler"]
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_trees_are_trees(load: Load) -> None:
    """Config and tokens that were asked for are trees of their role, named like their path."""
    found = source(load("config = ['/etc/a']\ntokens = ['/b']"), config=True, tokens=True)
    assert found.trees == (
        TreeSource("a", Path("/etc/a"), "data/config/a", "config"),
        TreeSource("b", Path("/b"), "data/tokens/b", "tokens"),
    )


def test_a_key_of_an_app_at_the_top(tmp_path: Path) -> None:
    """What belongs to an app, but stands above all of them, is told where it belongs."""
    file = tmp_path / "config.toml"
    file.write_text('signing_key = "key"\n[apps.notes]\n')
    with pytest.raises(UsageError, match="there is no such key") as caught:
        load_config(file, {})
    assert "[apps.NAME]" in caught.value.hint
