"""`agebackup drill`: an archive is restored for the sake of proof, asked, removed, and recorded."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Keys, Outcome, World
from nights import declare
from sample_app import SampleApp

ASSERTIONS = """
[apps.notes.assertions]
enough = {database = "ledger", sql = "SELECT count(*) FROM entries", minimum = 50}
last = {database = "ledger", sql = "SELECT max(id) FROM entries", equals = 50}
whole = {database = "ledger", sql = "SELECT count(*) FROM entries", manifest = "rows.entries"}
version = {database = "ledger", sql = "SELECT 3", manifest = "user_version"}
"""


@pytest.fixture
def notes(world: World, app: SampleApp, keys: Keys) -> World:
    """A machine with a declared app, assertions, and one archive."""
    declare(world, app, keys, ASSERTIONS)
    made = world.run("create", "notes")
    assert made.code == 0, made.err
    return world


def drill(world: World, keys: Keys, *words: object, **options: Any) -> Outcome:
    return world.run("drill", *words, "-i", keys.identity, **options)


def drills(world: World, *apps: str) -> list[dict[str, Any]]:
    """Return what the ledger keeps of drills, newest first."""
    outcome = world.run("drill", "--report", *apps, "--json")
    assert outcome.code == 0, outcome.err
    rows: list[dict[str, Any]] = json.loads(outcome.out)["drills"]
    return rows


def archives(world: World) -> list[Path]:
    return sorted((world.directory / "out-notes").glob("*.age"))


def test_a_good_drill(notes: World, keys: Keys) -> None:
    """It says what was restored and asserted, keeps a receipt, and leaves nothing else."""
    outcome = drill(notes, keys, "notes")
    assert outcome.code == 0, outcome.err
    (archive,) = archives(notes)
    assert outcome.out.startswith(archive.name) and "4 assertions hold" in outcome.out
    assert not notes.leftovers()
    (row,) = drills(notes)
    receipt = json.loads(row["receipt"])
    assert receipt["archive"] == row["archive"] == archive.name and row["outcome"] == "ok"
    assert receipt["schema"] == "agebackup/drill-receipt/v1" and receipt["newest"] == archive.name
    assert 0 <= receipt["age"] == receipt["newest_age"] < 600 and row["recovery_time"] > 0
    assert [one["ok"] for one in receipt["assertions"]] == [True] * 4
    assert [one["found"] for one in receipt["assertions"]] == [50, 50, 50, 3]
    assert len(receipt["sha256"]) == 64 and row["signature"] == ""
