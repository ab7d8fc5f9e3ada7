"""push, and what create and run do with further destinations: Mirror folders, a remote of rclone."""

import json
from pathlib import Path

import pytest
from conftest import Keys, World
from sample_app import SampleApp


def declare(world: World, app: SampleApp, keys: Keys, *more: str, extra: str = "") -> None:
    """Declare the app `notes`, published in `here` and carried to the folders `more`."""
    world.config.parent.mkdir(parents=True, exist_ok=True)
    places = ", ".join(f'"{place}"' for place in (world.directory / "here", *more))
    world.config.write_text(
        f'[apps.notes]\nenabled = true\ninterval = "1h"\ndestination = [{places}]\n'
        f'recipients = ["{keys.recipient}"]\ndatabases = {{"ledger.db" = "{app.ledger}"}}\n{extra}'
    )
    (world.directory / "here").mkdir(exist_ok=True)


@pytest.fixture
def mirrored(world: World, app: SampleApp, keys: Keys) -> World:
    """An app with a second folder, `there`."""
    declare(world, app, keys, str(world.directory / "there"))
    (world.directory / "there").mkdir()
    return world


def archives(world: World, folder: str) -> dict[str, bytes]:
    """Return what lies in a folder: archives by name."""
    return {path.name: path.read_bytes() for path in (world.directory / folder).glob("*.age")}


def result(said: str) -> dict:
    """Return the one result in a JSON object."""
    (one,) = json.loads(said)["results"]
    return one


def test_create_carries_the_archive_to_every_further_destination(mirrored: World) -> None:
    """What is published here lies there too, byte for byte, and nothing is owed."""
    done = mirrored.run("create", "notes")
    assert done.code == 0, done.err
    here = archives(mirrored, "here")
    assert len(here) == 1 and archives(mirrored, "there") == here
    assert "pushed to" in done.err
    again = mirrored.run("push", "notes", "--json")
    assert again.code == 0, again.err
    (place,) = result(again.out)["destinations"]
    assert place["pushed"] == [] and place["owed"] == [] and place["status"] == "ok"
    assert mirrored.leftovers() == ()
