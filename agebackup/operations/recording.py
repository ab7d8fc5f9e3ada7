"""Turn what was written into the manifest: nothing here plans, everything here was counted."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from agebackup.model.manifest import (
    FORMAT,
    MAX_RECORDED_SKIPS,
    CountRecord,
    DatabaseRecord,
    GateRecord,
    HeadsRecord,
    Manifest,
    PreviousRecord,
    ReferenceRecord,
    SkippedRecord,
)
from agebackup.model.names import printable
from agebackup.model.records import Sequel
from agebackup.operations.carrying import Account
from agebackup.operations.order import Order
from agebackup.operations.references import References
from agebackup.snapshot.bag import BagWriter, FileRecord
from agebackup.snapshot.database import DatabaseCopy
from agebackup.snapshot.inspection import DatabaseFacts


@dataclass(frozen=True)
class Answers:
    """What the app's own queries said of one copy."""

    counts: list[CountRecord]
    references: list[ReferenceRecord]
    gates: list[GateRecord] = field(default_factory=list)
    heads: HeadsRecord | None = None


def database_record(
    copy: DatabaseCopy, file: FileRecord, facts: DatabaseFacts, answers: Answers
) -> DatabaseRecord:
    """Return the manifest's record of one database's copy."""
    return DatabaseRecord(
        name=copy.source.name,
        path=copy.source.place,
        bytes=file.size,
        sha256=file.digest.hex(),
        method=copy.method,
        reason=copy.reason,
        unchecked=facts.unchecked,
        user_version=facts.user_version,
        application_id=facts.application_id,
        schema_sha256=facts.schema_sha256,
        page_size=facts.page_size,
        encoding=facts.encoding,
        journal_mode=copy.journal_mode,
        rows=facts.rows,
        foreign_key_violations=facts.foreign_key_violations,
        counts=answers.counts,
        references=answers.references,
        max_user_version=copy.source.max_user_version,
        gates=answers.gates,
        heads=answers.heads,
    )


def manifest_of(
    order: Order,
    bag: BagWriter,
    databases: list[DatabaseRecord],
    accounts: Sequence[Account],
    references: References,
) -> Manifest:
    """Return the manifest of the payload that `bag` has taken in."""
    source, labels = order.source, order.labels
    skipped = [one for account in accounts for one in account.skipped]
    missing = [line for account in accounts for line in account.misnamed]
    missing += references.problems()
    roles = {tree.role for tree in source.trees}
    return Manifest(
        format=FORMAT,
        minimum_reader=FORMAT,
        archive=str(order.name),
        app=source.app,
        id=order.name.id,
        time=order.name.time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        kind="manual" if labels.manual else "auto",
        tag=labels.tag,
        note=labels.note,
        series=order.sequel.series if order.sequel else None,
        sequence=order.sequel.sequence if order.sequel else None,
        previous=_previous(order.sequel),
        versions=msgspec.structs.replace(order.versions, app=str(order.app_version)),
        host=order.host,
        consistency=source.consistency,
        complete=not missing and not any(account.lost for account in accounts),
        proof="before-publishing" if order.proof else "none",
        payload_files=bag.files,
        payload_bytes=bag.bytes,
        databases=databases,
        trees=[
            account.record(tree, references)
            for tree, account in zip(source.trees, accounts, strict=True)
        ],
        config_included="config" in roles,
        tokens_included="tokens" in roles,
        derived=[printable(glob) for glob in source.derived],
        excluded=[printable(glob) for glob in source.excluded],
        skipped=[
            SkippedRecord(path=printable(one.path), reason=one.reason, lost=one.lost)
            for one in skipped[:MAX_RECORDED_SKIPS]
        ],
        skipped_count=sum(account.skipped_count for account in accounts),
        missing=missing[:MAX_RECORDED_SKIPS],
        missing_count=len(missing),
        empty_directories=[path for a in accounts for path in a.empty_directories],
        clashing_names=bag.clashing_names,
        gates=list(order.passed),
        provenance=order.provenance,
        pointers=list(order.pointers),
    )


def _previous(sequel: Sequel | None) -> PreviousRecord | None:
    if sequel is None or not (sequel.previous_name and sequel.previous_sha256):
        return None
    return PreviousRecord(name=sequel.previous_name, sha256=sequel.previous_sha256)


def bag_info(order: Order, bag: BagWriter) -> list[tuple[str, str]]:
    """Return the lines of `bag-info.txt`."""
    return [
        ("Payload-Oxum", f"{bag.bytes}.{bag.files}"),
        ("Bagging-Date", order.name.time.strftime("%Y-%m-%d")),
        ("External-Identifier", str(order.name)),
        ("Bag-Software-Agent", f"agebackup {order.versions.agebackup}"),
    ]
