"""Recipients and identities: read from files or arguments, checked, and never repeated aloud.

Every misuse that can be foreseen is one sentence and one hint. Nothing here says a character of a
private key, nor of a line in a file that may have been given by mistake.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
from pyrage import passphrase as age_passphrase
from pyrage import ssh, x25519

from agebackup.errors import NoIdentityError, UsageError, VerificationError
from agebackup.model.ageheader import HEADER_LIMIT, dearmored, is_armored, parse
from agebackup.model.keytext import (
    SECRET,
    is_weak,
    key_lines,
    public_part,
    refused_identity,
    refused_recipient,
    refused_ssh_identity,
    shown,
)
from agebackup.snapshot.keyfiles import EXPOSED, argument_file, key_file, key_text, private_key_file

MAX_PROTECTED_BYTES = 1 << 16
MAX_WORK_FACTOR = 20
"""Base-two logarithm of scrypt's cost: 1 GiB of memory and 3 s. age itself writes 18."""

_ASK_FOR_RECIPIENT = "agebackup recipient -i FILE prints the recipient of a key file."
_WRITTEN_BY_HAND = "Give an age1... key, or an ssh-ed25519 or ssh-rsa public key."
_OTHER_COPY = "Compare it with another copy of it."

Pair = tuple[object, str | None]
Ask = Callable[[str], str]


@dataclass(frozen=True)
class Recipients:
    """Public keys to encrypt to; `texts` are what a person would write, one for each key."""

    texts: tuple[str, ...]
    keys: tuple[object, ...] = field(compare=False, repr=False)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kind of each: "X25519", "ssh-ed25519" or "ssh-rsa"."""
        return tuple("X25519" if t.startswith("age1") else t.split(" ")[0] for t in self.texts)

    def with_throwaway(self) -> tuple["Recipients", "Identities"]:
        """Return these with a fresh key added, and that key: it lives only in this process."""
        identity = x25519.Identity.generate()
        public = identity.to_public()
        return (
            Recipients((*self.texts, str(public)), (*self.keys, public)),
            Identities((identity,), (str(public),)),
        )


@dataclass(frozen=True, repr=False)
class Identities:
    """Private keys. `publics` are the recipients that belong to them, None where unknown."""

    keys: tuple[object, ...]
    publics: tuple[str | None, ...]

    def recipients(self) -> tuple[str, ...]:
        """Return the recipients that belong to these identities, as `age-keygen -y` does.

        Raises `UsageError` for an SSH key whose file does not hold its public half in the clear.
        """
        known = tuple(public for public in self.publics if public)
        if len(known) < len(self.publics):
            raise UsageError(
                "The recipient of an SSH key in PEM form cannot be told from its file.",
                hint="ssh-keygen -y -f FILE prints it; so does the .pub file beside it.",
            )
        return known


def read_recipients(
    arguments: Sequence[str], files: Sequence[Path], *, literals: Sequence[str] = ()
) -> Recipients:
    """Return the recipients in `arguments` (each a literal or a file), `files` and `literals`.

    What exists as a file is a file. Each recipient counts once. Raises `UsageError`, naming file
    and line, for what cannot be a recipient, and where there is none at all.
    """
    found: dict[str, object] = {}
    for argument in arguments:
        content = argument_file(argument)
        if content is None:
            found |= _literal_recipients(argument)
        else:
            found |= _file_recipients(argument, content)
    for literal in literals:
        found |= _literal_recipients(literal)
    for path in files:
        found |= _file_recipients(str(path), key_file(path, "recipients file"))
    if not found:
        raise UsageError("No recipient was given.", hint=f"{_WRITTEN_BY_HAND} Use -r or -R.")
    recipients = Recipients(tuple(found), tuple(found.values()))
    if 2 * len(pyrage.encrypt(b"", list(recipients.keys))) > HEADER_LIMIT:
        raise UsageError(
            f"{len(found)} recipients are too many for one archive.",
            hint="Share one identity among several people instead.",
        )
    return recipients


def read_identities(
    paths: Sequence[Path],
    *,
    passphrase: Callable[[str], str] | None,
    warn: Callable[[str], None],
) -> Identities:
    """Return all identities in the files `paths`: age identity files, SSH private keys.

    `passphrase` is called with a prompt for each protected age file. `warn` is told of files that
    others can read. Raises `UsageError` for what cannot be used, `NoIdentityError` for a wrong
    passphrase.
    """
    found: dict[str, tuple[object, str | None]] = {}
    for path in paths:
        for key, public in _file_identities(path, passphrase, warn):
            found.setdefault(public or str(path), (key, public))
    if not found:
        raise UsageError("No identity was given.", hint="Name the private key's file with -i.")
    keys, publics = zip(*found.values(), strict=True)
    return Identities(keys, publics)


def generate_identity(created: str) -> tuple[str, str]:
    """Return the text of a new identity file, as age-keygen writes it, and its recipient.

    `created` is the time to write into it, in RFC 3339.
    """
    identity = x25519.Identity.generate()
    public = str(identity.to_public())
    return f"# created: {created}\n# public key: {public}\n{identity}\n", public


def _literal_recipients(argument: str) -> dict[str, object]:
    try:
        found = dict(_recipient(line) for _, line in key_lines(argument))
    except ValueError as error:
        if str(error) == SECRET:
            raise UsageError(
                f"What was given as a recipient is {SECRET}.",
                hint=EXPOSED + _ASK_FOR_RECIPIENT,
            ) from None
        raise UsageError(
            f"The recipient {shown(argument)} is no file, and it is {error}.",
            hint=_WRITTEN_BY_HAND,
        ) from None
    if not found:
        raise UsageError("An empty recipient was given.", hint=_WRITTEN_BY_HAND)
    return found


def _file_recipients(name: str, content: bytes) -> dict[str, object]:
    found: dict[str, object] = {}
    label = shown(name)
    for number, line in key_lines(key_text(label, content)):
        try:
            text, key = _recipient(line)
        except ValueError as error:
            hint = _ASK_FOR_RECIPIENT if str(error) == SECRET else _WRITTEN_BY_HAND
            raise UsageError(f"{label}, line {number}: it is {error}.", hint=hint) from None
        found[text] = key
    if not found:
        raise UsageError(f"The recipients file {label} holds no recipient.", hint=_WRITTEN_BY_HAND)
    return found


def _recipient(line: str) -> tuple[str, object]:
    """Return a recipient's text, without comment, and its key; ValueError with the reason."""
    reason = refused_recipient(line)
    if reason:
        raise ValueError(reason)
    try:
        if line.startswith("age1"):
            key = x25519.Recipient.from_str(line)
            text = str(key)
        else:
            text = " ".join(line.split()[:2])
            key = ssh.Recipient.from_str(text)
    except pyrage.RecipientError as error:
        raise ValueError(_why(line, str(error))) from None
    if is_weak(text):
        raise ValueError("a key with a weak point on its curve, which everybody could open")
    return text, key


def _why(line: str, said: str) -> str:
    if line.startswith("age1"):
        return "a damaged age recipient: a character is wrong or missing"
    if "TooSmall" in said or "TooLarge" in said:
        return "an RSA key of a size that is not supported (2048 to 4096 bits are)"
    return "a damaged SSH public key"


def _file_identities(
    path: Path, passphrase: Ask | None, warn: Callable[[str], None]
) -> Iterator[Pair]:
    return identities_in(shown(str(path)), private_key_file(path, warn), passphrase)


def identities_in(label: str, content: bytes, passphrase: Ask | None) -> Iterator[Pair]:
    """Yield the identities in `content`, a file that is called `label`, each with its recipient.

    Raises as `read_identities` does.
    """
    if content.startswith(b"age-encryption.org/") or is_armored(content):
        content = _unlocked(label, content, passphrase)
    text = key_text(label, content)
    if text.lstrip().startswith("-----BEGIN"):
        yield _ssh_identity(label, text)
    else:
        yield from _age_identities(label, text)


def _age_identities(label: str, text: str) -> Iterator[Pair]:
    empty = True
    for number, line in key_lines(text):
        empty = False
        reason = refused_identity(line)
        if reason:
            raise UsageError(
                f"{label}, line {number}: it is {reason}.",
                hint="Give the file that agebackup keygen or age-keygen made.",
            )
        try:
            identity = x25519.Identity.from_str(line)
        except pyrage.IdentityError:
            raise UsageError(
                f"{label}, line {number}: the secret key is damaged; a character is wrong or "
                "missing.",
                hint="Compare it with another copy, or with the one on paper.",
            ) from None
        yield identity, str(identity.to_public())
    if empty:
        raise UsageError(f"The identity file {label} holds no key.", hint="Check its name.")


def _ssh_identity(label: str, text: str) -> Pair:
    text = "\n".join(line.strip() for line in text.strip().splitlines()) + "\n"
    try:
        return ssh.Identity.from_buffer(text.encode()), public_part(text)
    except pyrage.IdentityError as error:
        why, hint = refused_ssh_identity(text, str(error))
    raise UsageError(f"The SSH key {label} {why}.", hint=hint)


def _unlocked(label: str, content: bytes, passphrase: Ask | None) -> bytes:
    """Return what the protected file `content` holds, having looked at what opening it costs."""
    try:
        binary = dearmored(content) if is_armored(content) else content
        header = parse(binary[:HEADER_LIMIT])
    except VerificationError as error:
        raise UsageError(
            f"The identity file {label} is damaged. {error.message}", hint=_OTHER_COPY
        ) from None
    if header.work_factor is None:
        raise UsageError(
            f"{label} is encrypted to a key, not with a passphrase, so it is no identity file.",
            hint="Decrypt it with age first; if it is an archive, name it as the archive.",
        )
    if header.work_factor > MAX_WORK_FACTOR or len(binary) > MAX_PROTECTED_BYTES:
        raise UsageError(
            f"Opening the identity file {label} is refused: it would take too much memory "
            f"(work factor {header.work_factor}, {len(binary)} bytes).",
            hint=f"At most {MAX_WORK_FACTOR} and {MAX_PROTECTED_BYTES} bytes are accepted; "
            "age -d opens it by hand.",
        )
    if passphrase is None:
        raise UsageError(
            f"The identity file {label} is protected by a passphrase.",
            hint="Give the passphrase with --passphrase-fd, or run where it can be asked for.",
        )
    try:
        return bytes(age_passphrase.decrypt(binary, passphrase(f"Passphrase for {label}")))
    except pyrage.DecryptError as error:
        if "Decryption failed" in str(error):
            raise NoIdentityError(
                f"The passphrase does not open the identity file {label}.",
                hint="Check capital letters and the keyboard's layout.",
            ) from None
        raise UsageError(f"The identity file {label} is damaged.", hint=_OTHER_COPY) from None
