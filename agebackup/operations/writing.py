"""Write one snapshot into a bag: databases, trees, then the record of what was written."""

import math
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from agebackup.errors import AgebackupError, FailedError, counted, shortened
from agebackup.model.manifest import (
    CountRecord,
    GateRecord,
    HeadsRecord,
    Manifest,
    ReferenceRecord,
    encode_manifest,
)
from agebackup.model.names import printable
from agebackup.model.pointers import pointed
from agebackup.model.recovery import pointers_text, recover_text, signed_text
from agebackup.operations.carrying import Carrier
from agebackup.operations.order import Attempt, Order
from agebackup.operations.pointers import recorded_pointers
from agebackup.operations.recording import Answers, bag_info, database_record, manifest_of
from agebackup.operations.references import References, tree_places
from agebackup.snapshot.attachments import ScanRules
from agebackup.snapshot.bag import BagWriter
from agebackup.snapshot.database import DatabaseCopy, copied_databases
from agebackup.snapshot.inspection import DatabaseFacts, answer, examine
from agebackup.system.progress import Progress
from agebackup.system.workspace import private_directory

_SURROGATE = re.compile("[\ud800-\udfff]")
"""What stands for a byte that is no UTF-8."""


MAX_HEADS = 10_000
"""Rows that a query for heads may give: an app with more peers than that declares a digest."""


class FilesChangedError(AgebackupError):
    """Large files changed while they were read: this attempt is worthless, another may not be."""

    def __init__(self, places: frozenset[str]) -> None:
        super().__init__("Files changed while they were read.", details=sorted(places))
        self.places = places


def write_snapshot(attempt: Attempt, plaintext: int) -> Manifest:
    """Write the bag that `attempt` asks for into the descriptor `plaintext`; return its manifest.

    Raises `FilesChangedError` where another attempt is worth it.
    """
    order, site, progress = attempt.order, attempt.site, attempt.progress
    source = order.source
    with private_directory(site.workspace, site.claims, prefix="create") as private:
        progress.phase("copying databases", None)
        with copied_databases(
            source.databases,
            private,
            consistency=source.consistency,
            lock_seconds=site.lock_seconds,
            progress=progress,
        ) as copies:
            references = References(tree_places(source.trees), progress.stop)
            answers = [_answers(copy, references, progress) for copy in copies]
            pointers = recorded_pointers(copies, source.pointers, progress)
            attempt = replace(attempt, order=replace(order, pointers=pointers))
            seconds = int(order.name.time.timestamp())
            bag = BagWriter(plaintext, source.app, mtime=seconds, progress=progress)
            inodes = (identity for copy in copies for identity in copy.files)
            rules = ScanRules.of(source, inodes)
            carrier = Carrier(bag, rules, references, attempt, private)
            with _examinations(copies, progress) as facts:
                return _write_bag(carrier, copies, answers, facts)


def _write_bag(
    carrier: Carrier,
    copies: Sequence[DatabaseCopy],
    answers: Sequence[Answers],
    facts: Sequence["Future[DatabaseFacts]"],
) -> Manifest:
    order, bag = carrier.attempt.order, carrier.bag
    source = order.source
    carrier.attempt.progress.phase("writing the archive", carrier.attempt.expected)
    bag.add_leading(_recover(order))
    files = [
        bag.add_file(copy.source.place, copy.descriptor, os.fstat(copy.descriptor))
        for copy in copies
    ]
    accounts = [carrier.carry(tree) for tree in source.trees]
    changed = frozenset().union(*(account.changed for account in accounts))
    if changed:
        raise FilesChangedError(changed)
    problems = [line for account in accounts for line in (*account.lost, *account.misnamed)]
    problems += carrier.references.problems()
    if problems and not source.allow_missing:
        raise _incomplete(problems)
    databases = [
        database_record(copy, file, _sound(copy, future.result()), said)
        for copy, file, future, said in zip(copies, files, facts, answers, strict=True)
    ]
    manifest = manifest_of(order, bag, databases, accounts, carrier.references)
    signing, progress = order.signing, carrier.attempt.progress
    sign = None if signing is None else partial(signing.sign, progress=progress)
    bag.finish(encode_manifest(manifest), bag_info(order, bag), sign)
    return manifest


def _incomplete(problems: Sequence[str]) -> FailedError:
    files = counted(len(problems), "file")
    return FailedError(
        f"The snapshot would be incomplete, so nothing was published: {files} missing or wrong.",
        hint="Mend or exclude them, or publish what is there with --allow-missing (exit code 3).",
        details=shortened(problems),
    )


def _sound(copy: DatabaseCopy, facts: DatabaseFacts) -> DatabaseFacts:
    if facts.problems:
        raise FailedError(
            f"The database {printable(str(copy.source.path))} is corrupt: {facts.problems[0]}",
            hint="Nothing was published. Older archives of it may be sound: see verify; to save "
            'what can be read, try sqlite3 ".recover".',
            details=facts.problems,
        )
    return facts


def _answers(copy: DatabaseCopy, references: References, progress: Progress) -> Answers:
    counts = [
        CountRecord(name=count.name, sql=count.sql, value=single_value(copy, count.sql, progress))
        for count in copy.source.counts
    ]
    named = [
        ReferenceRecord(
            sql=sql,
            rows=references.add(
                answer(copy.connection, sql, stop=progress.stop), printable(copy.source.name)
            ),
        )
        for sql in copy.source.references
    ]
    gates = [
        GateRecord(name=gate.name, sql=gate.sql, value=single_value(copy, gate.sql, progress))
        for gate in copy.source.gates
    ]
    return Answers(counts, named, gates, _heads(copy, progress))


def _heads(copy: DatabaseCopy, progress: Progress) -> HeadsRecord | None:
    sql = copy.source.heads
    if not sql:
        return None
    rows = answer(copy.connection, sql, stop=progress.stop, max_rows=MAX_HEADS)
    if not all(recordable(value) for row in rows for value in row):
        raise FailedError(
            f"The heads declared for {printable(copy.source.name)} cannot be recorded.",
            hint="Select finite numbers and texts; write hex(x) for a blob.",
        )
    return HeadsRecord(sql=sql, rows=[list(row) for row in rows])  # type: ignore[arg-type]


def recordable(value: object) -> bool:
    """Return whether `value` can stand in a manifest as it is."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return not _SURROGATE.search(value)
    return value is None or isinstance(value, int)


def single_value(copy: DatabaseCopy, sql: str, progress: Progress) -> int | float | str | None:
    """Return the one value that an app-declared count or gate selects from `copy`."""
    rows = list(answer(copy.connection, sql, stop=progress.stop))
    if len(rows) == 1 and len(rows[0]) == 1 and recordable(rows[0][0]):
        return rows[0][0]  # type: ignore[return-value]
    raise FailedError(
        f"A count or gate declared for {printable(copy.source.name)} does not select one value "
        "that can be recorded.",
        hint="Write it as a SELECT of one row with one finite number or one text.",
    )


def _recover(order: Order) -> bytes:
    source = order.source
    contents = [f"`{printable(d.place)}`: a SQLite database" for d in source.databases]
    contents += [f"`{printable(tree.place)}`: {tree.role}" for tree in source.trees]
    time = order.name.time.strftime("%Y-%m-%d %H:%M:%S")
    text = recover_text(str(order.name), source.app, time, contents)
    if order.pointers:
        text += pointers_text([f"{printable(one.name)}: {pointed(one)}" for one in order.pointers])
    return text + signed_text(order.name.time) if order.signing else text


@contextmanager
def _examinations(
    copies: Sequence[DatabaseCopy], progress: Progress
) -> Iterator[list["Future[DatabaseFacts]"]]:
    """Examine the copies beside the writing: SQLite leaves Python free while it checks."""
    pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="examine")
    try:
        yield [pool.submit(examine, copy.connection, stop=progress.stop) for copy in copies]
    except BaseException:
        for copy in copies:
            copy.connection.interrupt()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
