"""What is found out before anything is staged: whether the archive may go into the application."""

import os
import stat
from contextlib import suppress
from pathlib import Path

from agebackup.errors import AgebackupError, FailedError, UsageError, printable
from agebackup.model.gates import Present, Value
from agebackup.model.profile import Profile
from agebackup.model.source import DatabaseSource, Source, TreeSource
from agebackup.model.swap import Kind, Part, Swap
from agebackup.operations.guards import require_space
from agebackup.operations.inplace_order import InPlaceOrder, Means
from agebackup.operations.provenance import version_said
from agebackup.operations.standstill import first_word, require_not_running
from agebackup.operations.swap import prospect
from agebackup.operations.unused import require_unused
from agebackup.snapshot.present import ask
from agebackup.system.progress import Progress
from agebackup.system.rehearsal import can_exchange
from agebackup.system.workspace import ground

Declared = DatabaseSource | TreeSource


def wanted_targets(order: InPlaceOrder) -> tuple[Declared, ...]:
    """Return what is declared of that which is asked for, as far as that is known beforehand."""
    source, wanted = order.source, order.wanted
    declared: tuple[Declared, ...] = (*source.databases, *source.trees)
    return tuple(
        one
        for one in declared
        if order.asks_for(one.place, tree=isinstance(one, TreeSource))
        and (isinstance(one, DatabaseSource) or one.role not in wanted.unwanted)
    )


def staging_place(order: InPlaceOrder) -> Path:
    """Return the directory in which to stage: beside the place of what is likely the largest.

    Outside of every declared tree, if this user may write there: the safety archive would take
    what is staged for the application's.
    """
    targets = wanted_targets(order) or (*order.source.databases, *order.source.trees)
    trees = (one for one in targets if isinstance(one, TreeSource) and one.role == "attachments")
    first = next(trees, targets[0])
    near = ground(Path(os.path.realpath(first.path)).parent)
    declared = {Path(os.path.realpath(tree.path)) for tree in order.source.trees}
    around = [above for above in (near, *near.parents) if above in declared]
    outside = ground(around[-1].parent) if around else near
    return outside if os.access(outside, os.W_OK | os.X_OK) else near


def guard_early(order: InPlaceOrder, means: Means) -> tuple[str, ...]:
    """Refuse at once what would be refused after a long staging; return what is to be told.

    Without a `pause` the application must not run, now as later. Places that cannot be exchanged,
    names that are taken and too little space are refused; a place in which nothing can change its
    name in one step is told.
    """
    require_replayable(order.profile, from_log=order.from_log)
    rules = order.profile.restore
    if rules.pause is None:
        require_not_running(order.profile, means.reading.progress)
        require_unused(live_databases(order.source))
    place = staging_place(order)
    with suppress(OSError):  # whoever opens the archive says what is wrong with it
        require_space("the restored state", place, os.stat(order.wanted.archive).st_size)
    targets = wanted_targets(order)
    outermost = [one for one in targets if not _inside(one, targets)]
    if outermost:
        parts = tuple(Part(one.path, None, _kind(one)) for one in outermost)
        prospect(Swap(order.profile.name, order.time, "", parts), means.records)
    return _announced(outermost, means)


def _announced(targets: list[Declared], means: Means) -> tuple[str, ...]:
    told = []
    for folder in sorted({Path(os.path.realpath(one.path)).parent for one in targets}):
        if folder.is_dir() and not can_exchange(folder, means.claims):
            told.append(
                f"The file system of {printable(str(folder))} cannot exchange two names in one "
                "step: for a moment a place will be empty. The journal covers that too."
            )
    return tuple(told)


def require_replayable(profile: Profile, *, from_log: bool) -> None:
    """Raise `UsageError` where a replay is asked for that `profile` does not declare."""
    if not from_log:
        return
    roles = {rules.role for rules in profile.restore.databases.values()}
    if not {"state", "eventlog"} <= roles or not profile.restore.rebuild:
        raise UsageError(
            f"{profile.name} does not say how its state is made from its event log.",
            hint='Declare role = "state" and role = "eventlog" in restore.databases, and '
            "restore.rebuild.",
        )


def live_databases(source: Source) -> tuple[Path, ...]:
    """Return the real paths of the declared databases."""
    return tuple(Path(os.path.realpath(one.path)) for one in source.databases)


def _inside(one: Declared, others: tuple[Declared, ...]) -> bool:
    trees = {other.path for other in others if isinstance(other, TreeSource)}
    return any(above in trees for above in one.path.parents)


def _kind(one: Declared) -> Kind:
    if isinstance(one, DatabaseSource):
        return "database"
    if one.role == "attachments":
        return "tree"
    return kind_at(one.path)


def kind_at(path: Path) -> Kind:
    """Return whether a directory or a file is at `path`; "file" where there is nothing."""
    with suppress(OSError):
        if stat.S_ISDIR(os.stat(path).st_mode):
            return "tree"
    return "file"


def present_values(order: InPlaceOrder, progress: Progress) -> Present:
    """Return what the application that is here says of its gates and of its version.

    A database that is not there has no say. What fails is told as unasked, not raised.
    """
    values: dict[str, Value] = {}
    unasked: dict[str, str] = {}
    databases = {one.name: one for one in order.source.databases}
    for gate in order.profile.restore.gates:
        if gate.name in order.ignored:
            continue
        try:
            if gate.command is not None:
                values[gate.name] = first_word(gate.command, order.base, progress)
            elif os.path.lexists(databases[gate.database].path):
                values[gate.name] = _value(databases[gate.database], gate.sql, progress)
        except AgebackupError as error:
            if error.code > 128:
                raise
            unasked[gate.name] = error.message
    return Present(values, unasked, _version(order, progress))


def _value(database: DatabaseSource, sql: str, progress: Progress) -> Value:
    rows = ask(database, sql, progress.stop)
    if len(rows) != 1 or len(rows[0]) != 1:
        raise FailedError("its query does not select one value.")
    value = rows[0][0]
    if value is not None and not isinstance(value, int | float | str):
        raise FailedError("its query selects a blob.")
    return value


def _version(order: InPlaceOrder, progress: Progress) -> str:
    try:
        return version_said(order.profile.version, order.base, progress)
    except FailedError:
        return ""  # only a limit of "installed" needs it, and then says so
