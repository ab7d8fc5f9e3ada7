"""What FORMAT.md fixes about a bag's own files, for the writer and the readers alike."""

import re
from collections.abc import Iterator

from agebackup.errors import RefusedError, VerificationError
from agebackup.model.layout import BAG_INFO, BAGIT, PAYLOAD_MANIFEST, SIGNATURE, TAG_MANIFEST
from agebackup.model.limits import KIB, Limits
from agebackup.model.manifest import FORMAT, Manifest

FORMAT_LINE = b"<!-- agebackup archive, format %d, minimum reader %d -->\n" % (FORMAT, FORMAT)
"""First line of RECOVER.md: the format, before anything that a later format may change."""

_FORMAT_LINE = re.compile(
    rb"<!-- agebackup archive, format ([0-9]{1,9}), minimum reader ([0-9]{1,9}) -->\n"
)

_SMALL_TAGS = (BAGIT, BAG_INFO, TAG_MANIFEST, SIGNATURE)


def tag_limit(name: str, limits: Limits) -> tuple[str, int]:
    """Return how long the tag file `name` may be, in bytes, and what that limit is called.

    Files of a few lines get a fixed one: a list of millions of lines takes far more memory than
    the text.
    """
    if name in _SMALL_TAGS:
        return f"size of {name}", 64 * KIB
    which = "manifest_bytes" if name == PAYLOAD_MANIFEST else "tag_file_bytes"
    return which, int(getattr(limits, which))


def require_readable(recover_text: bytes) -> None:
    """Raise `RefusedError` (13) where RECOVER.md says that only a later agebackup can read on."""
    match = _FORMAT_LINE.match(recover_text)
    if not match:
        raise VerificationError("RECOVER.md does not say which format the archive has.")
    minimum = int(match[2])
    if minimum > FORMAT:
        raise RefusedError(
            f"The archive needs a reader of format {minimum}; "
            f"this agebackup reads up to format {FORMAT}.",
            hint="Upgrade agebackup, or take the archive apart with age and tar "
            "(RECOVER.md inside says how).",
        )


def format_differences(recover_text: bytes, manifest: Manifest) -> Iterator[str]:
    """Yield a line where RECOVER.md and manifest.json name different formats."""
    match = _FORMAT_LINE.match(recover_text)
    if not match or (int(match[1]), int(match[2])) != (manifest.format, manifest.minimum_reader):
        yield "manifest.json: format and minimum_reader are not those of RECOVER.md"
