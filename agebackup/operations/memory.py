"""What the last run of an app had, so that what vanished since is noticed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from agebackup.errors import printable
from agebackup.model.layout import DATA
from agebackup.model.manifest import Manifest
from agebackup.operations.order import Site
from agebackup.system.durable import write_durably


@dataclass(frozen=True)
class Memory:
    """Databases by place, and how many files each tree had."""

    databases: tuple[str, ...] = ()
    files: dict[str, int] = field(default_factory=dict)


def recall(file: Path) -> Memory:
    """Return what `file` remembers; one that is absent or unreadable remembers nothing."""
    try:
        known = json.loads(file.read_bytes())
        files = {str(place): int(count) for place, count in known["files"].items()}
        return Memory(tuple(map(str, known["databases"])), files)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return Memory()


def missed(before: Memory, manifest: Manifest) -> Iterator[str]:
    """Yield a sentence for each database, and each tree's files, that the last run still had."""
    now = {record.path for record in manifest.databases}
    for place in sorted(set(before.databases) - now):
        shown = printable(place.removeprefix(DATA))
        yield f"The database {shown} was in the last run of {manifest.app} and is not in this one."
    for tree in manifest.trees:
        had = before.files.get(tree.path, 0)
        if had and not tree.files:
            shown = printable(tree.path.removeprefix(DATA))
            yield f"{shown} has no files now; the last run had {had:,}. Is its disk mounted?"


def remember(site: Site, manifest: Manifest) -> None:
    """Record what `manifest` has for the next run; raises what writing raises."""
    content = {
        "databases": [record.path for record in manifest.databases],
        "files": {tree.path: tree.files for tree in manifest.trees},
    }
    text = json.dumps(content).encode() + b"\n"
    write_durably(site.memory_file, text, site.claims, replace=True)
