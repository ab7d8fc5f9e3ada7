"""Read an archive or an extracted bag with every check, trusting nothing in it."""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from agebackup.errors import FailedError, NoIdentityError, NotFoundError, VerificationError, counted
from agebackup.model.ageheader import Header, possible_plaintext
from agebackup.model.layout import TAG_MANIFEST
from agebackup.model.limits import Limits
from agebackup.model.manifest import Manifest
from agebackup.model.names import ArchiveName, printable
from agebackup.model.origin import Attested, Held, OriginError, judge_origin
from agebackup.model.ustar import RECORD
from agebackup.snapshot.bag import BagContents, Receiver, read_bag
from agebackup.snapshot.keys import Identities
from agebackup.snapshot.sealed import opening, quick_check
from agebackup.snapshot.signers import Signers
from agebackup.system.eviction import is_evicted
from agebackup.system.progress import Progress
from agebackup.system.streams import pieces

BEFORE_REKEY = (
    "It is the copy from before the rekey: the old key opens it. agebackup rekey does its work "
    "again."
)


@dataclass(frozen=True)
class Reading:
    """How archives are read: with which identities, within which limits.

    `sha256` is what the file's hash must be, "" where the ledger knows none; `former` are those
    that it had before a rekey. With `signers` it must be signed by one of them, as what its file's
    name says unless `any_name`.
    """

    identities: Identities
    limits: Limits
    progress: Progress
    sha256: str = ""
    former: tuple[str, ...] = ()
    signers: Signers | None = None
    any_name: bool = False


@contextmanager
def open_archive(path: Path) -> Iterator[int]:
    """Yield a descriptor of the archive at `path`, a regular file that is really there."""
    shown = printable(str(path))
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFoundError(f"There is no archive {shown}.", hint=_absent_hint(path)) from None
    except OSError as error:
        raise FailedError(
            f"The archive {shown} cannot be read: {error.strerror}.",
            hint="Check its permissions and the drive it lies on.",
        ) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise VerificationError(f"{shown} is not a regular file, so it is no archive.")
        if is_evicted(descriptor, status):
            raise NotFoundError(
                f"{shown} is not on this machine: only its name is, its content is in the cloud.",
                hint="Let the cloud client download it, then try again.",
            )
        yield descriptor
    finally:
        os.close(descriptor)


def _absent_hint(path: Path) -> str:
    if os.path.lexists(path.with_name(f".{path.name}.icloud")):
        return "iCloud has moved it off this machine: open it in the Finder to download it."
    return "Check the name, and that the drive or cloud folder is there."


def read_archive(path: Path, receiver: Receiver, reading: Reading) -> BagContents:
    """Decrypt and read the whole archive at `path`, feeding `receiver`; return its contents.

    Raises as `opening` and `read_bag` do, `VerificationError` where the file is not the one
    with `reading.sha256`, and `OriginError` where it is not by one of `reading.signers`. One from
    before a rekey is the same archive, with a warning. Differences are not yet judged.
    """
    limits, progress = reading.limits, reading.progress
    with open_archive(path) as descriptor, naming(path):
        progress.phase("reading", os.fstat(descriptor).st_size)
        with opening(
            descriptor,
            reading.identities,
            limits=limits,
            progress=progress,
            hashing=bool(reading.sha256),
        ) as opened:
            contents = read_bag(opened.plaintext, receiver, limits=limits, progress=progress)
        found = opened.decrypted.sha256 if opened.decrypted else ""
        if found in reading.former:
            progress.warn(f"{printable(str(path))}: {BEFORE_REKEY}")
        elif reading.sha256 and found != reading.sha256:
            raise _exchanged(contents.manifest)
        return with_origin(contents, path.name, reading)


def with_origin(contents: BagContents, file_name: str | None, reading: Reading) -> BagContents:
    """Return `contents` with their origin; raise `OriginError` where it is not the one asked for.

    What is signed is the tag manifest. It binds all else, the time that the signature is judged
    for among it, only where the contents have no differences.
    """
    manifest, signature, signers = contents.manifest, contents.signature, reading.signers
    attested = None
    if signers is not None and signature is not None:
        signed = bytes(contents.tag_files[TAG_MANIFEST])
        attested = signers.attest(bytes(signature), signed, manifest.time, reading.progress)
    elif signers is not None:
        attested = Attested()
    held = Held(manifest.archive, file_name, signature is not None)
    return replace(contents, origin=judge_origin(held, attested, any_name=reading.any_name))


def sha256_of(path: Path, progress: Progress) -> str:
    """Return the hash of the archive's file. Raises as `open_archive`, and OSError."""
    digest = hashlib.sha256()
    with open_archive(path) as descriptor:
        for piece in pieces(descriptor, os.fstat(descriptor).st_size, progress):
            digest.update(piece)
    return digest.hexdigest()


def _exchanged(manifest: Manifest) -> VerificationError:
    return VerificationError(
        "It can be opened, but is not the archive that was written here: its hash is not the "
        f"ledger's. It says that it was made as {printable(manifest.archive)}.",
        hint="Somebody who knows your public key may have made it. Find out who writes to the "
        "folder, and take another archive. What you trust all the same, copy elsewhere first.",
    )


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let complaints about the content of an archive say which archive it is."""
    try:
        yield
    except (VerificationError, NoIdentityError, OriginError) as error:
        error.message = f"{printable(str(path))}: {error.message}"
        raise


def check_from_outside(path: Path, descriptor: int) -> Header:
    """Check the header and exact size of an open archive, without a key; return its header.

    A tar that is not compressed fills whole records (FORMAT.md), so that its size says more.
    """
    with naming(path):
        header = quick_check(descriptor)
        name = ArchiveName.parse(path.name)
        content = possible_plaintext(header.length, os.fstat(descriptor).st_size)
        if name and not name.compressed and content is not None and content % RECORD:
            raise VerificationError(
                "Its size is not that of a whole archive.",
                hint="It was cut short or grew: take another copy of the file.",
            )
    return header


def name_warnings(path: Path, manifest: Manifest) -> tuple[str, ...]:
    """Return a warning where the file's name is an archive's, but not this archive's."""
    if ArchiveName.parse(path.name) and path.name != manifest.archive:
        return (
            f"The file is called {printable(path.name)}, but it was made as "
            f"{printable(manifest.archive)}: somebody renamed or exchanged it.",
        )
    return ()


def incompleteness(manifest: Manifest) -> tuple[str, ...]:
    """Return a warning where the archive was published although files were missing."""
    if manifest.complete:
        return ()
    lost = sum(1 for one in manifest.skipped if one.lost)
    lost += max(manifest.missing_count, len(manifest.missing))
    return (f"The archive was published incomplete: {counted(lost, 'file')} missing or wrong.",)
