"""Who made an archive: what each case is worth to somebody who says whom they trust."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agebackup.model.origin import Attested, Held, Origin, OriginError, judge_origin

NAME = "notes-20261120T021500Z-1f2e3d4c.tar.age"
GOOD = Attested("me", "ED25519 SHA256:abc")


def test_nobody_asked() -> None:
    """Without signers any archive passes, and its origin is called unproved, signed or not."""
    for carried in (True, False):
        found = judge_origin(Held(NAME, "other.age", carried), None, any_name=False)
        assert found == Origin("unproved", carried=carried)
        assert "unproved" in str(found) and "--signers" in str(found)


def test_a_good_signature() -> None:
    """With signers the one who signed is named."""
    found = judge_origin(Held(NAME, NAME, True), GOOD, any_name=False)
    assert found == Origin("signed", "me", "ED25519 SHA256:abc", carried=True)
    assert str(found) == "Signed by me (ED25519 SHA256:abc)."


@pytest.mark.parametrize("attested", [Attested(), Attested(problem="It is bad"), GOOD])
@pytest.mark.parametrize("any_name", [True, False])
def test_without_a_signature_nothing_passes(attested: Attested, any_name: bool) -> None:
    """An unsigned archive is refused (13) whatever else is said."""
    with pytest.raises(OriginError) as raised:
        judge_origin(Held(NAME, NAME, False), attested, any_name=any_name)
    assert raised.value.code == 13


@pytest.mark.parametrize("attested", [Attested(), Attested("me", "key", "It is bad")])
def test_a_problem_is_never_outvoted(attested: Attested) -> None:
    """A signature with a problem, or without a signer, is refused."""
    with pytest.raises(OriginError):
        judge_origin(Held(NAME, NAME, True), attested, any_name=True)


def test_the_name_is_part_of_what_was_signed() -> None:
    """Under another name a signed archive is refused, unless any name is allowed."""
    held = Held(NAME, "notes-20261121T021500Z-1f2e3d4c.tar.age", True)
    with pytest.raises(OriginError) as raised:
        judge_origin(held, GOOD, any_name=False)
    assert NAME in raised.value.message and "--any-name" in raised.value.hint
    assert judge_origin(held, GOOD, any_name=True).status == "signed"
    assert judge_origin(Held(NAME, None, True), GOOD, any_name=False).status == "signed"


TEXTS = st.text(max_size=5)


@given(
    st.builds(Held, TEXTS, st.none() | TEXTS, st.booleans()),
    st.builds(Attested, TEXTS, TEXTS, TEXTS),
    st.booleans(),
)
def test_signed_means_signed(held: Held, attested: Attested, any_name: bool) -> None:
    """Whatever is found: signed is only what carries a good signature and has its own name."""
    try:
        found = judge_origin(held, attested, any_name=any_name)
    except OriginError as error:
        assert error.message and error.hint
        return
    assert found.status == "signed" and found.carried and held.carried
    assert attested.signer and not attested.problem
    assert any_name or held.file_name in (None, held.made_as)


def test_names_are_shown_safely() -> None:
    """A signer's name cannot drive a terminal."""
    assert "\x1b" not in str(Origin("signed", "\x1b[2J", "key", carried=True))
