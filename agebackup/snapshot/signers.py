"""Whose signatures count: OpenSSH's file of allowed signers, read and asked (ssh-keygen(1)).

Which of its lines allows a signature is ssh-keygen's judgement. It is given private copies, one
line at a time: nothing changes between two questions, and no line hides another one of that key.
"""

import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from agebackup.errors import UsageError, printable
from agebackup.model.keytext import holds_secret, key_lines
from agebackup.model.origin import NAMESPACE, Attested
from agebackup.model.sshsig import SshSignature, parse_signature
from agebackup.snapshot.keyfiles import key_file, key_text
from agebackup.snapshot.signatures import key_in, keygen, laid, last
from agebackup.system.claims import Claims
from agebackup.system.process import CommandError
from agebackup.system.progress import Progress
from agebackup.system.workspace import private_directory

_PUBLIC = re.compile(r"\b((?:ssh|ecdsa|sk)-[a-z0-9@.-]+)[ \t]+AAAA[A-Za-z0-9+/=]+")
_KEY_LINE = re.compile(r"(?:ssh|ecdsa|sk)-\S+\s+AAAA\S+.*")
_KRL = b"SSHKRL\n\0"


@dataclass(frozen=True)
class Signers:
    """Whose signatures count: the text of OpenSSH's file of allowed signers, and who is revoked.

    `revoked` is a list of public keys or a KRL as ssh-keygen(1) has them, None without one.
    Checks lie for a moment in private directories in `directory`.
    """

    lines: tuple[str, ...]
    revoked: bytes | None
    directory: Path
    claims: Claims

    def attest(self, signature: bytes, content: bytes, time: str, progress: Progress) -> Attested:
        """Say who signed `content`, as the file of signers is to be read for `time` (RFC 3339).

        What is wrong with the signature is returned. Raises `FailedError` where it cannot be
        checked at all, and `StoppedError`.
        """
        try:
            signed = parse_signature(signature)
        except ValueError as error:
            return Attested(problem=f"Its signature is {printable(str(error))}")
        if signed.namespace != NAMESPACE:
            wrong = printable(signed.namespace[:60])
            return Attested(problem=f'Its signature is for "{wrong}", not for "{NAMESPACE}"')
        moment = _moment(time)
        if moment is None:
            return Attested(problem=f"It says of itself that it was made at {printable(time[:40])}")
        lines = [line for line in self.lines if _may_allow(line, signed)]
        with private_directory(self.directory, self.claims, prefix="signature") as private:
            check = _Check(private, content, moment, progress)
            laid(private / "signature", signature)
            if self.revoked is not None:
                laid(private / "revoked", self.revoked)
            stranger = (
                f"Its signer, the key {signed.fingerprint}, is not among those who are trusted"
            )
            attested = Attested(problem=stranger)
            for line in lines:
                attested = check.by(line, revocations=self.revoked is not None)
                if attested.signer:
                    break
        return attested


@dataclass(frozen=True)
class _Check:
    """The files of one check, and what is checked."""

    private: Path
    content: bytes
    moment: datetime
    progress: Progress

    def by(self, line: str, *, revocations: bool) -> Attested:
        """Say whether the one `line` of a file of signers allows the signature."""
        file = laid(self.private / "signers", line.encode() + b"\n")
        # In local time and without the Z, which OpenSSH understands only from 9.1 on.
        when = f"-Overify-time={self.moment.astimezone():%Y%m%d%H%M%S}"
        given = ("-f", file, "-s", str(self.private / "signature"), when)
        try:
            found = keygen(("-Y", "find-principals", *given), b"", self.progress)
        except CommandError as error:
            return self._refused(error)
        refused = Attested(problem="Its signer has no name in the file of signers")
        for name in filter(None, found.stdout.splitlines()):
            argv = ("-Y", "verify", *given, "-n", NAMESPACE, "-I", name)
            try:
                key = key_in(keygen(argv, self.content, self.progress).stdout)
            except CommandError as error:
                refused = self._refused(error)
                continue
            if not revocations or self._stands(argv):
                return Attested(name, key)
            refused = Attested(problem="Its signer's key is among those that are revoked")
        return refused

    def _stands(self, argv: tuple[str, ...]) -> bool:
        """Return whether what is good stays so beside the revoked keys; nothing says why not."""
        try:
            keygen((*argv, "-r", str(self.private / "revoked")), self.content, self.progress)
        except CommandError:
            return False
        return True

    def _refused(self, error: CommandError) -> Attested:
        said = error.result.stderr
        when = f"at the archive's own time, {self.moment:%Y-%m-%d %H:%M:%S} UTC"
        reasons = {
            "has expired": f"Its signer's key was not valid any more {when}",
            "not yet valid": f"Its signer's key was not valid yet {when}",
            "namespace": f'Its signer\'s key is not permitted to sign for "{NAMESPACE}"',
            "incorrect signature": "Its signature is over something else: it was changed",
        }
        for word, problem in reasons.items():
            if word in said:
                return Attested(problem=problem)
        why = f": {last(said)}" if said.strip() else ""
        return Attested(problem=f"The file of signers does not allow its signer{why}")


def read_signers(file: Path, revoked: Path | None, directory: Path, claims: Claims) -> Signers:
    """Return the signers in `file` (ssh-keygen(1), "ALLOWED SIGNERS"), less those in `revoked`.

    Raises `UsageError` for files that cannot be read, that every user may write, that hold a
    private key, or name nobody.
    """
    role = "file of signers"
    text = key_text(f"The {role} {printable(str(file))}", key_file(file, role, _owned(role, file)))
    if holds_secret(text):
        raise UsageError(
            f"The {role} {printable(str(file))} holds a private key.",
            hint='A line of it is: NAME namespaces="agebackup@v1" ssh-ed25519 AAAA...',
        )
    lines = tuple(line for _, line in key_lines(text))
    if not any(map(_PUBLIC.search, lines)):
        raise UsageError(
            f"The {role} {printable(str(file))} names no key.",
            hint='A line of it is: NAME namespaces="agebackup@v1" ssh-ed25519 AAAA...',
        )
    return Signers(lines, None if revoked is None else _revocations(revoked), directory, claims)


def _revocations(file: Path) -> bytes:
    """Return what `file` revokes; ssh-keygen passes over lines that it does not understand."""
    role = "file of revoked keys"
    content = key_file(file, role, _owned(role, file))
    if not content.startswith(_KRL):
        label = f"The {role} {printable(str(file))}"
        for number, line in key_lines(key_text(label, content)):
            if not _KEY_LINE.fullmatch(line):
                raise UsageError(
                    f"{label}, line {number}, is no public key.",
                    hint="It is a KRL, or has a public key in each line: ssh-ed25519 AAAA...",
                )
    return content


def _owned(role: str, file: Path) -> Callable[[os.stat_result], None]:
    """Return what raises `UsageError` for a file that every user of the machine may write."""

    def look(status: os.stat_result) -> None:
        if stat.S_ISREG(status.st_mode) and status.st_mode & stat.S_IWOTH:
            raise UsageError(
                f"The {role} {printable(str(file))} is one that everybody may write.",
                hint="See to it that it says what you mean, then: chmod o-w FILE",
            )

    return look


def _may_allow(line: str, signed: SshSignature) -> bool:
    """Return whether `line` can be about the key: it names it, or an authority that vouches."""
    return signed.key_text in line or (signed.certified and "cert-authority" in line.lower())


def _moment(time: str) -> datetime | None:
    """Return the moment that a manifest's `time` is, None where it is none that clocks can show."""
    try:
        moment = datetime.strptime(time, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        moment.astimezone()
    except (ValueError, OverflowError, OSError):
        return None
    return moment
