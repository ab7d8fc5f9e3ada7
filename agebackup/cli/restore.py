"""agebackup restore"""

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agebackup.cli.choosing import chosen, to_option
from agebackup.cli.console import Console, console
from agebackup.cli.fetching import at_hand
from agebackup.cli.inplace import inplace_options, restored_in_place
from agebackup.cli.looking import looked_at
from agebackup.cli.pointing import checked_pointers
from agebackup.cli.reading import FILE, reading, reading_options
from agebackup.cli.restored import say_what_is_missing
from agebackup.cli.settings import current, global_options
from agebackup.errors import AgebackupError, UsageError, counted, printable

if TYPE_CHECKING:
    from agebackup.model.profile import Profile
    from agebackup.model.reports import RestoreReport
    from agebackup.operations.stage import Wanted

_IN_PLACE_ONLY = (
    *("--at", "--plan", "--no-safety", "--rollback-on-failure", "--from-log"),
    *("--leave-others", "--ignore-gate"),
)
_TARGET_ONLY = ("--overwrite", "--keep-bag")


@click.command("restore", short_help="Bring a snapshot back.")
@click.argument("archive", required=False, metavar="[ARCHIVE|APP]")
@to_option
@reading_options
@click.option("--target", type=FILE, help="Directory, absent or empty.")
@inplace_options
@click.option("--undo", is_flag=True, help="Bring back what the last restore into APP put aside.")
@click.option(
    "--overwrite",
    is_flag=True,
    help="Exchange a target that is not empty; its old state stays beside it.",
)
@click.option(
    "--only", "globs", multiple=True, metavar="GLOB", help="Restore only what matches; repeatable."
)
@click.option("--keep-bag", is_flag=True, help="Restore the whole bag, with its hashes.")
@click.option("--no-config", is_flag=True, help="Leave the application's config out.")
@click.option("--no-tokens", is_flag=True, help="Leave the application's tokens out.")
@click.option(
    "--max-user-version",
    "versions",
    multiple=True,
    metavar="DB=N",
    help="Refuse (13) where that database's user_version is newer than N; repeatable.",
)
@global_options
def command(archive: str | None, target: Path | None, **options: Any) -> int:
    """Bring a snapshot back, verified as a whole before it appears.

    With --target, everything is decrypted and checked in a private directory beside the target;
    only then does that take the target's name. On any failure the target is as it was. A target
    that is not empty is refused (13) without --overwrite. Exit code 4 with a target that is there:
    pointer_check of the configuration found something.

    With --in-place, an archive of APP goes into the places that the configuration declares, all of
    it or nothing, after guards, migrations and an archive of the present state; `restore` in the
    configuration says how. Asks on a terminal, needs --yes elsewhere. Exit code 4: it is in place,
    but a check failed; 1: that, and it was rolled back (--rollback-on-failure).

    With --undo the last restore into the places of APP (without a name: of the one app that has
    any) is undone: every byte is as it was before, and what is there now is put aside.
    """
    if options.pop("undo"):
        return _undone(archive, target, options)
    to = console(current(), "restore-in-place" if options["in_place"] else "restore")
    _require_one_way(archive, target, options)
    wanted = _wanted(options, to)
    if target is None:
        return restored_in_place(archive or "", wanted, options, to)
    return _restored(archive or "", target, wanted, options, to)


def _require_one_way(archive: str | None, target: Path | None, options: dict[str, Any]) -> None:
    """Raise `UsageError` unless there is one place to restore to, and no option of another."""
    if (target is None) == (not options["in_place"]):
        raise UsageError(
            "A restore needs a place: --target or --in-place, and not both.",
            hint="--target DIR makes a directory; --in-place exchanges the application's state.",
        )
    if not archive:
        raise UsageError(
            "Nothing says what to restore.",
            hint="Name an archive with --target, or an app of the configuration with --in-place.",
        )
    for name in _IN_PLACE_ONLY if target is not None else _TARGET_ONLY:
        if options[name.removeprefix("--").replace("-", "_")]:
            there = "--in-place" if target is not None else "--target"
            raise UsageError(f"{name} goes with {there} only.", hint="Leave it out.")


def _wanted(options: dict[str, Any], to: Console) -> "Wanted":
    from agebackup.operations.receivers import Selection
    from agebackup.operations.stage import Wanted

    return Wanted(
        archive=Path(),
        selection=Selection.of(options["globs"]),
        keep_bag=options["keep_bag"],
        config=not options["no_config"],
        tokens=not options["no_tokens"],
        max_user_versions=_versions(options["versions"]),
        declared=lambda app: _declared(to, app),
    )


def _restored(
    archive: str, target: Path, wanted: "Wanted", options: dict[str, Any], to: Console
) -> int:
    from agebackup.cli import directories
    from agebackup.operations.pointers import Restored
    from agebackup.operations.restore import RestoreOrder, restore

    found = chosen(_words(archive), options["to"], to)
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    how = reading(to, options)
    claims = directories.claims()
    for line in claims.sweep():
        to.output.warn(line)
    with (
        looked_at(found, "restore", to) as looking,
        at_hand(found, to, record=looking.record) as path,
    ):
        what = replace(wanted, archive=path)
        order = RestoreOrder(what, target, f"pre_restore_{now}", options["overwrite"])
        report = restore(order, claims, looking.told(how))
        looking.made_as = report.manifest.archive
    report = replace(report, archive=found.called)
    restored = Restored(report.manifest, report.archive, report.target)
    profile = _profile(to, report.manifest.app)
    report = replace(report, problems=checked_pointers(restored, profile, to))
    _tell(to, report)
    return 4 if report.problems else 0


def _words(archive: str) -> str:
    """Return which archive is meant in the words that every command understands.

    Here an app's name alone is its newest one. Elsewhere it is none: `delete notes` must not mean
    one archive.
    """
    from agebackup.model.addressing import parse_wanted
    from agebackup.model.names import is_app

    is_form = "/" in archive or parse_wanted(archive) is not None
    if is_form or os.path.isfile(archive) or not is_app(archive):
        return archive
    return f"{archive}:latest"


def _undone(app: str | None, target: Path | None, options: dict[str, Any]) -> int:
    from agebackup.cli.undoing import undone

    given = click.get_current_context().get_parameter_source
    extra = [name for name in options if given(name) is click.core.ParameterSource.COMMANDLINE]
    if target is not None or extra:
        raise UsageError(
            "--undo takes no other option of restore.", hint="agebackup restore --undo [APP]."
        )
    settings = current()
    settings.command = "restore-undo"  # failures name it too
    return undone(app, console(settings, settings.command))


def _versions(given: tuple[str, ...]) -> dict[str, int]:
    versions = {}
    for text in given:
        name, _, number = text.rpartition("=")
        if not name or not number.isascii() or not number.isdigit():
            raise UsageError(
                f"--max-user-version {printable(text)!r} is not of the form DB=N.",
                hint="For example --max-user-version ledger=7.",
            )
        versions[name] = int(number)
    return versions


def _declared(to: Console, app: str) -> dict[str, int]:
    """Return what the configuration, where there is one, says of the app's databases."""
    profile = _profile(to, app)
    return profile.max_user_versions if profile else {}


def _profile(to: Console, app: str) -> "Profile | None":
    """Return what the configuration, where there is one, declares of `app`.

    One that cannot be read must not keep anybody from a restore.
    """
    from agebackup.cli.directories import config_path
    from agebackup.config import load_config

    variables = to.settings.variables
    try:
        path = config_path(to.settings)
        config = load_config(path, variables) if path.exists() else None
    except AgebackupError as error:
        to.output.warn_once(
            f"No guard and no check of the configuration is in force: {error.message}"
        )
        return None
    return next((one for one in config.apps if one.name == app), None) if config else None


def _tell(to: Console, report: "RestoreReport") -> None:
    import msgspec

    for text in (*report.warnings, *report.problems):
        to.output.warn(text)
    say, time = to.output.say, printable(report.manifest.time)
    databases = ", ".join(map(printable, report.databases))
    say(
        f"Restored {counted(report.files, 'file')} ({report.bytes:,} bytes) as of {time} "
        f"in {report.seconds:.1f} s; databases: {databases or 'none'}."
    )
    say(str(report.origin))
    say_what_is_missing(report.left_out, report.manifest, to)
    if report.previous_state:
        say(f"The state before this is in {printable(report.previous_state)}.")
    fields = msgspec.to_builtins(report)
    to.output.result_of_work(
        printable(report.target),
        status="check-failed" if report.problems else "ok",
        exit=4 if report.problems else 0,
        pointers=fields["manifest"]["pointers"],
        **fields,
    )
