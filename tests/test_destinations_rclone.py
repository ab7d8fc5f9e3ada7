"""rclone as a destination, beyond what every kind promises: the real program, real servers."""

import hashlib
import http.server
import os
import shutil
import signal
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import rclone_servers
import web
from rclone_servers import PASSWORD, Server

from agebackup.destinations.interface import Means, OutOfReachError, Parcel
from agebackup.destinations.rclone import Rclone
from agebackup.destinations.rclone_program import NotAllowedError, Pace
from agebackup.errors import (
    AgebackupError,
    FailedError,
    NotFoundError,
    RefusedError,
    VerificationError,
)
from agebackup.model.inventory import FolderEntry
from agebackup.model.whereabouts import parse_whereabouts
from agebackup.system.claims import Claims
from agebackup.system.clock import Deadline, pause
from agebackup.system.durable import temporary_name
from agebackup.system.process import Worker
from agebackup.system.progress import Progress

pytestmark = pytest.mark.linux

NAME = "mail-20260102T030405Z-0123abcd.tar.age"
AT_ONCE = Pace(pauses=(), connect=5, retries=1)


@dataclass(frozen=True)
class Bench:
    """The person's machine as far as it pushes with rclone."""

    tmp_path: Path
    servers: rclone_servers.Servers
    means: Means

    def remote(self, text: str, pace: Pace = AT_ONCE, **environment: str) -> Rclone:
        means = replace(self.means, environment={**self.means.environment, **environment})
        return Rclone(parse_whereabouts(f"rclone:{text}"), means, pace)

    def fresh(self, remote: str) -> tuple[Path, str]:
        """Return a new directory, and how its place in `remote` is written."""
        path = self.servers.fresh(remote)
        return path, f"{remote}:{self.servers.within(remote, path)}"

    def parcel(self, size: int = 5000) -> Parcel:
        content, path = os.urandom(size), self.tmp_path / "to-send"
        path.write_bytes(content)
        return Parcel(path, NAME, size, hashlib.sha256(content).hexdigest())

    def program(self, script: str) -> str:
        """Return a PATH where `rclone` is the shell script `script`, which may run "$real"."""
        directory = self.tmp_path / "bin"
        directory.mkdir()
        file = directory / "rclone"
        file.write_text(f"#!/bin/sh\nreal={shutil.which('rclone')}\n{script}\n")
        file.chmod(0o755)
        return f"{directory}:{self.means.environment['PATH']}"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    servers = rclone_servers.running()
    claims = Claims(tmp_path / "claims")
    means = Means(servers.environment, tmp_path / "workspace", claims, Progress())
    return Bench(tmp_path, servers, means)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A WebDAV server that this test alone has, and may kill."""
    root = tmp_path / "served"
    root.mkdir()
    server = Server("webdav", root)
    server.start()
    yield server
    server.kill()


def at(server: Server) -> dict[str, str]:
    """Return what turns the remote `webdav` to `server`, as rclone's documentation has it."""
    return {"RCLONE_CONFIG_WEBDAV_URL": f"http://127.0.0.1:{server.port}"}


def test_what_each_remote_can_do_is_asked_of_it(bench: Bench) -> None:
    """The strongest hash a remote keeps is compared; one that keeps none is said to have sizes."""
    traits = {name: bench.remote(f"{name}:").traits for name in ("local", "webdav", "sftp")}
    assert {name: one.hash for name, one in traits.items()} == {
        "local": "sha256",
        "webdav": "",
        "sftp": "sha1",
    }
    assert all(one.moves for one in traits.values())
    assert not traits["local"].lists_sha256  # that would read every archive there
    assert bench.remote("webdav:").capabilities.compares == "size"


class Struck(Progress):
    """Kills the server when the first bytes have moved."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server, self.told = server, 0

    def advance(self, count: int) -> None:
        self.told += count
        self.server.kill()


def test_a_server_killed_amid_a_transfer_costs_nothing_but_another_push(
    bench: Bench, own_server: Server
) -> None:
    """The push fails as out of reach, what it left counts for nothing, and the next converges."""
    parcel, struck = bench.parcel(5 << 20), Struck(own_server)
    slow = replace(bench.means, progress=struck, bandwidth="2M")
    remote = bench.remote("webdav:backups", **at(own_server))
    with pytest.raises(OutOfReachError):
        replace(remote, means=replace(slow, environment=remote.means.environment)).put(parcel)
    assert 0 < struck.told < parcel.size
    own_server.start()
    remote.put(parcel)
    assert [(e.name, e.size) for e in remote.entries()] == [(NAME, parcel.size)]
    assert (own_server.root / "backups" / NAME).read_bytes() == parcel.path.read_bytes()


def test_a_server_that_came_back_is_found_by_a_later_attempt(
    bench: Bench, own_server: Server
) -> None:
    """A server that restarts during the first attempt costs a pause, not the push."""

    class Restarted(Progress):
        def warn(self, text: str) -> None:
            own_server.start()

    own_server.kill()
    means = replace(bench.means, progress=Restarted())
    means = replace(means, environment={**means.environment, **at(own_server)})
    place = parse_whereabouts("rclone:webdav:backups")
    Rclone(place, means, Pace(pauses=(0.1,), connect=5, retries=1)).put(bench.parcel())
    assert (own_server.root / "backups" / NAME).stat().st_size == 5000


def test_a_server_that_stays_away_costs_as_many_attempts_as_said(
    bench: Bench, own_server: Server
) -> None:
    """Listing and putting each try as often as the pauses say, and the message counts right."""
    warned: list[str] = []

    class Noting(Progress):
        def warn(self, text: str) -> None:
            warned.append(text)

    own_server.kill()
    means = replace(bench.means, progress=Noting())
    means = replace(means, environment={**means.environment, **at(own_server)})
    place = parse_whereabouts("rclone:webdav:backups")
    for act in (lambda one: one.entries(), lambda one: one.put(bench.parcel())):
        warned.clear()
        with pytest.raises(OutOfReachError) as caught:
            act(Rclone(place, means, Pace(pauses=(0.01, 0.01), connect=5, retries=1)))
        assert len(warned) == 2
        assert caught.value.message.count("It was tried 3 times.") == 1


def test_a_transfer_that_stands_still_is_given_up(bench: Bench) -> None:
    """A server that accepts and never answers is left after a time, and said to be out of reach."""
    _, place = bench.fresh("local")
    asked = bench.tmp_path / "asked"
    script = f'case "$*" in *copyto*) echo >> {asked}; exec sleep 1000;; esac; exec $real "$@"'
    remote = bench.remote(place, Pace(pauses=(0, 0), idle=3), PATH=bench.program(script))
    with pytest.raises(OutOfReachError, match="nothing moved"):
        remote.put(bench.parcel())
    assert len(asked.read_text()) == 1  # the others wait for the next push


def test_what_the_server_changed_in_passing_is_noticed(bench: Bench) -> None:
    """A file that arrives with one byte changed never gets the archive's name."""
    directory, place = bench.fresh("local")
    damage = f'for f in {directory}/.~*; do printf X | dd of="$f" bs=1 seek=9 conv=notrunc; done'
    path = bench.program(
        f'case "$*" in *copyto*) $real "$@" && {damage};; *) exec $real "$@"; esac'
    )
    with pytest.raises(FailedError, match="sha256 differs"):
        bench.remote(place, PATH=path).put(bench.parcel())
    assert list(directory.iterdir()) == []


def test_where_nothing_can_be_renamed_archives_are_put_directly(bench: Bench) -> None:
    """Object stores show a file when it is whole: it is put under its name, and compared there."""
    directory, place = bench.fresh("local")
    remote = bench.remote(place, RCLONE_DISABLE="Move,Copy")
    assert not remote.traits.moves and not remote.capabilities.atomic
    for _ in range(2):
        parcel = bench.parcel()
        remote.put(parcel)
        assert (directory / NAME).read_bytes() == parcel.path.read_bytes()
    damage = f'printf X | dd of="{directory}/{NAME}" bs=1 seek=9 conv=notrunc'
    path = bench.program(
        f'case "$*" in *copyto*) $real "$@" && {damage};; *) exec $real "$@"; esac'
    )
    with pytest.raises(FailedError, match="differs"):
        bench.remote(place, RCLONE_DISABLE="Move,Copy", PATH=path).put(bench.parcel())
    assert remote.entries() == ()  # it had the size of a whole archive


def test_a_remote_that_encrypts_is_one_like_others(bench: Bench) -> None:
    """Through crypt, sizes are those of the archives, and what lies below has other names."""
    remote, parcel, output = bench.remote("crypt:x"), bench.parcel(70_000), bench.tmp_path / "got"
    remote.put(parcel)
    (entry,) = remote.entries()
    assert (entry.name, entry.size) == (NAME, 70_000)
    remote.get(entry, output)
    assert output.read_bytes() == parcel.path.read_bytes()
    remote.remove(entry)


def test_what_the_place_keeps_is_refused_not_failed(bench: Bench, tmp_path: Path) -> None:
    """A server that lets nobody delete makes prune report that: exit code 13, still there."""
    root = tmp_path / "kept"
    root.mkdir()
    (root / NAME).write_bytes(b"x")
    server = Server("webdav", root, extra=("--read-only",))
    server.start()
    try:
        remote = bench.remote("webdav:", **at(server))
        (entry,) = remote.entries()
        with pytest.raises(RefusedError, match="Method Not Allowed"):
            remote.remove(entry)
        assert remote.entries() == (entry,)
    finally:
        server.kill()


def test_temporary_files_of_dead_runs_are_removed_and_those_of_others_kept(bench: Bench) -> None:
    """A put removes what an earlier run of this machine left; what others upload is theirs."""
    directory, place = bench.fresh("local")
    remote = bench.remote(place)
    ours, partial = (directory / temporary_name(remote._label) for _ in range(2))
    theirs = directory / temporary_name("another")
    partial = partial.with_name(f"{partial.name}.1a2b3c4d.partial")
    for file in (ours, partial, theirs):
        file.write_bytes(b"half")
    with remote.means.claims.claim(bench.tmp_path / temporary_name(remote._label)) as living:
        (directory / living.path.name).write_bytes(b"at work")
        remote.put(bench.parcel())
        assert {file.name for file in directory.iterdir()} == {
            NAME,
            theirs.name,
            living.path.name,
        }


def test_what_is_fetched_is_private(bench: Bench) -> None:
    """A fetched archive is for its owner's eyes, whatever the umask."""
    _, place = bench.fresh("local")
    remote, output = bench.remote(place), bench.tmp_path / "fetched"
    remote.put(bench.parcel())
    remote.get(remote.entries()[0], output)
    assert stat.S_IMODE(output.stat().st_mode) == 0o600


def test_content_without_end_is_cut_off(bench: Bench) -> None:
    """A server that lists a small archive and sends for ever fills no disk."""

    def pour(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        asked = handler.command == "HEAD"
        handler.send_header("Content-Length", "1000") if asked else handler.end_headers()
        if asked:
            handler.end_headers()
        with suppress(OSError):
            while not asked:
                handler.wfile.write(bytes(1 << 16))
                pause(0.001)

    output = bench.tmp_path / "private" / NAME
    output.parent.mkdir()
    with web.server(pour) as served:
        settings = {"RCLONE_CONFIG_EVIL_TYPE": "http", "RCLONE_CONFIG_EVIL_URL": served.address}
        remote = bench.remote("evil:", **settings)
        with pytest.raises(VerificationError, match="more came"):
            remote.get(FolderEntry(NAME, 1000, 0.0), output)
    assert sum(path.stat().st_size for path in output.parent.iterdir()) < 1 << 28


def test_a_server_out_of_reach_is_tried_three_times_not_nine(
    bench: Bench, own_server: Server
) -> None:
    """What stays away is given up within half a minute, and said with one count."""
    own_server.kill()
    asked = bench.tmp_path / "asked"
    path = bench.program(f'echo >> {asked}; exec $real "$@"')
    pace = Pace(pauses=(0, 0), connect=5, retries=1)
    remote = bench.remote("webdav:backups", pace, PATH=path, **at(own_server))
    with pytest.raises(OutOfReachError) as caught:
        remote.entries()
    assert caught.value.message.count("It was tried 3 times.") == 1
    assert len(asked.read_text()) <= 4  # once for what the remote can do


def test_names_are_never_options(bench: Bench) -> None:
    """A place or a file whose name begins with a dash is a name all the same."""
    directory, place = bench.fresh("local")
    (directory / "--dry-run").mkdir()
    remote = bench.remote(f"{place}/--dry-run")
    remote.put(replace(bench.parcel(), name="-v.age"))
    (entry,) = remote.entries()
    assert entry.name == "-v.age"
    remote.remove(entry)
    assert remote.entries() == ()


def test_what_a_person_set_for_their_own_eyes_does_not_deafen_us(bench: Bench) -> None:
    """RCLONE_LOG_FILE, RCLONE_VERBOSE and their like keep no error and no progress from us."""
    log = bench.tmp_path / "rclone.log"
    remote = bench.remote("nowhere:x", RCLONE_LOG_FILE=str(log), RCLONE_VERBOSE="2")
    with pytest.raises(NotFoundError, match="no remote of that name"):
        remote.entries()
    assert not log.exists()


def test_no_program_is_said(bench: Bench) -> None:
    """Without rclone a person is told to install it."""
    with pytest.raises(FailedError, match="no rclone program") as caught:
        bench.remote("webdav:", PATH=str(bench.tmp_path)).entries()
    assert "Install" in caught.value.hint


def test_an_encrypted_configuration_never_asks(bench: Bench) -> None:
    """A configuration under a password fails at once, with the variable that gives it."""
    config = bench.tmp_path / "rclone.conf"
    config.write_text(f"# Encrypted rclone configuration File\n\nRCLONE_ENCRYPT_V0:\n{'A' * 96}\n")
    with pytest.raises(FailedError, match="encrypted") as caught:
        bench.remote("webdav:", RCLONE_CONFIG=str(config)).entries()
    assert "RCLONE_CONFIG_PASS" in caught.value.hint


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"RCLONE_CONFIG_WEBDAV_PASS": "wrong"}, "does not accept the login"),
        ({"RCLONE_CONFIG_WEBDAV_URL": f"http://ada:{PASSWORD}@127.0.0.1:1"}, "cannot be reached"),
    ],
)
def test_a_login_is_never_told(bench: Bench, settings: dict[str, str], words: str) -> None:
    """Whatever goes wrong with a server, its password is in no message."""
    settings = {
        k: rclone_servers.obscured(v) if k.endswith("PASS") else v for k, v in settings.items()
    }
    with pytest.raises(AgebackupError, match=words) as caught:
        bench.remote("webdav:x", **settings).entries()
    assert PASSWORD not in caught.value.message + caught.value.hint


def test_a_full_disk_is_no_matter_of_the_network(bench: Bench) -> None:
    """What another attempt cannot mend is not tried again, and says what is the matter."""
    script = 'echo "2026/01/01 00:00:00 Failed to copyto: googleapi: Error 403: ' + (
        "The user's Drive storage quota has been exceeded., storageQuotaExceeded\" >&2; exit 1"
    )
    _, place = bench.fresh("local")
    path = bench.program(f'case "$*" in *copyto*) {script};; *) exec $real "$@"; esac')
    with pytest.raises(FailedError, match="no space left") as caught:
        bench.remote(place, PATH=path).put(bench.parcel())
    assert not isinstance(caught.value, (OutOfReachError, NotAllowedError))


def test_half_of_a_name_twice_is_no_archive(bench: Bench) -> None:
    """Two files of one name, as Google Drive has them, are never taken for an archive."""
    row = '{"Name":"a.age","Size":4,"IsDir":false},{"Name":"a.age","Size":5,"IsDir":false}'
    _, place = bench.fresh("local")
    path = bench.program(f'case "$*" in *lsjson*) echo \'[{row}]\';; *) exec $real "$@"; esac')
    assert bench.remote(place, PATH=path).entries() == (FolderEntry("a.age", 5, 0.0, partial=True),)


def test_a_listing_of_many_files_is_read_whole(bench: Bench) -> None:
    """A place with more files than a megabyte of listing holds is listed to the last one."""
    directory, place = bench.fresh("local")
    names = [f"{'n' * 100}-{number:05}" for number in range(6000)]
    for name in names:
        os.close(os.open(directory / name, os.O_CREAT | os.O_WRONLY))
    assert [entry.name for entry in bench.remote(place).entries()] == names


def test_rclone_ends_with_agebackup(bench: Bench) -> None:
    """A kill of agebackup leaves no rclone behind that uploads for hours."""
    _, place = bench.fresh("local")

    class Killed(Progress):
        def advance(self, count: int) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

    means = replace(bench.means, progress=Killed(), bandwidth="256k")
    remote = Rclone(parse_whereabouts(f"rclone:{place}"), means, AT_ONCE)
    parcel, patience = bench.parcel(5 << 20), Deadline(15)
    with Worker.start(lambda: remote.put(parcel)) as worker, pytest.raises(FailedError):
        worker.result(Progress())
    while running(place):
        assert not patience.expired  # the transfer would take 20 seconds
        pause(0.05)
    bench.means.claims.sweep()


def running(place: str) -> list[bytes]:
    """Return the command lines of the processes that work at `place`."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(file.read_bytes())
    return [line for line in found if place.encode() in line]


def test_stopping_ends_the_program(bench: Bench) -> None:
    """After Ctrl-C no rclone goes on with the transfer behind our back."""
    _, place = bench.fresh("local")

    class Stopped(Progress):
        def advance(self, count: int) -> None:
            self.stop.request(signal.SIGINT)

    means = replace(bench.means, progress=Stopped(), bandwidth="1M")
    with pytest.raises(AgebackupError, match="interrupted"):
        Rclone(parse_whereabouts(f"rclone:{place}"), means, AT_ONCE).put(bench.parcel(5 << 20))
    assert not running(place)
