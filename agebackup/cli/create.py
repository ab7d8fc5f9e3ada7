"""agebackup create"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agebackup.cli.adhoc import HASHES
from agebackup.cli.console import Console, console
from agebackup.cli.outcomes import Outcomes
from agebackup.cli.pushing import pushing_fields, tell_pushing
from agebackup.cli.reading import FILE, workspace_option
from agebackup.cli.settings import current, global_options
from agebackup.errors import AgebackupError, printable, shortened

if TYPE_CHECKING:
    from agebackup.cli.flags import CreateFlags
    from agebackup.cli.wiring import Job
    from agebackup.operations.supervision import Supervised

_many: dict[str, Any] = {"multiple": True, "metavar": "[NAME=]PATH"}


@click.command("create", short_help="Take a snapshot and publish it.")
@click.argument("apps", nargs=-1, metavar="[APP]...")
@click.option("--all", "every", is_flag=True, help="Every app of the configuration.")
@click.option("--db", "databases", **_many, help="A live SQLite database; repeatable.")
@click.option("--attachments", **_many, help="A directory of files; repeatable.")
@click.option("--app-config", "config_paths", **_many, help="The application's own config.")
@click.option("--app-tokens", "token_paths", **_many, help="The application's tokens.")
@click.option("--include-config", is_flag=True, help="Take what the configuration calls config.")
@click.option("--include-tokens", is_flag=True, help="Take what the configuration calls tokens.")
@click.option("--to", metavar="DIR|FILE.age", help="Where the archive goes.")
@click.option("--mkdir", is_flag=True, help="Make the destination directory, 0700.")
@click.option("--overwrite", is_flag=True, help="Replace FILE.age even if it is no age file.")
@click.option(
    "-r",
    "--recipient",
    "--age-recipient",
    "recipients",
    multiple=True,
    metavar="KEY|FILE",
    help="A recipient, or a file of recipients; repeatable.",
)
@click.option(
    "-R", "--recipients-file", "recipients_files", multiple=True, type=FILE, help="As -r, a file."
)
@click.option("--signing-key", type=FILE, help="Sign it with this SSH key, or an agent's .pub.")
@click.option("--app", metavar="NAME", help="The app's name; else the first database's stem.")
@click.option("--app-version", metavar="TEXT", help="The application's version, recorded.")
@click.option("--manual", is_flag=True, help="Mark as taken by hand.")
@click.option("--tag", metavar="WORD", help="A word to find it by, recorded.")
@click.option("--note", metavar="TEXT", help="A note, recorded.")
@click.option("--exclude", "excluded", multiple=True, metavar="GLOB", help="Derived state.")
@click.option(
    "--attachments-named-by",
    "named_by",
    type=click.Choice(HASHES),
    help="Attachments carry this hash as their name; sha256 is checked.",
)
@click.option(
    "--referenced-by",
    "references",
    multiple=True,
    metavar="'DB: SELECT path, sha256 ...'",
    help="Attachments that must be there, asked of the copy; repeatable.",
)
@click.option("--allow-missing", is_flag=True, help="Publish although files are missing (3).")
@click.option("--follow-symlinks", is_flag=True, help="Take links' content inside the tree.")
@click.option("--raw-sqlite", is_flag=True, help="Take undeclared SQLite files as mere bytes.")
@click.option("--consistency", type=click.Choice(["atomic", "per-database"]))
@click.option(
    "--lock-timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long to try for a common instant of several databases; 30 by default.",
)
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long to wait for another run of the app; 0 by default.",
)
@click.option("--compress", metavar="zstd[:LEVEL]", help="Compress; recovery then needs zstd.")
@click.option("--no-proof", is_flag=True, help="Publish without decrypting and checking it first.")
@click.option("--no-push", is_flag=True, help="Carry no copies now; the next run or push does.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, with sizes and space.")
@workspace_option
@global_options
def command(**options: Any) -> int:
    """Take a snapshot and write it as one encrypted archive.

    With APP names (or --all) as the configuration declares them, flags winning over it; without,
    ad hoc from --db, --attachments and their companions. Prints the archive's path. The archive
    gets its name only when it is whole, synced and proved. Exit code 3: published, but something
    was missing.
    """
    from agebackup.cli.flags import CreateFlags
    from agebackup.cli.supervising import record_failure
    from agebackup.cli.wiring import jobs

    to = console(current(), "create")
    flags = CreateFlags(**options)
    outcomes = Outcomes(to)
    try:
        asked = list(jobs(flags, to))
    except AgebackupError as error:
        if (flags.apps or flags.every) and not flags.dry_run:
            record_failure(error, flags.apps, to)
        raise
    for job in asked:
        if not outcomes.add(job.app, partial(_run, job, to, flags)):
            break
    return outcomes.report()


def _run(job: "Job", to: Console, flags: "CreateFlags") -> tuple[int, dict[str, Any]]:
    import msgspec

    from agebackup.cli.supervising import supervised
    from agebackup.operations.plan import plan
    from agebackup.system.secrecy import forbid_core_dumps

    forbid_core_dumps()
    app = {"app": job.known_app}
    if flags.dry_run:
        planned = plan(job.order(), job.site(), to.progress)
        places = _carried_to(job)
        if not to.settings.json:
            more = [f"then a copy to {printable(place)}" for place in places]
            to.output.result("\n".join([*planned.lines(), *more]))
        fields = {**msgspec.to_builtins(planned), "push_to": places}
        return 0, {**app, "status": "planned", **fields}
    done = supervised(job, to)
    tell_created(to, done)
    return done.code, {**app, **created_fields(done)}


def _carried_to(job: "Job") -> list[str]:
    """Return where copies of the archive would be carried."""
    if job.profile is None or job.flags.to is not None or job.flags.no_push:
        return []
    return [place.text for place in job.profile.remotes]


def created_fields(done: "Supervised") -> dict[str, Any]:
    """Return what `--json` says of a run that published: all of its report but ledger rows."""
    import msgspec

    report = done.report
    fields = msgspec.to_builtins(report)
    return {
        "status": "incomplete" if done.code else "ok",
        **{name: fields[name] for name in fields if name not in ("record", "before")},
        "warnings": [*report.warnings, *done.warnings],
        "run": done.run,
        "pruning": msgspec.to_builtins(done.pruning),
        "pushes": pushing_fields(done.pushing),
    }


def tell_created(to: Console, done: "Supervised") -> None:
    """Write what was published, and what is to be known about it."""
    report, say = done.report, to.output.say
    manifest = report.manifest
    for text in (*report.warnings, *report.problems):
        to.output.warn(text)
    databases = ", ".join(printable(record.name) for record in manifest.databases)
    say(f"Published {printable(Path(report.path).name)} ({report.size:,} bytes).")
    say(f"  databases: {databases or 'none'}{_INSTANT[manifest.consistency]}")
    for record in manifest.databases:
        if record.reason:
            say(f"  {printable(record.name)}: copied as pages, for {printable(record.reason)}")
        if record.unchecked:
            say(f"  {printable(record.name)}: checked in part, for {printable(record.unchecked)}")
        if record.foreign_key_violations:
            say(
                f"  {printable(record.name)}: {record.foreign_key_violations:,} broken foreign keys"
            )
    files = sum(tree.files for tree in manifest.trees)
    orphans = sum(tree.orphans or 0 for tree in manifest.trees)
    say(f"  files: {files:,}" + (f", {orphans:,} of them orphans" if orphans else ""))
    if manifest.skipped_count:
        reasons = _reasons([one.reason for one in manifest.skipped])
        say(f"  left out: {manifest.skipped_count:,} ({reasons})")
    proof = "none" if report.proof == "none" else "decrypted and checked before it got its name"
    say(f"  proof: {proof}; {report.seconds:.1f} s")
    if report.signed_with:
        say(f"  signed: {printable(report.signed_with)}")
    if done.pruning.pruned:
        say(f"  pruned: {len(done.pruning.pruned):,}")
        for name in shortened(done.pruning.pruned):
            say(f"    {printable(name)}")
    if done.pushing:
        tell_pushing(done.pushing, to)
    if not to.settings.json:
        to.output.result_of_work(printable(report.path))
    if done.pushing and done.pushing.stopped and not to.settings.json:
        to.output.failure(done.pushing.stopped)


_INSTANT = {"single": "", "atomic": " (one instant)", "per-database": " (each on its own)"}


def _reasons(reasons: list[str]) -> str:
    counts = {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}
    return "; ".join(f"{count:,} {printable(reason)}" for reason, count in counts.items())
