"""What a line or a file of keys is, judged by its text alone, and what of it may be shown.

The reasons for a refusal are given as sentences' ends: "it is " + reason. Nothing here repeats a
character of what might be secret.
"""

import base64
import re
from binascii import Error as Base64Error
from collections.abc import Iterator

from agebackup.errors import printable

_SECRET = re.compile(
    r"secret-key-(pq-)?1[ac-hj-np-z02-9]{6}|age-plugin-[a-z0-9+._-]+-1|private key-----",
    re.IGNORECASE,
)
_KEY_LIKE = re.compile(  # Bech32 in either case, or base64; hashes and UUIDs as names are neither
    r"[AC-HJ-NP-Z02-9]{32,}|[ac-hj-np-z02-9]{32,}"
    r"|(?=[a-z0-9+/=]*[A-Z])(?=[A-Z0-9+/=]*[a-z])(?=[A-Za-z+/=]*[0-9])[A-Za-z0-9+=]{32,}"
)
_PLUGIN = re.compile(r"age1([a-z0-9+._-]*)1[ac-hj-np-z02-9]*")
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_ENCODED = "saved as UTF-16, as PowerShell's > does; save it as UTF-8"
_OTHER_SSH = re.compile(r"(ssh-(?!ed25519$|rsa$)|ecdsa-|sk-|.*-cert-v01@).*")
_BEYOND = "so plain age could not open the archive"
_REWRITTEN = (
    "Make a copy without passphrase (cp KEY COPY, then ssh-keygen -p -N '' -f COPY), use it "
    "with -i, and delete it."
)

SECRET = "a secret key, and backups need only the recipient that belongs to it"
POST_QUANTUM = "a post-quantum key, which the encryption library pyrage does not know"


def holds_secret(text: str) -> bool:
    """Return whether `text` looks like a private key, or like the beginning of one."""
    return bool(_SECRET.search(text))


def shown(text: str) -> str:
    """Return `text`, which a person gave as a file's name or key, as it may be repeated to them.

    What might be a secret, or a part of one, is only described: a private key is easily given
    where its file was meant, and what is said ends in logs.
    """
    if text.startswith(("age1", "ssh-")) and not holds_secret(text):
        return printable(text if len(text) <= 40 else text[:37] + "...")
    if holds_secret(text) or _KEY_LIKE.search(text):
        return f"(a text of {len(text)} characters, not shown because it may be a key)"
    return printable(text)


def decoded(content: bytes) -> str:
    """Return a key file's text, without its byte order mark.

    Raises ValueError, whose text is a reason, for UTF-16 and whatever else is not UTF-8.
    """
    if content.startswith(_UTF16_MARKS):
        raise ValueError(_ENCODED)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("not a text in UTF-8") from None


def key_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that hold a key, with their numbers from 1; comments and blanks are none."""
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped


def recipient_text(line: str) -> str:
    """Return the recipient in `line` as it is compared: without its comment."""
    return " ".join(line.split()[:2])


def refused_recipient(line: str) -> str | None:
    """Return why `line` can be no recipient, or None where the library may try it."""
    if holds_secret(line):
        return SECRET
    word = line.split()[0]
    if word.startswith("age1pq1"):
        return POST_QUANTUM
    if word.startswith(("age1tag1", "age1tagpq1")):
        return f"a hardware key; whoever restores needs its plugin and device, {_BEYOND}"
    if match := _PLUGIN.fullmatch(word):
        name = printable(match[1])
        return f"a key of the plugin {name}; whoever restores needs it too, {_BEYOND}"
    if word.startswith("github:"):
        return "a GitHub account, whose keys are not fetched; save its .keys page as a file"
    if _OTHER_SSH.fullmatch(word):
        return f"an SSH key of a type that age does not know ({printable(word[:40])})"
    if word.startswith("age-encryption.org/") or line.startswith("-----BEGIN AGE"):
        return "an encrypted age file, not a recipient"
    if word.startswith("age1") or word in ("ssh-ed25519", "ssh-rsa"):
        return None
    return "neither an age recipient (age1...) nor an ssh-ed25519 or ssh-rsa public key"


def refused_identity(line: str) -> str | None:
    """Return why `line` can be no identity, or None where the library may try it."""
    upper = line.upper()
    if upper.startswith("AGE-SECRET-KEY-PQ-"):
        return POST_QUANTUM
    if upper.startswith("AGE-PLUGIN-"):
        return "a key of a plugin or hardware device; open the archive with age itself"
    if upper.startswith("AGE-SECRET-KEY-1"):
        return None
    if line.startswith(("age1", "ssh-", "ecdsa-", "sk-")):
        return "a recipient (public key); only the private key that belongs to it opens archives"
    return "no age identity (AGE-SECRET-KEY-1...)"


def refused_ssh_identity(text: str, said: str) -> tuple[str, str]:
    """Return why the SSH private key `text` cannot be used, and a hint; `said` is pyrage's word."""
    if "decrypted first" in said or "EncryptedPem" in said or "BEGIN ENCRYPTED" in text:
        return "is protected by a passphrase, which cannot be asked for here", _REWRITTEN
    if "BEGIN PRIVATE KEY" in text:
        return "is in the PKCS#8 form, which is not supported", _REWRITTEN
    if "unsupported key" in said:
        return "is of a type that age does not know", "Only ssh-ed25519 and ssh-rsa keys are known."
    return "is damaged or no private key", "Compare it with another copy."


def is_weak(recipient: str) -> bool:
    """Return whether everybody could open what is encrypted to `recipient`, a valid one.

    So it is with the few points of small order: the shared secret is then always zero. pyrage
    panics on such an age1 key and accepts such an ssh-ed25519 key; age refuses both.
    """
    if recipient.startswith("age1"):
        return _bech32_number(recipient) % (1 << 255) % _P in _SMALL_ORDER
    if recipient.startswith("ssh-ed25519"):
        y = int.from_bytes(base64.b64decode(recipient.split()[1])[-32:], "little")
        y = y % (1 << 255) % _P
        u = (1 + y) * pow(1 - y, -1, _P) % _P if y != 1 else 0
        return u in _SMALL_ORDER
    return False


def public_part(private_key: str) -> str | None:
    """Return the recipient of an OpenSSH private key file (PROTOCOL.key), or None if unclear."""
    try:
        content = base64.b64decode("".join(private_key.split("-----")[2].split()))
        magic, rest = content[:15], content[15:]
        for _ in range(3):  # cipher, key derivation, its options
            _, rest = _field(rest)
        blob, _ = _field(rest[4:])
        kind = _field(blob)[0].decode("ascii")
    except (IndexError, Base64Error, UnicodeDecodeError):
        return None
    if magic != b"openssh-key-v1\0":
        return None
    return f"{kind} {base64.b64encode(blob).decode()}"


def _field(data: bytes) -> tuple[bytes, bytes]:
    end = 4 + int.from_bytes(data[:4], "big")
    if len(data) < end:
        raise IndexError("the key file is cut")
    return data[4:end], data[end:]


def _bech32_number(recipient: str) -> int:
    """Return the 32 bytes of a valid age1 recipient as a little-endian number (BIP 173)."""
    bits = 0
    for character in recipient[4:-6]:
        bits = bits << 5 | "qpzry9x8gf2tvdw0s3jn54khce6mua7l".index(character)
    return int.from_bytes((bits >> 4).to_bytes(32, "big"), "little")


_P = 2**255 - 19
_SMALL_ORDER = frozenset(
    {
        0,
        1,
        _P - 1,
        0x00B8495F16056286FDB1329CEB8D09DA6AC49FF1FAE35616AEB8413B7C7AEBE0,
        0x57119FD0DD4E22D8868E1C58C45C44045BEF839C55B1D0B1248C50A3BC959C5F,
    }
)
"""u-coordinates of Curve25519's points of order 1, 2, 4 and 8 (cr.yp.to/ecdh.html)."""
