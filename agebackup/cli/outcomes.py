"""Several apps or archives in one run: each reported, none stops another, the worst counts."""

from collections.abc import Callable
from typing import Any

from agebackup.cli.console import Console
from agebackup.cli.failures import translated
from agebackup.cli.output import described
from agebackup.errors import INCOMPLETE, AgebackupError, worst

Work = Callable[[], tuple[int, dict[str, Any]] | None]


class Outcomes:
    """Collects what became of each item, and tells each failure as it happens.

    `results` are the JSON fields of each, its exit code and its status among them.
    """

    def __init__(self, to: Console) -> None:
        self._to = to
        self._codes: list[int] = []
        self.results: list[dict[str, Any]] = []
        self._failures: list[AgebackupError] = []

    def add(self, name: str, work: Work) -> bool:
        """Do `work` for the item `name`; return whether the next one's turn may come.

        `work` returns its exit code and its JSON fields, or None where nothing became of the item
        yet: it is to be added again. A failure is an outcome like another,
        but a wish to stop ends the series: what was done before it stays done, and reported.
        """
        try:
            with translated():
                done = work()
                if done is None:
                    return True
                code, fields = done
        except AgebackupError as error:
            code = error.code
            fields = {"app": name, "status": "failed", "error": described(error)}
            self._failures.append(error)
            if not self._to.settings.json:
                self._to.output.failure(error)
            self._to.output.show_cause(error)
        self._codes.append(code)
        self.results.append({"exit": code, **fields})
        return code <= 128

    def report(self, **more: Any) -> int:
        """Write the JSON object, if one is wanted, and return the exit code that counts.

        `more` are further fields of it.
        """
        code = worst(self._codes)
        if self._to.settings.json:
            fields: dict[str, Any] = {"exit": code, "results": self.results, **more}
            if self._failures:
                fields["error"] = described(min(self._failures, key=lambda one: one.code != code))
            status = {0: "ok", INCOMPLETE: "incomplete"}.get(code, "failed")
            self._to.output.result_of_work("", status=status, **fields)
        return code
