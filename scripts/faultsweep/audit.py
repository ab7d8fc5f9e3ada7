"""Was everything on the disk before it was promised? No kill can show a missing fsync: the page
cache survives the process, though not a power cut. The order of the calls shows it."""

import os
from collections.abc import Sequence

from faultsweep.calls import Call
from faultsweep.points import SYNCING, WRITING


def audit(calls: Sequence[Call], directory: str) -> list[str]:
    """Return what was promised too early in a fault-free run, one sentence each.

    A file, or a tree, that gets its final name must have been synced after its last write; the
    directory that holds the name must be synced afterwards. `syncfs` counts for everything. A
    name inside a private temporary directory promises nothing.
    """
    unsynced: dict[str, str] = {}
    named: dict[str, str] = {}
    found: list[str] = []
    for call in calls:
        if call.failed:
            continue
        path = call.descriptor_path or ""
        if call.name in WRITING and path.startswith(directory):
            unsynced[path] = call.name
        elif call.name == "syncfs":
            unsynced.clear()
            named.clear()
        elif call.name in SYNCING - {"sync_file_range"}:
            unsynced.pop(path, None)
            named = {target: what for target, what in named.items() if _parent(target) != path}
        elif call.name.startswith(("rename", "link")) and len(call.paths) == 2:
            if "/.~agebackup-" in _parent(call.paths[1]):
                continue
            _rename(call, unsynced, found)
            named |= {path: call.name for path in _ends(call) if path.startswith(directory)}
    found += [
        f"{what} to {target}: its directory was not synced afterwards"
        for target, what in named.items()
    ]
    return [sentence.replace(directory, "$TRIAL") for sentence in found]


def _ends(call: Call) -> tuple[str, ...]:
    return call.paths if "RENAME_EXCHANGE" in call.arguments else call.paths[1:]


def _parent(path: str) -> str:
    return os.path.dirname(path)


def _rename(call: Call, unsynced: dict[str, str], found: list[str]) -> None:
    source, target = call.paths
    for path in [p for p in unsynced if f"{p}/".startswith(f"{source}/")]:
        found.append(f"{call.name} to {target}: {path} was not synced after its {unsynced[path]}")
        unsynced[target + path.removeprefix(source)] = unsynced.pop(path)
