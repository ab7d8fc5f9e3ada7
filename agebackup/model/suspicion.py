"""What is wrong with single archives: the ledger's row against what was read of the file."""

import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from agebackup.model.evidence import Evidence, Look, Subject
from agebackup.model.findings import Finding
from agebackup.model.inventory import leaving, returned
from agebackup.model.records import ArchiveRecord
from agebackup.model.stanzas import asked_for, kinds

RECENT = timedelta(days=30)
"""How long a change of recipients is a warning; after that it is how things are."""

ANOTHER_COPY = "Take another copy of it from the cloud service's history or trash"
NEW_BACKUP = "Make a new backup now: agebackup create"
_WHO = (
    "Find out who or what can write to the folder. 'agebackup verify ARCHIVE -i KEY' tells from "
    "the inside which archive a file really is; nothing of this is safe to restore before that."
)


@dataclass(frozen=True)
class Case:
    """One file, its row and what was read of it."""

    subject: Subject
    look: Look

    @property
    def file(self) -> str:
        """The file's name."""
        return self.subject.entry.name

    @property
    def record(self) -> ArchiveRecord | None:
        """The ledger's row."""
        return self.subject.record

    @property
    def false(self) -> bool:
        """Whether size or hash are proof that this is not what the ledger knows, nor ever knew."""
        if self.former or self.perhaps_former:
            return False
        return self.subject.odd_size or self._hashes(equal=False)

    @property
    def former(self) -> bool:
        """Whether this is the archive as it was before a rekey, by its hash."""
        return self.record is not None and self.look.sha256 in self.record.former

    @property
    def perhaps_former(self) -> bool:
        """Whether it may be so by its size, and was not read."""
        return self.subject.former_size and not self.look.sha256

    @property
    def genuine(self) -> bool:
        """Whether the hash is proof that this is what the ledger knows."""
        return not self.subject.odd_size and self._hashes(equal=True)

    def _hashes(self, *, equal: bool) -> bool:
        known = self.record.sha256 if self.record else ""
        return bool(known and self.look.sha256) and (known == self.look.sha256) is equal


def cases(evidence: Evidence) -> tuple[Case, ...]:
    """Return every file that is to be judged."""
    return tuple(Case(one, evidence.look(one)) for one in evidence.subjects)


def of_files(evidence: Evidence, judged: Sequence[Case]) -> Iterator[Finding]:
    """Yield what is wrong with each file; the gravest explanation only."""
    twins, contents = _twins(judged), _contents(evidence)
    present = {case.file: case for case in judged}
    for case in judged:
        finding = (
            _trouble(case)
            or _former(case)
            or _false_content(case, contents, present)
            or _twin(case, twins, evidence)
            or _damage(case, shlex.quote(evidence.after.inventory.destination))
            or _quiet(case, evidence)
        )
        if finding is not None:
            yield finding


def _trouble(case: Case) -> Finding | None:
    if case.look.trouble == "unreadable":
        return Finding(
            "error",
            "unreadable",
            case.file,
            f"It cannot be read: {case.look.why}.",
            "Check the drive or share and the file's permissions. It may still be whole.",
        )
    if case.look.trouble == "changed":
        return _changing(case.file)
    return None


def _changing(file: str) -> Finding:
    return Finding(
        "warning",
        "changed-while-read",
        file,
        "It changed while the folder was looked at, which archives never do.",
        "Look what writes to it, perhaps a cloud client that downloads, then audit again.",
    )


def of_restless(evidence: Evidence) -> Iterator[Finding]:
    """Yield the files that were not judged, because they were not the same from end to end."""
    for subject in evidence.restless:
        if not subject.named_freely:
            yield _changing(subject.entry.name)


def _former(case: Case) -> Finding | None:
    """Return what it means that the file is not the one that a rekey made."""
    record = case.record
    if record is None or not (case.former or case.perhaps_former):
        return None
    if record.pending == "rekey":
        fact = "Its rekey was cut short; the file from before it lies there."
        return Finding("note", "rekey-unfinished", case.file, fact, "The next run finds out.")
    if not case.former:
        fact = (
            f"It has {case.subject.entry.size:,} bytes; the rekeyed one has {record.size:,}. It "
            "may be the copy from before the rekey; it was not read."
        )
        return Finding("error", "size-differs", case.file, fact, "agebackup audit --full reads it.")
    return Finding(
        "error",
        "rolled-back",
        case.file,
        "It is the copy from before the rekey: its content is the right one, but the old key opens "
        "it.",
        "Look what brought it back, perhaps a cloud client or an old copy of the folder, then "
        "encrypt it to the new keys again: agebackup rekey.",
    )


def _false_content(
    case: Case, contents: Mapping[str, ArchiveRecord], present: Mapping[str, Case]
) -> Finding | None:
    record = case.record
    if record is None or not case.false:
        return None
    origin = contents.get(case.look.sha256) if case.look.sha256 else None
    if origin is None:
        return _differing(case, record)
    if origin.file_name == case.file:
        fact = f"It holds {origin.name}, an older archive than the {record.name} written last."
        return Finding("error", "rolled-back", case.file, fact, _WHO)
    other = present.get(origin.file_name)
    if other is not None and other.look.sha256 in (record.sha256, *record.former):
        fact = f"Its content and that of {other.file} were exchanged."
        remedy = f"Exchange the two names again. {_WHO}"
        return Finding("error", "swapped", case.file, fact, remedy)
    fact = f"It holds the content of {origin.name}."
    return Finding("error", "holds-another", case.file, fact, _WHO)


def _differing(case: Case, record: ArchiveRecord) -> Finding:
    remedy = f"{ANOTHER_COPY}; if there is none: {NEW_BACKUP}."
    if case.subject.odd_size:
        fact = f"It has {case.subject.entry.size:,} bytes; {record.size:,} were written."
        return Finding("error", "size-differs", case.file, fact, remedy)
    fact = "Its content is not what was written: the hash differs from the ledger's."
    return Finding("error", "content-differs", case.file, fact, remedy)


def _twin(case: Case, twins: Mapping[str, Sequence[Case]], evidence: Evidence) -> Finding | None:
    others = [one.file for one in twins.get(case.look.fingerprint, ()) if one.file != case.file]
    if not others or case.genuine:
        return None
    fact = f"It begins exactly like {others[0]}, so that one of them is a copy of the other."
    first = "" if evidence.ground.full else "Compare them: agebackup audit --full. "
    return Finding("error", "duplicate", case.file, fact, first + _WHO)


def _damage(case: Case, where: str) -> Finding | None:
    record = case.record
    if case.look.trouble == "damaged":
        remedy = f"{ANOTHER_COPY}; if there is none: {NEW_BACKUP}."
        return Finding("error", "damaged", case.file, case.look.why, remedy)
    seen = case.look.stanzas
    if record is not None and record.stanzas and seen and seen != record.stanzas:
        fact = f"It is for {kinds(seen)}, but was written for {kinds(record.stanzas)}."
        return Finding("error", "recipients-differ", case.file, fact, _WHO)
    if record is not None and record.bad and not (case.genuine and record.proved):
        return Finding(
            "warning",
            "known-bad",
            case.file,
            "An earlier check found it damaged.",
            f"{ANOTHER_COPY}, or remove it: agebackup delete --to {where} {case.file}",
        )
    return None


def _quiet(case: Case, evidence: Evidence) -> Finding | None:
    record, name = case.record, case.subject.name
    if record is None:
        return _unrecorded(case, evidence) if evidence.ground.series and name else None
    if leaving(case):
        return Finding(
            "note",
            "deletion-unfinished",
            case.file,
            "Its deletion was decided, but cut short.",
            "The next run finishes it.",
        )
    if not returned(case):
        return None
    return Finding(
        "note",
        "brought-back",
        case.file,
        f"It was deleted on {record.deleted:%Y-%m-%d} and somebody brought it back.",
        "No rule removes it, and none counts on it. If that was not you, find out who writes to "
        "the folder.",
    )


def _unrecorded(case: Case, evidence: Evidence) -> Finding:
    known = evidence.newest.get(case.subject.app or "")
    newer = known and case.subject.name and case.subject.name.time > known
    ahead = " and newer than all that it knows" if newer else ""
    shared = case.subject.app in evidence.ground.shared
    return Finding(
        "note" if shared else "warning",
        "unrecorded",
        case.file,
        f"It is not in the ledger{ahead}: another machine made it, or the ledger lost it, or "
        "somebody put it there.",
        "agebackup ledger rebuild DEST takes it in as another machine's, with --mine as this "
        "machine's. Anybody who has your public key can make such a file.",
    )


def recipients_changed(evidence: Evidence, judged: Sequence[Case]) -> Iterator[Finding]:
    """Yield where an archive was made for other kinds of recipients than the one before it."""
    seen = {case.record.name: case.look.stanzas for case in judged if case.record}
    rows: dict[str, list[ArchiveRecord]] = defaultdict(list)
    for record in evidence.after.here:
        known = seen.get(record.name) or record.stanzas
        told = record.foreign or record.former  # a rekey changes recipients, and says so
        if known and not told and evidence.ground.means(record.app):
            rows[record.app].append(record)
    for group in rows.values():
        ordered = sorted(group, key=lambda one: (one.time, one.sequence or 0))
        for before, after in pairwise(ordered):
            old, new = (
                _readings(one, seen.get(one.name) or one.stanzas) for one in (before, after)
            )
            if not set(old) & set(new):
                yield _changed(after, kinds(old[0]), kinds(new[0]), evidence)


def _readings(record: ArchiveRecord, stanzas: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return what `stanzas` may mean: of an archive adopted by its name no proof is known."""
    known = asked_for(stanzas, proved=record.proved)
    if record.proved or record.sequence is not None:
        return (known,)
    return known, asked_for(stanzas, proved=True)


def _changed(record: ArchiveRecord, old: str, new: str, evidence: Evidence) -> Finding:
    recent = record.time > evidence.after.inventory.taken - RECENT
    return Finding(
        "warning" if recent else "note",
        "recipients-changed",
        record.file_name,
        f"It was made for {new}; the one before it for {old}.",
        "If you did not change the recipients yourself, compare those of the configuration with "
        "your keys, and try to open it.",
    )


def _contents(evidence: Evidence) -> dict[str, ArchiveRecord]:
    """Return which archive a hash is, or was before a rekey, the content of."""
    rows = evidence.after.records
    former = {sha256: one for one in rows for sha256 in one.former}
    return former | {one.sha256: one for one in rows if one.sha256}


def _twins(judged: Sequence[Case]) -> Mapping[str, Sequence[Case]]:
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in judged:
        if case.look.fingerprint:
            groups[case.look.fingerprint].append(case)
    return {mark: group for mark, group in groups.items() if len(group) > 1}
