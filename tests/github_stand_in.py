"""A server on the loopback that answers as the release API of GitHub does, faults included.

The real `gh` is brought to it by `environment`: it speaks plain http to the host github.localhost,
and a proxy variable leads that host's addresses here. Everything it knows may be looked at and
changed while it runs.
"""

import base64
import hashlib
import json
import os
import re
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

HOST = "github.localhost"
TOKEN = "gho_TestWordThatNobodyMaySee0123456789"
"""The login that gh is given; it must be in nothing that agebackup says."""
LOGIN = "ada"
_STORE = "objects.githubusercontent.localhost"
_numbers = count(101)


@dataclass
class Asset:
    """A file in a release."""

    name: str
    content: bytes | bytearray
    state: str = "uploaded"
    id: int = field(default_factory=lambda: next(_numbers))
    digest: str | None = None


@dataclass
class Release:
    tag: str
    body: str = ""
    draft: bool = False
    assets: list[Asset] = field(default_factory=list)
    id: int = field(default_factory=lambda: next(_numbers))


@dataclass
class Repository:
    private: bool = True
    archived: bool = False
    empty: bool = False
    permission: str = "ADMIN"
    immutable: bool = False
    digests: bool = True
    releases: list[Release] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    files: dict[str, bytes] = field(default_factory=dict)

    def named(self, name: str) -> Asset | None:
        """Return the first asset called `name`."""
        return next((a for r in self.releases for a in r.assets if a.name == name), None)


@dataclass
class Fault:
    """What goes wrong with the next `times` requests that `matches` (of "METHOD /path").

    `status` answers that, with `headers` and `message`; 0 resets the connection: before anything is
    done, or with `after` when all was done but the answer; `half` after that many bytes of a body.
    """

    matches: str
    status: int = 0
    times: int = 1
    message: str = "injected"
    headers: Mapping[str, str] = field(default_factory=dict)
    after: bool = False
    half: int = -1


class Reply(Exception):
    """An answer that ends a request."""

    def __init__(self, status: int, body: Any = None, **headers: str) -> None:
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers


class Reset(Exception):
    """The connection breaks."""


@dataclass
class StandIn:
    """The server's whole world. `asked` are the requests so far, as "METHOD /path?query".

    With `damage` what is uploaded is kept back to front.
    """

    port: int = 0
    repositories: dict[str, Repository] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    token: str = TOKEN
    damage: bool = False
    broken: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def environment(self, home: Path) -> dict[str, str]:
        """What brings gh here, and to nobody else."""
        proxy = f"http://127.0.0.1:{self.port}"
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "GH_CONFIG_DIR": str(home / "gh"),
            "GH_HOST": HOST,
            "GH_TOKEN": TOKEN,
            "HTTP_PROXY": proxy,
            "http_proxy": proxy,
            "HTTPS_PROXY": proxy,
        }

    def repository(self, place: str = "ada/backups", **options: Any) -> Repository:
        """Make the repository `place`, or give it these properties."""
        made = self.repositories.setdefault(place, Repository())
        for name, value in options.items():
            setattr(made, name, value)
        return made

    def count(self, pattern: str) -> int:
        """Return how many requests so far match `pattern`."""
        return sum(1 for one in self.asked if re.search(pattern, one))

    def due(self, request: str) -> Fault | None:
        """Return the fault that strikes `request`, once fewer."""
        for fault in self.faults:
            if fault.times > 0 and re.search(fault.matches, request):
                fault.times -= 1
                return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world: StandIn

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        self.host, self.query = address.netloc, parse_qs(address.query)
        path = address.path
        request = f"{self.command} {path}{'?' + address.query if address.query else ''}"
        with self.world.lock:
            self.world.asked.append(request)
            fault = self.world.due(request)
        try:
            self._strike(fault)
            self._route(path, fault)
            raise Reply(404, {"message": "Not Found"})
        except Reply as reply:
            if fault and fault.after:
                self._reset()
            else:
                self._answer(reply)
        except (Reset, ConnectionError):
            self._reset()

    do_POST = do_PATCH = do_DELETE = do_PUT = do_GET

    def _strike(self, fault: Fault | None) -> None:
        if fault is None or fault.after or fault.half >= 0:
            return
        if not fault.status:
            raise Reset
        self._body()
        headers = {name.replace("-", "_"): text for name, text in fault.headers.items()}
        raise Reply(fault.status, {"message": fault.message}, **headers)

    def _route(self, path: str, fault: Fault | None) -> None:
        if self.host == _STORE:
            assert "Authorization" not in self.headers, "the login went to another server"
            self._stored(int(path.rpartition("/")[2]))
        if self.headers.get("Authorization") != f"token {self.world.token}":
            raise Reply(401, {"message": "Bad credentials"})
        for pattern, method in _ROUTES:
            match = re.fullmatch(pattern, f"{self.command} {path}")
            if match is None:
                continue
            words = [unquote(word) for word in match.groups()]
            if method is _Handler._upload:
                self._upload(words[0], int(words[1]), fault)
            else:
                body = self._body()
                with self.world.lock:
                    method(self, *words, json.loads(body) if body else {})

    # -- what the API does; each ends with a Reply

    def _graphql(self, body: Any) -> None:
        given = body["variables"]
        found = self.world.repositories.get(f"{given['owner']}/{given['name']}")
        if found is None:
            errors = [{"type": "NOT_FOUND", "message": "Could not resolve to a Repository."}]
            raise Reply(200, {"data": {"repository": None}, "errors": errors})
        if "tagName" in given:  # gh's own question, besides asking for the published one
            raise Reply(200, {"data": {"repository": {"release": None}}})
        release = next((r for r in found.releases if r.tag == given["tag"]), None)
        repository = {
            "visibility": "PRIVATE" if found.private else "PUBLIC",
            "isArchived": found.archived,
            "isEmpty": found.empty,
            "viewerPermission": found.permission,
            "release": {"databaseId": release.id} if release else None,
        }
        raise Reply(200, {"data": {"repository": repository}})

    def _repository(self, place: str) -> Repository:
        found = self.world.repositories.get(place)
        if found is None:
            raise Reply(404, {"message": "Not Found"})
        if self.command != "GET" and found.archived:
            raise Reply(403, {"message": "Repository was archived so is read-only."})
        if self.command != "GET" and found.permission == "READ":
            raise Reply(403, {"message": f"Resource not accessible by {TOKEN}"})
        return found

    def _list(self, place: str, body: Any) -> None:
        found = [r for r in self._repository(place).releases]
        self._page(found, lambda one: self._told(place, one))

    def _assets(self, place: str, number: str, body: Any) -> None:
        release = self._release(place, number)
        self._page(release.assets, lambda one: self._asset(place, one))

    def _page(self, rows: list[Any], told: Callable[[Any], Any]) -> None:
        per, page = int(self.query.get("per_page", ["30"])[0]), int(self.query.get("page", "1")[0])
        shown = [told(one) for one in rows[(page - 1) * per : page * per]]
        headers = {}
        if len(rows) > page * per:
            base = self.path.partition("?")[0]
            headers["Link"] = f'<{base}?per_page={per}&page={page + 1}>; rel="next"'
        raise Reply(200, shown, **headers)

    def _release(self, place: str, number: str) -> Release:
        for release in self._repository(place).releases:
            if release.id == int(number):
                return release
        raise Reply(404, {"message": "Not Found"})

    def _read(self, place: str, number: str, body: Any) -> None:
        raise Reply(200, self._told(place, self._release(place, number)))

    def _read_tag(self, place: str, tag: str, body: Any) -> None:
        for release in self._repository(place).releases:
            if release.tag == tag and not release.draft:
                raise Reply(200, self._told(place, release))
        raise Reply(404, {"message": "Not Found"})

    def _create(self, place: str, body: Any) -> None:
        repository = self._repository(place)
        release = Release(body["tag_name"], body.get("body", ""), draft=True)
        if not body.get("draft"):
            self._publish(repository, release)
        repository.releases.append(release)
        raise Reply(201, self._told(place, release))

    def _change(self, place: str, number: str, body: Any) -> None:
        repository, release = self._repository(place), self._release(place, number)
        self._require_mutable(repository, release)
        if body.get("draft") is False and release.draft:
            self._publish(repository, release)
        release.body = body.get("body", release.body)
        raise Reply(200, self._told(place, release))

    def _publish(self, repository: Repository, release: Release) -> None:
        if repository.empty:
            raise Reply(422, {"message": "Repository is empty."})
        if any(r is not release and r.tag == release.tag and not r.draft
               for r in repository.releases):  # fmt: skip
            errors = [{"resource": "Release", "code": "already_exists", "field": "tag_name"}]
            raise Reply(422, {"message": "Validation Failed", "errors": errors})
        release.draft = False
        repository.tags.add(release.tag)

    def _require_mutable(self, repository: Repository, release: Release) -> None:
        if repository.immutable and not release.draft:
            raise Reply(422, {"message": "Cannot change an immutable release."})

    def _delete(self, place: str, number: str, body: Any) -> None:
        release = self._release(place, number)
        self._require_mutable(self._repository(place), release)
        self._repository(place).releases.remove(release)
        raise Reply(204)

    def _delete_tag(self, place: str, tag: str, body: Any) -> None:
        tags = self._repository(place).tags
        if tag not in tags:
            raise Reply(422, {"message": "Reference does not exist"})
        tags.remove(tag)
        raise Reply(204)

    def _found_asset(self, place: str, number: str) -> tuple[Release, Asset]:
        for release in self._repository(place).releases:
            for asset in release.assets:
                if asset.id == int(number):
                    return release, asset
        raise Reply(404, {"message": "Not Found"})

    def _download(self, place: str, number: str, body: Any) -> None:
        _, asset = self._found_asset(place, number)
        raise Reply(302, Location=f"http://{_STORE}/{place}/{asset.id}")

    def _delete_asset(self, place: str, number: str, body: Any) -> None:
        release, asset = self._found_asset(place, number)
        self._require_mutable(self._repository(place), release)
        release.assets.remove(asset)
        raise Reply(204)

    def _upload(self, place: str, number: int, fault: Fault | None) -> None:
        name = self.query["name"][0]
        with self.world.lock:
            repository, release = self._repository(place), self._release(place, str(number))
            self._require_mutable(repository, release)
            if any(asset.name == name for asset in release.assets):
                self._body()
                errors = [{"resource": "ReleaseAsset", "code": "already_exists", "field": "name"}]
                raise Reply(422, {"message": "Validation Failed", "errors": errors})
            asset = Asset(name, bytearray(), "starter")
            release.assets.append(asset)
        if "chunked" in self.headers.get("Transfer-Encoding", ""):  # gh, where there is nothing
            assert self.rfile.readline() + self.rfile.readline() == b"0\r\n\r\n"
        most = fault.half if fault and fault.half >= 0 else None
        asset.content = self._body(most)
        if most is not None:
            if fault and fault.status:
                raise Reply(fault.status, {"message": fault.message})
            raise Reset
        if self.world.damage:
            asset.content = bytes(reversed(asset.content))
        asset.state = "uploaded"
        raise Reply(201, self._asset(place, asset))

    def _stored(self, number: int) -> None:
        for repository in self.world.repositories.values():
            for release in repository.releases:
                for asset in release.assets:
                    if asset.id == number:
                        raise Reply(200, bytes(asset.content))

    def _user(self, body: Any) -> None:
        raise Reply(200, {"login": LOGIN})

    def _new(self, body: Any, owner: str = LOGIN) -> None:
        place = f"{owner}/{body['name']}".lower()
        assert place not in self.world.repositories
        self.world.repository(place, private=body["private"], empty=True)
        raise Reply(201, {"full_name": place})

    def _new_for(self, owner: str, body: Any) -> None:
        self._new(body, owner)

    def _file(self, place: str, path: str, body: Any) -> None:
        repository = self._repository(place)
        if path in repository.files:
            raise Reply(422, {"message": "sha wasn't supplied"})
        repository.files[path] = base64.b64decode(body["content"])
        repository.empty = False
        raise Reply(201, {"content": {"path": path}})

    # -- how it is told

    def _told(self, place: str, release: Release) -> dict[str, Any]:
        base = f"repos/{place}/releases/{release.id}"
        return {
            "id": release.id,
            "tag_name": release.tag,
            "name": release.tag,
            "body": release.body,
            "draft": release.draft,
            "prerelease": False,
            "created_at": "2026-01-01T00:00:00Z",
            "upload_url": f"http://uploads.{HOST}/{base}/assets{{?name,label}}",
            "assets": [self._asset(place, asset) for asset in release.assets],
        }

    def _asset(self, place: str, asset: Asset) -> dict[str, Any]:
        told: dict[str, Any] = {"id": asset.id, "name": asset.name, "state": asset.state}
        told["url"] = f"http://api.{HOST}/repos/{place}/releases/assets/{asset.id}"
        told["size"] = len(asset.content) if asset.state == "uploaded" else 0
        if self.world.repositories[place].digests and asset.state == "uploaded":
            if asset.digest is None:
                asset.digest = hashlib.sha256(asset.content).hexdigest()
            told["digest"] = f"sha256:{asset.digest}"
        return told

    # -- the wire

    def _body(self, most: int | None = None) -> bytes:
        size = int(self.headers.get("Content-Length", "0"))
        size = size if most is None else min(size, most)
        pieces, left = [], size
        while left:
            piece = self.rfile.read(min(left, 1 << 20))
            if not piece:
                raise Reset
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def _answer(self, reply: Reply) -> None:
        raw = isinstance(reply.body, bytes)
        body = reply.body if raw else b"" if reply.body is None else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        self.send_header(
            "Content-Type", "application/octet-stream" if raw else "application/json; charset=utf-8"
        )
        for name, text in reply.headers.items():
            self.send_header(name.replace("_", "-"), text)
        if reply.status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _reset(self) -> None:
        """Break the connection as a network does: with RST, not with an orderly end."""
        self.close_connection = True
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()

    def finish(self) -> None:
        if self.connection.fileno() >= 0:
            super().finish()

    def log_message(self, *arguments: object) -> None:
        pass


_AT = r"/repos/([^/]+/[^/]+)"
_ROUTES: tuple[tuple[str, Callable[..., None]], ...] = (
    (r"POST /graphql", _Handler._graphql),
    (rf"GET {_AT}/releases", _Handler._list),
    (rf"POST {_AT}/releases", _Handler._create),
    (rf"GET {_AT}/releases/(\d+)", _Handler._read),
    (rf"GET {_AT}/releases/tags/([^/]+)", _Handler._read_tag),
    (rf"PATCH {_AT}/releases/(\d+)", _Handler._change),
    (rf"DELETE {_AT}/releases/(\d+)", _Handler._delete),
    (rf"GET {_AT}/releases/(\d+)/assets", _Handler._assets),
    (rf"POST {_AT}/releases/(\d+)/assets", _Handler._upload),
    (rf"GET {_AT}/releases/assets/(\d+)", _Handler._download),
    (rf"DELETE {_AT}/releases/assets/(\d+)", _Handler._delete_asset),
    (rf"DELETE {_AT}/git/refs/tags/(.+)", _Handler._delete_tag),
    (rf"PUT {_AT}/contents/(.+)", _Handler._file),
    (r"GET /user", _Handler._user),
    (r"POST /user/repos", _Handler._new),
    (r"POST /orgs/([^/]+)/repos", _Handler._new_for),
)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self.RequestHandlerClass.world.broken.append(traceback.format_exc())  # type: ignore


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """Serve until the body ends."""
    world = StandIn()
    handler = type("Handler", (_Handler,), {"world": world})
    with _Server(("127.0.0.1", 0), handler) as server:
        world.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield world
        finally:
            server.shutdown()
            thread.join()
    assert not world.broken, world.broken[0]
