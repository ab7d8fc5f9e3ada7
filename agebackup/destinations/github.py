"""The releases of a GitHub repository, one for each archive, through the `gh` program.

A release is made as a draft and published once all of its archive lies there, so that nobody ever
sees half of one; repositories with immutable releases accept nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from agebackup.destinations.attempts import PAUSES
from agebackup.destinations.github_assets import ASSETS, Download, Shelf, Upload, asset_of, gone
from agebackup.destinations.github_calls import LONGEST_WAIT, Calls
from agebackup.destinations.github_faults import archived, empty_repository, may_not_write
from agebackup.destinations.interface import Capabilities, Means, OutOfReachError, Parcel
from agebackup.errors import (
    AgebackupError,
    FailedError,
    NotFoundError,
    RefusedError,
    UsageError,
    printable,
)
from agebackup.model.inventory import FolderEntry
from agebackup.model.releases import (
    FACTS_LENGTH,
    MOST_PARTS,
    Described,
    Release,
    assets_for,
    can_carry,
    described_in,
    entries_of,
    release_text,
    tag_of,
)
from agebackup.model.whereabouts import Whereabouts

PART_BYTES = 2_000_000_000
"""Below GitHub's limit of 2 GiB for an asset (docs.github.com, "About releases")."""
_ROUNDS = 5
"""How many releases of one tag are removed: drafts may share one."""
_RELEASES = (
    ".[] | .tag_name as $tag | [.assets[] | select(.name | startswith($tag))] as $mine"
    f' | {{id, tag: .tag_name, text: ((.body // "")[0:{FACTS_LENGTH}]), draft,'
    " others: ((.assets | length) - ($mine | length)),"
    f" assets: [$mine[0:{MOST_PARTS + 1}][] | {ASSETS}]}}"
)
_LOOK = """query($owner: String!, $name: String!, $tag: String!) {
  repository(owner: $owner, name: $name) {
    visibility isArchived isEmpty viewerPermission release(tagName: $tag) { databaseId }
  }
}"""


@dataclass(frozen=True)
class Look:
    """A repository as it is now; `release` is the number of the release looked for, 0 for none."""

    visibility: str
    archived: bool
    empty: bool
    writable: bool
    release: int = 0


@dataclass(frozen=True)
class GitHub:
    """A `Remote` that is the releases of a repository.

    `part_bytes` is the size of the assets that a larger archive is split into. `pauses` and
    `longest` are `Calls`'s.
    """

    place: Whereabouts
    means: Means
    part_bytes: int = PART_BYTES
    pauses: Sequence[float] = PAUSES
    longest: float = LONGEST_WAIT

    @property
    def key(self) -> str:
        """The place as a person writes it, in lower case."""
        return self.place.text

    @property
    def capabilities(self) -> Capabilities:
        """A release appears whole. A server that tells no hash is warned of when archives go there,
        and sizes alone are compared."""
        return Capabilities(atomic=True, compares="hash")

    def called(self, name: str) -> str:
        """Return the place with `name`."""
        return f"{self.key}/{name}"

    def entries(self) -> tuple[FolderEntry, ...]:
        """Return what the releases hold; raises as `Destination.entries`."""
        return entries_of(self.releases())

    def releases(self) -> tuple[Release, ...]:
        """Return all releases, drafts too where the person may write."""
        path = f"repos/{self.place.place}/releases?per_page=100"
        return self.calls.patiently(lambda: self._listed(path))

    def has(self, name: str) -> bool:
        """Return whether a whole archive called `name` lies there; false where nobody can tell."""
        try:
            release = self.calls.patiently(lambda: self._found(name))
        except AgebackupError as error:
            if isinstance(error, FailedError | NotFoundError | RefusedError):
                return False
            raise
        found = entries_of((release,)) if release else ()
        return any(entry.name == name and not entry.partial for entry in found)

    def remove(self, entry: FolderEntry) -> None:
        """Remove the release of `entry` and its tag; raises as `Destination.remove`.

        Where somebody else's files lie in the release, they stay, and so do release and tag.
        """
        if not can_carry(entry.name):
            raise RefusedError(
                f"{printable(self.called(entry.name))} is not agebackup's.",
                hint="Remove it on GitHub, if you mean to.",
            )
        self.calls.patiently(lambda: self._remove(entry.name))

    def put(self, parcel: Parcel) -> None:
        """Make the release of `parcel`, or mend it; raises as `Remote.put`.

        Only what is missing or different is sent.
        """
        described = self._described(parcel)
        release = self.calls.patiently(lambda: self._prepared(described))
        shelf = Shelf(self.calls, release["id"])
        address = str(release["upload_url"]).partition("{")[0]
        Upload(shelf, parcel, described, address).send()
        if release["draft"]:
            body = {"draft": False, "tag_name": release["tag_name"]}
            self.calls.patiently(lambda: self.calls.ask("PATCH", shelf.path, body))

    def get(self, entry: FolderEntry, output: Path) -> None:
        """Join the parts of `entry` in the new file `output`; raises as `Remote.get`."""
        release = self.calls.patiently(lambda: self._found(entry.name))
        if release is None:
            raise NotFoundError(
                f"{printable(self.called(entry.name))} is not there.", hint="List what is there."
            )
        Download(self.calls, entry, self.called(entry.name), release).write(output)

    def look(self, tag: str = "") -> Look:
        """Return the repository as it is, and the release of `tag`, a draft too.

        Raises `NotFoundError` where there is no repository.
        """
        owner, _, name = self.place.place.partition("/")
        found = self.calls.query(_LOOK, owner=owner, name=name, tag=tag)
        return Look(
            visibility=str(found.get("visibility")),
            archived=bool(found.get("isArchived")),
            empty=bool(found.get("isEmpty")),
            writable=found.get("viewerPermission") in ("ADMIN", "MAINTAIN", "WRITE"),
            release=int((found.get("release") or {}).get("databaseId") or 0),
        )

    def require_writable(self, look: Look) -> None:
        """Raise what keeps archives from going there."""
        place = self.place
        if look.visibility != "PRIVATE" and not place.allow_public:
            everybody = "everybody" if look.visibility == "PUBLIC" else "the whole enterprise"
            raise RefusedError(
                f"The repository {place.place} can be read by {everybody}.",
                hint="Make it private in its settings on GitHub, or allow it in the configuration:"
                f' {{to = "{place.text}", allow_public = true}}. The archives are encrypted.',
            )
        if look.archived:
            raise archived(place.place)
        if not look.writable:
            raise may_not_write(place.place)
        if look.empty:
            raise empty_repository(place.place)

    @cached_property
    def calls(self) -> Calls:
        """What asks about the repository."""
        return Calls(self.place.place, self.means, self.pauses, self.longest)

    def _listed(self, path: str) -> tuple[Release, ...]:
        try:
            return tuple(_release(row) for row in self.calls.lines(path, _RELEASES))
        except NotFoundError:
            self.look()  # says that there is no repository, if that is why
            raise
        except (KeyError, TypeError, AttributeError):
            raise self._misunderstood() from None

    def _found(self, name: str) -> Release | None:
        """Return the published release that carries `name`, None where there is none."""
        return self._read(f"tags/{tag_of(name)}") if can_carry(name) else None

    def _read(self, which: str) -> Release | None:
        try:
            row = self.calls.ask("GET", f"repos/{self.place.place}/releases/{which}")
            row = self._answered(row)
            assets = Shelf(self.calls, row["id"]).assets()
        except NotFoundError:
            return None  # it went in the meantime
        return Release(row["id"], row["tag_name"], row.get("body") or "", row["draft"], assets)

    def _described(self, parcel: Parcel) -> Described:
        if not can_carry(parcel.name):
            raise UsageError(
                f"{printable(parcel.name)!r} cannot be the name of a release.",
                hint="Letters, digits, '.', '_' and '-' can.",
            )
        part = self.part_bytes if parcel.size > self.part_bytes else 0
        described = Described(parcel.name, parcel.size, parcel.sha256, part)
        if len(described.pieces) > MOST_PARTS:
            raise FailedError(
                f"{parcel.name} is too large for a release: it would be more than {MOST_PARTS} "
                "parts.",
                hint="Carry it to another kind of destination.",
            )
        return described

    def _prepared(self, described: Described) -> Mapping[str, Any]:
        """Return the release that says `described` and has no other assets of that name."""
        tag = tag_of(described.name)
        look = self.look(tag)
        self.require_writable(look)
        path = f"repos/{self.place.place}/releases"
        body = {"tag_name": tag, "name": tag, "body": release_text(described)}
        if not look.release:
            return self._answered(self.calls.ask("POST", path, {**body, "draft": True}))
        shelf = Shelf(self.calls, look.release)
        there = self._answered(self.calls.ask("GET", shelf.path))
        if described_in(there.get("body") or "") == described:
            return there
        for asset in assets_for(described.name, shelf.assets()):
            shelf.remove(asset)
        return self._answered(self.calls.ask("PATCH", shelf.path, body))

    def _answered(self, row: Any) -> Mapping[str, Any]:
        """Return `row` if it is a release as the API documents it."""
        fits = isinstance(row, dict) and {"id", "upload_url", "draft", "tag_name"} <= row.keys()
        if not fits:
            raise self._misunderstood()
        return row  # type: ignore[no-any-return]

    def _misunderstood(self) -> OutOfReachError:
        place = self.place.place
        return OutOfReachError(f"GitHub's answer about {place} is no release.", hint="Push again.")

    def _remove(self, name: str) -> None:
        tag, path = tag_of(name), f"repos/{self.place.place}"
        for _ in range(_ROUNDS):
            look = self.look(tag)
            if look.archived:
                raise archived(self.place.place)
            if not look.writable:
                raise may_not_write(self.place.place)
            number = look.release
            release = self._read(str(number)) if number else None
            if release is None:
                gone(self.calls, f"{path}/git/refs/tags/{tag}")
                return
            mine = assets_for(name, release.assets)
            if len(mine) < len(release.assets):
                for asset in mine:
                    Shelf(self.calls, number).remove(asset)
                return
            gone(self.calls, f"{path}/releases/{number}")
        raise OutOfReachError(
            f"{printable(self.called(name))} comes back as soon as it is removed.",
            hint="Something else writes there; remove it again.",
        )


def _release(row: Any) -> Release:
    assets = tuple(asset_of(one) for one in row["assets"])
    return Release(row["id"], row["tag"], row["text"], row["draft"], assets, row["others"])
