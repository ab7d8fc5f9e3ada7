"""How much an archive holds, as its manifest records it."""

from collections.abc import Iterator

from agebackup.errors import printable
from agebackup.model.layout import DATA
from agebackup.model.manifest import Manifest
from agebackup.model.records import DatabaseFigures, Figures, TreeFigures


def figures_of(manifest: Manifest) -> Figures:
    """Return the figures of the archive with `manifest`, by place."""
    return Figures(
        {
            record.path: DatabaseFigures(record.bytes, sum(record.rows.values()))
            for record in manifest.databases
        },
        {tree.path: TreeFigures(tree.files, tree.bytes) for tree in manifest.trees},
    )


def vanished(app: str, before: Figures, after: Figures) -> Iterator[str]:
    """Yield a sentence for each database, and each tree's files, that `app` had and has not."""
    for place in sorted(set(before.databases) - set(after.databases)):
        shown = printable(place.removeprefix(DATA))
        yield f"The database {shown} was in the last run of {app} and is not in this one."
    for place, tree in after.trees.items():
        had = before.trees[place].files if place in before.trees else 0
        if had and not tree.files:
            shown = printable(place.removeprefix(DATA))
            yield f"{shown} has no files now; the last run had {had:,}. Is its disk mounted?"
