"""agebackup doctor"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agebackup.cli.console import Console, console
from agebackup.cli.findings import fields, told
from agebackup.cli.scope import known_config, now, places
from agebackup.cli.settings import current, global_options
from agebackup.cli.settling import unsettled
from agebackup.errors import AgebackupError, NotFoundError, StoppedError, UsageError
from agebackup.model.names import require_app

if TYPE_CHECKING:
    from agebackup.ledger import Ledger
    from agebackup.model.findings import Finding
    from agebackup.model.profile import Profile, Resolution
    from agebackup.operations.audit import AuditOrder

FOUND = 4
_UNHINTED = "Correct what it names, then let agebackup doctor look again."


@click.command("doctor", short_help="Look at all that a nightly job needs.")
@click.argument("app", required=False)
@click.option("--fix", is_flag=True, help="Mend what can be mended safely.")
@global_options
def command(app: str | None, *, fix: bool) -> int:
    """Look at all that a nightly job needs, and say what to do about each fault.

    The configuration and the recipients, permissions, private keys that lie where they should not,
    versions with known faults, timers, each destination (a small file is really written there and
    removed, by rclone too), space, clock, ledger, leftovers, and what an audit sees that reads no
    archive whole. With --fix permissions are set right, leftovers removed, and a private repository
    made where a declared one of GitHub's is absent or empty; nothing else is changed. Exit code 4
    for any error or warning.
    """
    from agebackup.model.auditing import PROBLEMS
    from agebackup.model.findings import worst_first

    out = console(current(), "doctor")
    if app is not None:
        require_app(app)
    visit = _Visit(out, app, fix=fix)
    found = worst_first(tuple(visit.findings()))
    problems = sum(1 for one in found if one.severity in PROBLEMS)
    code = FOUND if problems else 0
    said = "\n".join(told(found)) or "Nothing is wrong."
    status = "failed" if problems else "ok"
    out.output.result(
        said,
        status=status,
        exit=code,
        problems=problems,
        apps=[one.profile.name for one in visit.resolved],
        findings=fields(found),
    )
    return code


@dataclass
class _Visit:
    """One look at everything; what fails to be looked at is a finding too."""

    out: Console
    app: str | None
    fix: bool = field(kw_only=True)
    resolved: "list[Resolution]" = field(default_factory=list)
    archives: int = 0
    stuck: frozenset[Path] = frozenset()

    def findings(self) -> "Iterator[Finding]":
        """Yield what is found, in the order of looking."""
        steps = (
            self._restores,
            self._configuration,
            self._recipients,
            self._permissions,
            self._keys,
            self._signatures,
            self._versions,
            self._sources,
            self._timers,
            self._ledger_and_destinations,
            self._remotes,
            self._leftovers,
        )
        for step in steps:
            self.out.progress.stop.check()
            yield from _guarded(step)

    def _restores(self) -> "Iterator[Finding]":
        return unsettled(self.out.settings)

    def _configuration(self) -> "Iterator[Finding]":
        from agebackup.cli.config import checked
        from agebackup.model.findings import Finding
        from agebackup.operations.doctor import answering
        from agebackup.operations.reachable import origin_places, source_places

        config = known_config(self.out)
        if config is None:
            yield Finding(
                "note",
                "no-configuration",
                "",
                "There is no configuration, so no timer can run an app by its name.",
                "agebackup config init APP --db ... --to ... -r ...",
            )
            return
        profiles = [config.app(self.app)] if self.app else config.apps
        declared = [folder for one in profiles for folder in one.folders]
        alive, stuck = answering(declared, self.out.progress)
        yield from stuck
        self.stuck = frozenset(declared) - alive
        sources = {one.name: (*source_places(one), *origin_places(one)) for one in profiles}
        asked = [path for paths in sources.values() for path in paths]
        alive, stuck = answering(asked, self.out.progress, what="source")
        yield from stuck
        usable = [
            one
            for one in profiles
            if one.destination not in self.stuck and alive.issuperset(sources[one.name])
        ]
        self.resolved = [checked(profile, self.out.settings) for profile in usable]
        for one in self.resolved:
            for finding in one.findings:
                yield Finding(
                    "error" if finding.fatal else "note",
                    "configuration",
                    one.profile.name,
                    f"{finding.key}: {finding.text}".removeprefix(": "),
                    finding.hint or "Correct it in the configuration: agebackup config check",
                )

    def _recipients(self) -> "Iterator[Finding]":
        from agebackup.cli.wiring import declared_recipients
        from agebackup.model.checkup import of_recipients

        for one in self.resolved:
            with suppress(AgebackupError):  # what is wrong with them was said before
                yield from of_recipients(one.profile.name, declared_recipients(one.profile).texts)

    @property
    def _profiles(self) -> "list[Profile]":
        return [one.profile for one in self.resolved]

    def _permissions(self) -> "Iterable[Finding]":
        from agebackup.cli import directories
        from agebackup.cli.doctor_keys import drilling_keys, named_key
        from agebackup.operations.permissions import Kept, of_permissions

        state = directories.state_directory()
        config = directories.config_path(self.out.settings)
        ledger = sorted(state.glob("ledger.db*"))
        secret = any(one.watch.hooks.healthcheck_url for one in self._profiles)
        things = [
            Kept(state, "state directory"),
            *(Kept(file, "ledger") for file in ledger),
            Kept(directories.log_file().parent, "log directory"),
            Kept(config, "configuration", private=secret),
            Kept(config.parent, "configuration's directory", private=False),
        ]
        identities = {*drilling_keys(), *filter(None, (named_key(self.out),))}
        things += [Kept(identity, "private key") for identity in sorted(identities)]
        return of_permissions(things, fix=self.fix)

    def _keys(self) -> "Iterator[Finding]":
        from agebackup.cli.doctor_keys import of_keys

        return of_keys(self.resolved, self.stuck, self.out)

    def _signatures(self) -> "Iterator[Finding]":
        from agebackup.cli.doctor_keys import of_signatures

        return of_signatures(self._profiles, self.out)

    def _versions(self) -> "Iterable[Finding]":
        from agebackup.model.checkup import of_versions
        from agebackup.snapshot import versions

        return of_versions({"sqlite": versions.SQLITE, "pyrage": versions.pyrage()})

    def _sources(self) -> "Iterator[Finding]":
        from agebackup.operations.doctor import of_sources

        for one in self.resolved:
            if one.source is not None:
                yield from of_sources(one.source)

    def _timers(self) -> "Iterator[Finding]":
        from agebackup.cli.nightly import of_drills, of_timers, of_undeclared

        yield from of_timers(self._profiles, self.out)
        yield from of_drills(self.app, self.out)
        with suppress(UsageError):  # what is wrong with the configuration was said before
            yield from of_undeclared(self.app, self.out)

    def _ledger_and_destinations(self) -> "Iterator[Finding]":
        from agebackup.cli import directories
        from agebackup.model.checkup import of_clock
        from agebackup.operations.audit import ledger_or_finding
        from agebackup.operations.doctor import of_ledger

        tasks, stuck = self._tasks()
        yield from stuck
        ledger, finding = ledger_or_finding(directories.ledger_file())
        try:
            if ledger is not None:
                yield from of_ledger(ledger, now())
            else:
                yield from of_clock(now(), None)
            for task in tasks:
                yield from self._destination(task, ledger)
        finally:
            if ledger is not None:
                ledger.close()
        if finding is not None and (self.archives or finding.code != "ledger-absent"):
            yield finding

    def _tasks(self) -> "tuple[list[AuditOrder], tuple[Finding, ...]]":
        from agebackup.cli.audit import orders
        from agebackup.model.budget import Budget
        from agebackup.operations.doctor import answering

        try:
            found = places(self.app, None, self.out)
        except (NotFoundError, UsageError):
            return [], ()  # there is none; or the configuration is broken, which was said before
        found = tuple(place for place in found if Path(place.to) not in self.stuck)
        alive, stuck = answering([Path(place.to) for place in found], self.out.progress)
        found = tuple(place for place in found if Path(place.to) in alive)
        return orders(found, Budget(bytes=0), self.app, declared=True), stuck

    def _destination(self, task: "AuditOrder", ledger: "Ledger | None") -> "Iterator[Finding]":
        from agebackup.cli import directories
        from agebackup.operations.audit import audit
        from agebackup.operations.doctor import of_destination

        report = audit(task, ledger, self.out.progress)
        self.archives += report.archives
        yield from report.findings
        if task.folder.path.is_dir():
            key = task.folder.key
            records = ledger.archives(destination=key) if ledger is not None else ()
            yield from of_destination(task.folder, directories.claims(), records)

    def _remotes(self) -> "Iterable[Finding]":
        from agebackup.cli.doctor_remotes import of_remotes

        return of_remotes(self._profiles, self.stuck, self.out, fix=self.fix)

    def _leftovers(self) -> "Iterable[Finding]":
        from agebackup.cli import directories
        from agebackup.operations.doctor import of_leftovers

        return of_leftovers(directories.claims(), fix=self.fix)


def _guarded(step: "Callable[[], Iterable[Finding]]") -> "Iterator[Finding]":
    from agebackup.model.findings import Finding

    try:
        yield from step()
    except StoppedError:
        raise
    except AgebackupError as error:
        name = step.__name__.strip("_").replace("_", " ")
        yield Finding("error", "unusable", name, error.message, error.hint or _UNHINTED)
