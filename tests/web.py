"""Servers on this machine, well-behaved or not, for what goes out over http."""

import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

SECRET = "5f1d-very-secret-4e0a"
"""Is in every address, and must be in nothing that a person or a log gets to see."""


@dataclass
class Served:
    """A server on this machine, and what it was asked."""

    address: str
    seen: list[tuple[str, str, bytes]] = field(default_factory=list)


@contextmanager
def server(answer: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Iterator[Served]:
    """Serve until the body ends; `answer` sends the answer."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            served.seen.append((self.command, self.path, body))
            answer(self)

        do_GET = do_HEAD = do_POST

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.daemon_threads = True
        served = Served(f"http://127.0.0.1:{httpd.server_port}/{SECRET}")
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield served
        finally:
            httpd.shutdown()
            thread.join()


def answering(code: int, **headers: str) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()

    return answer


@contextmanager
def listening(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """Accept one connection after the other and let `talk` have it; yield the address."""
    done = threading.Event()

    def serve() -> None:
        while not done.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            kept.append(connection)
            talk(connection)

    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.02)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/{SECRET}"
        finally:
            done.set()
            thread.join()
            for connection in kept:
                connection.close()
