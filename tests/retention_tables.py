"""Golden tables of retention: a policy, archives, and what stays. Of our own making.

Each row is a time and what is expected of it: the reasons, or "-" where the archive goes.
"""

TABLES = {
    "the last three": (
        {"last": 3},
        """
        2026-11-20T10:00  the newest, last
        2026-11-20T09:00  last
        2026-11-18T09:00  last
        2026-11-17T09:00  -
        """,
    ),
    "one a day, the newest of each": (
        {"daily": 2},
        """
        2026-11-20T10:00  the newest, daily
        2026-11-20T09:00  -
        2026-11-17T23:59  daily
        2026-11-17T00:00  -
        2026-11-16T12:00  -
        """,
    ),
    "while days are left the oldest stays": (
        {"daily": 5},
        """
        2026-11-20T10:00  the newest, daily
        2026-11-20T09:00  -
        2026-11-17T23:00  daily
        2026-11-17T22:00  -
        2026-11-17T21:00  daily (the oldest)
        """,
    ),
    "days, weeks and months": (
        {"daily": 3, "weekly": 2, "monthly": 3},
        """
        2026-11-20T03:30  the newest, daily, weekly, monthly
        2026-11-19T03:30  daily
        2026-11-18T03:30  daily
        2026-11-17T03:30  -
        2026-11-15T03:30  weekly
        2026-11-14T03:30  -
        2026-10-31T03:30  monthly
        2026-10-30T03:30  -
        2026-09-30T03:30  monthly
        2026-08-31T03:30  -
        """,
    ),
    "weeks are ISO weeks": (
        {"weekly": 3},
        """
        2027-01-04T00:00  the newest, weekly
        2027-01-03T23:00  weekly
        2026-12-28T00:00  -
        2026-12-27T23:00  weekly
        """,
    ),
    "by hand: a bucket of their own": (
        {"daily": 1, "manual": 1},
        """
        2026-11-20T12:00 manual  the newest, manual
        2026-11-20T11:00 manual  -
        2026-11-20T10:00  daily
        2026-11-20T09:00  -
        """,
    ),
    "within a span of the newest": (
        {"within": 2},
        """
        2026-11-20T12:00  the newest, within
        2026-11-19T12:00  within
        2026-11-18T12:01  within
        2026-11-18T12:00  -
        """,
    ),
    "bad ones count for nothing": (
        {"last": 2},
        """
        2026-11-20T12:00 bad  it is damaged
        2026-11-20T11:00  the newest, last
        2026-11-20T10:00 bad  it is damaged
        2026-11-20T09:00  last
        2026-11-20T08:00  -
        """,
    ),
    "unproved ones displace only unproved ones": (
        {"last": 1},
        """
        2026-11-20T12:00 unproved  the newest, last
        2026-11-20T11:00 unproved  -
        2026-11-20T10:00  the newest, last
        2026-11-20T09:00  -
        """,
    ),
    "the future is set aside": (
        {"last": 1},
        """
        2031-01-01T00:00  its time has not come yet
        2026-11-20T10:00  the newest, last
        2026-11-20T09:00  -
        """,
    ),
    "kept by hand, and tags": (
        {"last": 1, "tags": ("release",)},
        """
        2026-11-20T10:00  the newest, last
        2026-11-20T09:00 kept  kept by hand
        2026-11-20T08:00 #release  tag release
        2026-11-20T07:00 #other  -
        """,
    ),
}
