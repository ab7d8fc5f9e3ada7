"""Tell the names in a folder apart: archives, their conflict copies and stubs, and the rest."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from agebackup.model.expected import without_file
from agebackup.model.inventory import FolderEntry, Held, Inventory, Other, OtherKind, is_future
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord
from agebackup.model.recovery import RECOVERY_NOTE

_TEMPORARY = ".~agebackup-"
_STUB = re.compile(r"\.(?P<name>.+)\.icloud", re.DOTALL)
_STEM = re.compile(
    r"(?P<stem>[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?-\d{8}T\d{6}Z-[0-9a-f]{8}(?:-manual)?)(?P<rest>.+)",
    re.DOTALL,
)
_ENDINGS = (".tar.age", ".tar.zst.age")
_ADDED = re.compile(
    r"""
    [ ._-]*(?:
        [(\[].*(?:conflict|copy|copie|kopie|copia|\d).*[)\]]  # Dropbox, browsers: (1)
      | \d{1,3}                                               # iCloud: a blank and a number
      | sync-conflict-.*                                      # Syncthing
      | (?:conflict|copy|copie|kopie|copia).*                 # Nextcloud, file managers
    )
    | -[A-Za-z0-9][A-Za-z0-9-]{0,62}                          # OneDrive: the machine's name
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


def classify(
    entries: Iterable[FolderEntry],
    records: Sequence[ArchiveRecord],
    destination: str,
    now: datetime,
) -> Inventory:
    """Return what `entries` of the folder `destination` are, joined with the ledger's `records`.

    `records` may be of any app and folder, deleted and pending ones among them; those of another
    folder are not looked at. The same values give the same inventory in whatever order they come.
    """
    mine = {one.name: one for one in records if one.destination == destination}
    archives: list[Held] = []
    others: list[Other] = []
    for entry in entries:
        name = ArchiveName.parse(entry.name)
        if name is None:
            if entry.name != RECOVERY_NOTE or not entry.regular:
                others.append(_known(_other(entry), mine))
        elif refusal := _refused(entry, name, now):
            others.append(_known(refusal, mine))
        else:
            archives.append(Held(name, entry, mine.get(entry.name)))
    archives.sort(key=lambda held: (held.name.time, held.entry.name), reverse=True)
    others.sort(key=lambda other: other.entry.name)
    return Inventory(
        destination,
        now,
        tuple(archives),
        tuple(others),
        without_file(mine.values(), archives, others),
    )


def _known(other: Other, mine: Mapping[str, ArchiveRecord]) -> Other:
    record = mine.get(other.resembles)
    return replace(other, record=record) if record else other


def _refused(entry: FolderEntry, name: ArchiveName, now: datetime) -> Other | None:
    """Return why what is called like an archive cannot count as one."""
    if not entry.regular:
        return Other(entry, "link", "it is no regular file", entry.name)
    if entry.partial:
        return Other(entry, "temporary", "it was not carried there whole", entry.name)
    if entry.evicted:
        return Other(
            entry, "evicted", "only its name is here, its content is in the cloud", entry.name
        )
    if is_future(name.time, now):
        return Other(entry, "future", "its time has not come yet", entry.name)
    return None


def _other(entry: FolderEntry) -> Other:
    if entry.name.startswith(_TEMPORARY):
        return Other(entry, "temporary", "it is half written, or was left of a dead run")
    stub = _STUB.fullmatch(entry.name)
    if stub and ArchiveName.parse(stub["name"]):
        return Other(entry, "evicted", "its content is only in iCloud", stub["name"])
    kind, reason, resembles = _resemblance(entry.name)
    if kind == "conflict" and entry.evicted:
        reason = "it looks like a conflict copy, and its content is in the cloud"
    return Other(entry, kind, reason, resembles)


def _resemblance(name: str) -> tuple[OtherKind, str, str]:
    stem = _STEM.match(name)
    if not stem:
        if name.endswith(".age"):
            return "foreign", "it is not named as an archive", ""
        return "foreign", "it is not an archive", ""
    for ending in _ENDINGS:
        whole = stem["stem"] + ending
        if ArchiveName.parse(whole) and _is_copy(stem["rest"], ending):
            return "conflict", "it looks like a conflict copy", whole
    return "unparseable", "it is nearly an archive's name", ""


def _is_copy(rest: str, ending: str) -> bool:
    """Return whether `rest`, what follows the stem, is `ending` with something put into it."""
    # ".tar", ".age": the addition stands before one of them, or at the end
    parts = re.split(r"(?=\.)", ending)[1:]
    for index in range(len(parts) + 1):
        before, after = "".join(parts[:index]), "".join(parts[index:])
        fits = rest.startswith(before) and rest.endswith(after)
        added = rest[len(before) : len(rest) - len(after)] if fits else ""
        if added and _ADDED.fullmatch(added):
            return True
    return False
