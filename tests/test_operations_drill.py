"""Drills from within: what is drawn while somebody prunes, and what is signed."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from conftest import Keys, World
from nights import declare
from sample_app import SampleApp

from agebackup.cli import directories
from agebackup.cli.console import console
from agebackup.cli.drilling import Drill, Ground
from agebackup.cli.settings import Settings
from agebackup.errors import FailedError, NotFoundError, StoppedError, VerificationError
from agebackup.ledger import open_ledger
from agebackup.model.limits import Limits
from agebackup.operations.drill import says_nothing
from agebackup.operations.reading import Reading
from agebackup.snapshot.keys import read_identities

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def ground(
    world: World, app: SampleApp, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ground]:
    """What drills share on a machine with three archives of a declared app."""
    declare(world, app, keys)
    for _ in range(3):
        assert world.run("create", "notes").code == 0
    for name, value in world.env.items():
        monkeypatch.setenv(name, value)
    settings = Settings(environment=dict(world.env), quiet=True)
    to = console(settings, "drill")
    identities = read_identities((keys.identity,), passphrase=None, warn=print)
    with click.Context(click.Command("drill"), obj=settings):
        yield Ground(
            to,
            Reading(identities, Limits(), to.progress),
            directories.workspace(None),
            directories.claims(),
            {},
        )


def removing(folder: Path, count: int) -> Iterator[float]:
    """Yield chances that draw the newest archive; the first `count` are pruned at that moment."""
    while True:
        if count:
            max(folder.glob("*.age"), key=lambda one: one.name).unlink()
            count -= 1
        yield 0.0


@pytest.mark.parametrize("count", [1, 2])
def test_another_one_is_drawn(ground: Ground, world: World, count: int) -> None:
    """An archive that is pruned between being drawn and opened is no failure, and no damage."""
    folder = world.directory / "out-notes"
    chances = removing(folder, count)
    drill = Drill(ground, "notes", None, lambda: next(chances))
    code, fields = drill.run()
    left = {one.name for one in folder.glob("*.age")}
    assert code == 0 and drill.fields["receipt"]["archive"] in left
    with open_ledger(world.state / "ledger.db") as ledger:
        assert [one.outcome for one in ledger.drills()] == ["ok"]
        assert not any(one.bad for one in ledger.archives())
    assert fields["app"] == "notes" and not world.leftovers()


def test_all_are_gone(ground: Ground, world: World) -> None:
    """Where nothing is left to draw, that is said: 10, and no receipt."""
    chances = removing(world.directory / "out-notes", 9)
    with pytest.raises(NotFoundError, match="no archive of notes that could be drilled"):
        Drill(ground, "notes", None, lambda: next(chances)).run()
    with open_ledger(world.state / "ledger.db") as ledger:
        assert ledger.drills() == ()


def test_chance_reaches_every_archive(ground: Ground, world: World) -> None:
    """Drill by drill those come first that were never drilled: soon all have been."""
    dice = random.Random(7)
    for _ in range(8):
        Drill(ground, "notes", None, dice.random).run()
    with open_ledger(world.state / "ledger.db") as ledger:
        assert len({one.archive for one in ledger.drills()}) == 3


def test_what_says_nothing_of_an_archive() -> None:
    """A stop, and what is not there, fail no archive; damage and a failing disk do."""
    failures = [VerificationError("x"), FailedError("x")]
    for error in (StoppedError(15), NotFoundError("x")):
        assert says_nothing(error, there=True)
    assert all(says_nothing(error, there=False) for error in failures)
    assert not any(says_nothing(error, there=True) for error in failures)
