"""`agebackup doctor` at rclone's remotes: what will fail at night is found by day."""

import json
from pathlib import Path
from typing import Any

import pytest
import rclone_servers
from conftest import Keys, World
from rclone_servers import Server
from sample_app import SampleApp

pytestmark = pytest.mark.linux


def declared(world: World, app: SampleApp, keys: Keys, remote: str, **table: str) -> None:
    """Declare the app with `remote` as its second destination."""
    cloud = world.directory / "cloud"
    cloud.mkdir(mode=0o700)
    made = world.run(
        *("config", "init", "notes", "--db", app.ledger, "--to", cloud, "-r", keys.recipient)
    )
    assert made.code == 0, made.err
    text = world.config.read_text()
    fields = ", ".join(f'{key} = "{value}"' for key, value in {"to": remote, **table}.items())
    listed = f'destination = ["{cloud}", {{ {fields} }}]'
    lines = [listed if line.startswith("destination") else line for line in text.splitlines()]
    world.config.write_text("\n".join(lines) + "\n")


def found(world: World, **variables: str) -> dict[str, dict[str, Any]]:
    env = {**world.env, "RCLONE_CONFIG": rclone_servers.running().environment["RCLONE_CONFIG"]}
    outcome = world.run("doctor", "--json", env={**env, **variables})
    findings = json.loads(outcome.out)["findings"]
    return {one["code"]: one for one in findings if one["subject"].startswith("rclone:")}


def test_a_remote_in_order_is_tried_and_described(world: World, app: SampleApp, keys: Keys) -> None:
    """A file is really carried there and removed; how copies will be compared is said."""
    servers = rclone_servers.running()
    path = servers.fresh("sftp")
    declared(world, app, keys, f"rclone:sftp:{servers.within('sftp', path)}", bwlimit="10M")
    findings = found(world)
    assert list(findings) == ["remote-traits"]
    assert "sha1" in findings["remote-traits"]["fact"]
    assert list(path.iterdir()) == []


def test_a_remote_that_is_not_defined_is_an_error(world: World, app: SampleApp, keys: Keys) -> None:
    """A remote that a job's rclone does not know is named, with where to define it."""
    declared(world, app, keys, "rclone:nowhere:backups")
    findings = found(world)
    assert list(findings) == ["remote-refuses"]
    assert "rclone config" in findings["remote-refuses"]["remedy"]


def test_a_remote_that_takes_nothing_is_an_error(
    world: World, app: SampleApp, keys: Keys, tmp_path: Path
) -> None:
    """A server that can be read but not written to is found before the first push."""
    root = tmp_path / "served"
    root.mkdir()
    server = Server("webdav", root, extra=("--read-only",))
    server.start()
    try:
        declared(world, app, keys, "rclone:webdav:")
        url = f"http://127.0.0.1:{server.port}"
        assert "remote-refuses" in found(world, RCLONE_CONFIG_WEBDAV_URL=url)
    finally:
        server.kill()


def test_a_limit_that_is_none_is_refused_where_it_stands(
    world: World, app: SampleApp, keys: Keys
) -> None:
    """A bwlimit that rclone would refuse at night is named with its key: exit code 2."""
    declared(world, app, keys, "rclone:webdav:x", bwlimit="fast")
    outcome = world.run("config", "check")
    assert outcome.code == 2
    assert "destination[1].bwlimit" in outcome.err and "'fast'" in outcome.err
