"""agebackup keycheck"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agebackup.cli.choosing import Chosen, Looked, at_path, chosen, inventories, to_option
from agebackup.cli.console import Console, console
from agebackup.cli.fetching import at_hand
from agebackup.cli.outcomes import Outcomes
from agebackup.cli.reading import identities, key_options
from agebackup.cli.scope import known_config, known_ledger, now, places
from agebackup.cli.settings import current, global_options
from agebackup.errors import AgebackupError, NotFoundError, printable

if TYPE_CHECKING:
    from agebackup.model.inventory import Inventory
    from agebackup.model.keychecks import Standing
    from agebackup.operations.keycheck import Tried
    from agebackup.operations.listing import Listing
    from agebackup.snapshot.keys import Identities

Target = tuple[str, Callable[[], Chosen], bool]
"""What an archive is called, what finds it, and whether a key must open it."""


@click.command("keycheck", short_help="See whether a key still opens the archives.")
@click.argument("archives", nargs=-1, metavar="[ARCHIVE]...")
@to_option
@key_options
@global_options
def command(archives: tuple[str, ...], **options: Any) -> int:
    """See whether a private key still opens the archives, and which recipients it stands for.

    Without ARCHIVE: of each app the newest, and the oldest that each rule of retention keeps. Only
    the header and the first 64 KiB of each are read, so that it takes milliseconds; `verify` reads
    everything. Of several keys one must open each archive; an app is passed over where its
    recipients are others' alone. What a key opened is noted with the date: `status` reminds where
    that is longer ago than `keycheck_every`. Exit code 12 where an archive is not opened that
    should be, 4 where its header is damaged, 10 where it is not there.
    """
    out = console(current(), "keycheck")
    keys = identities(out, options)
    standing = _standing(keys, out)
    trial, outcomes = _Trial(out, keys, standing), Outcomes(out)
    for name, find, needed in _targets(archives, options["to"], standing, out):
        if not outcomes.add(name, partial(trial.attempt, find, needed=needed)):
            break
    _note(trial.tried, standing, out)
    return _report(outcomes, standing, out)


@dataclass(frozen=True)
class _Trial:
    """The keys at work; `tried` collects what became of each archive."""

    out: Console
    keys: "Identities"
    standing: "Standing"
    tried: "list[Tried]" = field(default_factory=list)

    def attempt(self, find: Callable[[], Chosen], *, needed: bool) -> tuple[int, dict[str, Any]]:
        """Try the keys on the archive that `find` finds, and say what opened it."""
        from agebackup.operations.keycheck import require_opened, try_keys

        archive = find()
        with at_hand(archive, self.out) as path:
            found = try_keys(path, self.keys)
            if needed:
                require_opened(found)
        self.tried.append(found)
        openers = [self.standing.keys[place] for place in found.opened_by]
        said = f"opened by {', '.join(map(_named, openers))}" if openers else "not for these keys"
        if not self.out.settings.json:
            self.out.output.line(f"{printable(archive.called)}: {said}")
        return 0, {
            "archive": archive.called,
            "status": "opened" if openers else "other-keys",
            "opened_by": openers,
            "seconds": found.seconds,
        }


def _standing(keys: "Identities", out: Console) -> "Standing":
    from agebackup.cli.wiring import declared_recipients
    from agebackup.model.keychecks import Standing
    from agebackup.snapshot.keyfit import belonging
    from agebackup.snapshot.keys import read_recipients

    config, declared = known_config(out), dict[str, tuple[str, ...]]()
    for profile in config.apps if config else ():
        if profile.recipients or profile.recipients_files:
            try:
                declared[profile.name] = declared_recipients(profile).texts
            except AgebackupError as error:
                out.output.warn(f"{profile.name}: {error.message}")
    every = tuple(dict.fromkeys(text for texts in declared.values() for text in texts))
    if not every:
        return Standing(keys.publics)
    return Standing(belonging(keys, read_recipients((), (), literals=every)), declared)


def _targets(
    archives: tuple[str, ...], to: str | None, standing: "Standing", out: Console
) -> Iterator[Target]:
    if archives:
        yield from ((text, partial(chosen, text, to, out), True) for text in archives)
        return
    from agebackup.operations.keycheck import sample

    looked, seen = inventories(None, to, out), set[str]()
    yield from ((f.message, partial(_raise, f), True) for f in looked.failures)
    for inventory, listing in _listings(looked, out):
        for app in sorted({one.held.name.app for one in listing.archives}):
            for held in sample(listing, app):
                seen.add(app)
                find = partial(looked.chosen, inventory, held)
                yield app, find, standing.should_open(app)
    for place in places(None, to, out):
        if place.to.endswith(".age") and os.path.lexists(place.to):
            seen.add(place.app or "")
            find = partial(at_path, Path(place.to))
            yield place.to, find, standing.should_open(place.app or "")
    if not seen and not looked.failures:
        raise NotFoundError("There is no archive to try a key on.", hint="See agebackup list.")


def _listings(looked: Looked, out: Console) -> "list[tuple[Inventory, Listing]]":
    from agebackup.operations.listing import listing

    config = known_config(out)
    policies = {one.name: one.retention for one in config.apps if one.retention} if config else {}
    return [(one, listing(one, None, policies, now())) for one in looked.inventories]


def _raise(error: AgebackupError) -> Chosen:
    raise error


def _named(recipient: str | None) -> str:
    from agebackup.model.keychecks import brief

    return brief(recipient) if recipient else "an SSH key whose file does not tell its public half"


def _note(tried: "list[Tried]", standing: "Standing", out: Console) -> None:
    """Let the ledger, where there is one, know which recipients' keys opened an archive today."""
    from agebackup.ledger import LedgerError
    from agebackup.model.records import KeycheckRecord

    shown = {
        recipient: one.archive.name
        for one in tried
        for place in one.opened_by
        if (recipient := standing.keys[place])
    }
    ledger = known_ledger(out) if shown else None
    if ledger is None:
        return
    moment = now()
    try:
        with ledger:
            ledger.put(*(KeycheckRecord(text, moment, name) for text, name in shown.items()))
    except LedgerError as error:
        out.output.warn(f"The ledger does not learn of this: {error.message}")


def _report(outcomes: Outcomes, standing: "Standing", out: Console) -> int:
    keys = [(key, standing.apps(key) if key else ()) for key in standing.keys]
    unheld = [(text, standing.apps(text)) for text in standing.unheld]
    if not out.settings.json:
        for key, apps in keys:
            of = f"a recipient of {', '.join(apps)}" if apps else "of no app in the configuration"
            out.output.line(f"{_named(key)}: {of}")
        for text, apps in unheld:
            out.output.line(f"{_named(text)}: of {', '.join(apps)}; none of these keys is its own")
    return outcomes.report(
        keys=[{"recipient": key, "apps": list(apps)} for key, apps in keys],
        unheld=[{"recipient": text, "apps": list(apps)} for text, apps in unheld],
    )
