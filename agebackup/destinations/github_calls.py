"""The `gh` program, asked one thing at a time: the person's own login, no token of ours."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from agebackup.destinations.attempts import PAUSES, persistently
from agebackup.destinations.github_faults import Answer, LimitedError, fault, no_repository, shown
from agebackup.destinations.interface import Means, OutOfReachError, StoodStillError
from agebackup.errors import AgebackupError, FailedError
from agebackup.system.clock import wait
from agebackup.system.process import NotStartedError
from agebackup.system.transfers import StalledError, Traffic, run_transfer

Result = TypeVar("Result")

LONGEST_WAIT = 120.0
"""Seconds that GitHub may ask us to wait; who is asked for more comes back another day."""
_QUIET = {
    "GH_PROMPT_DISABLED": "1",
    "GH_NO_UPDATE_NOTIFIER": "1",
    "GH_NO_EXTENSION_UPDATE_NOTIFIER": "1",
    "GH_SPINNER_DISABLED": "1",
    "GH_PAGER": "cat",
    "NO_COLOR": "1",
}
_LOUD = ("GH_DEBUG", "DEBUG", "GH_FORCE_TTY", "CLICOLOR_FORCE", "GH_REPO")
"""What would mix other things into what gh says (gh help environment)."""
_STALL = 120.0
"""Seconds of silence after which a short question is given up."""
_MOST = 1 << 28
"""Bytes of an answer that are taken in: a listing of 10,000 releases is some 15 MB."""
_MAKING = ("POST", "PUT", "PATCH")
"""Methods that GitHub answers 404 where a person may read, and not write."""
_STATUS = re.compile(r"HTTP/[\d.]+ (\d{3})\b")
_SAID_STATUS = re.compile(r"HTTP (\d{3})\b")


@dataclass(frozen=True)
class Calls:
    """Questions to the API about one repository, `place` being OWNER/NAME.

    `pauses` are the seconds before further attempts, `longest` how many a rate limit may cost.
    """

    place: str
    means: Means
    pauses: Sequence[float] = PAUSES
    longest: float = LONGEST_WAIT

    def patiently(self, attempt: Callable[[], Result]) -> Result:
        """Return what `attempt` returns, tried again as `persistently` does.

        Where GitHub says how long it wants to be left alone, that is waited for before; where that
        is too long, there is no other attempt.
        """
        hopeless: list[AgebackupError] = []

        def once() -> Result | None:
            try:
                return attempt()
            except LimitedError as error:
                if error.seconds > self.longest:
                    hopeless.append(error)
                    return None
                wait(min(error.seconds, self.longest), self.means.progress.stop)
                raise

        done = persistently(once, self.means.progress, self.pauses)
        if hopeless:
            raise hopeless[0]
        return done  # type: ignore[return-value]

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Return the JSON answer, None where there is none; `path` may be a whole address."""
        if body is None:
            return self.send(method, path, (), Traffic(stall=_STALL))
        given = json.dumps(body).encode()
        headers = sized(len(given), "application/json")
        return self.send(method, path, headers, Traffic(iter((given,)), stall=_STALL))

    def send(self, method: str, path: str, headers: Sequence[str], traffic: Traffic) -> Any:
        """Send what `traffic` gives, and return the JSON answer."""
        taken = bytearray()
        words = ["-i", "-X", method, *headers]
        words += ["--input", "-"] if traffic.given is not None else []
        code, said = self._run(
            words, path, Traffic(traffic.given, self._into(taken), traffic.stall)
        )
        answer = _answer(taken.decode(errors="replace"), said)
        if code or not 200 <= answer.status < 300:
            raise fault(answer, self.place, writing=method in _MAKING)
        return _json(answer.body) if answer.body.strip() else None

    def query(self, text: str, **variables: str) -> Mapping[str, Any]:
        """Return the `repository` that the GraphQL query `text` finds."""
        given = json.dumps({"query": text, "variables": variables}).encode()
        taken = bytearray()
        traffic = Traffic(iter((given,)), self._into(taken), _STALL)
        words = ["-i", *sized(len(given), "application/json"), "--input", "-"]
        _, said = self._run(words, "graphql", traffic)
        answer = _answer(taken.decode(errors="replace"), said)
        found = _json(answer.body) if answer.status == 200 else None
        if not isinstance(found, dict):
            raise fault(answer, self.place, writing=False)
        repository = (found.get("data") or {}).get("repository")
        if isinstance(repository, dict):
            return repository
        if "NOT_FOUND" in answer.body:
            raise no_repository(self.place)
        raise fault(answer, self.place, writing=False)

    def lines(self, path: str, jq: str) -> Iterator[Mapping[str, Any]]:
        """Yield each object that `jq` makes of every page of the list at `path`."""
        taken = bytearray()
        words = ["-i", "--paginate", "--jq", jq]
        code, said = self._run(words, path, Traffic(None, self._into(taken), _STALL))
        if code or not taken.startswith(b"HTTP/"):  # nothing at all is no empty list
            last = taken[taken.rfind(b"HTTP/") :].decode(errors="replace")
            raise fault(_answer(last, said), self.place, writing=False)
        for line in bytes(taken).split(b"\n"):
            if line.startswith(b"{"):
                found = _json(line.decode(errors="replace"))
                if isinstance(found, dict):
                    yield found

    def fetch(self, path: str, take: Callable[[bytes], None]) -> None:
        """Hand the bytes at `path` to `take`, as they come."""
        words = ["-H", "Accept: application/octet-stream"]
        code, said = self._run(words, path, Traffic(None, take))
        if code:
            raise fault(_answer("", said), self.place, writing=False)

    def version(self) -> str:
        """Return what `gh --version` says."""
        taken = bytearray()
        self._gh(["--version"], Traffic(None, self._into(taken), _STALL))
        return taken.decode(errors="replace")

    def _into(self, taken: bytearray) -> Callable[[bytes], None]:
        """Return what adds to `taken`, and raises `FailedError` where that does not end."""

        def take(piece: bytes) -> None:
            taken.extend(piece)
            if len(taken) > _MOST:
                raise FailedError(
                    f"GitHub's answer about {self.place} does not end.",
                    hint="Look at the repository's releases: somebody has filled them.",
                )

        return take

    def _run(self, words: Sequence[str], path: str, traffic: Traffic) -> tuple[int, str]:
        return self._gh(["api", *words, path], traffic)

    def _gh(self, words: Sequence[str], traffic: Traffic) -> tuple[int, str]:
        means = self.means
        kept = {name: text for name, text in means.environment.items() if name not in _LOUD}
        argv = ["gh", *words]
        try:
            result = run_transfer(
                argv, traffic, environment={**kept, **_QUIET}, progress=means.progress
            )
        except StalledError as error:
            raise StoodStillError(f"GitHub: {error.message}", hint=error.hint) from None
        except NotStartedError as error:
            raise FailedError(
                error.message, hint="Install gh (cli.github.com), then gh auth login."
            ) from None
        return result.code, result.stderr


def sized(size: int, kind: str) -> tuple[str, ...]:
    """Return the words that tell gh of the `size` bytes on its stdin and what `kind` they are.

    Without a length it would send them in chunks, which GitHub does not take for an asset.
    """
    return ("-H", f"Content-Length: {size}", "-H", f"Content-Type: {kind}")


def _answer(out: str, said: str) -> Answer:
    """Return what `gh api -i` printed, taken apart; `said` is its stderr."""
    head, _, body = out.replace("\r\n", "\n").partition("\n\n")
    first, *rest = head.split("\n")
    match = _STATUS.match(first)
    if match is None:
        told = _SAID_STATUS.search(said)
        return Answer(int(told[1]) if told else 0, said)
    pairs = (line.partition(": ") for line in rest)
    headers = {name.lower(): value for name, _, value in pairs}
    return Answer(int(match[1]), said, headers, body)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise OutOfReachError(
            f"GitHub's answer is none: {shown(text[:80])!r}.",
            hint="Is a proxy or a login page in between? Check the network.",
        ) from None
