"""A user's own systemd starts the installed service, in its sandbox, on a machine that has none."""

import os
import subprocess

import pytest
from conftest import Keys, World
from nights import declare, last_run, script
from sample_app import SampleApp, command

pytestmark = [pytest.mark.linux]

SCRIPT = """
set -eu
mount -t tmpfs systemd /run
mkdir -p /run/systemd/system /run/systemd/unit-root "$XDG_RUNTIME_DIR"
chmod 700 "$XDG_RUNTIME_DIR"
mount -t cgroup2 systemd /sys/fs/cgroup
mine=/sys/fs/cgroup/agebackup-test-$NAME
mkdir "$mine"
end() {
    kill "$manager" && wait "$manager" || true
    echo 0 >/sys/fs/cgroup/cgroup.procs
    find "$mine" -depth -type d -exec rmdir {} +
}
trap end EXIT
echo 0 >"$mine/cgroup.procs"
# as little as a user's manager may: no mounts, no capability to give up
env -i PATH=/usr/bin:/bin HOME="$HOME" XDG_CONFIG_HOME="$XDG_CONFIG_HOME" \\
    XDG_RUNTIME_DIR="$XDG_RUNTIME_DIR" setpriv --bounding-set=-setpcap,-sys_admin \\
    /lib/systemd/systemd --user >manager 2>&1 &
manager=$!
until [ -S "$XDG_RUNTIME_DIR/systemd/private" ]; do kill -0 "$manager"; done
"$@" schedule install notes
systemctl --user list-timers --all >timers
"$@" schedule remove notes
systemctl --user list-timers --all >removed
"""
APART = ("unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child")
"""What the script mounts and starts is seen by nobody and ends with it."""


def test_systemd_runs_the_service(world: World, app: SampleApp, keys: Keys) -> None:
    """The service is tried out in its sandbox, its timer waits, and removed it leaves nothing."""
    assert os.geteuid() == 0, "a manager of one's own has to be set up by root"
    outside, tried = world.directory / "outside", app.root / "tried"
    body = (
        f"open({str(tried)!r}, 'w').close()\n"
        f"try: open({str(outside)!r}, 'w').close()\n"
        "except OSError as error: raise SystemExit(error.errno != errno.EROFS)\n"
        "raise SystemExit('not read-only')"
    )
    prepare = script(world, "prepare", f"import errno\n{body}")
    out = declare(world, app, keys, f"retries = 0\nprepare = {prepare}")
    runtime = f"/run/user/{os.getuid()}"
    env = {**world.env, "NAME": str(os.getpid()), "XDG_RUNTIME_DIR": runtime}
    done = subprocess.run(
        [*APART, "sh", "-c", SCRIPT, "sh", *command()],
        cwd=world.directory,
        env=env,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr + (world.directory / "manager").read_text()
    assert tried.exists() and not outside.exists()
    assert "systemd, daily" in done.stderr and "ran well" in done.stderr
    assert len(list(out.glob("*.age"))) == 1 and last_run(world)["outcome"] == "ok"
    timers, removed = ((world.directory / name).read_text() for name in ("timers", "removed"))
    assert "agebackup-notes.timer" in timers and "agebackup" not in removed
    units = world.home / "config" / "systemd" / "user"
    assert [path for path in units.rglob("*") if not path.is_dir()] == []
    assert not world.leftovers()
