"""A folder and a ledger in memory, with an honest history and with people who tamper with it."""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from agebackup.model.evidence import Evidence, Ground, Look, Snapshot
from agebackup.model.inventory import FolderEntry, Held, Inventory, Other
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord, DestinationRecord

HERE = "/cloud/backups"
SERIES = "5" * 32
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass(frozen=True)
class File:
    """A file's content, the recipients in its header, and its inode."""

    content: bytes
    inode: int
    stanzas: tuple[str, ...] = ("X25519", "X25519")
    regular: bool = True


@dataclass
class AuditedFolder:
    """`files` by name, `rows` by archive name; every method is one thing that can happen."""

    files: dict[str, File] = field(default_factory=dict)
    rows: dict[str, ArchiveRecord] = field(default_factory=dict)
    now: datetime = BEGIN
    device: str = "disk-1"
    _count: int = 0

    def create(
        self,
        app: str = "notes",
        *,
        size: int = 40,
        file_name: str = "",
        stanzas: tuple[str, ...] = ("X25519", "X25519"),
        proved: bool = True,
    ) -> str:
        """Publish an archive the honest way; return its name."""
        record = self._announce(app, size, file_name, stanzas, proved=proved)
        for name, old in self.rows.items():
            if file_name and old.file_name == file_name and old.deleted is None:
                self.rows[name] = replace(old, deleted=self.now, deleted_why="replaced")
        self.rows[record.name] = replace(record, pending="")
        return record.name

    def publish_half(self, *, arrives: bool) -> str:
        """A run is killed between the announcement and its end; the file is there or not."""
        record = self._announce("notes", 40, "", ("X25519", "X25519"), proved=True)
        self.rows[record.name] = record
        if not arrives:
            del self.files[record.name]
        return record.name

    def rekey(
        self, name: str, *, more: int = 0, cut_short: bool = False, old: bool = False
    ) -> None:
        """Encrypt an archive to other keys, `more` bytes larger; perhaps be killed meanwhile."""
        row, file = self.rows[name], self.files[name]
        self._count += 1
        content = f"{self._count}:".encode() + file.content + b"+" * more
        stanzas = ("X25519", "ssh-ed25519")
        sha256 = hashlib.sha256(content).hexdigest()
        row = replace(row, sha256=sha256, former=(*row.former, row.sha256), size=None, stanzas=())
        self.rows[name] = replace(row, pending="rekey")
        if not (cut_short and old):
            self.files[name] = File(content, self._count, stanzas)
        if not cut_short:
            self.settle()

    def settle(self) -> None:
        """What the next run does about those announcements."""
        for name, row in list(self.rows.items()):
            if row.pending == "rekey" and name in self.files:
                file = self.files[name]
                sha256 = hashlib.sha256(file.content).hexdigest()
                former = tuple(one for one in row.former if one != sha256)
                size, stanzas = len(file.content), tuple(sorted(file.stanzas))
                self.rows[name] = replace(
                    row, sha256=sha256, former=former, size=size, stanzas=stanzas, pending=""
                )
            if row.pending == "publish" and name in self.files:
                self.rows[name] = replace(row, pending="")
            elif row.pending == "publish":
                del self.rows[name]

    def delete(self, name: str, *, cut_short: bool = False) -> None:
        """Remove an archive by a rule; perhaps only decide it."""
        row = replace(self.rows[name], deleted=self.now, deleted_why="retention")
        self.rows[name] = replace(row, pending="delete" if cut_short else "")
        if not cut_short:
            self.files.pop(name, None)

    def bring_back(self, name: str, content: File) -> None:
        """Take a deleted archive out of the trash."""
        self.files[name] = content

    def evict(self, name: str) -> None:
        """Let the cloud client leave a stub."""
        self.files[f".{name}.icloud"] = self.files.pop(name)

    def plant(self, name: str, content: bytes, **more: object) -> None:
        """Put a file there, as anybody can who may write to the folder."""
        self._count += 1
        self.files[name] = File(content, self._count, **more)  # type: ignore[arg-type]

    def _announce(
        self, app: str, size: int, file_name: str, stanzas: tuple[str, ...], *, proved: bool
    ) -> ArchiveRecord:
        self._count += 1
        self.now += timedelta(hours=1)
        name = ArchiveName(app, self.now, f"{self._count:08x}")
        content = f"{name}:".encode().ljust(100 + size, b".")
        self.files[file_name or str(name)] = File(content, self._count, stanzas)
        own = [row.sequence or 0 for row in self.rows.values() if row.app == app]
        return replace(
            ArchiveRecord.of(name, HERE, file_name),
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            series=SERIES,
            sequence=max([0, *own]) + 1,
            proved=proved,
            pending="publish",
            stanzas=tuple(sorted(stanzas)),
        )

    def snapshot(self) -> Snapshot:
        """The state now."""
        archives, others = [], []
        for file_name, file in self.files.items():
            entry = FolderEntry(file_name, len(file.content), 0.0, file.regular)
            entry = replace(entry, inode=(1, file.inode))
            name = ArchiveName.parse(file_name)
            original = file_name.replace(" (1)", "").removeprefix(".").removesuffix(".icloud")
            if not file.regular:
                others.append(Other(entry, "link", "no file"))
            elif name and name.time > self.now + timedelta(days=1):
                others.append(Other(entry, "future", "ahead"))
            elif name:
                archives.append(Held(name, entry))
            elif file_name.endswith(".icloud"):
                others.append(Other(replace(entry, evicted=True), "evicted", "stub", original))
            elif " (1)" in file_name:
                others.append(Other(entry, "conflict", "copy", original))
            else:
                others.append(Other(entry, "foreign", "no archive"))
        inventory = Inventory(HERE, self.now, tuple(archives), tuple(others))
        return Snapshot(inventory, tuple(self.rows.values()))

    def evidence(self, *, whole: bool = True, before: Snapshot | None = None) -> Evidence:
        """What an audit sees now that reads all files whole, or only their headers."""
        looks = {
            name: Look(
                tuple(sorted(file.stanzas)),
                hashlib.sha256(file.content[:80]).hexdigest(),
                hashlib.sha256(file.content).hexdigest() if whole else "",
            )
            for name, file in self.files.items()
            if file.regular and not name.endswith(".icloud")
        }
        after = self.snapshot()
        ground = Ground(
            series=SERIES,
            device=self.device,
            known=DestinationRecord(HERE, "disk-1", BEGIN),
        )
        return Evidence(before or after, after, looks, ground)
