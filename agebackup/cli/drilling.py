"""One drill: the archive chosen, restored, asked, and its receipt kept and told."""

import platform
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from agebackup import __version__
from agebackup.cli.choosing import Chosen, Looked, chosen, inventories
from agebackup.cli.console import Console
from agebackup.cli.drill_receipts import keep, say, tell_hooks
from agebackup.cli.failures import translated
from agebackup.cli.fetching import at_hand
from agebackup.cli.looking import looked_at
from agebackup.cli.scope import known_ledger, now
from agebackup.errors import (
    AgebackupError,
    FailedError,
    NotFoundError,
    UsageError,
    printable,
)
from agebackup.ledger import LedgerError
from agebackup.model.drills import Receipt, candidates, drawn, newest, seconds_between
from agebackup.model.names import ArchiveName, folder_of
from agebackup.operations.drill import (
    Drilled,
    DrillOrder,
    drill,
    expected_bytes,
    failure,
    filled,
    require_held,
    require_itself,
    says_nothing,
)
from agebackup.operations.stage import Wanted

if TYPE_CHECKING:
    from agebackup.model.inventory import Inventory
    from agebackup.model.profile import Profile
    from agebackup.model.records import DrillRecord
    from agebackup.operations.reading import Reading
    from agebackup.snapshot.signatures import SigningKey
    from agebackup.system.claims import Claims

TRIES = 5
"""So many archives are drawn where one after the other is removed before it can be opened."""


@dataclass(frozen=True)
class Ground:
    """What all drills of one command share. `profiles` are the declared apps by name.

    `folder` is where archives are looked for, None: where the configuration or the ledger says.
    Receipts are signed with `signing`, if there is one.
    """

    to: Console
    reading: "Reading"
    workspace: Path
    claims: "Claims"
    profiles: "Mapping[str, Profile]"
    folder: str | None = None
    signing: "SigningKey | None" = None


@dataclass
class Drill:
    """One drill, of `archive` or of one of `app` that `chance` (0 to below 1) draws.

    `fields` are what JSON has of it besides its outcome, as far as it came.
    """

    ground: Ground
    app: str | None
    archive: str | None
    chance: Callable[[], float]
    fields: dict[str, Any] = field(default_factory=dict)
    _inventories: "tuple[Inventory, ...]" = ()
    _receipt: Receipt = field(init=False)

    @property
    def named(self) -> str:
        """What the person calls it."""
        return self.app or self.archive or ""

    def run(self) -> tuple[int, dict[str, Any]]:
        """Do it; return exit code and JSON fields, or raise what it failed for."""
        for found in self._found():
            try:
                with translated():
                    return self._drill(found)
            except AgebackupError as error:
                drawn_again = self.archive is None and not self.fields
                if error.code > 128 or not drawn_again or found.is_there:
                    raise
                self.ground.to.output.say(f"{printable(found.called)} was removed meanwhile.")
        raise NotFoundError(
            f"Every archive of {printable(self.named)} that was drawn was removed meanwhile.",
            hint="Try again when nothing is pruned.",
        )

    def _found(self) -> Iterator[Chosen]:
        """Yield the archive, or one drawn after the other, each time of what is there then."""
        to = self.ground.to
        if self.archive is not None:
            text = self.archive
            if self.app and text in ("latest", "latest-manual"):
                text = f"{self.app}:{text}"
            found = chosen(text, self.ground.folder, to)
            self._look(self.app or _app_of(found.name))
            yield found
            return
        assert self.app is not None
        for _ in range(TRIES):
            looked = inventories(self.app, self.ground.folder, to)
            self._inventories = looked.inventories
            among = candidates(self.app, self._inventories, _drills_of(self.app, to))
            if not among:
                raise NotFoundError(
                    f"There is no archive of {printable(self.app)} that could be drilled.",
                    hint="See agebackup list: what is damaged, or only in the cloud, is not drawn.",
                )
            found = _at(drawn(among, self.chance()).path, looked)
            to.output.say(f"Drawn: {printable(found.called)}")
            yield found

    def _look(self, app: str | None) -> None:
        """Look around for the newest archive; who names an archive may know of no other place."""
        if app:
            try:
                looked = inventories(app, self.ground.folder, self.ground.to)
                self._inventories = looked.inventories
            except (NotFoundError, FailedError):
                self._inventories = ()

    def _drill(self, found: Chosen) -> tuple[int, dict[str, Any]]:
        app = _app_of(found.name)
        if self.app and app not in (None, self.app):
            raise _of_another(found, self.app)
        begun = now()
        self._receipt = self._begun(found, self.app or app or "", begun)
        try:
            with translated():
                self._try(found)
        except AgebackupError as error:
            if not says_nothing(error, there=found.is_there):
                self._receipt = failure(self._receipt, error)
                self._keep(begun)
                tell_hooks(self._receipt, self.ground.profiles, self.ground.to)
            raise
        trouble = self._keep(begun)
        say(self._receipt, self.ground.to)
        if trouble is not None:
            lost = "kept nowhere" if isinstance(trouble, LedgerError) else "not signed"
            raise FailedError(
                f"The drill went well, but its receipt is {lost}: {trouble.message}",
                hint=trouble.hint,
            )
        return 0, {"app": self._receipt.app, "status": "ok"}

    def _keep(self, begun: datetime) -> AgebackupError | None:
        self.fields["receipt"] = msgspec.to_builtins(self._receipt)
        return keep(self._receipt, begun, self.ground.signing, self.ground.to)

    def _begun(self, found: Chosen, app: str, begun: datetime) -> Receipt:
        name = ArchiveName.parse(found.name)
        receipt = Receipt(
            id=secrets.token_hex(16),
            app=app,
            archive=printable(found.name),
            destination=printable(found.destination),
            made=_text(name.time) if name else None,
            begun=_text(begun),
            host=printable(platform.node()),
            agebackup=__version__,
            age=seconds_between(name.time, begun) if name else None,
        )
        return self._with_newest(receipt, begun)

    def _with_newest(self, receipt: Receipt, begun: datetime) -> Receipt:
        latest = newest(receipt.app, self._inventories)
        if latest is None:
            return receipt
        return replace(receipt, newest=str(latest), newest_age=seconds_between(latest.time, begun))

    def _try(self, found: Chosen) -> None:
        """Restore and ask; the receipt then says what was found. Raises where that is not good."""
        ground = self.ground
        with (
            looked_at(found, "restore", ground.to) as looking,
            at_hand(found, ground.to, record=looking.record, workspace=ground.workspace) as path,
        ):
            order = self._order(path, expected_bytes(looking.record))
            drilled = drill(order, ground.claims, looking.told(ground.reading))
            looking.made_as = drilled.manifest.archive
        record = looking.record  # of a rekeyed archive either file is taken: which, nobody says
        sha256 = record.sha256 if record and not record.former else ""
        self._receipt = replace(filled(self._receipt, drilled), sha256=sha256)
        require_itself(Path(found.called), drilled)
        self._require_app(found, drilled)
        require_held(Path(found.called), drilled)

    def _require_app(self, found: Chosen, drilled: Drilled) -> None:
        """Take from the manifest what a freely chosen name does not say."""
        manifest, receipt = drilled.manifest, self._receipt
        if self.app not in (None, manifest.app):
            raise _of_another(found, str(self.app))
        if receipt.made is None:
            made, begun = map(datetime.fromisoformat, (manifest.time, receipt.begun))
            self._look(manifest.app)
            known = replace(
                receipt, app=manifest.app, made=_text(made), age=seconds_between(made, begun)
            )
            self._receipt = self._with_newest(known, begun)

    def _order(self, path: Path, expected: int) -> DrillOrder:
        ground, profiles = self.ground, self.ground.profiles
        profile = profiles.get(self.app or _app_of(path.name) or "")
        place = profile.destination if profile else None
        return DrillOrder(
            Wanted(
                path,
                declared=lambda app: profiles[app].max_user_versions if app in profiles else {},
            ),
            ground.workspace,
            lambda app: profiles[app].assertions if app in profiles else (),
            ground.to.settings.environment,
            expected,
            folder_of(place) if place else None,
        )


def _at(path: Path, looked: Looked) -> Chosen:
    """Return the archive that was drawn as `path`, its place's name and its own."""
    return next(
        looked.chosen(inventory, held)
        for inventory in looked.inventories
        for held in inventory.archives
        if Path(inventory.destination, str(held.name)) == path
    )


def _app_of(file_name: str) -> str | None:
    """Return the app that the name of an archive says, None where it is no archive's name."""
    name = ArchiveName.parse(file_name)
    return name.app if name else None


def _of_another(found: Chosen, app: str) -> UsageError:
    return UsageError(
        f"{printable(found.called)} is no archive of {printable(app)}.",
        hint="Leave the app out, or name an archive of it.",
    )


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _drills_of(app: str, to: Console) -> "tuple[DrillRecord, ...]":
    """Return the drills that the ledger knows; without it, none was made."""
    ledger = known_ledger(to)
    if ledger is None:
        return ()
    try:
        with ledger:
            return ledger.drills(app)
    except LedgerError as error:
        to.output.warn_once(f"{error.message} {error.hint}")
        return ()
