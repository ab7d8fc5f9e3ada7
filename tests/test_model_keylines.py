"""A long key on paper: every line has its code, and what is mistyped is said to be in its line."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from agebackup.model.ageheader import armored, dearmored
from agebackup.model.keylines import is_lines, judge_lines, lines_of

BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
TEXT = armored(b"age-encryption.org/v1\n" + bytes(range(256)) * 2)
ROWS = lines_of(TEXT)


def typed(rows: list[tuple[str, str]]) -> str:
    return "\n".join(f"{number:>2} {line} {code}" for number, (line, code) in enumerate(rows, 1))


def test_what_is_printed_can_be_typed_back() -> None:
    """All lines right: the file as it was, with the markers or without."""
    assert judge_lines(typed(list(ROWS))).text == TEXT
    first, *_, last = TEXT.strip().splitlines()
    whole = f"{first}\n{typed(list(ROWS))}\n{last}\n"
    assert is_lines(whole) and judge_lines(whole).text == TEXT
    assert judge_lines("\n".join(f"{line} {code.lower()}" for line, code in ROWS)).text == TEXT


@given(st.data())
def test_a_wrong_character_is_found_in_its_line(data: st.DataObject) -> None:
    """One character in place of another, or two neighbours exchanged: just that line is named."""
    number = data.draw(st.integers(0, len(ROWS) - 1))
    line, code = ROWS[number]
    place = data.draw(st.integers(0, len(line) - 2))
    wrong = data.draw(st.sampled_from(BASE64))
    changed = line[:place] + wrong + line[place + 1 :]
    if data.draw(st.booleans()):
        changed = line[:place] + line[place + 1] + line[place] + line[place + 2 :]
    rows = [*ROWS[:number], (changed, code), *ROWS[number + 1 :]]
    verdict = judge_lines(typed(rows))
    assert verdict.lines == (() if changed == line else (number + 1,))
    assert bool(verdict.text) == (changed == line)


def test_lines_in_the_wrong_order_are_found() -> None:
    """A line in another one's place is named, for its number counts."""
    rows = [*ROWS]
    rows[1], rows[2] = rows[2], rows[1]
    assert judge_lines(typed(rows)).lines == (2, 3)


def test_a_missing_last_line_is_found() -> None:
    """Right lines alone are not a key: the last one is known by its code."""
    for rows in (ROWS[:-1], ROWS[:1]):
        verdict = judge_lines(typed(list(rows)))
        assert (verdict.text, verdict.lines) == ("", ()) and "last line" in verdict.problem


def test_a_line_without_its_code_is_named() -> None:
    """Nothing is called right that was not checked."""
    verdict = judge_lines("\n".join(line for line, _ in ROWS))
    assert verdict.text == "" and verdict.uncoded == tuple(range(1, len(ROWS) + 1))


@given(st.text(max_size=300))
def test_whatever_is_typed_is_judged(text: str) -> None:
    """No text makes it fail, and none that is not a key is called one."""
    assert judge_lines(text).text == ""


@given(st.binary(max_size=500))
def test_armor_is_what_it_was_made_from(content: bytes) -> None:
    """What is armored for printing is the same file again, and wrapped as age wants it."""
    if content:
        assert dearmored(armored(content).encode()) == content
        assert base64.b64decode("".join(armored(content).splitlines()[1:-1])) == content
