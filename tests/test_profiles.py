"""Profiles: known applications are declared by name, and what is declared comes back."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Keys, Outcome, World
from profile_states import (
    FIREFOX,
    HOME_ASSISTANT,
    MSGVAULT,
    PAPERLESS,
    SQLITE,
    STATES,
    VAULTWARDEN,
    State,
)


def init(world: World, keys: Keys, *words: object) -> Outcome:
    return world.run(
        *("config", "init", *words, "--to", "out", "--mkdir", "-r", keys.recipient),
    )


def declared(world: World, keys: Keys, state: State, *words: object) -> Path:
    """Build `state` and declare it as the app `known`; return its root."""
    root = world.directory / "state"
    state.build(root)
    done = init(world, keys, "known", "--profile", state.profile, "--root", root, *words)
    assert done.code == 0, done.err
    return root


def dump(database: Path) -> list[str]:
    uri = f"{database.absolute().as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()
        return [str(version), *connection.iterdump()]


def restored(world: World, keys: Keys) -> Path:
    target = world.directory / "restored"
    done = world.run("restore", "known:latest", "-i", keys.identity, "--target", target)
    assert done.code == 0, done.err
    return target


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.profile)
def test_what_is_declared_comes_back(world: World, keys: Keys, state: State) -> None:
    """A state of each application survives its ruin: every row, every file, and nothing else."""
    root = declared(world, keys, state)
    checked = world.run("config", "check", "known")
    assert checked.code == 0 and "known: ready" in checked.out, checked.out
    before = {path: dump(root / path) for path in state.databases}
    made = world.run("create", "known")
    assert made.code == 0, made.err
    state.damage(root)
    target = restored(world, keys)
    assert {path: dump(target / path) for path in state.databases} == before
    files = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert files == {*state.databases, *state.files}
    assert {path: (target / path).read_bytes() for path in state.files} == state.files


@pytest.mark.parametrize("state", [MSGVAULT, PAPERLESS, VAULTWARDEN], ids=lambda s: s.profile)
def test_a_lost_attachment_is_named(world: World, keys: Keys, state: State) -> None:
    """What the database names and the disk lacks makes the run fail, and is named."""
    root = declared(world, keys, state)
    lost = next(iter(state.files))
    (root / lost).unlink()
    made = world.run("create", "known")
    assert made.code == 1 and lost in made.err
    assert not list((world.directory / "out").glob("*.age"))


@pytest.mark.parametrize("state", [MSGVAULT, PAPERLESS], ids=lambda s: s.profile)
def test_a_changed_attachment_is_named(world: World, keys: Keys, state: State) -> None:
    """Where the database has the SHA-256 of a file, another content is found."""
    root = declared(world, keys, state)
    changed = next(iter(state.files))
    (root / changed).write_bytes(b"rotten")
    made = world.run("create", "known")
    assert made.code == 1 and f"content differs from its reference: {changed}" in made.err


def test_a_pack_must_be_there(world: World, keys: Keys) -> None:
    """An attachment of msgvault that lies in a pack needs the pack, not a file of its own."""
    root = declared(world, keys, MSGVAULT)
    (pack,) = (root / "attachments" / "packs").rglob("*.mvpack")
    pack.unlink()
    made = world.run("create", "known")
    assert made.code == 1 and pack.name in made.err


def test_config_and_tokens_only_when_asked(world: World, keys: Keys) -> None:
    """Secrets are in no archive unless the person says so, at init for all or at create for one."""
    root = declared(world, keys, VAULTWARDEN)
    once = world.run("create", "known", "--include-tokens")
    assert once.code == 0, once.err
    listed = world.run("ls", once.out.strip(), "-i", keys.identity).out
    assert "rsa_key.pem" in listed and "config.json" not in listed
    words = ("always", "--profile", "vaultwarden", "--root", root)
    done = init(world, keys, *words, "--include-config", "--include-tokens")
    assert done.code == 0, done.err
    made = world.run("create", "always")
    listed = world.run("ls", made.out.strip(), "-i", keys.identity).out
    assert "rsa_key.pem" in listed and "config.json" in listed and "icon_cache" not in listed


def test_tokens_that_are_not_there_yet_stay_out_later(world: World, keys: Keys) -> None:
    """A token that appears after init is withheld all the same; check had said it is missing."""
    root = world.directory / "state"
    VAULTWARDEN.build(root)
    for name in ("rsa_key.pem", "rsa_key.pub.pem", "config.json"):
        (root / name).unlink()
    done = init(world, keys, "known", "--profile", "vaultwarden", "--root", root)
    assert done.code == 0 and "Not there, so not declared: rsa_key.pub.pem" in done.err
    checked = world.run("config", "check")
    assert checked.code == 0 and "note: tokens:" in checked.out
    (root / "rsa_key.pem").write_bytes(b"secret")
    made = world.run("create", "known")
    assert "rsa_key" not in world.run("ls", made.out.strip(), "-i", keys.identity).out
    shutil.rmtree(root)
    VAULTWARDEN.build(root)
    for name in ("rsa_key.pem", "rsa_key.pub.pem"):
        (root / name).unlink()
    words = ("other", "--profile", "vaultwarden", "--root", root, "--include-tokens")
    done = init(world, keys, *words)
    assert done.code == 2 and "There are no tokens" in done.err


def test_the_figures_of_an_application_are_recorded(world: World, keys: Keys) -> None:
    """The counts of a profile, and the version that its command tells, are in the manifest."""
    declared(world, keys, HOME_ASSISTANT)
    made = world.run("create", "known")
    shown = world.run("--json", "inspect", made.out.strip(), "-i", keys.identity)
    manifest = json.loads(shown.out)["manifest"]
    (recorder,) = [one for one in manifest["databases"] if one["counts"]]
    figures = {one["name"]: one["value"] for one in recorder["counts"]}
    assert figures == {"schema": 41, "entities": 1, "states": 2, "statistics": 1}
    assert manifest["versions"]["app"] == "2026.7.1"


def test_encrypted_databases_are_refused(world: World, keys: Keys) -> None:
    """Signal Desktop is known, and refused with the reason; nothing is written."""
    root = world.home / ".config" / "Signal"
    (root / "sql").mkdir(parents=True)
    (root / "sql" / "db.sqlite").write_bytes(bytes(range(256)) * 16)
    done = init(world, keys, "known", "--profile", "signal-desktop")
    assert done.code == 13 and "SQLCipher" in done.err
    assert not world.config.exists()
    found = world.run("config", "init", "--detect")
    assert found.code == 0 and "cannot be backed up" in found.out and str(root) in found.out


def test_a_locked_profile_of_firefox_is_busy(world: World, keys: Keys) -> None:
    """While Firefox holds its databases for itself the run ends with 11, and says so."""
    root = declared(world, keys, FIREFOX)
    with closing(sqlite3.connect(root / "places.sqlite", isolation_level=None)) as firefox:
        firefox.execute("PRAGMA locking_mode = EXCLUSIVE")
        firefox.execute("BEGIN EXCLUSIVE")
        made = world.run("create", "known", "--lock-timeout", "0.2")
    assert made.code == 11, made.err
    assert world.run("create", "known").code == 0


def test_an_undeclared_database_in_a_vault_is_refused(world: World, keys: Keys) -> None:
    """A live database that no line declares is never taken as mere bytes."""
    root = world.directory / "vault"
    for path in (".obsidian/app.json", "deep/er/still/x.db"):
        (root / path).parent.mkdir(parents=True)
        (root / path).write_bytes(SQLITE * 6)
    assert init(world, keys, "vault", "--profile", "obsidian", "--root", root).code == 0
    made = world.run("create", "vault")
    assert made.code == 13 and "deep/er/still/x.db" in made.err
