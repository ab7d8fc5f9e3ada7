"""The one strict reader of a bag in a tar stream. Nothing in the stream is trusted.

A stream that is not of our dialect and order is refused at once; promises that a well-formed bag
breaks (hashes, counts, records) are collected, so that a person learns of all of them.
"""

import hashlib
from dataclasses import dataclass, field

from agebackup.errors import UsageError, VerificationError, printable
from agebackup.model.layout import (
    BAG_INFO,
    BAGIT,
    BAGIT_TEXT,
    DATA,
    MANIFEST,
    PAYLOAD_MANIFEST,
    RECOVER,
    SIGNATURE,
    TAG_MANIFEST,
)
from agebackup.model.limits import MIB, Limits
from agebackup.model.manifest import Manifest, decode_manifest
from agebackup.model.names import require_app
from agebackup.snapshot.archive import Member, TarReader, over_limit
from agebackup.snapshot.bag_checks import (
    bounded,
    info_differences,
    manifest_differences,
    payload_differences,
    tag_differences,
)
from agebackup.snapshot.bag_contents import BagContents, Content, Payload, Receiver
from agebackup.snapshot.bag_format import format_differences, require_readable, tag_limit
from agebackup.system.progress import Progress


def read_bag(
    plaintext: int, receiver: Receiver, *, limits: Limits, progress: Progress
) -> BagContents:
    """Read the tar stream `plaintext` to its end and return what it holds.

    The payload goes through `receiver`. Raises `VerificationError` for a stream that is damaged or
    beyond `limits`, `RefusedError` for a newer format, `StoppedError`, and what `receiver` raises.
    Broken promises are returned as `differences`: without any, and only then, all is as it was
    written. Time and memory follow the stream's length and number of files, never what it claims.
    """
    reading = _Reading(TarReader(plaintext, limits, progress), receiver, limits)
    reading.leading()
    member = reading.payload()
    reading.trailing(member)
    return judge(reading.found, progress)


@dataclass
class Found:
    """All that was read of a bag. `app` is None where the top folder's name says nothing."""

    app: str | None
    payload: Payload
    tags: dict[str, Content] = field(default_factory=dict)
    hashes: dict[str, bytes] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)

    def add_tag(self, name: str, content: Content) -> None:
        """Take in the tag file `name`."""
        self.tags[name] = content
        self.hashes[name] = hashlib.sha256(content).hexdigest().encode()


def judge(found: Found, progress: Progress) -> BagContents:
    """Compare all promises with what was `found`; the manifest must at least be one."""
    payload = found.payload
    differences = found.differences
    differences += bounded(payload_differences(found.tags[PAYLOAD_MANIFEST], payload, progress))
    differences += tag_differences(bytes(found.tags[TAG_MANIFEST]), found.hashes)
    differences += info_differences(bytes(found.tags[BAG_INFO]), payload)
    manifest = _manifest(found)
    differences += manifest_differences(manifest, found.app, payload, progress)
    differences += format_differences(bytes(found.tags[RECOVER]), manifest)
    signature = found.tags.get(SIGNATURE)
    return BagContents(
        app=manifest.app if found.app is None else found.app,
        tag_files=found.tags,
        manifest=manifest,
        files=len(payload.sizes),
        bytes=payload.bytes,
        lines=payload.lines,
        differences=tuple(differences),
        signature=None if signature is None else bytes(signature),
    )


def _manifest(found: Found) -> Manifest:
    try:
        return decode_manifest(bytes(found.tags[MANIFEST]))
    except VerificationError as error:
        raise VerificationError(
            printable(error.message), hint=error.hint, details=found.differences
        ) from None


class _Reading:
    def __init__(self, tar: TarReader, receiver: Receiver, limits: Limits) -> None:
        self._tar = tar
        self._receiver = receiver
        self._limits = limits
        self.found = Found("", Payload(limits))

    def leading(self) -> None:
        """Read what comes before the payload; says early that a newer format is one."""
        if self._tag(BAGIT, self._tar.next()) != BAGIT_TEXT:
            raise VerificationError("The archive is not a BagIt 1.0 bag: bagit.txt differs.")
        try:
            self.found.app = require_app(self._tar.top)
        except UsageError:
            raise VerificationError(
                f"The archive's top folder {printable(self._tar.top)} is not an app's name."
            ) from None
        require_readable(bytes(self._tag(RECOVER, self._tar.next())))

    def payload(self) -> Member | None:
        """Read the payload; return the first member after it."""
        tar, receiver, payload = self._tar, self._receiver, self.found.payload
        while (member := tar.next()) is not None and member.place.startswith(DATA):
            head = tar.head()
            payload.admit(member)
            digest = tar.copy(receiver.begin(member.place, member, head))
            receiver.end(member.place, digest)
            payload.add(member, digest, head)
        return member

    def trailing(self, member: Member | None) -> None:
        """Read what comes after the payload, to the end of the stream."""
        self._tag(BAG_INFO, member)
        self._payload_manifest(self._tar.next())
        self._tag(MANIFEST, self._tar.next())
        self._tag(TAG_MANIFEST, self._tar.next())
        member = self._tar.next()
        if member is not None:
            self._tag(SIGNATURE, member)
            member = self._tar.next()
        if member is not None:
            raise VerificationError(f"The archive holds {printable(member.place)} after its end.")

    def _tag(self, name: str, member: Member | None) -> Content:
        _require(name, member)
        which, limit = tag_limit(name, self._limits)
        self.found.add_tag(name, self._tar.content(limit, which))
        return self.found.tags[name]

    def _payload_manifest(self, member: Member | None) -> None:
        """Read it beside the text that it must be; only where they differ are there two."""
        size = _require(PAYLOAD_MANIFEST, member)
        lines = self.found.payload.lines
        if size > self._limits.manifest_bytes:
            raise over_limit("manifest_bytes", self._limits.manifest_bytes)
        if size > 2 * len(lines) + MIB:
            raise VerificationError(f"{PAYLOAD_MANIFEST} lists far more than the archive holds.")
        digest = hashlib.sha256()
        own = bytearray()
        same = 0
        for chunk in self._tar.chunks():
            digest.update(chunk)
            if same >= 0 and lines.startswith(chunk, same):
                same += len(chunk)
                continue
            if same >= 0:
                own += lines[:same]
                same = -1
            own += chunk
        if same >= 0:
            own = lines if same == len(lines) else lines[:same]
        self.found.tags[PAYLOAD_MANIFEST] = own
        self.found.hashes[PAYLOAD_MANIFEST] = digest.hexdigest().encode()


def _require(name: str, member: Member | None) -> int:
    """Return the size of `member`, which must be the tag file `name`."""
    if member is None:
        raise VerificationError(f"The archive ends where {name} belongs.")
    if member.place != name:
        raise VerificationError(
            f"The archive holds {printable(member.place)} where {name} belongs."
        )
    return member.size
