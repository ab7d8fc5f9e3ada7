"""How much an archive holds, as its manifest records it."""

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
