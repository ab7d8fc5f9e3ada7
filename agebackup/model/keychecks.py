"""Keys that were tried: for whom they stand, which archives show it, and when to try them again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agebackup.errors import shortened
from agebackup.model.durations import span_text
from agebackup.model.findings import Finding
from agebackup.model.inventory import Held, grade
from agebackup.model.records import KeycheckRecord

_OLDEST = " (the oldest)"


@dataclass(frozen=True)
class Standing:
    """For whom the given keys stand.

    `keys` are their recipients, None where one's is unknown; `declared` the recipients of each app
    that the configuration declares with some.
    """

    keys: tuple[str | None, ...]
    declared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def apps(self, recipient: str) -> tuple[str, ...]:
        """Return the apps that are encrypted to `recipient`."""
        return tuple(app for app, texts in self.declared.items() if recipient in texts)

    @property
    def unheld(self) -> tuple[str, ...]:
        """The declared recipients that no given key stands for."""
        every = dict.fromkeys(text for texts in self.declared.values() for text in texts)
        return tuple(text for text in every if text not in self.keys)

    def should_open(self, app: str) -> bool:
        """Return whether one of the keys is expected to open the archives of `app`.

        So it is unless the app is declared, the recipients of all keys are known, and none of them
        is one of its own, while one is another app's: then these keys are simply not for it.
        """
        texts = self.declared.get(app)
        if texts is None or None in self.keys or not self._of_any:
            return True
        return any(text in self.keys for text in texts)

    @property
    def _of_any(self) -> bool:
        return any(text in self.keys for texts in self.declared.values() for text in texts)


def representatives(
    archives: Sequence[Held], reasons: Mapping[str, Sequence[str]]
) -> tuple[Held, ...]:
    """Return those of an app's `archives`, newest first, that tell most about a key, each once.

    That are the newest, and for each rule that keeps any (`reasons`, by name) the oldest that it
    keeps: there a key that was changed since shows. Damaged ones are passed over, and what this
    machine did not make where there is something that it did.
    """
    sound = [held for held in archives if grade(held) != "bad"]
    own = [held for held in sound if held.record is not None and not held.record.foreign]
    among = own or sound
    oldest: dict[str, Held] = {}
    for held in among:
        for reason in reasons.get(str(held.name), ()):
            oldest[reason.removesuffix(_OLDEST)] = held
    wanted = {str(held.name) for held in (*among[:1], *oldest.values())}
    return tuple(held for held in among if str(held.name) in wanted)


@dataclass(frozen=True)
class Custody:
    """What is known of the keys of one app.

    `recipients` are those it is encrypted to now, `checks` when any key was last seen to open an
    archive, `since` the time of the first archive, None where there never was one.
    """

    recipients: tuple[str, ...] = ()
    checks: tuple[KeycheckRecord, ...] = ()
    since: datetime | None = None


def reminder(app: str, custody: Custody, every: float | None, now: datetime) -> Iterator[Finding]:
    """Yield a warning where keys of `app` were not tried for `every` seconds (None: never mind).

    What was never tried is due as long after the first archive: on the first day everybody has
    just made the key.
    """
    if every is None or custody.since is None:
        return
    limit = timedelta(seconds=every)
    tried = {one.recipient: one.checked for one in custody.checks}
    due = [
        text
        for text in custody.recipients
        if now - tried.get(text, min(custody.since, now)) > limit
    ]
    if not due:
        return
    never = [text for text in due if text not in tried]
    when = "yet" if len(never) == len(due) else f"for {span_text(limit)}"
    shown = " and of ".join(shortened([brief(text) for text in due]))
    yield Finding(
        "warning",
        "keycheck-due",
        app,
        f"Not seen to open an archive {when}: the private key of {shown}.",
        "Fetch the key from where it is kept, and see whether it still opens the archives: "
        'agebackup keycheck -i KEY. keycheck_every sets how often ("never" to switch this off).',
    )


def brief(recipient: str) -> str:
    """Return as much of `recipient` as tells it from others: SSH keys are long."""
    return recipient if len(recipient) <= 64 else f"{recipient[:24]}...{recipient[-16:]}"
