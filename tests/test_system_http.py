"""Pings: whatever the server does, a sentence without the address, and in time."""

import http.server
import socket
import threading
import time
from pathlib import Path

import pytest
from web import SECRET, answering, listening, server

from agebackup.system.http import Ping, ping


def test_a_ping_is_heard() -> None:
    """The body arrives by POST, once, and nothing went wrong."""
    with server(answering(200)) as served:
        assert ping(served.address, 5, b"all is well") == ""
    assert served.seen == [("POST", f"/{SECRET}", b"all is well")]


@pytest.mark.parametrize("code", [404, 409])
def test_a_refusal_is_told(code: int) -> None:
    """What the server refuses is not sent again, and the code is told."""
    with server(answering(code)) as served:
        assert ping(served.address, 5) == f"the server answered {code}"
    assert len(served.seen) == 1


def test_an_error_of_the_server_is_tried_again() -> None:
    """What may pass is tried again; then the code is told."""
    with server(answering(500)) as served:
        assert ping(served.address, 5) == "the server answered 500"
    assert len(served.seen) == 3


def test_a_lost_connection_is_tried_again() -> None:
    """One lost connection is not a lost ping."""
    calls = []

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        calls.append(1)
        if len(calls) == 1:
            handler.connection.shutdown(socket.SHUT_RDWR)
        else:
            answering(200)(handler)

    with server(answer) as served:
        assert ping(served.address, 5) == ""
    assert len(served.seen) == 2


@pytest.mark.parametrize("code", [301, 307])
@pytest.mark.parametrize("kind", ["file", "http"])
def test_no_redirect_is_followed(code: int, kind: str, tmp_path: Path) -> None:
    """The secret is sent nowhere else, and no local file is opened."""
    (tmp_path / "file").write_text("x")
    with server(answering(200)) as other:
        target = other.address if kind == "http" else (tmp_path / "file").as_uri()
        with server(answering(code, Location=target)) as served:
            problem = ping(served.address, 5)
    assert str(code) in problem and SECRET not in problem
    assert not other.seen and len(served.seen) == 1


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://h/x", "data:,x", "", "no address"])
def test_only_the_web(url: str) -> None:
    """Nothing but http and https is ever opened."""
    assert "https://" in ping(url, 5)


def test_nobody_listens() -> None:
    """A refused connection is told in words."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    problem = ping(f"http://127.0.0.1:{port}/{SECRET}", 5)
    assert problem.startswith("the server could not be reached") and SECRET not in problem


def test_an_unknown_name() -> None:
    """A name that does not resolve is told in words, without the name."""
    problem = ping(f"http://{SECRET}.invalid/x", 3)
    assert problem and SECRET not in problem


@pytest.mark.parametrize("path", ["a b", "a\nb", "\udc80"])
def test_an_impossible_address(path: str) -> None:
    """An address that cannot be sent is told without saying it."""
    problem = ping(f"http://127.0.0.1:1/{SECRET}/{path}", 3)
    assert problem and SECRET not in problem


def test_no_answer_at_all() -> None:
    """A server that takes the call and says nothing costs no more than was allowed."""
    with listening(lambda connection: None) as address:
        begun = time.monotonic()
        problem = ping(address, 0.5)
        assert time.monotonic() - begun < 1.5
    assert problem and SECRET not in problem


def test_an_answer_that_drips() -> None:
    """A server that sends a byte now and then costs no more than was allowed."""

    def drip(connection: socket.socket) -> None:
        try:
            for _ in range(40):
                connection.send(b"H")
                threading.Event().wait(0.05)
        except OSError:
            return

    with listening(drip) as address:
        begun = time.monotonic()
        problem = ping(address, 0.5)
        assert time.monotonic() - begun < 1.5
    assert problem and SECRET not in problem


@pytest.mark.parametrize(
    "said",
    [b"\x00\xff" * 50, b"HTTP/1.1 " + b"9" * 70_000, b"\n" * 100],
    ids=["bytes", "long", "lines"],
)
def test_an_answer_in_no_language(said: bytes) -> None:
    """What is no HTTP is told in words."""

    def talk(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(said)
        connection.close()

    with listening(talk) as address:
        problem = ping(address, 3)
    assert problem and SECRET not in problem


def test_a_ping_beside_the_work() -> None:
    """A ping that hangs holds nothing up until it is asked for, and can be given up at once."""
    with listening(lambda connection: None) as address:
        begun = time.monotonic()
        Ping(address, 60, b"").abandon()
        assert time.monotonic() - begun < 1


def test_through_a_proxy() -> None:
    """The proxy of the environment is used, unless the host is excepted."""
    with server(answering(200)) as proxy, server(answering(200)) as served:
        base = proxy.address.rsplit("/", 1)[0]
        assert Ping(served.address, 5, b"", {"http": base}).end() == ""
        assert [path for _, path, _ in proxy.seen] == [served.address] and not served.seen
        assert Ping(served.address, 5, b"", {"http": base, "no": "127.0.0.1"}).end() == ""
        assert len(proxy.seen) == 1 and len(served.seen) == 1


def test_an_untrusted_certificate_is_refused(tmp_path: Path) -> None:
    """A server that speaks no TLS on https is not sent the secret."""
    with server(answering(200)) as served:
        problem = ping(served.address.replace("http://", "https://"), 3)
    assert problem and SECRET not in problem and not served.seen
