"""`agebackup doctor` on GitHub: what is wrong with a repository, and what --fix makes of it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from conftest import Keys, World
from github_stand_in import TOKEN, StandIn, stand_in
from sample_app import SampleApp

from agebackup.destinations.github import GitHub
from agebackup.destinations.interface import Means
from agebackup.errors import StoppedError
from agebackup.model.findings import Finding
from agebackup.model.whereabouts import parse_whereabouts
from agebackup.operations.doctor_github import of_github
from agebackup.system.claims import Claims
from agebackup.system.progress import Progress

pytestmark = pytest.mark.linux

PLACE = "ada/backups"


@pytest.fixture
def there() -> Iterator[StandIn]:
    with stand_in() as made:
        yield made


def _found(there: StandIn, world: World, place: str = PLACE, *, fix: bool = False) -> list[Finding]:
    claims = Claims(world.directory / "claims")
    environment = there.environment(world.home)
    means = Means(environment, world.directory, claims, Progress())
    remote = GitHub(parse_whereabouts(f"github:{place}"), means, pauses=(0.0, 0.0), longest=0.0)
    found = list(of_github(remote, fix=fix))
    assert all(TOKEN not in f"{one.fact}{one.remedy}" for one in found)
    return found


def test_a_repository_that_takes_archives_is_not_mentioned(there: StandIn, world: World) -> None:
    """Where all is well nothing is said, and --fix changes nothing."""
    there.repository(PLACE)
    assert _found(there, world) == [] and _found(there, world, fix=True) == []
    assert not there.count("^(PUT|PATCH|DELETE)")


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ({"private": False}, "github-refuses"),
        ({"archived": True}, "github-refuses"),
        ({"permission": "READ"}, "github-refuses"),
    ],
)
def test_each_fault_of_a_repository_is_told(
    there: StandIn, world: World, state: dict[str, Any], code: str
) -> None:
    """What only its owner can change is said with a remedy, and --fix leaves it alone."""
    there.repository(PLACE, **state)
    for fix in (False, True):
        (one,) = _found(there, world, fix=fix)
        assert (one.severity, one.code, one.fixable) == ("error", code, False) and one.remedy


@pytest.mark.parametrize("place", ["ada/fresh", "the-firm/fresh"])
def test_an_absent_repository_is_made_private_with_a_first_commit(
    there: StandIn, world: World, place: str
) -> None:
    """--fix makes it for the person or their organisation; archives can go there at once."""
    (one,) = _found(there, world, place)
    assert (one.code, one.fixable) == ("github-no-repository", True)
    assert [one.severity for one in _found(there, world, place, fix=True)] == ["note"]
    made = there.repositories[place]
    assert made.private and not made.empty
    readme = made.files["README.md"].decode()
    assert "age -d -i key.txt" in readme and f"--from github:{place}" in readme
    assert _found(there, world, place) == []


def test_an_empty_repository_gets_its_first_commit(there: StandIn, world: World) -> None:
    """A release needs a commit: it is said, and --fix puts one there."""
    there.repository(PLACE, empty=True)
    (one,) = _found(there, world)
    assert (one.code, one.fixable) == ("github-empty", True)
    (note,) = _found(there, world, fix=True)
    assert note.code == "github-first-commit" and _found(there, world) == []


def test_a_missing_login_and_a_program_that_is_none_are_told(there: StandIn, world: World) -> None:
    """Another program called gh, an old one, or no login: each has a remedy."""
    there.token = "another"
    (one,) = _found(there, world)
    assert one.code == "github-unusable" and "gh auth login" in one.remedy
    bin_ = world.directory / "bin"
    bin_.mkdir()
    (bin_ / "gh").touch(0o755)
    environment = {"PATH": f"{bin_}:/usr/bin:/bin"}
    for text, code in (("gh version 1.9.2", "gh-too-old"), ("guitar hero", "github-unusable")):
        (bin_ / "gh").write_text(f"#!/bin/sh\necho {text}\n")
        means = Means(environment, world.directory, Claims(world.directory), Progress())
        (one,) = of_github(GitHub(parse_whereabouts(f"github:{PLACE}"), means), fix=True)
        assert one.code == code and "cli.github.com" in one.remedy
        stopped = replace(means, progress=Progress())
        stopped.progress.stop.request(2)
        with pytest.raises(StoppedError):
            list(of_github(GitHub(parse_whereabouts(f"github:{PLACE}"), stopped), fix=False))


def test_doctor_looks_at_the_repositories_of_the_configuration(
    there: StandIn, world: World, app: SampleApp, keys: Keys
) -> None:
    """`doctor --fix` makes the repository that the configuration names, and says so."""
    cloud = world.directory / "cloud"
    cloud.mkdir(mode=0o700)
    declared = ("config", "init", "notes", "--db", app.ledger, "--to", cloud, "-r", keys.recipient)
    assert world.run(*declared).code == 0
    text = world.config.read_text()
    line = next(line for line in text.splitlines() if line.startswith("destination = "))
    both = line.replace("destination = ", "destination = [") + f', "github:{PLACE}"]'
    world.config.write_text(text.replace(line, both))
    environment = {**world.env, **there.environment(world.home)}
    codes = {}
    for words in ((), ("--fix",)):
        outcome = world.run("doctor", "--json", *words, env=environment)
        codes[words] = {one["code"] for one in json.loads(outcome.out)["findings"]}
    assert "github-no-repository" in codes[()] and "github-made" in codes[("--fix",)]
    assert there.repositories[PLACE].files
