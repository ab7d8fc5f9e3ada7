"""Whose signatures count: files of signers as people write them, and as nobody should."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from signing import allowed, keygen, public, signature, ssh_key

from agebackup.errors import UsageError
from agebackup.model.origin import Attested
from agebackup.snapshot.signers import read_signers
from agebackup.system.claims import Claims
from agebackup.system.progress import Progress

CONTENT = b"0" * 64 + b"  bagit.txt\n"
TIME = "2026-11-20T02:15:00Z"


class Desk:
    """A key, and what its signature is worth to files of signers."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.key = ssh_key(directory / "key")
        self.other = ssh_key(directory / "other")
        self.made = signature(self.key, CONTENT)

    def attest(
        self,
        signers: str | bytes,
        *,
        made: bytes | None = None,
        revoked: Path | None = None,
        time: str = TIME,
        content: bytes = CONTENT,
    ) -> Attested:
        """Ask a file with the text `signers` about a signature, our good one by default."""
        file = self.directory / "signers"
        file.write_bytes(signers if isinstance(signers, bytes) else signers.encode())
        claims = Claims(self.directory / "claims")
        private = self.directory / "private"
        found = read_signers(file, revoked, private, claims).attest(
            self.made if made is None else made, content, time, Progress()
        )
        assert not private.exists() or list(private.iterdir()) == []
        assert bool(found.signer) != bool(found.problem)
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_signer_is_named(desk: Desk) -> None:
    """The signer has the name that the file gives, the key its kind and fingerprint."""
    fingerprint = keygen("-l", "-f", desk.key).decode().split()[1]
    lines = f"# people\n\n{allowed(desk.other, 'you')}  {allowed(desk.key, 'me@host')}"
    assert desk.attest(lines) == Attested("me@host", f"ED25519 {fingerprint}")
    assert desk.attest(lines.replace("\n", "\r\n")).signer == "me@host"
    assert desk.attest("\ufeff" + lines).signer == "me@host"


@pytest.mark.parametrize(
    ("who", "named"),
    [
        ("*", "*"),
        ("*@host,you", "*@host"),
        ('"a person"', "a person"),
        ('"a person,*"', "a person"),
        ("-f", "-f"),
        ("-Overify-time=19700101", "-Overify-time=19700101"),
        ("!*,you", None),
        ("you,!you", None),
        ("$(id)", "$(id)"),
        ("../../x", "../../x"),
        ("müller", "müller"),
    ],
)
def test_odd_names(desk: Desk, who: str, named: str | None) -> None:
    """Blanks, patterns, options and quotes in a name are a name; what ssh-keygen denies is none."""
    assert desk.attest(allowed(desk.key, who)).signer == (named or "")


@pytest.mark.parametrize(
    "line",
    [
        "me {other}",
        "# me {key}",
        "me {other} {key}",
        'me namespaces="git" {key}',
        'me namespaces="agebackup@v2,agebackup" {key}',
        'me namespaces="agebackup@v1 {key}',
        "me nonsense {key}",
        "me cert-authority {key}",
        "{key}",
        'me valid-before="20261120" {key}',
        'me valid-after="20261121" {key}',
        "me \0 {key}",
    ],
)
def test_lines_that_do_not_allow_it(desk: Desk, line: str) -> None:
    """Another key, purpose, time or role, and a line that is none: the signature does not count."""
    text = line.format(key=public(desk.key), other=public(desk.other)) + "\n"
    more = allowed(desk.other, "you")
    assert desk.attest(text + more).problem
    assert desk.attest(more + text).problem


def test_one_line_does_not_hide_another(desk: Desk) -> None:
    """Of several lines for one key any that allows the signature is enough."""
    for first in ('namespaces="git"', 'valid-before="20200101"', "nonsense", "cert-authority"):
        lines = allowed(desk.key, "git", first) + allowed(desk.key, "me")
        assert desk.attest(lines).signer == "me"


def test_a_rotated_key(desk: Desk) -> None:
    """A key is judged at the archive's own time: old archives stay good, later ones are not."""
    line = allowed(desk.key, "me", 'valid-after="20260101Z",valid-before="20261201Z"')
    assert desk.attest(line, time="2026-11-20T02:15:00Z").signer == "me"
    late = desk.attest(line, time="2026-12-20T02:15:00Z").problem
    assert "not valid any more at the archive's own time, 2026-12-20 02:15:00 UTC" in late
    assert "not valid yet" in desk.attest(line, time="2025-12-20T02:15:00Z").problem


def test_the_archives_time_is_taken_to_the_second(desk: Desk) -> None:
    """Valid until a second: the signature of that second counts, the next one's does not."""
    end = datetime(2026, 7, 1, 12, 0, 0, tzinfo=UTC)
    line = allowed(desk.key, "me", f'valid-before="{end.astimezone():%Y%m%d%H%M%S}"')
    told = [f"{end + timedelta(seconds=s):%Y-%m-%dT%H:%M:%SZ}" for s in (-1, 1)]
    assert [bool(desk.attest(line, time=time).signer) for time in told] == [True, False]


@pytest.mark.parametrize(
    "time", ["", "now", "2026-11-20", "0000-01-01T00:00:00Z", "2026-13-20T02:15:00Z", "\x1b[2J"]
)
def test_an_impossible_time(desk: Desk, time: str) -> None:
    """An archive that says nonsense of its time is judged for no time at all."""
    found = desk.attest(allowed(desk.key), time=time)
    assert "made at" in found.problem and "\x1b" not in found.problem


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_the_ends_of_time(desk: Desk, time: str) -> None:
    """The first and the last moment that can be written break nothing."""
    desk.attest(allowed(desk.key), time=time)


def test_a_revoked_key(desk: Desk) -> None:
    """Who is revoked, by a list of keys or by a KRL, does not count whatever the time."""
    for other, revoked in ((desk.other, desk.key), (desk.key, desk.other)):
        plain, krl = desk.directory / "plain", desk.directory / "krl"
        plain.write_text(f"# stolen\n{public(revoked)} a comment\n")
        keygen("-q", "-k", "-f", krl, revoked.with_name(f"{revoked.name}.pub"))
        for file in (plain, krl):
            found = desk.attest(allowed(desk.key), revoked=file)
            assert ("are revoked" in found.problem) == (revoked == desk.key), (other, file)


def test_a_list_of_revoked_keys_is_understood_or_refused(desk: Desk) -> None:
    """ssh-keygen passes over lines it does not understand; here such a file is refused (2)."""
    file = desk.directory / "revoked"
    for text in (allowed(desk.key), "nonsense\n", f"{public(desk.key)}\nme\n", "\ufffe"):
        file.write_text(text)
        with pytest.raises(UsageError, match="revoked keys"):
            desk.attest(allowed(desk.key), revoked=file)
    with pytest.raises(UsageError, match="is not there"):
        desk.attest(allowed(desk.key), revoked=desk.directory / "absent")
    file.write_text("")
    assert desk.attest(allowed(desk.key), revoked=file).signer == "me"


def test_a_certificate_counts_through_its_authority(desk: Desk) -> None:
    """cert-authority lines work as for ssh; certificates too are judged at the archive's time."""
    authority, key = desk.other, desk.key
    words = ("-q", "-s", authority, "-I", "id", "-n", "me@host", "-V", "20260101Z:20261201Z")
    keygen(*words, key.with_name("key.pub"))
    made = signature(key.with_name("key-cert.pub"), CONTENT)
    line = f"*@host cert-authority {public(authority)}\n"
    assert desk.attest(line, made=made).signer == "me@host"
    assert desk.attest(line, made=made, time="2027-01-01T00:00:00Z").problem
    assert desk.attest(line.replace("*@host", "*@else"), made=made).problem
    assert desk.attest(allowed(authority), made=made).problem
    assert desk.attest(line).problem, "the bare key has nobody who vouches for it"


@pytest.mark.parametrize(
    "namespace", ["git", "file", "agebackup@v2", "agebackup-trial@v1", "x" * 999]
)
def test_another_purpose(desk: Desk, namespace: str) -> None:
    """What the same key signed for something else (a commit, a file, a trial) does not count."""
    made = signature(desk.key, CONTENT, namespace)
    assert "not for" in desk.attest(allowed(desk.key), made=made).problem


def test_another_content(desk: Desk) -> None:
    """A good signature over other bytes does not count."""
    found = desk.attest(allowed(desk.key), content=CONTENT + b"x")
    assert "something else" in found.problem


def test_odd_signatures(desk: Desk) -> None:
    """What is no signature, or more than one, is refused before any program sees it."""
    good = desk.made
    for made in (
        b"",
        b"x" * 65536,
        good * 2,
        good + b"x",
        good.replace(b"U1N", b"AAA"),
        b"\0" + good,
    ):
        assert "Its signature is" in desk.attest(allowed(desk.key), made=made).problem


def test_every_changed_bit_counts(desk: Desk) -> None:
    """No changed letter of a signature passes."""
    lines = desk.made.split(b"\n")
    for row in range(1, len(lines) - 2):
        text = bytearray(lines[row])
        at = len(text) // 2
        text[at] = ord("A") if text[at] != ord("A") else ord("B")
        made = b"\n".join([*lines[:row], bytes(text), *lines[row + 1 :]])
        assert desk.attest(allowed(desk.key), made=made).problem


BAD_FILES = {
    "empty": (b"", "names no key"),
    "comments": (b"# nobody\n\n", "names no key"),
    "a text": (b"I trust everybody.\n", "names no key"),
    "names only": (b"me you *\n", "names no key"),
    "utf-16": ("me ssh-ed25519 AAAA".encode("utf-16"), "UTF-16"),
    "binary": (bytes(range(256)), "UTF-8"),
    "a private key": (
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nsecretsecret\n-----END OPENSSH PRIVATE KEY-----\n",
        "private key",
    ),
    "huge": (b"# x\n" * 300_000, "larger"),
}


@pytest.mark.parametrize(("content", "why"), BAD_FILES.values(), ids=BAD_FILES)
def test_files_that_name_nobody(desk: Desk, content: bytes, why: str) -> None:
    """A file of signers that cannot be one is a mistake of the command line (2)."""
    with pytest.raises(UsageError, match=why) as raised:
        desk.attest(content)
    assert raised.value.hint and "secretsecret" not in raised.value.message + raised.value.hint


def test_what_is_no_file(desk: Desk) -> None:
    """A missing file and a directory are named as such (2)."""
    for path, why in ((desk.directory / "absent", "is not there"), (desk.directory, "directory")):
        with pytest.raises(UsageError, match=why):
            read_signers(path, None, desk.directory, Claims(desk.directory / "claims"))


def test_the_stock_program_agrees(desk: Desk) -> None:
    """Whom the whole file allows by hand is allowed here: one line at a time says the same."""
    file, sig = desk.directory / "by-hand", desk.directory / "sig"
    sig.write_bytes(desk.made)
    for options in ("", 'namespaces="agebackup@*"', 'namespaces="git"', 'valid-before="20250101"'):
        text = allowed(desk.other, "you") + allowed(desk.key, "me", options)
        file.write_text(text)
        words = ("verify", "-f", file, "-I", "me", "-n", "agebackup@v1", "-s", sig)
        done = subprocess.run(
            ["ssh-keygen", "-Y", *words, "-Overify-time=20261120021500Z"],
            input=CONTENT,
            capture_output=True,
        )
        assert (done.returncode == 0) == bool(desk.attest(text).signer), options
