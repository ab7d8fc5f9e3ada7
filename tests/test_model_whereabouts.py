"""How places are written, and that each has one name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agebackup.errors import UsageError
from agebackup.model.whereabouts import parse_whereabouts


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("rclone:nas:backups", "rclone:nas:backups"),
        ("rclone:nas:backups/", "rclone:nas:backups"),
        ("rclone:nas:./backups//mail/.", "rclone:nas:backups/mail"),
        ("rclone:nas:", "rclone:nas:"),
        ("rclone:nas:/", "rclone:nas:/"),
        ("rclone:nas://srv/b", "rclone:nas:/srv/b"),
        ("rclone:my drive:b", "rclone:my drive:b"),
    ],
)
def test_an_rclone_place_has_one_name(text: str, meant: str) -> None:
    """However slashes and dots are put, the ledger knows the place by one name."""
    assert parse_whereabouts(text).text == meant


@pytest.mark.parametrize(
    "text",
    [
        *("rclone:", "rclone:nas", "rclone::sftp,host=h:x", "rclone:s3,key=x:y", "rclone:-v:x"),
        *("rclone:nas:../x", "rclone:nas:a/../../x", "rclone:/etc:x"),
    ],
)
def test_what_is_no_place_of_rclones_is_refused(text: str) -> None:
    """Remotes made on the spot, options and ways upwards are refused: exit code 2."""
    with pytest.raises(UsageError):
        parse_whereabouts(text)


@given(st.text())
def test_any_text_is_a_place_or_refused(text: str) -> None:
    """What was understood once is understood the same again."""
    for written in (text, f"rclone:{text}", f"rclone:nas:{text}"):
        try:
            place = parse_whereabouts(written)
        except UsageError:
            continue
        assert parse_whereabouts(place.text) == place
