"""Names: of apps, archives and files; what is refused, what clashes, what a person is shown."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agebackup.errors import UsageError, printable
from agebackup.model.names import (
    MAX_PATH_BYTES,
    ArchiveName,
    app_slug,
    clash_key,
    named_digest,
    require_app,
    uncarriable,
)

TIME = datetime(2026, 11, 20, 2, 15, 0, tzinfo=UTC)


@pytest.mark.parametrize("name", ["a", "7", "a-b", "a" * 40, "ledger", "x--y"])
def test_an_app_name_is_kept(name: str) -> None:
    """Lower-case letters, digits and hyphens make an app's name."""
    assert require_app(name) == name


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "A", "a_b", "a/b", "..", "a" * 41, "é", "a\n", "a b", "\u0663"]
)
def test_a_bad_app_name_is_refused(name: str) -> None:
    """Anything else is refused as a usage error that shows the name safely."""
    with pytest.raises(UsageError) as caught:
        require_app(name)
    assert caught.value.message.isprintable()
    assert "40" in caught.value.hint


@pytest.mark.parametrize(
    "stem, slug",
    [
        ("ledger", "ledger"),
        ("My App (2)", "my-app-2"),
        ("Müller_db", "muller-db"),
        ("--x--", "x"),
        ("日本", ""),
        ("", ""),
        ("a" * 39 + "-b", "a" * 39),
    ],
)
def test_a_database_stem_becomes_an_app(stem: str, slug: str) -> None:
    """An ad hoc app is named after its first database, or not at all where nothing is left."""
    assert app_slug(stem) == slug


@settings(deadline=None)
@given(st.text())
def test_every_slug_is_an_app_name(text: str) -> None:
    """Whatever a database is called, its slug is empty or a proper name."""
    slug = app_slug(text)
    assert slug == "" or require_app(slug) == slug


@settings(deadline=None)
@given(
    app=st.from_regex(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True),
    time=st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)),
    number=st.integers(0, (1 << 32) - 1),
    manual=st.booleans(),
    compressed=st.booleans(),
)
def test_archive_names_come_back(
    app: str, time: datetime, number: int, manual: bool, compressed: bool
) -> None:
    """A name that was made is read back; it never needs quoting, nor more than 100 characters."""
    name = ArchiveName(app, time.replace(microsecond=0), f"{number:08x}", manual, compressed)
    text = str(name)
    assert ArchiveName.parse(text) == name
    assert len(text) <= 100
    assert all(
        character.isascii() and (character.isalnum() or character in "._-") for character in text
    )


def test_an_archive_name_is_in_utc() -> None:
    """The time in a name is UTC, wherever the machine is."""
    there = TIME.astimezone(timezone(timedelta(hours=-9, minutes=-30)))
    assert str(ArchiveName("a", there, "1f2e3d4c")) == "a-20261120T021500Z-1f2e3d4c.tar.age"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ledger.age",
        "ledger-20261120T021500Z-1f2e3d4c.tar.age.part",
        "ledger-20261120T021500Z-1f2e3d4c.tar 2.age",
        "ledger-20261120T021500Z-1f2e3d4c (1).tar.age",
        "ledger-20261120T021500Z-1f2e3d4c (HOST's conflicted copy 2026-11-20).tar.age",
        "ledger-20261120T021500Z-1f2e3d4c.sync-conflict-20261120-021500-ABCDEFG.tar.age",
        ".ledger-20261120T021500Z-1f2e3d4c.tar.age.icloud",
        ".~agebackup-0123456789abcdef.nosync.tmp",
        "ledger-20261320T021500Z-1f2e3d4c.tar.age",
        "ledger-20261120T026100Z-1f2e3d4c.tar.age",
        "ledger-20261120T021500Z-1F2E3D4C.tar.age",
        "ledger-20261120T021500Z-1f2e3d4c.tar.gz.age",
        "ledger-20261120T021500Z-1f2e3d4c.tar.age\n",
        "ledger-\u0662\u0660\u0662\u0666\u0661\u0661\u0662\u0660T021500Z-1f2e3d4c.tar.age",
        "x/ledger-20261120T021500Z-1f2e3d4c.tar.age",
    ],
)
def test_another_name_is_no_archive(name: str) -> None:
    """A conflict copy, an unfinished file or any other name is never taken for an archive."""
    assert ArchiveName.parse(name) is None


@pytest.mark.parametrize(
    "name, shown",
    [
        ("plain é 日本", "plain é 日本"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\nb", "a\\nb"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("a\u2028b\u200bc", "a\\u2028b\\u200bc"),
        ("a\udcffb", "a\\udcffb"),
        ("back\\slash", "back\\\\slash"),
    ],
)
def test_a_name_is_shown_safely(name: str, shown: str) -> None:
    """No control, bidirectional or undecodable character of a name reaches a terminal."""
    assert printable(name) == shown


@settings(deadline=None)
@given(st.text(st.characters(codec=None)))
def test_what_is_shown_is_printable_and_unambiguous(text: str) -> None:
    """Any name can be shown, on any terminal that knows UTF-8, and told from any other one."""
    shown = printable(text)
    assert shown.isprintable()
    shown.encode()
    assert shown.encode("latin-1", "backslashreplace").decode("unicode_escape") == text


@pytest.mark.parametrize(
    "one, other",
    [
        ("a/B", "A/b"),
        ("é", "e\u0301"),
        ("É", "e\u0301"),
        ("straße", "STRASSE"),
        ("ﬁ", "FI"),
        ("ς", "Σ"),
    ],
)
def test_names_clash(one: str, other: str) -> None:
    """Names that macOS or Windows take for one have one key."""
    assert clash_key(one) == clash_key(other)


@pytest.mark.parametrize("one, other", [("a", "b"), ("a", "ä"), ("a b", "ab"), ("1", "\u0661")])
def test_other_names_do_not_clash(one: str, other: str) -> None:
    """Names that every file system tells apart have different keys."""
    assert clash_key(one) != clash_key(other)


@settings(deadline=None)
@given(st.text())
def test_a_key_is_its_own_key(text: str) -> None:
    """Folding what is folded changes nothing."""
    assert clash_key(clash_key(text)) == clash_key(text)


@pytest.mark.parametrize(
    "path",
    ["data/x", "data/a b", "data/%25", "data/%0g", "data/\\n", "data/é", "data/-x", "data/\u202ex",
     "data/" + "x" * (MAX_PATH_BYTES - 5), "data/#", "data/\ufeffx", "data/ x"],
)  # fmt: skip
def test_a_bag_carries_most_names(path: str) -> None:
    """Blanks inside, percent signs, backslashes, any script, and long paths are carried."""
    assert uncarriable(path) is None


@pytest.mark.parametrize(
    "path, why",
    [
        ("data/a\nb", "control"),
        ("data/a\rb", "control"),
        ("data/\x1b", "control"),
        ("data/\x7f", "control"),
        ("data/\x85", "control"),
        ("data/\u2028", "line break"),
        ("data/a\u2029b", "line break"),
        ("data/a ", "blank"),
        ("data/a\u3000", "blank"),
        ("data/a%0Ab", "%0A"),
        ("data/a%0db", "%0A"),
        ("data/\udcff", "UTF-8"),
        ("data/" + "x" * MAX_PATH_BYTES, "longer"),
        ("data/" + "é" * (MAX_PATH_BYTES // 2), "longer"),
    ],
)
def test_a_bag_does_not_carry_every_name(path: str, why: str) -> None:
    """What sha256sum or a BagIt validator would take for something else is refused with why."""
    reason = uncarriable(path)
    assert reason is not None
    assert why in reason


HASH = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "relative, length, found",
    [
        (HASH, 64, HASH),
        (HASH + ".jpg", 64, HASH),
        (f"{HASH[:2]}/{HASH}", 64, HASH),
        (f"{HASH[:2]}/{HASH[2:]}", 64, HASH),
        (f"{HASH[:2]}/{HASH[2:4]}/{HASH[4:]}.tar.gz", 64, HASH),
        ("holiday.jpg", 64, None),
        (HASH[:40], 40, HASH[:40]),
        (HASH[:40], 64, None),
    ],
)
def test_a_hash_is_found_in_a_name(relative: str, length: int, found: str | None) -> None:
    """Files named by their hash are recognised, spread over directories and with an ending too."""
    assert named_digest(relative, length) == found


@pytest.mark.parametrize("year", ["0000", "0001", "0999", "1969"])
def test_a_time_that_no_clock_says_makes_no_archive(year: str) -> None:
    """A name from before 1970 is somebody's invention: such a file is listed as something else."""
    assert ArchiveName.parse(f"notes-{year}1231T235959Z-1f2e3d4c.tar.age") is None
