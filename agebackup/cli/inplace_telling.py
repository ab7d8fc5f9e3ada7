"""What restore --in-place says of what it did, or would do."""

from typing import TYPE_CHECKING

from agebackup.cli.console import Console
from agebackup.cli.restored import say_what_is_missing
from agebackup.errors import counted, printable

if TYPE_CHECKING:
    from agebackup.model.inplace import InPlacePlan, InPlaceReport
    from agebackup.operations.journal import Journal

EXITS = {"ok": 0, "check-failed": 4, "rolled-back": 1}


def note(report: "InPlaceReport", log: "Journal", to: Console) -> None:
    """Write down in the log what was restored."""
    fields = {"id": report.id, "archive": report.manifest.archive, "outcome": report.outcome}
    problem = log.event("restored-in-place", report.app, **fields)
    if problem:
        to.output.warn_once(problem)


def tell(report: "InPlaceReport", to: Console) -> None:
    """Write what was restored, where the state before lies, and what went wrong."""
    import msgspec

    for text in (*report.warnings, *report.problems):
        to.output.warn(text)
    _say(report, to)
    text = "\n".join(printable(part.target) for part in report.parts)
    fields = msgspec.to_builtins(report)
    to.output.result_of_work(
        text if report.outcome != "rolled-back" else "",
        status=fields.pop("outcome"),
        exit=EXITS[report.outcome],
        pointers=fields["manifest"]["pointers"],
        **fields,
    )


def _say(report: "InPlaceReport", to: Console) -> None:
    say = to.output.say
    files = sum(part.files for part in report.parts)
    say(
        f"Restored {report.app} in place, {counted(files, 'file')} as of "
        f"{printable(report.manifest.time)}, in {report.seconds:.1f} s; it stood still for "
        f"{report.standstill:.1f} s."
    )
    say(f"  {report.origin}")
    for part in report.parts:
        kept = f"; before: {printable(part.kept)}" if part.kept else ""
        say(f"  {printable(part.target)}{kept}")
    for change in report.changes:
        added = ", ".join(change.added_tables)
        say(
            f"  {change.how}: {printable(change.name)}"
            + (f"; new tables: {added}" if added else "")
        )
        for line in change.tolerated:
            say(f"    tolerated: {line}")
    if report.heads:
        say(f"  heads as recorded: {', '.join(map(printable, report.heads))}")
    if report.outcome != "rolled-back":
        say_what_is_missing(report.left_out, report.manifest, to)
    if report.safety:
        say(f"The state before this is archived: {printable(report.safety)}")
    if report.outcome == "rolled-back":
        say("It was rolled back: the state before it is in place again.")
    else:
        say(f"To bring the state before back: agebackup restore --undo {report.app}")


def tell_plan(plan: "InPlacePlan", to: Console) -> None:
    """Write the steps of `plan`, numbered, with their paths."""
    import msgspec

    for text in plan.warnings:
        to.output.warn(text)
    lines = []
    for number, step in enumerate(plan.steps, 1):
        size = f" ({step.size:,} bytes)" if step.size is not None else ""
        lines.append(f"{number}. {step.step}: {step.text}{size}")
        lines += [f"     {printable(path)}" for path in step.paths]
    to.output.say(str(plan.origin))
    to.output.result("\n".join(lines), **{**msgspec.to_builtins(plan), "status": "planned"})
