"""The spans of time of which a tier keeps one archive each."""

from collections.abc import Callable, Mapping
from datetime import datetime

from agebackup.model.retention import Policy

Bucket = tuple[int, ...]


def _hour(time: datetime) -> Bucket:
    offset = time.utcoffset()  # or the hour that autumn repeats would be one
    return (*time.timetuple()[:4], int(offset.total_seconds()) if offset else 0)


def _day(time: datetime) -> Bucket:
    return time.timetuple()[:3]


def _week(time: datetime) -> Bucket:
    return time.isocalendar()[:2]  # of the year that ISO 8601 gives the week to


def _month(time: datetime) -> Bucket:
    return time.timetuple()[:2]


def _year(time: datetime) -> Bucket:
    return (time.year,)


TIERS: Mapping[str, Callable[[datetime], Bucket]] = {
    "hourly": _hour,
    "daily": _day,
    "weekly": _week,
    "monthly": _month,
    "yearly": _year,
}
"""Each tier's name, which is also its field of `Policy`, with the bucket of a local time."""


def count_of(policy: Policy, tier: str) -> int:
    """Return how many buckets of `tier` the policy keeps; negative for all."""
    count: int = getattr(policy, tier)
    return count
