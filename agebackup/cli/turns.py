"""One app's turn in `agebackup run`: is it due, and then its run, try by try."""

import random
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from agebackup.cli.console import Console
from agebackup.errors import AgebackupError

if TYPE_CHECKING:
    from agebackup.ledger import Ledger
    from agebackup.model.due import Verdict
    from agebackup.model.profile import Profile
    from agebackup.operations.order import Site
    from agebackup.operations.pusheverywhere import Pushing
    from agebackup.operations.record import Post
    from agebackup.operations.supervision import Supervision
    from agebackup.system.clock import Deadline

Told = tuple[int, dict[str, Any]]
"""An exit code, and the JSON fields of what became of an app."""
_WORDS = {"not-enabled": "not enabled", "not-due": "not due", "at-work": "not needed"}
_FORBIDDEN = "the configuration says enabled = false"
_UNASKED = "neither enabled = true nor an installed timer"


@dataclass(frozen=True)
class Call:
    """What was asked for, and the periods of the installed timers by app ("": one for all).

    `at_once`: by --now; `wished`: by `schedule`, which tries the timer out: somebody waits for it,
    so it fails at once, without further tries. `timers` is None where they cannot be known: then
    rather a backup too many than none at all.
    """

    to: Console
    named: bool
    at_once: bool
    wished: bool
    timers: Mapping[str, float] | None

    @property
    def due_anyway(self) -> bool:
        """Whether an archive is made, due or not."""
        return self.at_once or self.wished


class Turn:
    """What becomes of one app. Between two tries its ledger stays open, and other apps run."""

    def __init__(self, profile: "Profile", call: Call) -> None:
        self.name = profile.name
        self._profile, self._call = profile, call
        self._held = ExitStack()
        self._run: Supervision | None = None
        self._again: Deadline | None = None

    @property
    def waits(self) -> bool:
        """Whether another try is to come."""
        return self._again is not None

    @property
    def remaining(self) -> float:
        """The seconds until the next try."""
        return self._again.remaining if self._again else 0.0

    def take(self) -> Told | None:
        """Let the app have its turn, or its next try; None where yet another one is to come."""
        seconds, put_off, self._again = self.remaining, self.waits, None
        try:
            if self._run is not None:
                self._run.wait(seconds)
                return self._tried(self._run)
            return self._after(seconds) if put_off else self._first()
        finally:
            if not self.waits:
                self._held.close()

    def _first(self) -> Told | None:
        from agebackup.cli.pushing import push_owed
        from agebackup.cli.supervising import reporting_to
        from agebackup.model.due import enabled, rhythm
        from agebackup.system.clock import Deadline

        profile, call = self._profile, self._call
        timers = call.timers or {}
        own, shared = timers.get(self.name), timers.get("")
        taken = enabled(profile.watch, own, shared) or (call.named and call.at_once)
        if not taken and (call.timers is not None or profile.watch.enabled is False):
            forbidden = profile.watch.enabled is False
            return self._left("not-enabled", _FORBIDDEN if forbidden else _UNASKED)
        self._beat = rhythm(profile.watch, own, shared)
        if not call.due_anyway:
            with reporting_to(self.name, call.to, profile) as post:
                verdict = self._verdict(post)
                pushing = None if verdict.due else push_owed(profile, post, call.to)
            if not verdict.due:
                return self._left("not-due", verdict.why, pushing)
            if profile.watch.jitter:
                self._again = Deadline(random.uniform(0, profile.watch.jitter))
                return None
        return self._start()

    def _after(self, seconds: float) -> Told | None:
        """Begin the run that chance put off; other apps had their turn meanwhile."""
        from agebackup.system.clock import wait

        wait(seconds, self._call.to.progress.stop)
        return self._start()

    def _start(self) -> Told | None:
        from agebackup.cli.supervising import reporting_to
        from agebackup.operations.telling import record_failure

        profile, call = self._profile, self._call
        self._post = self._held.enter_context(reporting_to(self.name, call.to, profile))
        try:
            self._run = self._supervision(self._post)
        except Exception as error:  # a library that cannot be loaded: hooks can still tell it
            record_failure(self.name, profile, error, self._post, call.to.progress)
            raise
        return self._tried(self._run)

    def _verdict(self, post: "Post") -> "Verdict":
        from agebackup.operations.run import due

        return due(self.name, self._beat, post.ledger, post.last_run, post.clock())

    def _supervision(self, post: "Post") -> "Supervision":
        from agebackup.cli.flags import CreateFlags
        from agebackup.cli.supervising import charge
        from agebackup.cli.wiring import Job
        from agebackup.model.due import waits
        from agebackup.operations.reachable import require_answers
        from agebackup.operations.supervision import Supervision

        call = self._call
        job = Job(self.name, CreateFlags.of(), call.to, self._profile)

        def needed(ledger: "Ledger | None") -> bool:
            return call.due_anyway or self._verdict(replace(post, ledger=ledger)).due

        asked = charge(job)

        def site() -> "Site":
            require_answers(self._profile, call.to.progress)
            return asked.site()

        tries = () if call.wished else waits(self._profile.watch)
        asked_so = replace(asked, site=site, needed=needed, waits=tries)
        return Supervision(asked_so, post, call.to.progress)

    def _tried(self, run: "Supervision") -> Told | None:
        from agebackup.cli.create import created_fields, tell_created
        from agebackup.operations.supervision import OtherRunError
        from agebackup.system.clock import Deadline

        try:
            seconds = run.attempt()
        except OtherRunError:
            self._require_alive()
            if self._call.wished:
                raise
            return self._left("at-work", "another run is at work")
        if seconds is not None:
            self._again = Deadline(seconds)
            return None
        if run.done is None:
            return self._left("not-due", "another run was faster")
        tell_created(self._call.to, run.done)
        return run.done.code, {"app": self.name, **created_fields(run.done)}

    def _require_alive(self) -> None:
        from agebackup.operations.run import require_alive
        from agebackup.operations.telling import record_failure

        post = self._post
        try:
            require_alive(self.name, self._beat, post.ledger, post.clock())
        except AgebackupError as error:
            record_failure(self.name, self._profile, error, post, self._call.to.progress)
            raise

    def _left(self, status: str, why: str, pushing: "Pushing | None" = None) -> Told:
        """Say why no archive was made of the app; the log keeps it where somebody asked for it.

        `pushing` is what became of copies that an earlier run owed.
        """
        from agebackup.cli.pushing import pushing_fields, tell_pushing
        from agebackup.cli.supervising import journal

        to = self._call.to
        to.output.say(f"{self.name}: {_WORDS[status]}: {why}.")
        if status != "not-enabled" or self._call.named:
            journal(to).event("not-run", self.name, status=status, message=why)
        fields = {"app": self.name, "status": status, "why": why}
        if pushing is None:
            return 0, fields
        tell_pushing(pushing, to)
        if pushing.stopped:
            to.output.failure(pushing.stopped)
        return pushing.code, {**fields, "pushes": pushing_fields(pushing)}
