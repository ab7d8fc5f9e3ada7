"""What the config file says about unattended runs: retention, timing, hooks, guards."""

from datetime import UTC, timedelta, tzinfo
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from agebackup.config.tables import (
    AppTable,
    CommandTable,
    GuardTable,
    HooksTable,
    RetentionTable,
    Where,
    convert,
)
from agebackup.errors import UsageError, printable
from agebackup.model.command import Command
from agebackup.model.durations import parse_duration
from agebackup.model.retention import Policy
from agebackup.model.watch import Hooks, Watch


def command(raw: object, where: Where) -> Command | None:
    """Return the command that `raw` is, a list of words or a table; None where there is none."""
    if raw is None:
        return None
    given: list[str] | CommandTable = convert(raw, list[str] | CommandTable, where)
    table = CommandTable(argv=given) if isinstance(given, list) else given
    if not table.argv or not table.argv[0]:
        raise where.error("a command needs a program to run")
    return Command(tuple(table.argv), float(table.seconds))


def retention(raw: object, where: Where) -> Policy | None:
    """Return the policy of the table `retention`; None where there is no such table."""
    if raw is None:
        return None
    table: RetentionTable = convert(raw, RetentionTable, where)
    if table.count is not None and table.keep_last:
        raise where.error("'count' and 'keep_last' mean the same", "Write only one of them.")
    policy = Policy(
        last=table.keep_last if table.count is None else table.count,
        hourly=table.keep_hourly,
        daily=table.keep_daily,
        weekly=table.keep_weekly,
        monthly=table.keep_monthly,
        yearly=table.keep_yearly,
        within=None
        if table.keep_within is None
        else _span(table.keep_within, where / "keep_within"),
        tags=tuple(table.keep_tags),
        manual=table.keep_manual,
        timezone=_timezone(table.timezone, where / "timezone"),
        shared=table.shared,
        max_prune=table.max_prune,
    )
    if not policy.keeps_something:
        raise where.error(
            "it keeps nothing by age or number",
            "Write for example: count = 10. Without the table nothing is ever pruned.",
        )
    return policy


def keep_pre_restore(table: AppTable, where: Where) -> timedelta | None:
    """Return how long what a restore put aside is kept; None where the app does not say."""
    text = table.keep_pre_restore
    return None if text is None else _span(text, where / "keep_pre_restore")


def watch(table: AppTable, where: Where) -> Watch:
    """Return how the app of `table` is backed up unattended."""
    guard: GuardTable = convert(table.guard or {}, GuardTable, where / "guard")
    hooks: HooksTable = convert(table.hooks or {}, HooksTable, where / "hooks")
    max_age = table.max_age
    return Watch(
        enabled=table.enabled,
        interval=_seconds(table.interval, where / "interval"),
        jitter=_seconds(table.jitter, where / "jitter") if table.jitter else 0.0,
        retries=table.retries,
        retry_after=_seconds(table.retry_after, where / "retry_after"),
        max_age=None if max_age is None else _seconds(max_age, where / "max_age"),
        shrink=guard.shrink,
        keycheck_every=None
        if table.keycheck_every == "never"
        else _seconds(table.keycheck_every, where / "keycheck_every"),
        hooks=Hooks(
            on_success=command(hooks.on_success, where / "hooks" / "on_success"),
            on_failure=command(hooks.on_failure, where / "hooks" / "on_failure"),
            healthcheck_url=_url(hooks.healthcheck_url, where / "hooks" / "healthcheck_url"),
            desktop=hooks.desktop,
        ),
    )


def _span(text: str, where: Where) -> timedelta:
    try:
        return parse_duration(text)
    except UsageError as error:
        raise where.again(error) from None


def _seconds(text: str, where: Where) -> float:
    return _span(text, where).total_seconds()


def _timezone(name: str, where: Where) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # unknown, not a key, or no database of time zones
        raise where.error(
            f"there is no time zone {printable(name)!r} on this system",
            "Write it as Europe/Berlin; a bare system needs the package tzdata.",
        ) from None


def _url(text: str, where: Where) -> str:
    """Return `text` if a ping can go there; it stays unsaid, for it is a secret."""
    problem = "it is not a web address"
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  (raises where it is no number)
    except ValueError:
        raise where.error(problem) from None
    plain = text.isascii() and text.isprintable() and " " not in text
    if text and not (plain and parts.scheme in ("http", "https") and parts.hostname):
        raise where.error(problem, "It begins with https:// and names a host.")
    return text
