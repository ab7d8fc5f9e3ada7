"""SSH signatures, made and checked by OpenSSH's own program (ssh-keygen(1), PROTOCOL.sshsig).

It is always run without a terminal and told never to ask, so that no nightly job waits for a
person: a protected key has to be in the agent.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agebackup.errors import FailedError, printable
from agebackup.model.origin import NAMESPACE
from agebackup.model.sshsig import parse_signature
from agebackup.system.claims import Claims
from agebackup.system.process import CommandError, CommandResult, ask_command
from agebackup.system.progress import Progress
from agebackup.system.syncing import explained
from agebackup.system.workspace import private_directory

PROGRAM = "ssh-keygen"
RECEIPT_NAMESPACE = "agebackup-drill@v1"
"""What a signed receipt of a drill is signed for; it never stands for an archive's either."""
TRIAL_NAMESPACE = "agebackup-trial@v1"
"""What a trial signs for: its signature can never stand for an archive's."""
SECONDS = 60.0
"""What one call may take: a person may have to touch a hardware key."""

_TRIAL = b"agebackup tries a signing key\n"
_GOOD = re.compile(r'^Good ".*" signature .*?with (\S+) key (\S+)$', re.MULTILINE | re.DOTALL)
_CAUSES = (
    ("Permission denied", "it cannot be read", "See to its permissions."),
    ("too open", "others may read it", "Take that from them: chmod 600 FILE."),
    (
        "incorrect passphrase",
        "it is protected by a passphrase, and no agent holds it",
        "Load it with ssh-add where SSH_AUTH_SOCK is set. For nightly jobs take a key without "
        "passphrase, which opens nothing: agebackup keygen --signing -o FILE",
    ),
    (
        "No private key found",
        "it is a public key, and no agent holds its other half",
        "Load that with ssh-add where SSH_AUTH_SOCK is set; a hardware key must be plugged in.",
    ),
    ("refused operation", "the agent refused", "Plug the key in, unlock or touch it."),
    ("device not found", "its hardware key is not there", "Plug it in."),
    ("load public key", "it is no SSH key", "Make one: agebackup keygen --signing -o FILE"),
    ("invalid format", "it is no SSH key", "Make one: agebackup keygen --signing -o FILE"),
    ("option", "this ssh-keygen is too old", "Signatures need OpenSSH 8.1 or later."),
)
"""What ssh-keygen says of a key, what that means, and what to do."""


@dataclass(frozen=True)
class SigningKey:
    """A key to sign with: a private key's file, or a public one's whose other half an agent has.

    `environment` is where the agent is looked for.
    """

    file: Path
    environment: Mapping[str, str] = field(repr=False)

    def sign(self, content: bytes, progress: Progress, *, namespace: str = NAMESPACE) -> bytes:
        """Return an armored signature over `content`, which is not empty.

        Raises `FailedError` where there is none to be had, and `StoppedError`.
        """
        argv = ("-Y", "sign", "-n", namespace, "-f", os.path.abspath(self.file))
        try:
            return keygen(argv, content, progress, self._unattended).stdout.encode()
        except CommandError as error:
            raise self._explained(error) from None

    def try_out(self, bench: "Bench") -> "Maker":
        """Sign something of no use and check that; return whose signature it is.

        Raises `FailedError` where an archive could not be signed.
        """
        made = self.sign(_TRIAL, bench.progress, namespace=TRIAL_NAMESPACE)
        return require_well_made(made, _TRIAL, bench, namespace=TRIAL_NAMESPACE)

    @property
    def _unattended(self) -> dict[str, str]:
        """The environment in which nobody is asked: before OpenSSH 8.4 that took no display."""
        kept = {k: v for k, v in self.environment.items() if k not in ("DISPLAY", "SSH_ASKPASS")}
        return {**kept, "SSH_ASKPASS_REQUIRE": "never"}

    def _explained(self, error: CommandError) -> FailedError:
        said = error.result.stderr
        cause, hint = f"ssh-keygen says: {last(said)}", "Try the key by hand: ssh-keygen -Y sign."
        if not os.path.exists(self.file):
            cause, hint = "there is no such file", "Check its name."
        elif "was not done in" in error.message:
            cause, hint = f"there was none after {SECONDS:g} seconds", "Does it wait for a touch?"
        else:
            for word, *explanation in _CAUSES:
                if word in said:
                    cause, hint = explanation
                    break
        return FailedError(
            f"There is no signature by the key {printable(str(self.file))}: {cause}.", hint=hint
        )


@dataclass(frozen=True)
class Bench:
    """Where a check may lay a file for a moment, privately, and how it may be stopped."""

    directory: Path
    claims: Claims
    progress: Progress


@dataclass(frozen=True)
class Maker:
    """The key of a signature: its kind and fingerprint, and its public half in base64."""

    key: str
    public: str


def require_well_made(
    signature: bytes, content: bytes, bench: Bench, *, namespace: str = NAMESPACE
) -> Maker:
    """Return the key that signed `content`, whosever it is.

    Raises `FailedError` where `signature` is none over it for `namespace`.
    """
    try:
        signed = parse_signature(signature)
    except ValueError as error:
        raise FailedError(f"The signature that was made is {error}.") from None
    with private_directory(bench.directory, bench.claims, prefix="signature") as private:
        file = laid(private / "signature", signature)
        argv = ("-Y", "check-novalidate", "-n", namespace, "-s", file)
        try:
            return Maker(key_in(keygen(argv, content, bench.progress).stdout), signed.key_text)
        except CommandError as error:
            raise FailedError(
                f"The signature that was made does not hold: {last(error.result.stderr)}.",
                hint="Try the key by hand with ssh-keygen -Y sign.",
            ) from None


def new_key(directory: Path, comment: str, progress: Progress) -> tuple[bytes, str]:
    """Make an Ed25519 key pair in the private `directory`; return private file and public line."""
    file = directory / "key"
    argv = ("-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(file))
    keygen(argv, b"", progress)
    with explained(directory):
        return file.read_bytes(), file.with_suffix(".pub").read_text().strip()


def allowed_line(principal: str, public_line: str) -> str:
    """Return the line of a file of signers that lets a key sign archives, and nothing else."""
    kind, key = public_line.split()[:2]
    return f'{principal} namespaces="{NAMESPACE}" {kind} {key}'


def keygen(
    arguments: tuple[str, ...],
    said: bytes,
    progress: Progress,
    environment: Mapping[str, str] | None = None,
) -> CommandResult:
    """Run ssh-keygen with `arguments` and `said` on its stdin; nothing can be asked.

    Raises `CommandError` where it refuses, `FailedError` where there is none, `StoppedError`.
    """
    argv = (PROGRAM, *arguments)
    try:
        return ask_command(argv, said, seconds=SECONDS, progress=progress, environment=environment)
    except CommandError:
        raise
    except FailedError:
        raise FailedError(
            "Signatures need the program ssh-keygen, which is not on this machine's path.",
            hint="Install OpenSSH's client (apt install openssh-client; macOS has it).",
        ) from None


def laid(path: Path, content: bytes) -> str:
    """Write `content` to `path` in a private directory, for the program; return its name."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with explained(path.parent), os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)  # a umask may have taken it from its owner too
        file.write(content)
    return str(path)


def key_in(said: str) -> str:
    """Return kind and fingerprint of the key that a signature was found `said` to be by."""
    match = _GOOD.search(said)
    return f"{match[1]} {match[2]}" if match else ""


def last(said: str) -> str:
    """Return the last line of what a program `said`, fit to be shown."""
    return printable(next(_lines_backwards(said), "nothing")[:300].rstrip("."))


def _lines_backwards(said: str) -> Iterator[str]:
    return (line.strip() for line in reversed(said.split("\n")) if line.strip())
