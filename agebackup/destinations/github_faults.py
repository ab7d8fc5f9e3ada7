"""What GitHub's refusals mean to a person: what passes, what does not, and what to do about it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from agebackup.destinations.interface import OutOfReachError
from agebackup.errors import (
    AgebackupError,
    FailedError,
    NotFoundError,
    RefusedError,
    printable,
)
from agebackup.model.credentials import without_credentials

_LONGEST = 300
_LOGIN = "Log in with gh auth login, and see with gh auth status who you are."
_LIMITS = ("rate limit", "abuse detection", "secondary rate")


class LimitedError(OutOfReachError):
    """GitHub wants to be left alone for `seconds`; 0 where it does not say how long."""

    seconds = 0.0


@dataclass(frozen=True)
class Answer:
    """What GitHub answered: `status` is 0 where it did not, `said` is what gh wrote to stderr.

    The names in `headers` are in lower case.
    """

    status: int
    said: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""


def shown(text: str) -> str:
    """Return `text` fit for a person: one short line, and no secret in it."""
    line = " ".join(without_credentials(text).split()).removeprefix("gh: ")
    return printable(line[:_LONGEST])


def not_logged_in() -> FailedError:
    """Return the failure of a person whom GitHub does not know."""
    return FailedError("GitHub does not know you: gh is not logged in there.", hint=_LOGIN)


def no_repository(place: str) -> NotFoundError:
    """Return the failure for a repository that does not exist for this person."""
    return NotFoundError(
        f"There is no repository {place}, or you may not see it.",
        hint="See that the name is right, and with gh auth status who you are; agebackup doctor "
        "--fix makes one that the configuration names, private.",
    )


def empty_repository(place: str) -> FailedError:
    """Return the failure for a repository without a commit."""
    return FailedError(
        f"The repository {place} is empty, and a release needs a commit.",
        hint="agebackup doctor --fix puts the first one into it.",
    )


def may_not_write(place: str, said: str = "") -> RefusedError:
    """Return the failure for a repository that this person may only read."""
    return RefusedError(
        f"You may not write to {place}.{f' GitHub says: {said}' if said else ''}",
        hint="Ask its owner for write access; a token needs the repo scope, or write access to "
        "the repository's contents.",
    )


def fault(answer: Answer, place: str, *, writing: bool) -> AgebackupError:
    """Return the failure that `answer` is, about the repository `place`."""
    said = shown(answer.said) or f"HTTP {answer.status}"
    if answer.status == 0:
        return _silence(said)
    if answer.status == 401:
        return not_logged_in()
    if _limited(answer):
        return _limit(answer)
    if answer.status >= 500 or answer.status in (408, 425):
        return OutOfReachError(f"GitHub fails: {said}.", hint="See githubstatus.com; push again.")
    if answer.status == 403 or (answer.status == 404 and writing):
        return _refusal(said, place)
    if answer.status == 404 or "reference does not exist" in said.lower():
        return NotFoundError(f"GitHub has it no more: {said}.", hint="List what is there.")
    text = f"{said} {answer.body}".lower()
    if "is empty" in text:
        return empty_repository(place)
    if "immutable" in text or "tag_name was used by" in text:
        return _refusal(said, place)
    if "already_exists" in text:
        return OutOfReachError(f"Something else writes to {place}: {said}.", hint="Push again.")
    return FailedError(f"GitHub refuses: {said}.", hint="gh auth status says who you are there.")


def _silence(said: str) -> AgebackupError:
    if "gh auth login" in said or "authentication token" in said.lower():
        return not_logged_in()
    return OutOfReachError(
        f"GitHub cannot be reached: {said.removesuffix('.')}.",
        hint="Check the network and the proxy, then push again.",
    )


def _refusal(said: str, place: str) -> RefusedError:
    low = said.lower()
    if "archived" in low:
        return archived(place)
    if "immutable" in low or "tag_name was used by" in low:
        return RefusedError(
            f"The releases of {place} are immutable: {said}.",
            hint="Turn immutable releases off in the repository's settings, or let it stay.",
        )
    return may_not_write(place, said)


def archived(place: str) -> RefusedError:
    """Return the failure for a repository that its owner has archived."""
    return RefusedError(
        f"The repository {place} is archived: nothing in it can change.",
        hint="Unarchive it in its settings on GitHub, or name another.",
    )


def _limited(answer: Answer) -> bool:
    if answer.status == 429:
        return True
    headers, text = answer.headers, f"{answer.said} {answer.body}".lower()
    spent = headers.get("x-ratelimit-remaining") == "0" or "retry-after" in headers
    return answer.status in (200, 403) and (spent or any(word in text for word in _LIMITS))


def _limit(answer: Answer) -> LimitedError:
    after = answer.headers.get("retry-after", "")
    seconds = float(after) if re.fullmatch(r"\d{1,6}", after) else 0.0
    wait = f" for {seconds:g} seconds" if seconds else ""
    error = LimitedError(
        f"GitHub wants to be left alone{wait}: its rate limit is reached.",
        hint="Push again later; the next run does so by itself.",
    )
    error.seconds = seconds
    return error
