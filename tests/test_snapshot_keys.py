"""Recipients and identities: every way to give a key, and every way to give a wrong one."""

import os
import pty
import re
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyrage import ssh, x25519

from agebackup.errors import AgebackupError, NoIdentityError, UsageError
from agebackup.model.keytext import is_weak, shown
from agebackup.snapshot.keys import (
    Identities,
    generate_identity,
    read_identities,
    read_recipients,
)

SECRET_KEY = str(x25519.Identity.generate())
RECIPIENT = str(x25519.Identity.generate().to_public())
OTHER = str(x25519.Identity.generate().to_public())


def run(*arguments: object, stdin: bytes = b"") -> bytes:
    done = subprocess.run([*map(str, arguments)], input=stdin, capture_output=True, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def ssh_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of SSH keys, named by type; the passphrase of those locked-* is "some word"."""
    directory = tmp_path_factory.mktemp("ssh")
    made = {
        "ed25519": (),
        "rsa": ("-b", "2048"),
        "ecdsa": (),
        "small-rsa": ("-b", "1024"),
        "locked-ed25519": (),
        "locked-pem-rsa": ("-m", "PEM"),
        "pem-rsa": ("-m", "PEM"),
        "pkcs8-rsa": ("-m", "PKCS8"),
    }
    for name, options in made.items():
        kind, word = name.split("-")[-1], "some word" if name.startswith("locked") else ""
        file = directory / name
        run("ssh-keygen", "-q", "-t", kind, *options, "-N", word, "-C", "a person", "-f", file)
    return directory


def identities(*paths: Path, word: str | None = None) -> tuple[Identities, list[str]]:
    warnings: list[str] = []
    ask: Callable[[str], str] | None = None if word is None else lambda _: word
    return read_identities(paths, passphrase=ask, warn=warnings.append), warnings


def opens(sealed: bytes, keys: Identities) -> bool:
    try:
        return bool(pyrage.decrypt(sealed, list(keys.keys)) == b"content")
    except pyrage.DecryptError:
        return False


def refused(*arguments: str, files: tuple[Path, ...] = ()) -> UsageError:
    with pytest.raises(UsageError) as raised:
        read_recipients(arguments, files)
    return _well_said(raised.value)


def refused_identity(*paths: Path, word: str | None = None) -> AgebackupError:
    with pytest.raises((UsageError, NoIdentityError)) as raised:
        identities(*paths, word=word)
    return _well_said(raised.value)


def _well_said(error: AgebackupError) -> AgebackupError:
    assert error.message.endswith(".") and error.hint, error.message
    assert "\n" not in error.message
    return error


def says_nothing_of(secret: str, error: AgebackupError) -> bool:
    """Return whether no four letters in a row of `secret` are in what `error` says."""
    said = f"{error.message} {error.hint} {error.details} {error.args}".upper()
    body = secret.strip().upper().removeprefix("AGE-SECRET-KEY-")
    return not any(body[i : i + 4] in said for i in range(len(body) - 3))


# Recipients


def test_a_literal_recipient_is_taken() -> None:
    """`-r age1...` is enough, also with blanks around it, and stock age could have written it."""
    recipients = read_recipients([f"  {RECIPIENT}\r\n"], [])
    assert recipients.texts == (RECIPIENT,)
    assert recipients.kinds == ("X25519",)


def test_what_is_encrypted_to_them_is_opened_by_stock_age(keys, ssh_keys: Path) -> None:
    """age1, ssh-ed25519 and ssh-rsa recipients each open the result with the `age` program."""
    files = [ssh_keys / "ed25519.pub", ssh_keys / "rsa.pub"]
    recipients = read_recipients([keys.recipient], files)
    assert recipients.kinds == ("X25519", "ssh-ed25519", "ssh-rsa")
    sealed = pyrage.encrypt(b"content", list(recipients.keys))
    for identity in (keys.identity, ssh_keys / "ed25519", ssh_keys / "rsa"):
        assert run("age", "-d", "-i", identity, stdin=sealed) == b"content"


def test_a_recipient_counts_once(ssh_keys: Path, tmp_path: Path) -> None:
    """The same key as a literal, in capitals, in a file, or with another comment is one."""
    public = (ssh_keys / "ed25519.pub").read_text()
    without_comment = " ".join(public.split()[:2])
    file = tmp_path / "keys"
    file.write_text(f"{RECIPIENT}\n{public}\n{RECIPIENT}\n")
    recipients = read_recipients([RECIPIENT, without_comment + " other", str(file)], [file])
    assert recipients.texts == (RECIPIENT, without_comment)
    assert pyrage.encrypt(b"", list(recipients.keys)).count(b"-> X25519") == 1


def test_what_exists_as_a_file_is_a_file(tmp_path: Path, monkeypatch) -> None:
    """A file is a file even when its name is a valid recipient; another's name is a literal."""
    monkeypatch.chdir(tmp_path)
    Path(RECIPIENT).write_text(OTHER)
    Path("age1-friends.txt").write_text(OTHER)
    for name in (RECIPIENT, "age1-friends.txt"):
        assert read_recipients([name], []).texts == (OTHER,)
    os.unlink(RECIPIENT)
    assert read_recipients([RECIPIENT], []).texts == (RECIPIENT,)


@given(
    st.lists(st.sampled_from(["", "# x", "   ", "\t#y", RECIPIENT, f" {RECIPIENT}\t"]), max_size=8),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\ufeff"]),
)
def test_the_form_of_a_file_does_not_matter(
    tmp_path_factory, lines: list[str], end: str, mark: str
) -> None:
    """Comments, blank lines, blanks, CRLF, a byte order mark, a missing last line end: all fine."""
    file = tmp_path_factory.mktemp("form") / "keys"
    file.write_bytes((mark + end.join([*lines, OTHER])).encode())
    expected = {RECIPIENT, OTHER} if any(RECIPIENT in line for line in lines) else {OTHER}
    assert set(read_recipients([str(file)], []).texts) == expected


def test_no_recipient_at_all_is_refused(tmp_path: Path) -> None:
    """Nothing is encrypted to nobody: no recipient, an empty one, a file of comments."""
    assert "No recipient" in refused().message
    assert "empty" in refused("").message
    file = tmp_path / "keys"
    for content in ("", "\n\n", "# only a comment\n"):
        file.write_text(content)
        assert "holds no recipient" in refused(str(file)).message


def test_a_bad_line_is_named_and_not_repeated(tmp_path: Path) -> None:
    """The error names file and line, but repeats nothing of what may be another, private file."""
    file = tmp_path / "keys"
    file.write_text(f"# friends\n{RECIPIENT}\n\nhunter2 is my password\n")
    error = refused(files=(file,))
    assert error.message.startswith(f"{file}, line 4: ")
    assert "hunter2" not in error.message


WRONG = {
    "a typing error": (RECIPIENT[:-1] + ("q" if RECIPIENT[-1] != "q" else "p"), "damaged"),
    "a missing letter": (RECIPIENT[:-1], "damaged"),
    "two in one line": (f"{RECIPIENT} {OTHER}", "damaged"),
    "post-quantum": ("age1pq1" + "q" * 1900, "post-quantum"),
    "hardware": ("age1tag1" + "q" * 60, "hardware"),
    "post-quantum hardware": ("age1tagpq1" + "q" * 60, "hardware"),
    "plugin": ("age1yubikey1" + "q" * 60, "plugin yubikey"),
    "GitHub account": ("github:somebody", "GitHub"),
    "ecdsa": ("ecdsa-sha2-nistp256 AAAA", "type that age does not know"),
    "security key": ("sk-ssh-ed25519@openssh.com AAAA", "type that age does not know"),
    "DSA": ("ssh-dss AAAA", "type that age does not know"),
    "certificate": ("ssh-rsa-cert-v01@openssh.com AAAA", "type that age does not know"),
    "damaged ssh": ("ssh-ed25519 AAAA", "damaged SSH"),
    "ssh without a key": ("ssh-ed25519", "damaged SSH"),
    "an absent file": ("recipients.txt", "no file"),
}


@pytest.mark.parametrize("text, reason", WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_a_recipient_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch, text: str, reason: str
) -> None:
    """As a literal and in a file, each kind of key that cannot serve is told from the others."""
    monkeypatch.chdir(tmp_path)
    assert reason in refused(text).message
    Path("keys").write_text(f"{RECIPIENT}\n{text}\n")
    assert re.match("keys, line 2: it is ", refused("keys").message)


def test_unsupported_ssh_keys_are_refused(ssh_keys: Path) -> None:
    """Real ecdsa and short RSA public keys are refused, each with its reason."""
    assert "ecdsa-sha2-nistp256" in refused(str(ssh_keys / "ecdsa.pub")).message
    assert "2048" in refused(str(ssh_keys / "small-rsa.pub")).message


def test_a_secret_key_as_recipient_is_refused_unseen(tmp_path: Path, ssh_keys: Path) -> None:
    """A private key given as recipient is never used, and no part of it is in any message."""
    file = tmp_path / "key.txt"
    for text in (SECRET_KEY, SECRET_KEY.lower(), f" {SECRET_KEY}\n", f"{RECIPIENT}\n{SECRET_KEY}"):
        error = refused(text)
        assert "secret key" in error.message and says_nothing_of(SECRET_KEY, error)
        file.write_text(text)
        for error in (refused(str(file)), refused(files=(file,))):
            assert "secret key" in error.message and says_nothing_of(SECRET_KEY, error)
            assert "agebackup recipient" in error.hint
    private = (ssh_keys / "ed25519").read_text()
    for error in (refused(str(ssh_keys / "ed25519")), refused(private)):
        assert "secret key" in error.message
        assert says_nothing_of(private.split("-----")[2].replace("\n", ""), error)


@pytest.mark.parametrize("start", range(0, 40, 3))
def test_a_piece_of_a_secret_key_is_not_repeated(start: int) -> None:
    """A private key that was cut when it was pasted is not shown either."""
    piece = SECRET_KEY[start:]
    for text in (piece, piece.lower(), f"x/{piece}"):
        assert says_nothing_of(SECRET_KEY, refused(text))
        with pytest.raises(UsageError) as raised:
            read_recipients([], [Path(text)])
        assert says_nothing_of(SECRET_KEY, raised.value)


def test_ordinary_names_are_shown_in_full() -> None:
    """What cannot be a key is repeated, so that a typing error in a name can be seen."""
    digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    names = ("~/keys/recipients.txt", f"/var/lib/{digest}/keys", "Müller's Schlüssel")
    for name in (*names, "my private keys/age-secret-key-1.txt"):
        assert shown(name) == name
        assert name in refused(files=(Path(name),)).message
    assert shown("a\x1b[31m\u202eb") == "a\\x1b[31m\\u202eb"


def test_a_weak_key_is_refused() -> None:
    """The few keys whose archives everybody could open are refused, age1 and ssh alike."""
    zero = "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z"
    one = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "AE" + "A" * 41
    for text in (zero, one):
        assert "everybody" in refused(text).message
    assert not is_weak(RECIPIENT)


def test_too_many_recipients_are_refused(tmp_path: Path) -> None:
    """A header that readers would refuse for its length is never begun."""
    file = tmp_path / "keys"
    many = [str(x25519.Identity.generate().to_public()) for _ in range(1500)]
    file.write_text("\n".join(many))
    assert "too many" in refused(str(file)).message
    file.write_text("\n".join(many[:500]))
    assert len(read_recipients([str(file)], []).texts) == 500


# What the system says of a file


def _directory(path: Path) -> str:
    path.mkdir()
    return "Is a directory"


def _loop(path: Path) -> str:
    path.symlink_to(path.name)
    return "Too many levels"


def _dangling(path: Path) -> str:
    path.symlink_to("nowhere")
    return "does not exist"


def _below_a_file(path: Path) -> str:
    path.write_text(RECIPIENT)
    return "Not a directory"


def _utf16(path: Path) -> str:
    path.write_bytes(f"\ufeff{RECIPIENT}".encode("utf-16-le"))
    return "UTF-16"


def _binary(path: Path) -> str:
    path.write_bytes(os.urandom(5000) + b"\xff")
    return "UTF-8"


def _huge(path: Path) -> str:
    with path.open("wb") as stream:
        stream.truncate(1 << 30)
    return "larger than"


def _encrypted(path: Path) -> str:
    path.write_bytes(run("age", "-a", "-r", RECIPIENT, stdin=b"x"))
    return "encrypted age file"


BAD_FILES = [_directory, _loop, _dangling, _below_a_file, _utf16, _binary, _huge, _encrypted]


@pytest.mark.parametrize("make", BAD_FILES, ids=lambda make: make.__name__.strip("_"))
def test_what_is_wrong_with_a_file_is_said_as_itself(
    tmp_path: Path, make: Callable[[Path], str]
) -> None:
    """A file that exists but cannot be used is never taken for a literal: its own error is said."""
    path = tmp_path / "age1-keys"
    reason = make(path)
    name = path / "x" if make is _below_a_file else path
    for error in (refused(str(name)), refused(files=(name,))):
        assert reason in error.message and "age1-keys" in error.message
    assert "age1-keys" in refused_identity(name).message


def test_an_unreadable_file_is_said_to_be_unreadable(tmp_path: Path) -> None:
    """Permission denied is said as such, and not as "neither file nor key"."""
    os.chmod(tmp_path, 0o755)
    for parent in (tmp_path.parent, tmp_path.parent.parent):
        os.chmod(parent, 0o755)
    path = tmp_path / "age1-keys"
    path.write_text(RECIPIENT)
    path.chmod(0)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setuid(65534)
            read_recipients([str(path)], [])
        except BaseException as error:
            os.write(writing, f"{type(error).__name__} {error}".encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    said = os.read(reading, 4096).decode()
    os.close(reading)
    os.close(writing)
    assert said.startswith("UsageError") and "Permission denied" in said


def test_an_absent_recipients_file_is_said_to_be_absent(tmp_path: Path) -> None:
    """`-R` is always a file: one that is not there is an error, whatever its name looks like."""
    assert "is not there" in refused(files=(tmp_path / "keys",)).message
    assert "is not there" in refused(files=(Path(RECIPIENT),)).message
    assert "is not there" in refused_identity(tmp_path / "key.txt").message


def test_keys_may_come_through_a_pipe(keys) -> None:
    """`-R <(...)` of a shell works, also when the writer takes its time."""
    reading, writing = os.pipe()
    os.write(writing, b"# late\n")
    thread = threading.Thread(
        target=lambda: (os.write(writing, f"{keys.recipient}\n".encode()), os.close(writing))
    )
    thread.start()
    assert read_recipients([f"/dev/fd/{reading}"], []).texts == (keys.recipient,)
    thread.join()
    os.close(reading)


def test_a_pipe_that_says_nothing_is_given_up(monkeypatch) -> None:
    """A pipe or terminal that never gives a key ends with an error, not in waiting for ever."""
    monkeypatch.setattr("agebackup.snapshot.keyfiles.PATIENCE_SECONDS", 0.05)
    far, near = pty.openpty()
    assert "nothing came" in refused(files=(Path(os.ttyname(near)),)).message
    os.close(far)
    os.close(near)


# Identities


def test_an_identity_file_of_age_keygen_is_read(keys) -> None:
    """What `age-keygen` wrote opens what was encrypted to its recipient, without a warning."""
    read, warnings = identities(keys.identity)
    assert read.recipients() == (keys.recipient,)
    assert not warnings
    assert opens(run("age", "-r", keys.recipient, stdin=b"content"), read)


def test_several_keys_and_files_are_all_tried(keys, other_keys, tmp_path: Path) -> None:
    """All keys of all files count, each once; comments, CRLF and a byte order mark do no harm."""
    both = tmp_path / "both.txt"
    text = keys.identity.read_text() + "\n" + other_keys.identity.read_text().lower()
    both.write_bytes(("\ufeff" + text.replace("\n", "\r\n")).encode())
    both.chmod(0o600)
    read, warnings = identities(both, keys.identity)
    assert read.recipients() == (keys.recipient, other_keys.recipient)
    assert not warnings
    for recipient in read.recipients():
        assert opens(run("age", "-r", recipient, stdin=b"content"), read)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_key_that_others_can_read_is_warned_about(keys, tmp_path: Path, mode: int) -> None:
    """A private key's file that others can read is used, with a warning that says what to do."""
    path = tmp_path / "key.txt"
    path.write_bytes(keys.identity.read_bytes())
    path.chmod(mode)
    read, warnings = identities(path)
    assert read.recipients() == (keys.recipient,)
    assert len(warnings) == 1 and str(path) in warnings[0] and "chmod 600" in warnings[0]


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "pem-rsa"])
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_an_ssh_private_key_is_an_identity(
    ssh_keys: Path, tmp_path: Path, kind: str, ends: bytes
) -> None:
    """SSH private keys open what was encrypted to their public keys, also with CRLF and blanks."""
    path = tmp_path / "id"
    path.write_bytes(b"\n" + (ssh_keys / kind).read_bytes().replace(b"\n", ends))
    path.chmod(0o600)
    read, warnings = identities(path)
    assert not warnings
    assert opens(run("age", "-R", ssh_keys / f"{kind}.pub", stdin=b"content"), read)


def test_the_recipient_of_an_ssh_key_is_told(ssh_keys: Path) -> None:
    """From an OpenSSH private key its recipient is derived; from a PEM one the way is named."""
    for kind in ("ed25519", "rsa"):
        public = " ".join((ssh_keys / f"{kind}.pub").read_text().split()[:2])
        assert identities(ssh_keys / kind)[0].recipients() == (public,)
        ssh.Recipient.from_str(public)
    read, _ = identities(ssh_keys / "pem-rsa")
    with pytest.raises(UsageError) as raised:
        read.recipients()
    assert "ssh-keygen -y" in raised.value.hint


def test_unusable_ssh_keys_are_refused_with_the_remedy(ssh_keys: Path, tmp_path: Path) -> None:
    """Locked, PKCS#8, ecdsa and damaged SSH keys are refused, each with its reason; the named
    command makes a copy that works."""
    for name in ("locked-ed25519", "locked-pem-rsa"):
        assert "passphrase" in refused_identity(ssh_keys / name).message
    assert "PKCS#8" in refused_identity(ssh_keys / "pkcs8-rsa").message
    assert "type that age does not know" in refused_identity(ssh_keys / "ecdsa").message
    for name in ("locked-ed25519", "locked-pem-rsa", "pkcs8-rsa"):
        error = refused_identity(ssh_keys / name)
        assert "ssh-keygen -p -N '' -f COPY" in error.hint
        copy = tmp_path / name
        copy.write_bytes((ssh_keys / name).read_bytes())
        copy.chmod(0o600)
        run("ssh-keygen", "-q", "-p", "-P", "some word", "-N", "", "-f", copy)
        assert opens(
            run("age", "-R", ssh_keys / f"{name}.pub", stdin=b"content"), identities(copy)[0]
        )
    damaged = tmp_path / "damaged"
    damaged.write_bytes((ssh_keys / "ed25519").read_bytes()[:200])
    damaged.chmod(0o600)
    assert "damaged" in refused_identity(damaged).message


NO_IDENTITY = {
    "recipient": (RECIPIENT, "recipient"),
    "ssh public key": ("ssh-ed25519 AAAA", "recipient"),
    "post-quantum": ("AGE-SECRET-KEY-PQ-1" + "Q" * 50, "post-quantum"),
    "plugin": ("AGE-PLUGIN-YUBIKEY-1QQQQ", "plugin"),
    "something else": ("correct horse battery", "no age identity"),
    "damaged": (SECRET_KEY[:-1] + ("Q" if SECRET_KEY[-1] != "Q" else "P"), "damaged"),
    "nothing": ("# only a comment", "holds no key"),
}


@pytest.mark.parametrize("text, reason", NO_IDENTITY.values(), ids=NO_IDENTITY.keys())
def test_what_cannot_be_an_identity_is_refused_unseen(
    tmp_path: Path, text: str, reason: str
) -> None:
    """Each kind of file that holds no usable key has its own sentence, which repeats no secret."""
    path = tmp_path / "key.txt"
    path.write_text(f"\n{text}\n")
    path.chmod(0o600)
    error = refused_identity(path)
    assert reason in error.message and str(path) in error.message
    assert says_nothing_of(SECRET_KEY, error) and "horse" not in error.message


def test_a_secret_key_in_place_of_its_file_is_not_repeated() -> None:
    """`-i AGE-SECRET-KEY-...` is refused without a character of it, and called exposed."""
    error = refused_identity(Path(SECRET_KEY))
    assert says_nothing_of(SECRET_KEY, error) and "history" in error.hint


def test_no_identity_at_all_is_refused() -> None:
    """Reading with no key is a usage error."""
    assert "No identity" in refused_identity().message


def test_identities_show_nothing_of_themselves(keys) -> None:
    """Neither repr nor str of the identities, as in a log or a traceback, has a secret in it."""
    read, _ = identities(keys.identity)
    secret = keys.identity.read_text().split("\n")[2]
    assert secret[:20] not in f"{read!r} {read} {read.keys!r} {vars(read)}"


# Protected identity files


def protect(source: Path, target: Path, word: str, *options: str) -> None:
    """Encrypt `source` with a passphrase by stock `age`, typed twice at its terminal."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvp("age", ["age", "-p", *options, "-o", str(target), str(source)])
    for _ in range(2):
        said = b""
        while b"passphrase" not in said:
            said += os.read(terminal, 1000)
        os.write(terminal, f"{word}\n".encode())
    with suppress(OSError):  # the end of a terminal is EIO
        while os.read(terminal, 1000):
            pass
    os.close(terminal)
    assert os.waitpid(child, 0)[1] == 0


@pytest.fixture(scope="module", params=[(), ("-a",)], ids=["binary", "armored"])
def protected(request, keys, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The identity file of `keys`, protected with the passphrase "some word" by stock `age -p`."""
    target = tmp_path_factory.mktemp("protected") / "key.age"
    protect(keys.identity, target, "some word", *request.param)
    target.chmod(0o600)
    return target


def test_a_protected_identity_file_is_opened(protected: Path, keys) -> None:
    """What `age -p` and `age -p -a` made of an identity file opens with its passphrase."""
    prompts: list[str] = []

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        return "some word"

    read = read_identities([protected], passphrase=ask, warn=print)
    assert read.recipients() == (keys.recipient,)
    assert len(prompts) == 1 and str(protected) in prompts[0]


def test_a_wrong_passphrase_is_said_to_be_wrong(protected: Path) -> None:
    """A wrong passphrase is exit 12 and not called damage; none at all is a usage error."""
    assert isinstance(refused_identity(protected, word="another"), NoIdentityError)
    assert "passphrase" in refused_identity(protected).message


def test_a_protected_file_that_costs_too_much_is_refused_at_once(tmp_path: Path) -> None:
    """A monstrous work factor, or too large a file, is refused before a passphrase is asked for."""
    path = tmp_path / "key.age"

    def stanza(factor: int) -> bytes:
        head = b"age-encryption.org/v1\n-> scrypt %s %d\n" % (b"A" * 22, factor)
        return head + b"A" * 43 + b"\n--- " + b"A" * 43 + b"\n"

    def never(prompt: str) -> str:
        raise AssertionError("the passphrase was asked for")

    for content in (stanza(21) + bytes(64), stanza(63) + bytes(64), stanza(18) + bytes(70_000)):
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(UsageError, match="too much memory"):
            read_identities([path], passphrase=never, warn=print)


def test_a_damaged_protected_file_is_said_to_be_damaged(protected: Path, tmp_path: Path) -> None:
    """A protected identity file that is cut or changed is called damaged, not a wrong key."""
    content = protected.read_bytes()
    path = tmp_path / "key.age"
    flipped = content[:-60] + bytes([content[-60] ^ 1]) + content[-59:]
    for damaged in (flipped, content[:60], content[: len(content) // 2]):
        path.write_bytes(damaged)
        path.chmod(0o600)
        assert "is damaged" in refused_identity(path, word="some word").message


def test_an_age_file_that_is_no_protected_identity_is_refused(keys, tmp_path: Path) -> None:
    """An archive given as identity is told for what it is, without asking for a passphrase."""
    path = tmp_path / "key.age"
    path.write_bytes(run("age", "-r", keys.recipient, stdin=keys.identity.read_bytes()))
    path.chmod(0o600)
    assert "encrypted to a key" in refused_identity(path, word="x").message


# New keys


def test_a_new_identity_is_in_the_format_of_age_keygen(tmp_path: Path) -> None:
    """A generated identity file is like age-keygen's, which reads it and tells the recipient."""
    text, recipient = generate_identity("2026-11-20T10:00:00Z")
    path = tmp_path / "key.txt"
    path.write_text(text)
    path.chmod(0o600)
    assert run("age-keygen", "-y", path).decode().strip() == recipient
    lines = text.split("\n")
    assert lines[0] == "# created: 2026-11-20T10:00:00Z"
    assert lines[1] == f"# public key: {recipient}" and lines[3] == ""
    assert identities(path)[0].recipients() == (recipient,)


def test_a_throwaway_key_opens_and_changes_nothing_else(keys) -> None:
    """The throwaway identity opens the one archive; its owner's key does so as before."""
    recipients = read_recipients([keys.recipient], [])
    both, throwaway = recipients.with_throwaway()
    _, another = recipients.with_throwaway()
    assert both.texts[:-1] == recipients.texts and len(both.texts) == 2
    sealed = pyrage.encrypt(b"content", list(both.keys))
    assert opens(sealed, throwaway) and not opens(sealed, another)
    assert run("age", "-d", "-i", keys.identity, stdin=sealed) == b"content"
