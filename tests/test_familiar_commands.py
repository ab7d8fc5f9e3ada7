"""The README's table of other people's command lines: each of ours in it does what it says."""

import re
from dataclasses import replace

import pytest
from conftest import Keys, World
from profile_states import MSGVAULT, TINY_FORGE, WORK_BUDDY, WORKMEM, State
from test_documents import README, shell
from timers import CRONTAB, program

from agebackup.config import load_config

_ROW = re.compile(r"^\| (?P<there>[^|]+) \| (?P<here>[^|]+) \|$", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")
ELSEWHERE = "--env-file"
"""What has a test of its own, with the file that it reads."""


def rows() -> list[tuple[str, str]]:
    """Return the table's rows: what people know, and what they type here."""
    section = README.split("\n## Applications it knows\n", 1)[1].split("\n## ", 1)[0]
    (_, table) = section.split("\n| there | here |\n|---|---|\n", 1)
    return [(match["there"], match["here"]) for match in _ROW.finditer(table)]


def commands() -> list[str]:
    """Return the complete commands of the table, one in brackets once without and once with it."""
    found = [code for _, here in rows() for code in _CODE.findall(here)]
    mine = [code for code in found if code.startswith("agebackup ") and ELSEWHERE not in code]
    plain = [re.sub(r" \[.*?\]", "", code) for code in mine]
    whole = [code.replace("[", "").replace("]", "") for code in mine]
    return [code for pair in zip(plain, whole, strict=True) for code in dict.fromkeys(pair)]


@pytest.fixture
def machine(world: World, keys: Keys) -> World:
    """Somebody who has msgvault, workmem, work-buddy and tiny-forge, and a crontab."""
    program(world.directory / "bin", "crontab", CRONTAB)
    program(world.directory / "bin", "systemctl", "raise SystemExit('no bus')")
    (world.directory / "key.txt").write_bytes(keys.identity.read_bytes())
    (world.directory / "key.pub").write_text(keys.recipient)
    path = f"{world.directory / 'bin'}:{world.env['PATH']}"
    machine = replace(world, env={**world.env, "PATH": path})
    apps = (("mail", MSGVAULT), ("work-buddy", WORK_BUDDY), ("forge", TINY_FORGE))
    for app, state in apps:
        declare(machine, keys, app, state)
    WORKMEM.build(world.directory / "memory")
    (world.directory / "memory.db").write_bytes((world.directory / "memory/memory.db").read_bytes())
    return machine


def declare(world: World, keys: Keys, app: str, state: State) -> None:
    root = world.home / app
    state.build(root)
    words = ("--profile", state.profile, "--root", root, "--to", "out", "--mkdir")
    done = world.run("config", "init", app, *words, "-r", keys.recipient)
    assert done.code == 0, done.err


def test_every_command_of_the_table_runs(machine: World, keys: Keys) -> None:
    """One after the other, as they stand: each ends with 0."""
    words = {"FILE.age": "backup.age", "KEY": keys.recipient, "DIR": "restored", "WORD": "before"}
    ran = commands()
    assert len(ran) > 20
    for code in ran:
        typed = re.sub(r"\b(?:FILE\.age|KEY|DIR|WORD)\b", lambda found: words[found[0]], code)
        command, *redirected = typed.split(" > ")
        done = shell(machine, " > ".join([f"{command} --yes", *redirected]), machine.directory)
        assert done.returncode == 0, f"{typed}: {done.stderr}"
    assert (machine.directory / "restored.db").read_bytes().startswith(b"SQLite format 3")
    assert (machine.directory / "restored" / "msgvault.db").exists()
    assert len(list(machine.home.rglob("*.pre_restore_*"))) > 7, "in place, and what was there kept"


def test_what_the_table_says_of_sections_holds(machine: World) -> None:
    """The keys that it names are understood; the retention of work-buddy is what is written."""
    (kept,) = (there for there, _ in rows() if there.startswith("its retention"))
    policy = load_config(machine.config, machine.env).app("work-buddy").retention
    assert policy is not None and policy.yearly == -1 and "all annual" in kept
    figures = (policy.hourly, policy.daily, policy.weekly, policy.monthly, policy.manual)
    assert [int(number) for number in re.findall(r"\d+", kept)] == list(figures)
    text = machine.config.read_text()
    head, forge = text.split("[apps.forge]\n")
    table = re.compile(r"(?<=\[apps\.forge\.retention\]\n)[^[]*")
    said = [code for _, here in rows() for code in _CODE.findall(here)]
    keys = [code for code in said if re.match(r"(enabled|interval|count) = ", code)]
    assert len(keys) == 3
    forge = table.sub(f"{keys[2]}\n\n", f"{keys[0]}\n{keys[1]}\n{forge}")
    machine.config.write_text(f"{head}[apps.forge]\n{forge}")
    app = load_config(machine.config, machine.env).app("forge")
    assert app.retention is not None and app.retention.last == 10
    assert app.watch.enabled and app.watch.interval == 24 * 3600


def test_no_seed_is_forgotten() -> None:
    """What those applications offer has its row."""
    there = " ".join(one for one, _ in rows())
    for word in ("backup create", "backup verify", "backup restore", "--age-recipient", "--db",
                 "--env-file", "/wb-backup-now", "/wb-backup-restore", "data_backup_list",
                 "backup_enabled", "backup_interval_hours", "backup_retention_count"):  # fmt: skip
        assert word in there
