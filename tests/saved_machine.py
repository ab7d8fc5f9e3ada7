"""A machine with a few archives that is made once and put back as it was before each test."""

import shutil
from contextlib import suppress
from pathlib import Path

import sample_app
from conftest import Keys, World

ARCHIVES = 3


def create(world: World, app: sample_app.SampleApp, keys: Keys, folder: Path, *more: str) -> None:
    """Make an archive of `notes` in `folder`, or where the FILE.age `folder` says."""
    words = ("--db", app.ledger, "--app", "notes", "--to", folder, "--mkdir", "-r", keys.recipient)
    outcome = world.run("create", *words, *more)
    assert outcome.code == 0, outcome.err


def saved_machine(base: Path, keys: Keys) -> tuple[World, Path]:
    """Return a machine with archives in its folder `cloud`, and a copy of all its files."""
    now = base / "now"
    home, directory = now / "home", now / "world"
    for made in (home, directory):
        made.mkdir(mode=0o700, parents=True)
    world = World(directory, home, sample_app.environment(home))
    app = sample_app.build(directory / "app")
    for _ in range(ARCHIVES):
        create(world, app, keys, directory / "cloud")
    return world, Path(shutil.copytree(now, base / "saved", symlinks=True))


def as_it_was(template: tuple[World, Path]) -> World:
    """Return the machine with all its files as they were saved, whatever was done to them."""
    world, saved = template
    with suppress(FileNotFoundError):
        (world.directory / "cloud").chmod(0o700)
    shutil.rmtree(world.directory.parent)
    shutil.copytree(saved, world.directory.parent, symlinks=True)
    return world
