"""What `tag`, `untag`, `keep` and `unkeep` share."""

from typing import TYPE_CHECKING, Any

from agebackup.cli.choosing import chosen
from agebackup.cli.console import Console, console
from agebackup.cli.scope import known_config, now, required_ledger
from agebackup.cli.settings import current
from agebackup.errors import AgebackupError, printable
from agebackup.operations.labels import label, require_word

if TYPE_CHECKING:
    from agebackup.model.records import ArchiveRecord

__all__ = ["labelled", "require_word"]


def labelled(command: str, archive: str, to: str | None, **changes: Any) -> int:
    """Write `changes` into the record of the archive that was named, and say so."""
    from agebackup.operations.inventory import find_archive

    out = console(current(), command)
    found = chosen(archive, to, out)
    folder = found.place
    with required_ledger() as ledger:
        held = find_archive(found.name, folder, ledger, now())
        record = label(held, folder, ledger, **changes)
    out.output.say(_done(command, held.record, record))
    if command == "tag" and not record.kept and not _kept_by_its_tag(record, out):
        out.output.say(f"A tag alone does not keep it: agebackup keep {record.id}")
    out.output.result_of_work(
        printable(record.name),
        archive=record.name,
        destination=record.destination,
        tag=record.tag,
        kept=record.kept,
    )
    return 0


def _done(command: str, before: "ArchiveRecord | None", after: "ArchiveRecord") -> str:
    name = printable(after.name)
    tag, kept = (printable(before.tag), before.kept) if before else ("", False)
    if command == "keep":
        return f"{name} was kept already." if kept else f"Kept {name}."
    if command == "unkeep":
        return f"The rules decide about {name} again." if kept else f"{name} was not kept."
    if command == "untag":
        return f"Took the tag {tag} from {name}." if tag else f"{name} had no tag."
    instead = f", no longer {tag}" if tag not in ("", after.tag) else ""
    return f"Tagged {name} as {after.tag}{instead}."


def _kept_by_its_tag(record: "ArchiveRecord", out: Console) -> bool:
    """Return whether the configuration says that its app's archives with this tag stay."""
    try:
        config = known_config(out)
    except AgebackupError:
        return False  # the tag is set; what is wrong with the configuration others say
    policies = [one.retention for one in config.apps if one.name == record.app] if config else []
    return any(policy and record.tag in policy.tags for policy in policies)
