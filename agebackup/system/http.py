"""Pings: one short request whose failure is a sentence, never an exception, and never long.

A request runs in a process of its own. Whatever hangs there, the resolver or a server that drips,
is killed at the deadline. No text says where the request went: addresses of pings are secrets.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from agebackup.errors import AgebackupError
from agebackup.system.clock import Deadline, pause
from agebackup.system.process import Worker
from agebackup.system.progress import Progress, Stop

_ATTEMPT_SECONDS = 3.0
_BETWEEN_ATTEMPTS = 0.3
_ATTEMPTS = 3


def ping(url: str, seconds: float, body: bytes = b"") -> str:
    """Send `body` to `url` within `seconds`; return "", or in a few words what went wrong."""
    return Ping(url, seconds, body).end()


class Ping:
    """A ping under way, beside whatever else is done; must be made in the main thread.

    `proxies` are addresses by scheme, as the environment has them ("http", "https", "no").
    """

    def __init__(
        self, url: str, seconds: float, body: bytes, proxies: Mapping[str, str] | None = None
    ) -> None:
        self._deadline = Deadline(seconds)
        self._seconds = seconds
        self._worker: Worker | None = None
        self._problem = ""
        if not url.startswith(("https://", "http://")):
            self._problem = "its address does not begin with https://"
            return
        try:
            self._worker = Worker.start(partial(_send, url, body, dict(proxies or {}), seconds))
        except (AgebackupError, OSError):
            self._problem = "no process could be started for it"

    def end(self) -> str:
        """Wait for the answer until the deadline; return "", or in a few words what went wrong."""
        if self._worker is not None:
            with self._worker as worker:
                try:
                    self._problem = str(worker.result(Progress(_Until(self._deadline)))["problem"])
                except TimeoutError:
                    self._problem = f"no answer came within {self._seconds:g} seconds"
                except (AgebackupError, OSError):
                    self._problem = "its process died"
            self._worker = None
        return self._problem

    def abandon(self) -> None:
        """End it without waiting."""
        if self._worker is not None:
            self._worker.kill()
            self._worker = None


class _Until(Stop):
    """A wish to stop that comes at a deadline."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def check(self) -> None:
        if self._deadline.expired:
            raise TimeoutError


def _send(url: str, body: bytes, proxies: dict[str, str], seconds: float) -> dict[str, object]:
    """Be the worker: try until somebody answered, for what a lost packet did is worth another."""
    deadline = Deadline(seconds)
    problem, again = "", True
    for attempt in range(_ATTEMPTS):
        if attempt:
            pause(_BETWEEN_ATTEMPTS)
        problem, again = _attempt(url, body, proxies, min(_ATTEMPT_SECONDS, deadline.remaining))
        if not again or deadline.remaining < 2 * _BETWEEN_ATTEMPTS:
            break
    return {"problem": problem}


def _attempt(url: str, body: bytes, proxies: dict[str, str], seconds: float) -> tuple[str, bool]:
    """Return what went wrong, and whether another attempt may go better."""
    import urllib.error
    import urllib.request

    request = urllib.request.Request(url, data=body, method="POST")
    request.add_header("User-Agent", "agebackup")
    request.add_header("Content-Type", "text/plain; charset=utf-8")
    try:
        with _opener(request.host, proxies).open(request, timeout=max(0.1, seconds)):
            return "", False
    except urllib.error.HTTPError as error:
        error.close()
        if 300 <= error.code < 400:
            return (
                f"the server wants it elsewhere ({error.code}), and it is sent nowhere else",
                False,
            )
        return f"the server answered {error.code}", error.code >= 500 or error.code == 429
    except Exception as error:  # texts of these may hold the address
        reason = getattr(error, "reason", error)
        return _said(reason if isinstance(reason, BaseException) else error), True


def _opener(host: str, proxies: dict[str, str]) -> Any:
    """Return an opener that knows http and https, follows nothing and asks nobody for secrets."""
    import urllib.request as request

    bypassed = request.proxy_bypass_environment(host, proxies)  # type: ignore[attr-defined]
    opener = request.OpenerDirector()
    handlers: list[Callable[[], Any]] = [
        partial(request.ProxyHandler, {} if bypassed else _kinds(proxies)),
        request.HTTPHandler,
        request.HTTPSHandler,
        request.HTTPErrorProcessor,
        request.HTTPDefaultErrorHandler,
    ]
    for handler in handlers:
        opener.add_handler(handler())
    return opener


def _kinds(proxies: dict[str, str]) -> dict[str, str]:
    return {scheme: proxy for scheme, proxy in proxies.items() if scheme in ("http", "https")}


def _said(error: BaseException) -> str:
    import socket
    import ssl

    if isinstance(error, socket.gaierror):
        return "the server's name could not be found"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "the server's certificate is not trusted"
    if isinstance(error, TimeoutError):
        return "the server did not answer in time"
    if isinstance(error, OSError) and error.strerror and not isinstance(error, ssl.SSLError):
        return f"the server could not be reached: {error.strerror}"
    return f"the server could not be understood ({type(error).__name__})"
