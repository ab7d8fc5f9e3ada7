"""Pings: where they go, and what they say."""

from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agebackup.model.healthcheck import BODY_BYTES, ping_address, ping_body
from agebackup.model.lastrun import LastRun
from agebackup.model.records import RunRecord

RUN = "0123456789abcdef" * 2
THEN = datetime(2026, 11, 21, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://hc-ping.com/uuid", "/uuid"),
        ("https://hc-ping.com/uuid/", "/uuid"),
        ("http://h:8000/ping/key/slug?create=1", "/ping/key/slug"),
        ("https://h/a%2Fb;c#fragment", "/a%2Fb;c"),
    ],
)
def test_where_a_ping_goes(url: str, path: str) -> None:
    """The signal is appended to the path, the run's id to the query, as a UUID; the rest stays."""
    for signal, suffix in (("start", "/start"), ("success", ""), ("fail", "/fail")):
        address = urlsplit(ping_address(url, signal, RUN))  # type: ignore[arg-type]
        assert (address.scheme, address.netloc) == urlsplit(url)[:2]
        assert address.path == path + suffix and not address.fragment
        query = dict(parse_qsl(address.query))
        assert query.pop("rid") == str(UUID(RUN))
        assert query == dict(parse_qsl(urlsplit(url).query))


@given(st.text(), st.lists(st.text(max_size=3000), max_size=8))
def test_what_a_ping_says(message: str, warnings: list[str]) -> None:
    """The outcome comes first, and the body is UTF-8 of at most 10 kB, whatever it has to say."""
    run = RunRecord(RUN, "notes", "auto", THEN, outcome="failed", exit_code=1, message=message)
    body = ping_body(LastRun(run, warnings=tuple(warnings)))
    assert body.decode().startswith("notes: failed (exit 1)") and len(body) <= BODY_BYTES
