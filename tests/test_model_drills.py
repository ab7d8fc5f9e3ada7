"""Which archive is drilled, what an assertion comes to, and what a receipt keeps."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agebackup.model.assertions import (
    Asserted,
    Program,
    Query,
    alike,
    command_environment,
    failed,
    judged,
    passed,
    with_target,
)
from agebackup.model.command import Command
from agebackup.model.complaints import complaints
from agebackup.model.drills import (
    NEVER_DRILLED,
    Candidate,
    Receipt,
    candidates,
    decode_receipt,
    drawn,
    encode_receipt,
    newest,
    seconds_between,
)
from agebackup.model.inventory import FolderEntry, Held, Inventory
from agebackup.model.manifest import CountRecord, DatabaseRecord
from agebackup.model.names import ArchiveName
from agebackup.model.observed import Facts, Look
from agebackup.model.records import ArchiveRecord, DrillRecord
from agebackup.model.timer import Timer

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PLACE = "/backups"
CANDIDATES = st.lists(
    st.builds(Candidate, st.integers(0, 999).map(lambda n: Path(f"/x/{n}")), st.integers(0, 3)),
    min_size=1,
    max_size=30,
)
CHANCES = st.floats(0, 1, exclude_max=True)


@given(CANDIDATES, CHANCES)
def test_chance_draws_one_of_them(among: list[Candidate], chance: float) -> None:
    """Whatever chance says, one of the archives is drawn, and the same chance draws the same."""
    one = drawn(among, chance)
    assert one in among and drawn(among, chance) is one


@given(CANDIDATES)
def test_each_is_drawn_as_often_as_it_weighs(among: list[Candidate]) -> None:
    """Of evenly spread chances each archive gets its share: ten times as many if never drilled."""
    total = sum(one.weight for one in among)
    found = [drawn(among, (step + 0.5) / total) for step in range(total)]
    assert all(sum(1 for one in found if one is each) == each.weight for each in among)
    assert {one.weight for one in among} <= {1, NEVER_DRILLED}
    assert all((one.weight == 1) == (one.drilled > 0) for one in among)


def name(days: int, app: str = "notes") -> ArchiveName:
    return ArchiveName(app, NOW - timedelta(days=days), f"{days:08x}", False)


def held(days: int, app: str = "notes", *, known: bool = True, **changes: object) -> Held:
    """Return an archive so many days old, with its row in the ledger if it is `known`."""
    made = name(days, app)
    row = replace(ArchiveRecord.of(made, PLACE), size=100, proved=True)
    record = replace(row, **changes) if known else None  # type: ignore[arg-type]
    return Held(made, FolderEntry(str(made), 100, 0.0), record)


def drilled(days: int, outcome: str = "ok") -> DrillRecord:
    return DrillRecord("1" * 32, "notes", str(name(days)), NOW, 1.0, outcome)  # type: ignore[arg-type]


def test_what_can_be_drilled() -> None:
    """Sound archives of the app that the ledger knows; each with how often it was drilled."""
    inventory = Inventory(
        PLACE,
        NOW,
        (
            held(1),
            held(2),
            held(3, bad=True),
            held(4, size=99),
            held(5, pending="delete", deleted=NOW),
            held(6, deleted=NOW),
            held(7, known=False),
            held(8, app="other"),
        ),
    )
    found = candidates("notes", [inventory], [drilled(2), drilled(2, "failed"), drilled(9)])
    assert [(one.path.name, one.drilled) for one in found] == [(str(name(1)), 0), (str(name(2)), 2)]
    latest = newest("notes", [inventory])
    assert latest == name(1) and newest("absent", [inventory]) is None
    strange = Inventory(PLACE, NOW, (held(7, known=False),))
    assert [one.path.name for one in candidates("notes", [strange], [])] == [str(name(7))]
    gone = replace(strange, missing=(ArchiveRecord.of(name(9), PLACE),))
    assert candidates("notes", [gone], []) == ()


RECORD = DatabaseRecord(
    name="ledger",
    path="data/ledger",
    bytes=4096,
    sha256="0" * 64,
    method="vacuum-into",
    user_version=3,
    application_id=0,
    schema_sha256="1" * 64,
    page_size=4096,
    encoding="UTF-8",
    journal_mode="wal",
    rows={"entries": 50, "a.b": 7},
    foreign_key_violations=0,
    counts=[
        CountRecord(name="total", sql="SELECT 1", value=12.5),
        CountRecord(name="none", sql="SELECT NULL", value=None),
    ],
)


def query(**expectation: object) -> Query:
    return Query("one", "ledger", "SELECT 1", 300, **expectation)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expectation", "value", "good"),
    [
        ({"equals": 7}, 7, True),
        ({"equals": 7}, 7.0, True),
        ({"equals": 7}, "7", False),
        ({"equals": "7"}, "7", True),
        ({"equals": "7"}, 7, False),
        ({"equals": 0}, None, False),
        ({"minimum": 7}, 7, True),
        ({"minimum": 7}, 6.9, False),
        ({"minimum": 7}, "8", False),
        ({"minimum": -1.5}, 0, True),
        ({"minimum": 0}, None, False),
        ({"minimum": 0}, math.inf, True),
        ({"manifest": "rows.entries"}, 50, True),
        ({"manifest": "rows.entries"}, 49, False),
        ({"manifest": "rows.a.b"}, 7, True),
        ({"manifest": "rows.absent"}, 0, False),
        ({"manifest": "counts.total"}, 12.5, True),
        ({"manifest": "counts.none"}, None, False),
        ({"manifest": "user_version"}, 3, True),
        ({"manifest": "encoding"}, "UTF-8", True),
        ({"manifest": "bytes"}, 4096, True),
    ],
)
def test_what_a_value_comes_to(expectation: dict[str, object], value: object, good: bool) -> None:
    """Numbers are compared by their worth, texts letter by letter, and never one with the other."""
    assert judged(query(**expectation), [[value]], RECORD, 0.5).ok is good


@pytest.mark.parametrize("rows", [[], [[]], [[1, 2]]])
def test_no_single_value(rows: list[list[object]]) -> None:
    """What gives no value, or several, holds nothing."""
    found = judged(query(equals=1), rows, RECORD, 0.5)
    assert not found.ok and "instead of one value" in str(found.found)


@given(st.integers() | st.floats(allow_nan=False) | st.text(), st.integers() | st.text())
def test_alike(one: object, other: object) -> None:
    """Being alike goes both ways; anything is like itself; a text is like no number."""
    assert alike(one, one) and alike(one, other) == alike(other, one)
    assert not (isinstance(one, str) != isinstance(other, str) and alike(one, other))


VALUES = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text()


@given(VALUES, st.text(), st.integers() | st.text(min_size=1))
def test_whatever_was_found_fits_a_receipt(value: object, sql: str, wanted: int | str) -> None:
    """Odd names, endless texts and halves of characters are kept, fit for any terminal."""
    one = judged(replace(query(equals=wanted), sql=sql, name=sql), [[value]], RECORD, 0.123456)
    receipt = Receipt(id="1", app="a", archive="b", destination="/", begun="", assertions=(one,))
    text = encode_receipt(receipt)
    assert decode_receipt(text) == receipt and text.endswith("}\n")
    assert all(part.isprintable() for part in (one.name, one.asked, one.complaint))
    assert len(text) < 8000


@given(st.text() | st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")))
def test_what_is_no_receipt(text: str) -> None:
    """Anything else that a damaged ledger holds is no receipt, and no failure."""
    found = decode_receipt(text)
    assert found is None or isinstance(found, Receipt)


def test_a_receipt_of_another_kind() -> None:
    """A receipt of a later form is not misread."""
    receipt = Receipt(id="1", app="a", archive="b", destination="/", begun="")
    fields = msgspec.to_builtins(receipt)
    assert decode_receipt(json.dumps(fields)) == receipt
    assert decode_receipt(json.dumps({**fields, "more": 1})) == receipt
    assert decode_receipt(json.dumps({**fields, "schema": "agebackup/drill-receipt/v2"})) is None


@given(st.lists(st.text(), min_size=1), st.text())
def test_the_target_in_a_command(words: list[str], target: str) -> None:
    """Every {target} is the directory, in however many words; nothing else is touched."""
    found = with_target([*words, "--data={target}", "{target}/x"], target)
    assert found[-2:] == (f"--data={target}", f"{target}/x")
    assert list(found[:-2]) == [word.replace("{target}", target) for word in words]


NAMES = st.sampled_from(["HOME", "LC_ALL", "AWS_SECRET", "LD_PRELOAD", "PYTHONPATH", "PATH", "X"])


@given(st.dictionaries(NAMES, st.text()))
def test_what_a_command_gets(environment: dict[str, str]) -> None:
    """No variable but a few, and never a PATH that leads into the copy."""
    found = command_environment(environment, "/copy", "/scratch")
    assert set(found) <= {"HOME", "LC_ALL", "PATH", "TMPDIR", "AGEBACKUP_TARGET"}
    assert (found["TMPDIR"], found["AGEBACKUP_TARGET"]) == ("/scratch", "/copy")
    assert all(place.startswith("/") for place in found["PATH"].split(":") if found["PATH"])


def test_commands() -> None:
    """A command is shown as it was declared, with its words apart."""
    program = Program("opens", Command(("notes", "{target}"), 60))
    assert passed(program, 1.23456) == Asserted(
        "opens", "notes {target}", "exit code 0", "exit code 0", ok=True, seconds=1.235
    )
    assert failed(program, "it is dead").complaint == "opens: it is dead, expected exit code 0"


def test_seconds() -> None:
    """A fraction is dropped, an archive from the future is younger than nothing."""
    assert seconds_between(NOW - timedelta(seconds=1.9), NOW) == 1
    assert seconds_between(NOW + timedelta(hours=1), NOW) == -3600
    assert seconds_between(None, NOW) is None


def told(facts: Facts, now: datetime = NOW) -> list[tuple[str, str]]:
    found = complaints(facts, None, "fresh", now)
    return [(one.severity, one.code) for one in found if "drill" in one.code or "timer" in one.code]


def test_what_status_says_of_drills() -> None:
    """A failed last drill is an error, a timer without drills a warning, a good one nothing."""
    facts = Facts("notes", PLACE, look=Look())
    timer = Timer("notes", "cron", "weekly", 604_800, NOW, task="drill")
    assert told(facts) == told(replace(facts, drill=drilled(1))) == []
    assert told(replace(facts, drill=drilled(1, "failed"))) == [("error", "drill-failed")]
    assert told(replace(facts, drill_timer=timer)) == []
    later = NOW + timedelta(days=15)
    assert told(replace(facts, drill_timer=timer), later) == [("warning", "drill-overdue")]
    recent = replace(drilled(1), begun=NOW + timedelta(days=10))
    assert told(replace(facts, drill_timer=timer, drill=recent), later) == []
    gone = replace(facts, drill_timer=replace(timer, gone=True))
    assert told(gone, later) == [("error", "timer-gone")]
    altered = replace(facts, drill_timer=replace(timer, altered=True))
    assert told(altered) == [("warning", "timer-altered")]
