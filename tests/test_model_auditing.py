"""The judgement of an audit: an honest folder is in order, and each tampering is told apart."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from audited_folder import AuditedFolder
from hypothesis import given, settings
from hypothesis import strategies as st

from agebackup.errors import UsageError
from agebackup.model.auditing import PROBLEMS, amendments, judge
from agebackup.model.budget import Budget, parse_budget
from agebackup.model.evidence import Evidence, Look
from agebackup.model.findings import Finding
from agebackup.model.names import ArchiveName

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "create",
                "create",
                "create",
                "create other",
                "create free",
                "create unproved",
                "delete",
                "delete half",
                "bring back",
                "evict",
                "publish half",
                "publish unseen",
                "rekey",
                "rekey half",
                "rekey not",
                "settle",
            ]
        ),
        st.integers(0, 30),
    ),
    max_size=25,
)


def _lived(steps: list[tuple[str, int]]) -> AuditedFolder:
    folder = AuditedFolder()
    for step, number in steps:
        _step(folder, step, number)
    return folder


def _step(folder: AuditedFolder, step: str, number: int) -> None:
    here = [n for n, row in folder.rows.items() if n in folder.files and not row.pending]
    chosen = here[number % len(here)] if here else ""
    match step:
        case "create":
            folder.settle()
            folder.create(size=number)
        case "create other":
            folder.create("photos", size=number)
        case "create free":
            folder.create("free", size=number, file_name="free.age")
        case "create unproved":
            folder.settle()
            folder.create(stanzas=("X25519",), proved=False)
        case "delete" | "delete half" if chosen:
            folder.delete(chosen, cut_short=step == "delete half")
        case "bring back" if chosen:
            content = folder.files[chosen]
            folder.delete(chosen)
            folder.bring_back(chosen, content)
        case "evict" if chosen:
            folder.evict(chosen)
        case "publish half" | "publish unseen":
            folder.settle()
            folder.publish_half(arrives=step == "publish half")
        case "rekey" if chosen:
            folder.rekey(chosen, more=number)
        case "rekey half" | "rekey not" if chosen:
            folder.rekey(chosen, more=number, cut_short=True, old=step == "rekey not")
        case "settle":
            folder.settle()


def _problems(evidence: Evidence) -> list[Finding]:
    """Return what makes the exit code 4, but for folders of stubs alone: those are out of reach."""
    found = (one for one in judge(evidence) if one.severity in PROBLEMS)
    return [one for one in found if one.code != "out-of-reach"]


@settings(max_examples=300, deadline=None)
@given(STEPS, st.booleans())
def test_an_honest_folder_has_no_problem_whatever_its_history(
    steps: list[tuple[str, int]], whole: bool
) -> None:
    """Runs, prunes, kills, evictions and archives brought back are never called tampering."""
    assert _problems(_lived(steps).evidence(whole=whole)) == []


@settings(max_examples=200, deadline=None)
@given(STEPS, STEPS)
def test_what_happens_during_an_audit_is_no_problem(
    steps: list[tuple[str, int]], meanwhile: list[tuple[str, int]]
) -> None:
    """An audit that lists the folder while runs publish and prune finds nothing false."""
    folder = _lived(steps)
    before = folder.snapshot()
    for step, number in meanwhile:
        _step(folder, step, number)
    assert _problems(folder.evidence(before=before)) == []


def _swap(folder: AuditedFolder, names: list[str]) -> None:
    first, second = names[0], names[1]
    files = folder.files
    files[first], files[second] = files[second], files[first]


def _flip(folder: AuditedFolder, names: list[str]) -> None:
    file = folder.files[names[1]]
    folder.files[names[1]] = replace(file, content=file.content[:-1] + b"!")


def _cut(folder: AuditedFolder, names: list[str]) -> None:
    file = folder.files[names[1]]
    folder.files[names[1]] = replace(file, content=file.content[:-1])


def _overwrite(folder: AuditedFolder, names: list[str]) -> None:
    folder.files[names[1]] = replace(folder.files[names[0]], inode=77)


def _copy(folder: AuditedFolder, names: list[str]) -> None:
    name = str(ArchiveName("notes", folder.now, "feedface"))
    folder.files[name] = replace(folder.files[names[0]], inode=77)


def _plant(folder: AuditedFolder, names: list[str]) -> None:
    folder.plant(str(ArchiveName("notes", folder.now, "feedface")), b"a good archive, not ours")


def _roll_back(folder: AuditedFolder, names: list[str]) -> None:
    for name in names[-2:]:
        del folder.files[name]


def _remove(folder: AuditedFolder, names: list[str]) -> None:
    del folder.files[names[1]]


def _link(folder: AuditedFolder, names: list[str]) -> None:
    folder.files[names[1]] = replace(folder.files[names[1]], regular=False)


def _empty(folder: AuditedFolder, names: list[str]) -> None:
    folder.files.clear()


def _drop_recipient(folder: AuditedFolder, names: list[str]) -> None:
    folder.create(stanzas=("X25519", "ssh-ed25519"))


def _change_header(folder: AuditedFolder, names: list[str]) -> None:
    folder.files[names[1]] = replace(folder.files[names[1]], stanzas=("X25519",))


def _conflict(folder: AuditedFolder, names: list[str]) -> None:
    folder.plant(names[1].replace(".tar", " (1).tar"), b"something newer")


def _future(folder: AuditedFolder, names: list[str]) -> None:
    folder.plant(str(ArchiveName("notes", folder.now + timedelta(days=400), "0" * 8)), b"x")


def _edit_ledger(folder: AuditedFolder, names: list[str]) -> None:
    del folder.rows[names[1]]
    del folder.files[names[1]]


def _move(folder: AuditedFolder, names: list[str]) -> None:
    folder.device = "disk-2"


def _older_under_free_name(folder: AuditedFolder, names: list[str]) -> None:
    folder.create("free", file_name="free.age")
    old = folder.files["free.age"]
    folder.create("free", file_name="free.age")
    folder.files["free.age"] = old


def _rekey_undone(folder: AuditedFolder, names: list[str]) -> None:
    old = folder.files[names[1]]
    folder.rekey(names[1])
    folder.files[names[1]] = replace(old, content=old.content, inode=88)


def _rekeyed_for_another(folder: AuditedFolder, names: list[str]) -> None:
    old = folder.files[names[1]]
    folder.rekey(names[1])
    folder.files[names[2]] = replace(old, inode=88)


def _rekeyed_conflict(folder: AuditedFolder, names: list[str]) -> None:
    old = folder.files[names[1]]
    folder.rekey(names[1])
    folder.plant(names[1].replace(".tar", " (1).tar"), old.content)


ATTACKS: dict[str, tuple[Callable[[AuditedFolder, list[str]], None], str, bool]] = {
    "the copy from before a rekey": (_rekey_undone, "rolled-back", True),
    "the same, only headers read": (_rekey_undone, "size-differs", False),
    "another's copy from before its rekey": (_rekeyed_for_another, "holds-another", True),
    "a conflict copy from before a rekey": (_rekeyed_conflict, "conflict-old-key", True),
    "a file deleted": (_remove, "archive-gone", False),
    "the newest deleted": (_roll_back, "rolled-back", False),
    "two exchanged": (_swap, "swapped", True),
    "a byte changed": (_flip, "content-differs", True),
    "a byte cut off": (_cut, "size-differs", False),
    "one overwritten by another": (_overwrite, "holds-another", True),
    "one overwritten, only headers read": (_overwrite, "duplicate", False),
    "an old one under a new name": (_copy, "duplicate", False),
    "a strange one planted": (_plant, "unrecorded", False),
    "a link in its place": (_link, "not-a-file", False),
    "the folder emptied": (_empty, "destination-empty", False),
    "other recipients": (_drop_recipient, "recipients-changed", False),
    "another header": (_change_header, "recipients-differ", False),
    "a conflict copy": (_conflict, "conflict-differs", False),
    "a time to come": (_future, "future-dated", False),
    "a row and its file removed": (_edit_ledger, "sequence-gap", False),
    "another drive": (_move, "device-changed", False),
    "a free name rolled back": (_older_under_free_name, "rolled-back", True),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_each_tampering_is_found_under_its_own_code(attack: str) -> None:
    """Whatever is done to a folder, the audit says what it was, and what to do."""
    act, code, whole = ATTACKS[attack]
    folder = AuditedFolder()
    names = [folder.create() for _ in range(5)]
    act(folder, names)
    problems = _problems(folder.evidence(whole=whole))
    assert code in {one.code for one in problems}
    assert all(one.remedy and one.fact and one.subject for one in problems)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.sampled_from(sorted(ATTACKS)), st.integers(0, 10))
def test_no_history_hides_a_tampering(
    steps: list[tuple[str, int]], attack: str, start: int
) -> None:
    """After whatever history, each attack on the five newest archives is a problem."""
    folder = _lived(steps)
    folder.settle()
    names = [folder.create(size=start) for _ in range(5)]
    act, _, _ = ATTACKS[attack]
    act(folder, names)
    assert _problems(folder.evidence())


def test_what_does_not_keep_still_is_no_quiet_folder() -> None:
    """Who touches a file all the time does not keep it from being told of; a new one is no news."""
    folder = AuditedFolder()
    names = [folder.create() for _ in range(3)]
    folder.create("free", file_name="free.age")
    before = folder.snapshot()
    folder.create("free", file_name="free.age")
    folder.create()
    assert _problems(folder.evidence(before=before)) == []
    folder.plant(names[1], folder.files[names[1]].content)
    problems = _problems(folder.evidence(before=before))
    assert [(one.code, one.subject) for one in problems] == [("changed-while-read", names[1])]


def test_a_difference_makes_the_row_bad_and_a_drive_that_fails_does_not() -> None:
    """Retention and `latest` pass over what is proved false, never over what was unreadable."""
    folder = AuditedFolder()
    names = [folder.create() for _ in range(4)]
    _flip(folder, names)
    seen = folder.evidence()
    trouble = Look(trouble="unreadable", why="Input/output error")
    seen = replace(seen, looks={**seen.looks, names[2]: trouble})
    changes = {record.name: change for record, change in amendments(seen)}
    assert changes[names[1]] == {"bad": True}
    assert names[2] not in changes
    assert changes[names[0]] == {"hashed": folder.now}


def test_a_proved_archive_that_came_back_whole_is_good_again() -> None:
    """Who replaces a damaged archive by a good copy needs no key to have it counted again."""
    folder = AuditedFolder()
    name, other = folder.create(), folder.create(stanzas=("X25519",), proved=False)
    for one in (name, other):
        folder.rows[one] = replace(folder.rows[one], bad=True)
    seen = folder.evidence()
    assert {
        record.name: change["bad"] for record, change in amendments(seen) if "bad" in change
    } == {name: False}
    assert {one.subject for one in _problems(seen) if one.code == "known-bad"} == {other}


def test_a_change_of_recipients_is_a_warning_for_thirty_days_only() -> None:
    """A change that nobody questioned becomes a note, so that the exit code means something."""
    folder = AuditedFolder()
    folder.create()
    folder.create(stanzas=("X25519", "X25519", "X25519"))
    assert [one.severity for one in judge(folder.evidence())] == ["warning"]
    folder.now += timedelta(days=31)
    assert [one.severity for one in judge(folder.evidence())] == ["note"]


def test_the_proof_counts_as_no_recipient() -> None:
    """A run with --no-proof has one X25519 fewer, and that is no change of recipients."""
    folder = AuditedFolder()
    folder.create()
    folder.create(stanzas=("X25519",), proved=False)
    assert judge(folder.evidence()) == ()


def test_an_adopted_archive_that_goes_is_only_noted() -> None:
    """What another machine made it may delete; that is no loss of ours."""
    folder = AuditedFolder()
    name = folder.create()
    folder.create()
    folder.rows[name] = replace(folder.rows[name], foreign=True, series="")
    del folder.files[name]
    assert [(one.severity, one.code) for one in judge(folder.evidence())] == [
        ("warning", "sequence-gap"),
        ("note", "foreign-gone"),
    ]


def test_a_shared_folder_makes_archives_without_a_row_a_note() -> None:
    """Two machines in one folder: with `shared = true` neither complains of the other's."""
    folder = AuditedFolder()
    folder.create()
    _plant(folder, [])
    seen = folder.evidence()
    assert [one.code for one in _problems(seen)] == ["unrecorded"]
    shared = replace(seen, ground=replace(seen.ground, shared=frozenset({"notes"})))
    assert _problems(shared) == []


def test_of_two_copies_only_the_false_one_is_blamed() -> None:
    """Once both were read whole, the archive that is what it should be is left in peace."""
    folder = AuditedFolder()
    names = [folder.create() for _ in range(3)]
    _overwrite(folder, names)
    assert {one.subject for one in _problems(folder.evidence())} == {names[1]}


def test_an_app_is_judged_alone_where_it_was_asked_for() -> None:
    """`audit APP` is silent about the other apps of the folder."""
    folder = AuditedFolder()
    lost, _ = folder.create("photos"), folder.create("photos")
    folder.create()
    del folder.files[lost]
    seen = folder.evidence()
    alone = replace(seen, ground=replace(seen.ground, apps=frozenset({"notes"})))
    assert _problems(alone) == []
    assert {one.subject for one in _problems(seen)} == {lost}


def test_a_conflict_copy_that_is_what_the_original_should_be_says_so() -> None:
    """Where the original is damaged and a copy is not, the person learns which one to keep."""
    folder = AuditedFolder()
    names = [folder.create() for _ in range(2)]
    copy = names[0].replace(".tar", " (1).tar")
    folder.plant(copy, folder.files[names[0]].content)
    assert _problems(folder.evidence()) == []
    file = folder.files[names[0]]
    folder.files[names[0]] = replace(file, content=file.content[:-1] + b"!")
    found = {one.code: one.subject for one in _problems(folder.evidence())}
    assert found == {"content-differs": names[0], "conflict-whole": copy}


def test_a_conflict_copy_of_a_pruned_archive_is_no_problem() -> None:
    """What a rule removed is not needed because a sync client kept a copy of it."""
    folder = AuditedFolder()
    names = [folder.create() for _ in range(2)]
    folder.plant(names[0].replace(".tar", " (1).tar"), folder.files[names[0]].content)
    folder.delete(names[0])
    assert _problems(folder.evidence()) == []


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("0", Budget(bytes=0)),
        ("500M", Budget(bytes=500 << 20)),
        ("2GiB", Budget(bytes=2 << 30)),
        ("1TB", Budget(bytes=1 << 40)),
        ("10m", Budget(seconds=600)),
        ("1h30m", Budget(seconds=5400)),
    ],
)
def test_a_budget_is_a_size_or_a_time(text: str, budget: Budget) -> None:
    """A capital letter makes a size, a small one a time."""
    assert parse_budget(text) == budget


@pytest.mark.parametrize(
    "text", ["", "-1", "1g", "0M", "1.5G", "G", "1P", "9" * 40 + "G", "\u0661G"]
)
def test_nonsense_is_no_budget(text: str) -> None:
    """What could be meant in two ways is refused with an example."""
    with pytest.raises(UsageError, match="neither a size nor a span"):
        parse_budget(text)


@given(st.text(max_size=12))
def test_any_text_is_a_budget_or_a_usage_error(text: str) -> None:
    """No text crashes the parser, and what passes limits something."""
    try:
        budget = parse_budget(text)
    except UsageError:
        return
    assert (budget.bytes is None) is not (budget.seconds is None)


def test_thousands_of_planted_archives_are_each_named() -> None:
    """A flood of files is judged as a whole, and quickly."""
    folder = AuditedFolder()
    for number in range(3_000):
        name = ArchiveName("notes", folder.now + timedelta(seconds=number), f"{number:08x}")
        folder.plant(str(name), f"{number:08}".encode() * 10)
    assert len(_problems(folder.evidence())) == 3_000
