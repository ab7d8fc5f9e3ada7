"""The documents: what they tell a person to type does what they say."""

import re
import subprocess
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest
from conftest import Keys, World
from sample_app import SampleApp, command
from system_faults import OWN_MOUNTS

from agebackup import errors
from agebackup.cli.main import COMMANDS
from agebackup.config.reading import parse_config
from agebackup.model.names import ArchiveName
from agebackup.model.recovery import RECOVERY_NOTE
from agebackup.model.retaining import plan
from agebackup.model.retention import Candidate

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
TRUST = (ROOT / "agebackup" / "TRUST.md").read_text()
NIGHTS = (ROOT / "agebackup" / "NIGHTS.md").read_text()
OFFSITE = (ROOT / "agebackup" / "OFFSITE.md").read_text()
TRUST = (ROOT / "agebackup" / "TRUST.md").read_text()
EXAMPLE = "notes-20261120T021500Z-1f2e3d4c"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(heading: str, language: str) -> list[str]:
    """Return the code of `language` below the second-level heading."""
    section = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return [code for name, code in BLOCK.findall(section) if name == language]


OWN_CRONTABS = (*OWN_MOUNTS, "sh", "-c", 'mount -t tmpfs x /var/spool/cron/crontabs; exec "$@"', "")


def shell(
    world: World, code: str, directory: Path, within: Sequence[str] = ()
) -> "subprocess.CompletedProcess[str]":
    """Run `code` in bash as a person would, with agebackup on the path."""
    words = " ".join(f"'{word}'" for word in command())
    prelude = f'set -e\nagebackup() {{ {words} "$@"; }}\n'
    return subprocess.run(
        [*within, "bash", "-c", prelude + code],
        cwd=directory,
        env=dict(world.env),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def alone(world: World, app: SampleApp, keys: Keys) -> Path:
    """A new folder that holds an archive called as in the README's examples, and the key."""
    (world.directory / "out").mkdir()
    outcome = world.run(
        *("create", *app.create_arguments, "--app", "notes", "--to", "out", "-r", keys.recipient)
    )
    assert outcome.code == 0, outcome.err
    directory = world.directory / "new"
    directory.mkdir()
    (directory / f"{EXAMPLE}.tar.age").write_bytes(Path(outcome.out.strip()).read_bytes())
    (directory / "key.txt").write_bytes(keys.identity.read_bytes())
    (directory / "key.txt").chmod(0o600)
    return directory


def test_the_first_backup(world: World, app: SampleApp) -> None:
    """The five commands of the README work one after the other, as they are."""
    (code,) = blocks("The first backup in five commands", "sh")
    assert len(code.strip().splitlines()) == 5
    done = shell(world, code, world.directory)
    assert done.returncode == 0, done.stderr
    assert (world.directory / "restored" / "ledger.db").exists()
    assert (world.directory / "ledger" / "data" / "ledger.db").exists()


def test_signed_archives(world: World, app: SampleApp) -> None:
    """The README's commands sign, verify and restore; the recipe by hand proves the origin too."""
    (world.directory / "backups").mkdir()
    (sign,) = blocks("Signed archives", "sh")
    (check,) = blocks("Signed archives", "bash")
    by_hand = "age -d -i key.txt backups/*.age | tar x && cd ledger && set -o pipefail\n"
    for code in ("agebackup keygen -o key.txt > key.pub\n" + sign, by_hand + check):
        done = shell(world, code, world.directory)
        assert done.returncode == 0, done.stderr
    assert (world.directory / "signed" / "ledger.db").exists()
    assert done.stdout.startswith('Good "agebackup@v1" signature for agebackup@')
    (world.directory / "ledger" / "manifest.json").write_text("{}")
    assert shell(world, "cd ledger\n" + check, world.directory).returncode != 0


@pytest.mark.linux
def test_a_nightly_backup(world: World, app: SampleApp) -> None:
    """Five commands lead from nothing to a watched backup: archives, a timer that ran, a status."""
    (code,) = blocks("A nightly backup in five commands", "sh")
    assert len(code.strip().splitlines()) == 5
    backups = world.home / "Dropbox" / "backups"
    backups.mkdir(parents=True)
    done = shell(world, code + "crontab -l\n", world.directory, OWN_CRONTABS)
    assert done.returncode == 0, done.stderr
    status, line = done.stdout.splitlines()[-4], done.stdout.splitlines()[-2]
    assert status.startswith("notes: fresh; newest ")
    assert " run notes " in line and line.startswith("30 3 * * * ")
    made = sorted(backups.glob("notes-*.tar.age"))
    assert len(made) == 2, "one by create, one by the timer's own run"
    for archive in made:
        verified = world.run("verify", archive, "-i", world.directory / "key.txt")
        assert verified.code == 0, verified.err


def test_a_key_that_others_have_seen(world: World, app: SampleApp) -> None:
    """The README's two commands make a new pair and let all archives be for it alone."""
    make = "agebackup keygen -o key.txt > key.pub\n" + (
        f"agebackup create --app notes --db {app.ledger} --to out --mkdir -r key.pub\n"
    )
    (code,) = blocks("A key was lost or seen by others", "sh")
    done = shell(world, make + code, world.directory)
    assert done.returncode == 0, done.stderr
    (archive,) = (world.directory / "out").glob("*.age")
    for key, opened in (("key.txt", 12), ("new-key.txt", 0)):
        assert world.run("verify", archive, "-i", world.directory / key).code == opened


def test_recovery_by_hand(world: World, alone: Path, app: SampleApp) -> None:
    """The person whose laptop died gets everything back with the README's recipe alone."""
    linux = blocks("My laptop died", "sh")[1]
    assert "apt" not in linux
    done = shell(world, linux, alone)
    assert done.returncode == 0, done.stderr
    data = alone / "notes" / "data"
    assert {path.name for path in (data / "attachments").iterdir()} == {
        path.name for path in app.blobs.iterdir()
    }
    assert (alone / "notes" / "data" / "ledger.db").stat().st_mode & 0o077 == 0


def test_recovery_in_one_go(world: World, alone: Path) -> None:
    """The recipe for little space works too."""
    (code,) = blocks("My laptop died", "bash")
    done = shell(world, code, alone)
    assert done.returncode == 0, done.stderr
    assert (alone / "notes" / "data" / "ledger.db").exists()


def test_the_commands_about_keys(world: World, app: SampleApp) -> None:
    """What TRUST.md says about keys can be typed as it stands, with the README's first backup."""
    (first,) = blocks("The first backup in five commands", "sh")
    assert shell(world, first, world.directory).returncode == 0
    section = TRUST.split("\n## Keys\n", 1)[1].split("\n## ", 1)[0]
    commands = re.findall(r"^    (agebackup .+?)(?: +#.*)?$", section, re.MULTILINE)
    assert len(commands) == 4
    here = world.directory
    (here / "typed.txt").write_text((here / "key.txt").read_text().split()[-1].lower())
    done = shell(
        world,
        "\n".join(commands)
        .replace("/media/stick/key.txt", "key.txt")
        .replace("--check\n", "--check < typed.txt\n")
        .replace("-o key.txt", "-o again.txt"),
        here,
    )
    assert done.returncode == 0, done.stderr
    assert "opened by age1" in done.stdout and done.stdout.count("The typed key is right") == 2
    assert (here / "sheet.html").exists() and (here / "again.txt").exists()


def test_recovery_of_a_compressed_archive(world: World, app: SampleApp, keys: Keys) -> None:
    """The recipe for compressed archives works as it stands."""
    directory = world.directory / "zst"
    directory.mkdir()
    outcome = world.run(
        *("create", *app.create_arguments, "--app", "notes", "--compress", "zstd"),
        *("--to", directory, "-r", keys.recipient),
    )
    assert outcome.code == 0, outcome.err
    Path(outcome.out.strip()).rename(directory / f"{EXAMPLE}.tar.zst.age")
    (directory / "key.txt").write_bytes(keys.identity.read_bytes())
    (code,) = blocks("My laptop died", "zsh")
    done = shell(world, code, directory)
    assert done.returncode == 0, done.stderr
    assert (directory / "notes" / "data" / "ledger.db").exists()


def test_recovery_with_agebackup(world: World, alone: Path) -> None:
    """The one command for a machine with agebackup works."""
    done = shell(world, blocks("My laptop died", "sh")[0], alone)
    assert done.returncode == 0, done.stderr
    assert (alone / "restored" / "ledger.db").exists()


@pytest.mark.parametrize("system", ["LINUX", "MACOS"])
def test_the_note_beside_the_archives(world: World, alone: Path, system: str) -> None:
    """The note in the cloud folder holds recipes that work as they stand."""
    note = (world.directory / "out" / RECOVERY_NOTE).read_text()
    recipe = re.search(rf"^{system} (?:.|\n)*?\n\n((?:    .*\n)+)", note, re.MULTILINE)
    assert recipe
    code = recipe[1].replace("ARCHIVE.tar.age", f"{EXAMPLE}.tar.age").replace("APP", "notes")
    done = shell(world, code, alone)
    assert done.returncode == 0, done.stderr
    assert "FAILED" not in done.stdout
    assert (alone / "notes" / "RECOVER.md").exists()


@pytest.mark.linux
def test_drills(world: World, app: SampleApp, keys: Keys) -> None:
    """What README and TRUST.md tell about drills works as it stands, the timer included."""
    (world.directory / "key.txt").write_bytes(keys.identity.read_bytes())
    (world.directory / "key.txt").chmod(0o600)
    (world.directory / "out").mkdir()
    trust = TRUST.split("\n## Drills\n", 1)[1].split("\n## ", 1)[0]
    readme = README.split("\n### drill\n", 1)[1].split("\n### ", 1)[0]
    head = (
        f'[apps.notes]\nroot = "{app.root}"\ndestination = "{world.directory / "out"}"\n'
        f'recipients = ["{keys.recipient}"]\n'
        '[apps.notes.databases]\nledger = "ledger.db"\n'
    )
    world.config.parent.mkdir(parents=True)
    for text in (readme, trust):
        found = BLOCK.findall(text)
        (asserted,) = [code for name, code in found if name == "toml"]
        world.config.write_text(head + asserted)
        assert world.run("create", "notes").code == 0
        for code in (code for name, code in found if name == "sh"):
            done = shell(world, code, world.directory, OWN_CRONTABS)
            assert done.returncode == 0, done.stderr
    report = world.run("drill", "--report").out
    assert "ok, 2 of 2 assertions hold" in report and "ok, 4 of 4 assertions hold" in report
    assert report.count("  ok, ") == 3


def test_damage_stops_the_recipe(world: World, alone: Path) -> None:
    """A damaged archive makes the recipe fail instead of yielding half of it in silence."""
    archive = alone / f"{EXAMPLE}.tar.age"
    content = bytearray(archive.read_bytes())
    content[-100] ^= 1
    archive.write_bytes(content)
    for code in (blocks("My laptop died", "sh")[1], blocks("My laptop died", "bash")[0]):
        assert shell(world, code, alone).returncode != 0


def test_every_command_is_described(world: World) -> None:
    """The README's table names every command, some in several rows, and no other."""
    table = README.split("\n## Commands\n", 1)[1].split("\n### ", 1)[0]
    named = re.findall(r"^\| `([\w-]+)", table, re.MULTILINE)
    assert list(dict.fromkeys(named)) == list(COMMANDS)


def test_every_exit_code_is_described() -> None:
    """The README's table of exit codes is the one that the program follows."""
    families = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.AgebackupError)
    ]
    codes = {family.exit_code for family in families} | {0, errors.INCOMPLETE, errors.STALE}
    table = README.split("\n### Exit codes\n", 1)[1].split("\n## ", 1)[0]
    described = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    assert described == codes


SUBCOMMANDS = {
    "config": ("init", "check"),
    "ledger": ("check", "rebuild", "path", "rekeyed"),
    "schedule": ("install", "remove", "show", "run-now"),
}


FOREIGN = ("--age-recipient", "--output")
"""What other programs' command lines have, in the README's table of them."""


def test_every_flag_in_the_readme_exists(world: World) -> None:
    """Each long flag that the README or a page beside it mentions is one of some command's."""
    lines = [(name,) for name in ("", *COMMANDS)]
    lines += [(name, sub) for name, subs in SUBCOMMANDS.items() for sub in subs]
    known = "".join(world.run(*filter(None, line), "--help").out for line in lines)
    text = README.split("\n## Working on agebackup", 1)[0] + NIGHTS + TRUST + OFFSITE
    for flag in set(re.findall(r"`[^`]*?(--[a-z][a-z-]+)", text)):
        assert flag in known or flag in ("--keep", "--small", "--rm", "--user", *FOREIGN), flag


def test_what_lies_elsewhere() -> None:
    """The README's example of provenance and pointers is a configuration."""
    section = README.split("\n## The configuration file\n", 1)[1].split("\n## ", 1)[0]
    _, example = [code for name, code in BLOCK.findall(section) if name == "toml"]
    declared = example + "[apps.notes.databases]\nledger = 'ledger.db'\n"
    one = parse_config(declared.encode(), Path("/etc/config.toml"), {"HOME": "/h"}).app("notes")
    assert one.provenance and one.pointer_check and [p.name for p in one.pointers] == ["videos"]


def test_the_retention_table_is_what_happens() -> None:
    """The README's example of a policy keeps just the archives that its table says it keeps."""
    section = README.split("\n### What is kept\n", 1)[1].split("\n### ", 1)[0]
    (_, example), *_ = BLOCK.findall(section)
    declared = "[apps.notes]\nroot = '/srv'\n[apps.notes.databases]\na = 'a.db'\n" + example
    policy = parse_config(declared.encode(), Path("/etc/config.toml"), {}).app("notes").retention
    assert policy is not None
    rows = re.findall(r"^\| (\d{4}-\d\d-\d\d \d\d:\d\d) \| (.+) \|$", section, re.MULTILINE)
    times = [datetime.fromisoformat(f"{time}:00+00:00") for time, _ in rows]
    ones = [
        Candidate(ArchiveName("notes", time, f"{number:08x}"), "good")
        for number, time in enumerate(times)
    ]
    decided = plan(ones, policy, times[0])
    said = {one.candidate.name.time: ", ".join(one.reasons) for one in decided.kept}
    assert [said.get(time, "-") for time in times] == [reasons for _, reasons in rows]


def test_every_threat_has_its_test() -> None:
    """Each line of the threat model names tests that exist, or says that nothing stops it."""
    section = README.split("\n## Threat model\n", 1)[1].split("\n### ", 1)[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("|")]
    for who, goal, answer, shown in rows[2:]:
        tests = re.findall(r"`(test_\w+)::(test_\w+)`", shown)
        assert tests or answer == "nothing", (who, goal)
        for module, name in tests:
            source = (ROOT / "tests" / f"{module}.py").read_text()
            assert re.search(rf"^def {name}\(", source, re.MULTILINE), f"{module}::{name}"
    assert len(rows) > 15
