"""The text of an SSH signature, taken apart strictly (OpenSSH, PROTOCOL.sshsig).

OpenSSH's own reader takes what stands after the armor's end for nothing. Here a signature is one
text that says one thing: whatever else stands in it makes it none.
"""

import base64
import hashlib
import re
import struct
from dataclasses import dataclass

_ARMOR = re.compile(
    rb"-----BEGIN SSH SIGNATURE-----\r?\n((?:[A-Za-z0-9+/=]{1,76}\r?\n)+)"
    rb"-----END SSH SIGNATURE-----(?:\r?\n)?"
)
_MAGIC = b"SSHSIG"
_VERSION = 1
_CERTIFICATE = "-cert-v01@openssh.com"


@dataclass(frozen=True)
class SshSignature:
    """What a signature says of itself; nothing of it is proven. `key` is the public key's blob."""

    kind: str
    key: bytes
    namespace: str

    @property
    def key_text(self) -> str:
        """The public key as it stands in files of keys, without its kind."""
        return base64.b64encode(self.key).decode()

    @property
    def fingerprint(self) -> str:
        """The key's SHA-256 as ssh-keygen -l has it; that of a certificate is the whole one's."""
        digest = base64.b64encode(hashlib.sha256(self.key).digest()).decode()
        return f"SHA256:{digest.rstrip('=')}"

    @property
    def certified(self) -> bool:
        """Whether the key is one that a certificate authority vouches for."""
        return self.kind.endswith(_CERTIFICATE)


def parse_signature(content: bytes) -> SshSignature:
    """Return what the armored signature `content` says.

    Raises ValueError, whose text is the end of a sentence, for everything else.
    """
    match = _ARMOR.fullmatch(content)
    if match is None:
        raise ValueError("not one armored SSH signature and nothing else")
    try:
        blob = base64.b64decode(b"".join(match[1].split()), validate=True)
    except ValueError:
        raise ValueError("not well-formed base64") from None
    if not blob.startswith(_MAGIC):
        raise ValueError("not an SSH signature inside its armor")
    fields = _Fields(blob, len(_MAGIC))
    version = fields.number()
    if version != _VERSION:
        raise ValueError(f"of version {version}, which is not known")
    key, namespace = fields.text(), fields.text()
    for _ in ("reserved", "hash", "signature"):
        fields.text()
    fields.end()
    kind = _Fields(key, 0).text()
    try:
        return SshSignature(kind.decode("ascii"), key, namespace.decode())
    except UnicodeDecodeError:
        raise ValueError("of no known kind") from None


class _Fields:
    """Reads the fields of a blob one after the other (RFC 4251, section 5)."""

    def __init__(self, blob: bytes, at: int) -> None:
        self._blob = blob
        self._at = at

    def number(self) -> int:
        if len(self._blob) < self._at + 4:
            raise ValueError("cut short")
        (value,) = struct.unpack_from(">I", self._blob, self._at)
        self._at += 4
        return int(value)

    def text(self) -> bytes:
        size = self.number()
        if len(self._blob) - self._at < size:
            raise ValueError("cut short")
        self._at += size
        return self._blob[self._at - size : self._at]

    def end(self) -> None:
        if self._at != len(self._blob):
            raise ValueError("followed by bytes that belong to nothing")
