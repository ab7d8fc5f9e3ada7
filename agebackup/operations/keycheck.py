"""keycheck: see whether private keys open archives, by their beginnings alone."""

from dataclasses import dataclass
from pathlib import Path

from agebackup.errors import NoIdentityError, printable
from agebackup.model.inventory import Held
from agebackup.model.keychecks import representatives
from agebackup.operations.listing import Listing
from agebackup.operations.reading import naming, open_archive
from agebackup.snapshot.keyfit import openers
from agebackup.snapshot.keys import Identities
from agebackup.snapshot.sealed import quick_check
from agebackup.system.clock import Stopwatch


@dataclass(frozen=True)
class Tried:
    """An archive that keys were tried on. `opened_by` are their places among the given ones."""

    archive: Path
    opened_by: tuple[int, ...]
    seconds: float


def try_keys(archive: Path, identities: Identities) -> Tried:
    """Return which of `identities` open `archive`; reads its header and first chunk only.

    Nothing of what is decrypted is kept. Raises `NotFoundError` where the archive is not there (or
    only in the cloud), `VerificationError` where its header or first chunk is damaged or its size
    is no age file's, `FailedError` where it cannot be read.
    """
    watch = Stopwatch()
    with open_archive(archive) as descriptor, naming(archive):
        header = quick_check(descriptor)
        opened = openers(descriptor, header.length, identities)
    return Tried(archive, opened, watch.seconds)


def require_opened(tried: Tried) -> Tried:
    """Return `tried`; raise `NoIdentityError` where no key opened the archive."""
    if tried.opened_by:
        return tried
    raise NoIdentityError(
        f"{printable(str(tried.archive))}: no given key opens it; a damaged header can look the "
        "same.",
        hint="It may have been made for another key, an earlier one perhaps: try all you have, "
        "and never throw one away while an archive needs it.",
    )


def sample(listing: Listing, app: str) -> tuple[Held, ...]:
    """Return the archives of `app` to try a key on: the newest, and the oldest of each rule."""
    mine = [one for one in listing.archives if one.held.name.app == app]
    reasons = {str(one.held.name): one.reasons for one in mine}
    return representatives([one.held for one in mine], reasons)
