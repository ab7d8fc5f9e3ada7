"""Debian's own cron starts the installed job, with a crontab that is nobody else's."""

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import Keys, World
from nights import declare, last_run
from sample_app import SampleApp, command

pytestmark = [pytest.mark.linux]

PATIENCE = 90
"""Seconds until a test calls cron hung: it starts jobs once a minute."""
MINE = "# mine\n5 4 1 1 * true \\%\n"
SCRIPT = """
set -eu
mount -t tmpfs -o mode=1730,gid=$(stat -c %g /var/spool/cron/crontabs) cron /var/spool/cron/crontabs
mount -t tmpfs cron /run
mount -t tmpfs cron /etc/cron.d
mount -t tmpfs cron /dev/shm
mount --bind /dev/null /etc/crontab
install -m 600 mine "/var/spool/cron/crontabs/$(id -un)"
"$@" schedule install notes --no-run --kind cron --every "$(date -d "@$MINUTE" +%H:%M)"
crontab -l >installed
# cron alone begins 10 s before the minute, enough for a busy machine to start it: its jobs are
# handed none of its own variables. faketime names things in /dev/shm by its process id
faketime -f "+$((MINUTE - 10 - $(date +%s)))s" /usr/sbin/cron -f &
read -r fired
"$@" schedule run-now notes
"$@" schedule remove notes
crontab -l >removed
"""
"""A crontab apart, and no job of the machine's."""
APART = ("unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child")
"""What the script mounts and starts, cron too, is seen by nobody and ends with it."""


def test_cron_runs_the_job(world: World, app: SampleApp, keys: Keys) -> None:
    """At its minute cron makes an archive; by hand another one; then the crontab is as before."""
    assert os.geteuid() == 0, "cron changes to the crontab's user, so this test needs root"
    out = declare(world, app, keys, "retries = 0")
    (world.directory / "mine").write_text(MINE)
    env = {**world.env, "MINUTE": str((int(time.time()) // 60 + 5) * 60)}
    argv = [*APART, "sh", "-c", SCRIPT, "sh", *command()]
    with subprocess.Popen(
        argv,
        cwd=world.directory,
        env=env,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            until_archived(out, process)
            fired = last_run(world)
            _, stderr = process.communicate("fired\n", timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 0, stderr
    assert (fired["kind"], fired["outcome"]) == ("auto", "ok")
    assert len(list(out.glob("*.age"))) == 2 and last_run(world)["outcome"] == "ok"
    installed, removed = ((world.directory / name).read_text() for name in ("installed", "removed"))
    assert removed == MINE and installed.startswith(removed)
    assert not world.leftovers()


def until_archived(out: Path, process: "subprocess.Popen[str]") -> None:
    """Wait until cron's job has told how it ended."""
    report = out.parent.parent / "home" / "state" / "agebackup" / "apps" / "notes.last-run.json"
    begun = time.monotonic()
    while not report.exists():
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
            raise AssertionError(process.communicate())
        assert time.monotonic() - begun < PATIENCE, "cron started nothing"
