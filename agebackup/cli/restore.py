"""agebackup restore"""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agebackup.cli.reading import FILE, Console, console, reading, reading_options
from agebackup.cli.settings import current, global_options
from agebackup.errors import UsageError, printable

if TYPE_CHECKING:
    from agebackup.model.reports import RestoreReport


@click.command("restore", short_help="Bring a snapshot back.")
@click.argument("archive", type=FILE)
@reading_options
@click.option("--target", required=True, type=FILE, help="Directory, absent or empty.")
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
def command(archive: Path, target: Path, **options: Any) -> int:
    """Bring a snapshot back, verified as a whole before it appears.

    Everything is decrypted and checked in a private directory beside the target; only then does
    that take the target's name. On any failure the target is as it was. A target that is not
    empty is refused (13) without --overwrite.
    """
    from agebackup.cli import places
    from agebackup.operations.receivers import Selection
    from agebackup.operations.restore import RestoreOrder, restore

    to = console(current(), "restore")
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    order = RestoreOrder(
        archive=archive,
        target=target,
        kept=f"{Path(target.absolute()).name}.pre_restore_{now}",
        overwrite=options["overwrite"],
        selection=Selection.of(options["globs"]),
        keep_bag=options["keep_bag"],
        config=not options["no_config"],
        tokens=not options["no_tokens"],
        max_user_versions=_versions(options["versions"]),
    )
    how = reading(to, options)
    claims = places.claims()
    for line in claims.sweep():
        to.output.warn(line)
    _tell(to, restore(order, claims, how))
    return 0


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


def _tell(to: Console, report: "RestoreReport") -> None:
    import msgspec

    for text in report.warnings:
        to.output.warn(text)
    say = to.output.say
    databases = ", ".join(printable(record.name) for record in report.manifest.databases)
    say(
        f"Restored {report.files:,} files ({report.bytes:,} bytes) as of {report.manifest.time} "
        f"in {report.seconds:.1f} s; databases: {databases or 'none'}."
    )
    if report.left_out:
        say(f"Left out as asked: {', '.join(report.left_out)}.")
    if report.manifest.excluded:
        patterns = ", ".join(map(printable, report.manifest.excluded))
        say(f"Derived state that was never in the archive, to be rebuilt: {patterns}.")
    if report.previous_state:
        say(f"The state before this is in {printable(report.previous_state)}.")
    to.output.result(printable(report.target), **msgspec.to_builtins(report))
