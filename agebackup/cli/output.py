"""How results, words and failures reach the person: stdout for results, stderr for the rest."""

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

from agebackup.cli.settings import Settings
from agebackup.errors import AgebackupError
from agebackup.model.redaction import redacted as redacted


def prepare_streams() -> None:
    """Let no character that the terminal's encoding lacks turn a message into a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


class Output:
    """Writes for one command; `command` names the JSON schema."""

    def __init__(self, settings: Settings, command: str) -> None:
        self.settings = settings
        self.command = command
        self._warned: set[str] = set()
        self._worded: Callable[[str], str] = str

    @contextlib.contextmanager
    def wording(self, reworded: Callable[[str], str]) -> Iterator[None]:
        """Let every warning in the body say what `reworded` makes of it."""
        before, self._worded = self._worded, reworded
        try:
            yield
        finally:
            self._worded = before

    def say(self, text: str) -> None:
        """Write words for the person to stderr, unless --quiet or --json."""
        if not self.settings.quiet and not self.settings.json:
            self._stderr(text)

    def warn(self, text: str) -> None:
        """Write a warning to stderr, whatever the options."""
        self._stderr(f"agebackup: warning: {self._worded(text)}")

    def warn_once(self, text: str) -> None:
        """Write a warning that several parts of one command may come to, once."""
        if text not in self._warned:
            self._warned.add(text)
            self.warn(text)

    def result(self, text: str, **fields: Any) -> None:
        """Write the result to stdout: `text`, or with --json an object of `fields`."""
        if self.settings.json:
            self._stdout(self._object(fields.pop("status", "ok"), fields))
        elif text:
            self._stdout(text)

    def line(self, text: str) -> None:
        """Write one line of a series to stdout, whatever the options."""
        self._stdout(text)

    def result_of_work(self, text: str, **fields: Any) -> None:
        """Write the result of work that is done, whether it can be told or not."""
        try:
            self.result(text, **fields)
        except OutputLostError as error:
            self.warn(error.message)

    def failure(self, error: AgebackupError) -> None:
        """Write one failure: message, details and hint to stderr; with --json to stdout."""
        if self.settings.json:
            fields = {"exit": error.code, "error": described(error)}
            with contextlib.suppress(AgebackupError):
                self._stdout(self._object("failed", fields))
            return
        lines = [f"agebackup: {error.message}"]
        lines += [f"  - {line}" for line in error.details]
        if error.hint:
            lines.append(f"  {error.hint}")
        self._stderr("\n".join(lines))

    def show_cause(self, error: AgebackupError) -> None:
        """With -v, write to stderr where an unforeseen error arose."""
        if self.settings.verbose and error.__cause__ is not None:
            self._stderr("".join(traceback.format_exception(error.__cause__)))

    def _object(self, status: str, fields: dict[str, Any]) -> str:
        schema = f"agebackup/{self.command}/v1"
        if self.settings.settled:
            fields = {**fields, "settled": self.settings.settled}
        return json.dumps({"schema": schema, "status": status, **fields}, ensure_ascii=True)

    def _stderr(self, text: str) -> None:
        self.settings.clear_line()
        # Nobody reads a closed or full stderr; the exit code still says what happened.
        with contextlib.suppress(OSError, ValueError):
            if sys.stderr is not None:
                print(redacted(text), file=sys.stderr, flush=True)

    def _stdout(self, text: str) -> None:
        self.settings.clear_line()
        write_out((redacted(text) + "\n",), sys.stdout)


class OutputLostError(AgebackupError):
    """What should have been printed could not be; what was done before is done."""

    exit_code = 1


def write_out(pieces: Iterable[Any], stream: IO[Any] | None) -> None:
    """Write `pieces` to `stream` and flush; raise `OutputLostError` where that is impossible."""
    try:
        if stream is None:
            raise OSError("standard output is closed")
        for piece in pieces:
            stream.write(piece)
        stream.flush()
    except (OSError, ValueError) as error:
        _abandon(stream)
        raise OutputLostError(
            f"The result could not be written to standard output: {error}.",
            hint="Check where standard output leads.",
        ) from None


def _abandon(stream: IO[Any] | None) -> None:
    """Let what is still buffered go nowhere: the interpreter's own flush at exit would fail."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(null, stream.fileno())  # type: ignore[union-attr]
        os.close(null)


def described(error: AgebackupError) -> dict[str, Any]:
    """Return `error` as JSON fields."""
    return {"message": error.message, "hint": error.hint, "details": list(error.details)}
