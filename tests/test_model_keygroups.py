"""A key on paper: whatever is mistyped is found, and said to be where it is."""

import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agebackup.model.bech32 import ALPHABET, is_valid
from agebackup.model.keygroups import (
    GROUP,
    GROUPS,
    PREFIX,
    SYMBOLS,
    Verdict,
    check_line,
    groups_of,
    judge_typed,
)
from agebackup.snapshot.keys import generate_identity

KEYS = st.sampled_from([generate_identity("now")[0].split()[-1] for _ in range(8)])
PLACES = st.integers(0, SYMBOLS - 1)
LETTERS = st.sampled_from(ALPHABET)


def typed(symbols: str, check: str) -> str:
    return f"{symbols}\n{check}\n"


def parts(key: str) -> tuple[str, str]:
    """Return what follows the prefix, and the check line."""
    return key.removeprefix(PREFIX), check_line(groups_of(key))


def group(place: int) -> int:
    return place // GROUP + 1


@given(KEYS, PLACES, LETTERS)
def test_a_wrong_character_is_found_in_its_group(key: str, place: int, letter: str) -> None:
    """Any one character in place of another: the key is wrong, and just that group is named."""
    symbols, check = parts(key)
    mistyped = symbols[:place] + letter + symbols[place + 1 :]
    verdict = judge_typed(typed(mistyped, check))
    if mistyped == symbols:
        assert verdict == Verdict(key)
    else:
        assert (verdict.secret, verdict.groups) == ("", (group(place),))


@given(KEYS, st.integers(0, SYMBOLS - 2))
def test_two_characters_that_changed_places_are_found(key: str, place: int) -> None:
    """Neighbours that changed places are found in their group, or in the two that they are of."""
    symbols, check = parts(key)
    mistyped = symbols[:place] + symbols[place + 1] + symbols[place] + symbols[place + 2 :]
    verdict = judge_typed(typed(mistyped, check))
    if mistyped == symbols:
        assert verdict == Verdict(key)
    else:
        assert verdict.secret == ""
        assert verdict.groups == tuple(sorted({group(place), group(place + 1)}))


def test_every_error_of_one_key() -> None:
    """Not by chance: all 1,798 wrong characters and all 57 exchanges in one key are located."""
    key = generate_identity("now")[0].split()[-1]
    symbols, check = parts(key)
    for place in range(SYMBOLS):
        for letter in set(ALPHABET) - {symbols[place]}:
            mistyped = symbols[:place] + letter + symbols[place + 1 :]
            assert judge_typed(typed(mistyped, check)).groups == (group(place),)
    for place in range(SYMBOLS - 1):
        one, other = symbols[place : place + 2]
        mistyped = symbols[:place] + other + one + symbols[place + 2 :]
        expected = tuple(sorted({group(place), group(place + 1)})) if one != other else ()
        assert judge_typed(typed(mistyped, check)).groups == expected


@given(KEYS, st.integers(0, GROUPS - 1), LETTERS)
def test_a_wrong_check_line_does_not_make_the_key_wrong(key: str, place: int, letter: str) -> None:
    """The key has a checksum of its own: where only the check line is mistyped, that is said."""
    symbols, check = parts(key)
    mistyped = check[:place] + letter + check[place + 1 :]
    verdict = judge_typed(typed(symbols, mistyped))
    assert verdict.secret == key
    assert verdict.check_groups == (() if mistyped == check else (place + 1,))


@given(KEYS, st.integers(0, GROUPS - 2))
def test_groups_in_the_wrong_order_are_found(key: str, place: int) -> None:
    """Two groups that changed places are never right, and named where their checks differ."""
    groups, check = list(groups_of(key)), check_line(groups_of(key))
    if place + 1 == GROUPS - 1 or groups[place] == groups[place + 1]:
        return  # the last one is shorter: that is another error
    groups[place], groups[place + 1] = groups[place + 1], groups[place]
    verdict = judge_typed(typed(" ".join(groups), check))
    same = check[place] == check[place + 1]
    assert verdict.secret == "" and verdict.groups == (() if same else (place + 1, place + 2))
    assert not same or "compare" in verdict.problem


@example(
    "AGE-SECRET-KEY-1T5VF0V5QHGEYJRGLKF7T3LR8L0WUE6R6YSVX8HF7V5PWHKVTSL3Q5RCT6F", 55, "8", False
)
@given(KEYS, PLACES, LETTERS, st.booleans())
def test_one_character_too_many_or_too_few_is_found(
    key: str, place: int, letter: str, missing: bool
) -> None:
    """A character left out or typed twice: its group is among those that are named."""
    symbols, check = parts(key)
    rest = symbols[place + 1 :] if missing else letter + symbols[place:]
    verdict = judge_typed(typed(symbols[:place] + rest, check))
    assert verdict.secret == "" and "instead of 58" in verdict.problem
    assert min(verdict.groups) <= group(place) <= max(verdict.groups)


@given(KEYS, PLACES, st.booleans())
def test_in_separate_groups_the_wrong_length_is_named(key: str, place: int, missing: bool) -> None:
    """Typed in groups, the group that is too long or too short is named, and no other."""
    groups = list(groups_of(key))
    at, within = divmod(place, GROUP)
    one = groups[at]
    groups[at] = one[:within] + one[within + 1 :] if missing else one[:within] + "Q" + one[within:]
    if not groups[at]:
        return
    assert judge_typed(typed(" ".join(groups), check_line(groups_of(key)))).groups == (at + 1,)


@given(KEYS, st.data())
def test_the_form_of_what_was_typed_does_not_matter(key: str, data: st.DataObject) -> None:
    """Case, blanks, hyphens, line ends, O, I, 1 and B for what they look like, with the prefix or
    without: the same key."""
    symbols, check = parts(key)
    prefix = data.draw(st.sampled_from(["", PREFIX, "age secret-key 1 ", "AGE-SECRET-KEY-I\n"]))
    between = data.draw(st.sampled_from(["", " ", "-", "\n", " - "]))
    alike = {"0": "O", "L": data.draw(st.sampled_from("1Il")), "8": "B"}
    text = prefix + between.join(groups_of(key))
    if data.draw(st.booleans()):
        text = prefix + between.join(
            "".join(alike.get(letter, letter) for letter in one) for one in groups_of(key)
        )
    label = data.draw(st.sampled_from(["", "Check line: ", "check:", "CHECK "]))
    ends = data.draw(
        st.sampled_from([f"\n{label}{check}", f"\n\n{label}{check[:4]} {check[4:]}\n", ""])
    )
    text += ends
    verdict = judge_typed(text.lower() if data.draw(st.booleans()) else text)
    assert verdict == Verdict(key)
    assert judge_typed(symbols + check) == Verdict(key), "in one go"


@given(st.text(max_size=200))
def test_whatever_is_typed_is_judged(text: str) -> None:
    """No text makes it fail, and none that is not a key is called one."""
    verdict = judge_typed(text)
    assert not verdict.secret and (verdict.problem or verdict.groups)


@given(KEYS, st.integers(1, GROUPS), st.booleans(), st.booleans())
def test_rows_of_any_length(key: str, count: int, prefixed: bool, checked: bool) -> None:
    """However many groups stand in a line, the last row of the key is not taken for its check."""
    groups = groups_of(key)
    rows = [" ".join(groups[start : start + count]) for start in range(0, GROUPS, count)]
    lines = [*([PREFIX] if prefixed else []), *rows, *([check_line(groups)] if checked else [])]
    assert judge_typed("\n".join(lines)) == Verdict(key)


def test_without_the_check_line_it_is_right_or_wrong() -> None:
    """The key's own checksum still tells, but not where."""
    key = generate_identity("now")[0].split()[-1]
    assert judge_typed(key) == Verdict(key)
    wrong = key[:-1] + ("Q" if key[-1] != "Q" else "P")
    verdict = judge_typed(wrong)
    assert verdict.groups == () and "check line" in verdict.problem
    assert "11 characters instead of 12" in judge_typed(typed(wrong, "Q" * 11)).problem


@pytest.mark.parametrize("text", ["", "\n\n", "AGE-SECRET-KEY-1", "check: QQQQ"])
def test_nothing_typed_is_no_key(text: str) -> None:
    """An empty file is told to be one."""
    assert not judge_typed(text).secret


def test_a_verdict_shows_nothing_of_the_key() -> None:
    """A traceback or a log that shows the verdict does not show the key."""
    key = generate_identity("now")[0].split()[-1]
    assert key not in repr(judge_typed(key)) and key[20:40] not in repr(judge_typed(key))


def test_stock_age_agrees_about_checksums() -> None:
    """What age-keygen makes is valid here, and what is valid here age-keygen reads."""
    made = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True).stdout
    key = made.split()[-1]
    assert is_valid("age-secret-key-", map(ALPHABET.index, key.removeprefix(PREFIX)))
    public = subprocess.run(
        ["age-keygen", "-y"], input=judge_typed(key.lower()).secret, capture_output=True, text=True
    )
    assert public.stdout.strip() in made
