"""When a timer fires: every form means the same to us, cron, systemd and launchd."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agebackup.errors import UsageError
from agebackup.model.calendar import DAY, HOURS, MINUTES, MONTH, WEEK, Every, rhythms
from agebackup.scheduling import cron, launchd, systemd

FORMS = (
    st.sampled_from(["daily", "weekly"])
    | st.sampled_from([f"{count}m" for count in MINUTES] + [f"{count}h" for count in HOURS])
    | st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
)
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]).map(ZoneInfo)


def in_cron(fields: str, moment: datetime) -> bool:
    """Return whether crontab(5) would start `fields` at `moment`: numbers, *, and */step."""
    now = (moment.minute, moment.hour, moment.day, moment.month, moment.isoweekday() % 7)

    def matches(field: str, value: int) -> bool:
        if field.startswith("*"):
            return value % int(field.removeprefix("*/").replace("*", "1")) == 0
        return value == int(field)

    return all(map(matches, fields.split(), now))


def in_launchd(moments: list[Mapping[str, int]], moment: datetime) -> bool:
    """Return whether launchd.plist(5) would start one of `moments`: what is absent matches all."""
    now = {
        **{"Minute": moment.minute, "Hour": moment.hour, "Day": moment.day},
        "Weekday": moment.isoweekday() % 7,
    }
    return any(all(now[key] == value for key, value in one.items()) for one in moments)


@given(FORMS, MOMENTS, ZONES)
def test_the_next_firing_is_a_firing(text: str, moment: datetime, zone: ZoneInfo) -> None:
    """It lies ahead, at a whole minute, and cron and launchd fire at that minute too."""
    every = Every.parse(text)
    found = every.next_after(moment, zone)
    local = found.astimezone(zone)
    assert moment < found <= moment + timedelta(seconds=every.seconds, hours=25)
    assert every.fires_at(local) and found.second == found.microsecond == 0
    assert in_cron(cron.fields(every), local)
    assert in_launchd(launchd.moments(every), local)


@given(FORMS, MOMENTS)
def test_all_timers_mean_the_same(text: str, moment: datetime) -> None:
    """At every minute of a day cron and launchd fire exactly when the calendar says."""
    every = Every.parse(text)
    for minutes in range(0, 24 * 60, 5):
        local = (moment + timedelta(minutes=minutes)).replace(second=0, microsecond=0)
        fires = every.fires_at(local)
        assert in_cron(cron.fields(every), local) == fires
        assert in_launchd(launchd.moments(every), local) == fires


@given(FORMS, MOMENTS)
def test_the_period_is_the_time_between_firings(text: str, moment: datetime) -> None:
    """Without summer time two firings are `seconds` apart."""
    every = Every.parse(text)
    first = every.next_after(moment, UTC)
    assert every.next_after(first, UTC) - first == timedelta(seconds=every.seconds)


@given(st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)))
def test_a_month(moment: datetime) -> None:
    """`monthly` fires on the first, within 31 days, and every kind of timer means the same."""
    every = Every.parse("monthly")
    for local in (moment, moment.replace(day=1, hour=4, minute=30), moment.replace(day=1)):
        fires = every.fires_at(local)
        assert in_cron(cron.fields(every), local) == fires
        assert in_launchd(launchd.moments(every), local) == fires
        assert fires == ((local.day, local.hour, local.minute) == (1, 4, 30))
    assert systemd.calendar(every) == "*-*-01 04:30:00"


@pytest.mark.parametrize(
    ("now", "following"),
    [
        ("2026-01-01T04:29:59", "2026-01-01T04:30:00"),
        ("2026-01-01T04:30:00", "2026-02-01T04:30:00"),
        ("2026-12-31T23:59:00", "2027-01-01T04:30:00"),
    ],
)
def test_the_next_month(now: str, following: str) -> None:
    """The next firing is on the first of this month, or of the next."""
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    found = Every.parse("monthly").next_after(moment, UTC)
    assert found == datetime.fromisoformat(following).replace(tzinfo=UTC)
    assert found - moment <= timedelta(seconds=MONTH)


def test_the_forms() -> None:
    """What a person may write, and how often that is."""
    periods = {
        "5m": 300,
        "1h": 3600,
        "12h": 43200,
        "daily": DAY,
        "weekly": WEEK,
        "3:05": DAY,
        "monthly": MONTH,
    }
    assert {text: Every.parse(text).seconds for text in periods} == periods
    assert Every.parse("3:05").clock == (3, 5)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        *(("24h", "daily"), ("1d", "daily"), ("1440m", "daily"), ("60m", "1h"), ("hourly", "1h")),
        *(("120m", "2h"), ("7d", "weekly"), ("1w", "weekly"), ("168h", "weekly")),
        *(("3:05", "03:05"), ("daily", "daily"), ("weekly", "weekly"), ("12h", "12h")),
    ],
)
def test_one_rhythm_has_one_name(said: str, text: str) -> None:
    """However a person writes a rhythm, it is kept and shown in one way."""
    assert Every.parse(said) == Every.parse(text) and Every.parse(said).text == text


def test_all_rhythms() -> None:
    """Every rhythm is listed once, by its own name, the night's word before its time."""
    listed = [one.text for one in rhythms()]
    assert len(listed) == len(set(listed)) and listed.index("daily") < listed.index("03:30")
    assert all(Every.parse(text).text == text for text in listed)


def test_summer_time() -> None:
    """A time that summer skips fires the day after; 03:30 is neither skipped nor repeated."""
    zone = ZoneInfo("Europe/Berlin")
    before = datetime(2026, 3, 28, 12, tzinfo=zone)
    assert Every.parse("02:30").next_after(before, zone).astimezone(zone).day == 30
    assert Every.parse("daily").next_after(before, zone).astimezone(zone).day == 29
    autumn = Every.parse("daily").next_after(datetime(2026, 10, 24, 12, tzinfo=zone), zone)
    assert Every.parse("daily").next_after(autumn, zone) - autumn == timedelta(days=1)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "0h",
            "00:60",
            "24:00",
            "-1h",
            "1",
            "h",
            "7h",
            "7m",
            "2d",
            "0m",
            "65m",
            "24H",
            "36h",
            "2w",
        ),
        *("daily ", "Daily", "03:30\n", "٣:٣٠", "1h 30m", "* * * * *", "03:30:00", "5m;rm", "01h"),
        "9" * 5000 + "h",
    ],
)
def test_what_no_timer_can_do(text: str) -> None:
    """Nonsense, and what cron could not keep evenly, is refused with the forms that there are."""
    with pytest.raises(UsageError, match="no rhythm that every kind of timer can keep") as caught:
        Every.parse(text)
    assert "03:30" in caught.value.hint


@given(st.text(max_size=8))
def test_any_text_is_understood_or_refused(text: str) -> None:
    """Nothing else than a refusal comes of any text."""
    try:
        every = Every.parse(text)
        assert Every.parse(every.text) == every
    except UsageError as error:
        assert error.message.isprintable()
