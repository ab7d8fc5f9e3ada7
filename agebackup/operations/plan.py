"""create --dry-run: what would be done, without doing any of it."""

from dataclasses import dataclass

from agebackup.errors import counted
from agebackup.model.names import printable
from agebackup.operations.guards import expected_bytes, guard_places, guard_space
from agebackup.operations.order import Order, Site
from agebackup.snapshot.live import look_at_all
from agebackup.system.progress import Progress
from agebackup.system.workspace import free_bytes


@dataclass(frozen=True)
class CreatePlan:
    """What a run would do. Sizes in bytes; None for space where a mount does not tell it."""

    archive: str
    destination: str
    databases: tuple[str, ...]
    database_bytes: int
    trees: tuple[str, ...]
    files: int
    file_bytes: int
    recipients: tuple[str, ...]
    destination_free: int | None
    workspace_free: int | None
    signing_key: str | None = None

    def lines(self) -> list[str]:
        """Return the plan for a person."""
        return [
            f"would write:  {printable(self.destination)}",
            f"databases:    {', '.join(map(printable, self.databases)) or 'none'} "
            f"({self.database_bytes:,} bytes)",
            f"trees:        {', '.join(map(printable, self.trees)) or 'none'} "
            f"({counted(self.files, 'file')}, {self.file_bytes:,} bytes)",
            f"recipients:   {', '.join(self.recipients)}",
            f"signed with:  {printable(self.signing_key or 'nothing')}",
            f"free there:   {_bytes(self.destination_free)}; workspace: "
            f"{_bytes(self.workspace_free)}",
        ]


def _bytes(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,} bytes"


def plan(order: Order, site: Site, progress: Progress) -> CreatePlan:
    """Return what `create` would do, after its guards and a look at each database.

    Writes nothing and runs none of the app's commands.
    """
    guard_places(order.source, site.destination, site.workspace)
    look_at_all(order.source.databases)
    guard_space(order.source, site, progress)
    databases, trees, files = expected_bytes(order.source, progress)
    name = site.destination.published_name(str(order.name))
    return CreatePlan(
        archive=str(order.name),
        destination=str(site.destination.path / name),
        databases=tuple(str(database.path) for database in order.source.databases),
        database_bytes=databases,
        trees=tuple(str(tree.path) for tree in order.source.trees),
        files=files,
        file_bytes=trees,
        recipients=order.recipients.texts,
        destination_free=free_bytes(site.destination.path),
        workspace_free=free_bytes(site.workspace),
        signing_key=str(order.signing.file) if order.signing else None,
    )
