"""Signed archives as a person has them: made, asked for, refused, and checked by hand."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import Keys, Outcome, World
from hostile import filled, member
from sample_app import SampleApp, command
from signing import (
    SIGNATURE,
    allowed,
    keygen,
    opened,
    public,
    published,
    sealed,
    signature,
    signed_anew,
    signed_archive,
    ssh_key,
)


@pytest.fixture
def key(world: World) -> Path:
    """The key of the machine that makes the archives."""
    (world.home / ".ssh").mkdir(mode=0o700)
    return ssh_key(world.home / ".ssh" / "signing")


@pytest.fixture
def signers(world: World, key: Path) -> Path:
    """A file of signers that trusts `key` and nobody else."""
    file = world.directory / "signers"
    file.write_text(allowed(key))
    return file


@pytest.fixture
def archive(world: World, app: SampleApp, keys: Keys, key: Path) -> Path:
    return signed_archive(world, app, keys, key)


def restore(world: World, archive: Path, keys: Keys, *more: object) -> Outcome:
    target = world.directory / "restored"
    return world.run("restore", archive, "-i", keys.identity, "--target", target, *more)


EVERY = (
    ("verify",),
    ("restore", "--target", "elsewhere"),
    ("inspect",),
    ("ls",),
    ("cat", "ledger.db"),
)


def refused(
    world: World,
    archive: Path,
    keys: Keys,
    *more: object,
    commands: Sequence[tuple[str, ...]] = EVERY[1:2],
) -> str:
    """Return what is said of `archive`, which `commands` must refuse (13), leaving nothing."""
    said = ""
    places = sorted(p.name for p in world.directory.iterdir())
    for name, *rest in commands:
        file = rest[:1] if name == "cat" else ()
        options = () if name == "cat" else rest
        done = world.run(name, archive, *file, "-i", keys.identity, *options, *more)
        assert (done.code, done.out) == (13, ""), (name, done.out, done.err)
        said = done.err
        assert archive.name in said
    assert sorted(p.name for p in world.directory.iterdir()) == places
    assert world.leftovers() == ()
    return said


def test_signed_verified_restored(
    world: World, archive: Path, keys: Keys, key: Path, signers: Path
) -> None:
    """What this machine signed passes where its signer is trusted, and the signer is named."""
    fingerprint = keygen("-l", "-f", key).decode().split()[1]
    for words in (("verify",), ("restore", "--target", "restored"), ("inspect",)):
        name, *rest = words
        done = world.run(name, archive, "-i", keys.identity, *rest, "--signers", signers)
        assert done.code == 0, done.err
        assert f"Signed by me (ED25519 {fingerprint})." in done.err + done.out
    assert (world.directory / "restored" / "ledger.db").exists()
    assert world.leftovers() == ()


def test_the_objects_say_who_signed(
    world: World, app: SampleApp, keys: Keys, key: Path, signers: Path
) -> None:
    """With --json create says with what it signed, and each reader whom it found."""
    (world.directory / "out").mkdir()
    made = world.run(
        *("--json", "create", "--db", app.ledger, "--to", "out", "-r", keys.recipient),
        *("--signing-key", key),
    )
    (result,) = json.loads(made.out)["results"]
    fingerprint = f"ED25519 {keygen('-l', '-f', key).decode().split()[1]}"
    assert result["signed_with"] == fingerprint
    proved = {"status": "signed", "signed_by": "me", "key": fingerprint, "carried": True}
    unproved = {"status": "unproved", "signed_by": "", "key": "", "carried": True}
    for number, (more, origin) in enumerate(((("--signers", signers), proved), ((), unproved))):
        done = world.run("--json", "verify", result["path"], "-i", keys.identity, *more)
        assert json.loads(done.out)["results"][0]["origin"] == origin
        target = ("--target", f"target-{number}")
        done = world.run("--json", "restore", result["path"], "-i", keys.identity, *target, *more)
        assert json.loads(done.out)["origin"] == origin
        done = world.run("--json", "inspect", result["path"], "-i", keys.identity, *more)
        assert json.loads(done.out)["origin"] == origin


def test_an_unasked_origin_is_called_unproved(
    world: World, archive: Path, app: SampleApp, keys: Keys
) -> None:
    """Without signers a restore says on one line that nobody knows who made it; -q silences it."""
    done = restore(world, archive, keys)
    assert done.code == 0
    (line,) = [line for line in done.err.splitlines() if "unproved" in line]
    assert "--signers" in line
    unsigned = signed_archive(world, app, keys, None)
    (world.directory / "restored").rename(world.directory / "first")
    done = restore(world, unsigned, keys)
    assert [line for line in done.err.splitlines() if "nobody's signature was asked" in line]
    (world.directory / "restored").rename(world.directory / "second")
    done = restore(world, unsigned, keys, "-q")
    assert done.code == 0 and done.err == ""


def test_an_unsigned_archive(world: World, app: SampleApp, keys: Keys, signers: Path) -> None:
    """Where signers are named, every command refuses an unsigned archive but with --any-origin."""
    archive = signed_archive(world, app, keys, None)
    said = refused(world, archive, keys, "--signers", signers, commands=EVERY)
    assert "It is not signed." in said
    assert "It is not signed." in refused(world, archive, keys, "--signers", signers, "--any-name")
    assert restore(world, archive, keys, "--any-origin").code == 0


def test_a_stranger_with_the_public_key(
    world: World, app: SampleApp, keys: Keys, key: Path, signers: Path
) -> None:
    """Somebody else's sound archive for the same recipient, signed by their own key, is refused."""
    stranger = ssh_key(world.home / "stranger")
    archive = signed_archive(world, app, keys, stranger)
    said = refused(world, archive, keys, "--signers", signers)
    assert "not among those who are trusted" in said


def test_wrong_signatures(
    world: World, archive: Path, keys: Keys, key: Path, signers: Path
) -> None:
    """By the right key over other bytes or for another purpose; two of them; noise; a huge one."""
    other = archive.parent / "copy" / archive.name
    good = signature(key, b"x")
    makes = {
        "something else": lambda tags: signature(key, tags + b"\n"),
        'is for "git"': lambda tags: signature(key, tags, "git"),
        "not one armored": lambda tags: signature(key, tags) * 2,
        "not one  armored": lambda tags: signature(key, tags) + b"trailing",
        "not one armored ": lambda tags: good.replace(b"SSH", b"PGP"),
        " not one armored": lambda tags: b"",
        "not one armored SSH": lambda tags: b"A" * 65536,
    }
    for why, make in makes.items():
        other.unlink(missing_ok=True)
        signed_anew(archive, keys, other, make)
        done = world.run("verify", other, "-i", keys.identity, "--signers", signers)
        assert done.code == 13 and why.strip().replace("  ", " ") in done.err, (why, done.err)
    other.unlink()
    signed_anew(archive, keys, other, lambda tags: None)
    refused(world, other, keys, "--signers", signers)
    other.unlink()
    signed_anew(archive, keys, other, lambda tags: signature(key, tags))
    assert world.run("verify", other, "-i", keys.identity, "--signers", signers).code == 0


def test_a_signature_beyond_its_place(
    world: World, archive: Path, keys: Keys, key: Path, signers: Path
) -> None:
    """More than 64 KiB, a second member, or one before the tag manifest is no archive (4)."""
    other = archive.parent / "copy" / archive.name
    signed_anew(archive, keys, other, lambda tags: b"A" * 65537)
    done = world.run("verify", other, "-i", keys.identity, "--signers", signers)
    assert done.code == 4 and SIGNATURE in done.err
    stream = opened(archive, keys).rstrip(b"\0")
    stream += bytes(-len(stream) % 512)
    other.unlink()
    sealed(filled(stream + member(f"notes/{SIGNATURE}", b"x")), keys, other)
    done = world.run("verify", other, "-i", keys.identity, "--signers", signers)
    assert done.code == 4 and "after its end" in done.err


def test_a_signature_cannot_be_carried_over(
    world: World, app: SampleApp, archive: Path, keys: Keys, signers: Path
) -> None:
    """A good signature of one archive is worth nothing in another one."""
    stream = opened(archive, keys)
    at = stream.rindex(b"-----BEGIN SSH")
    good = stream[at : stream.index(b"\0", at)]
    unsigned = signed_archive(world, app, keys, None)
    forged = signed_anew(unsigned, keys, archive.parent / "x" / unsigned.name, lambda tags: good)
    assert "something else" in refused(world, forged, keys, "--signers", signers)


def test_content_exchanged_under_a_good_signature(
    world: World, archive: Path, keys: Keys, signers: Path
) -> None:
    """The signature binds every byte: a changed manifest or file breaks a promise (4)."""
    stream = opened(archive, keys)
    other = archive.parent / "copy" / archive.name
    for old, new in (
        (b'"auto"', b'"manual"'),
        (b"plaintext-5f1d 3", b"plaintext-5f1d 4"),
    ):
        assert old in stream
        other.unlink(missing_ok=True)
        sealed(stream.replace(old, new.ljust(len(old))[: len(old)]), keys, other)
        done = world.run(
            "restore", other, "-i", keys.identity, "--target", "t", "--signers", signers
        )
        assert done.code == 4, done.err
        assert not (world.directory / "t").exists()


def test_a_renamed_archive(world: World, archive: Path, keys: Keys, signers: Path) -> None:
    """Under another name a signed archive is refused; --any-name takes it, with a warning."""
    old = world.directory / "old"
    old.mkdir()
    for name in (
        archive.name.replace("notes-2", "notes-3"),
        archive.name.replace("notes-", "mail-"),
        "backup.age",
        archive.name.replace(".tar", " (1).tar"),
    ):
        moved = old / name
        shutil.copy(archive, moved)
        assert f"It was signed as {archive.name}" in refused(
            world, moved, keys, "--signers", signers
        )
        done = world.run("verify", moved, "-i", keys.identity, "--signers", signers, "--any-name")
        assert done.code == 0 and "Signed by me" in done.err
    done = restore(world, old / archive.name.replace("notes-2", "notes-3"), keys)
    assert done.code == 0 and "somebody renamed" in done.err


def test_an_old_archive_replayed(
    world: World, app: SampleApp, keys: Keys, key: Path, signers: Path
) -> None:
    """An old archive in the place of the newest is found, though its signature is good."""
    old = signed_archive(world, app, keys, key)
    new = signed_archive(world, app, keys, key)
    shutil.rmtree(world.state)
    shutil.copy(old, new)
    said = refused(world, new, keys, "--signers", signers)
    assert f"signed as {old.name}" in said
    assert world.run("verify", old, "-i", keys.identity, "--signers", signers).code == 0


def test_another_apps_archive(
    world: World, app: SampleApp, keys: Keys, key: Path, signers: Path
) -> None:
    """What was signed for one app is not taken for another one's, whose name the file was given."""
    archive = signed_archive(world, app, keys, key)
    mail = world.directory / "mail"
    mail.mkdir()
    shutil.copy(archive, mail / archive.name.replace("notes", "mail"))
    done = world.run(
        *("restore", "mail:latest", "--to", mail, "-i", keys.identity, "--target", "t"),
        *("--signers", signers),
    )
    assert done.code == 13 and f"signed as {archive.name}" in done.err


def test_revoked_and_rotated(
    world: World, archive: Path, keys: Keys, key: Path, signers: Path
) -> None:
    """A revoked key's archive is refused; one of a key that has only expired since is not."""
    revoked = world.directory / "revoked"
    revoked.write_text(public(key) + "\n")
    said = refused(world, archive, keys, "--signers", signers, "--revoked", revoked)
    assert "revoked" in said
    made = datetime.strptime(archive.name.split("-")[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    made = made.astimezone()
    soon, before = (made + timedelta(seconds=1), made - timedelta(days=400))
    signers.write_text(allowed(key, "me", f'valid-before="{soon:%Y%m%d%H%M%S}"'))
    assert restore(world, archive, keys, "--signers", signers).code == 0
    signers.write_text(allowed(key, "me", f'valid-before="{before:%Y%m%d}"'))
    assert "not valid any more" in refused(world, archive, keys, "--signers", signers)
    signers.write_text(allowed(key, "me", 'namespaces="git"'))
    assert "not permitted" in refused(world, archive, keys, "--signers", signers)


def configure(world: World, text: str) -> None:
    world.config.parent.mkdir(parents=True, exist_ok=True)
    world.config.write_text(text)


def test_the_configuration_names_signers(
    world: World, app: SampleApp, archive: Path, keys: Keys, key: Path, signers: Path
) -> None:
    """trusted_signers is in force for every archive; flags win over it, --any-origin leaves it."""
    stranger = ssh_key(world.home / "stranger")
    (world.config.parent).mkdir(parents=True)
    (world.config.parent / "signers").write_text(allowed(stranger))
    configure(world, 'trusted_signers = "signers"\n')
    assert "not among those" in refused(world, archive, keys)
    assert world.run("verify", archive, "-i", keys.identity, "--signers", signers).code == 0
    assert world.run("verify", archive, "-i", keys.identity, "--any-origin").code == 0
    revoked = world.config.parent / "revoked"
    revoked.write_text(public(key) + "\n")
    configure(world, f'trusted_signers = "{signers}"\nrevoked_signers = "$HOME/r"\n')
    shutil.copy(revoked, world.home / "r")
    assert "revoked" in refused(world, archive, keys)
    assert "revoked" in refused(world, archive, keys, "--signers", signers)


def test_a_slip_in_the_configuration_takes_no_guard_away(
    world: World, archive: Path, keys: Keys, signers: Path
) -> None:
    """A configuration that names signers but is not understood: nothing is opened (2)."""
    configure(world, f'trusted_signers = "{signers}"\nnonsense = 1\n')
    done = restore(world, archive, keys)
    assert done.code == 2 and "trusted signers" in done.err and "nonsense" in done.err
    done = restore(world, archive, keys, "--config", "absent.toml")
    assert done.code == 2 and "absent.toml" in done.err and "--any-origin" in done.err
    assert not (world.directory / "restored").exists()
    assert restore(world, archive, keys, "--signers", signers).code == 0
    configure(world, 'revoked_signers = "r"\nnonsense = 1\n')
    done = restore(world, archive, keys, "--overwrite", "--signers", signers)
    assert done.code == 2 and "revoked signers" in done.err and "--revoked" in done.err
    configure(world, "nonsense = 1\n")
    done = restore(world, archive, keys, "--overwrite")
    assert done.code == 0 and "unproved" in done.err


@pytest.mark.parametrize("flag", ["--signers", "--revoked"])
def test_whom_to_trust_is_not_for_everybody_to_say(
    world: World, archive: Path, keys: Keys, key: Path, signers: Path, flag: str
) -> None:
    """A file of signers, or of revoked keys, that every user may write is not believed (2)."""
    revoked = world.directory / "none-revoked"
    revoked.write_text(public(ssh_key(world.home / "revoked")) + "\n")
    given = {"--signers": signers, "--revoked": revoked}
    given[flag].chmod(0o666)
    words = [word for pair in given.items() for word in pair]
    done = restore(world, archive, keys, *words)
    assert done.code == 2 and "everybody may write" in done.err, done.err
    given[flag].chmod(0o664)
    assert restore(world, archive, keys, *words).code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--signers", "absent"), "is not there"),
        (("--signers", "."), "directory"),
        (("--signers", "empty"), "names no key"),
        (("--signers", "signers", "--any-origin"), "contradicts"),
        (("--revoked", "signers"), "says nothing"),
        (("--signers", "signers", "--revoked", "absent"), "is not there"),
        (("--signers", "signers", "--revoked", "signers"), "no public key"),
    ],
)
def test_wrong_words(
    world: World, archive: Path, keys: Keys, signers: Path, words: tuple[str, ...], said: str
) -> None:
    """What the flags cannot mean is exit code 2 and a sentence, before anything is opened."""
    (world.directory / "empty").write_text("")
    done = restore(world, archive, keys, *words)
    assert done.code == 2 and said in done.err
    assert not (world.directory / "restored").exists()


def test_without_the_key_nobody_sees_a_signature(
    world: World, archive: Path, signers: Path
) -> None:
    """--signers where nothing is decrypted is a mistake (2), not a good result."""
    for words in (
        ("verify", "--quick", archive),
        ("inspect", archive),
        ("ledger", "rebuild", "out"),
    ):
        done = world.run(*words, "--signers", signers)
        assert done.code == 2 and "without the private key" in done.err


def test_an_extracted_bag(
    world: World, archive: Path, app: SampleApp, keys: Keys, key: Path, signers: Path
) -> None:
    """A bag that was extracted by hand is asked too, without a private key."""
    subprocess.run(["tar", "x"], input=opened(archive, keys), cwd=world.directory, check=True)
    bag = world.directory / "notes"
    done = world.run("verify", bag, "--signers", signers)
    assert done.code == 0 and "Signed by me" in done.err
    (bag / SIGNATURE).write_bytes(signature(key, b"another"))
    assert world.run("verify", bag, "--signers", signers).code == 13
    (bag / SIGNATURE).unlink()
    done = world.run("verify", bag, "--signers", signers)
    assert done.code == 13 and "not signed" in done.err
    assert world.run("verify", bag).code == 0


def test_by_hand(world: World, archive: Path, keys: Keys, signers: Path, key: Path) -> None:
    """RECOVER.md's own commands prove the origin with age, tar, ssh-keygen and sha256sum alone."""
    subprocess.run(["tar", "x"], input=opened(archive, keys), cwd=world.directory, check=True)
    bag = world.directory / "notes"
    text = (bag / "RECOVER.md").read_text()
    recipe = text.split("## Who made it")[1]
    code = "".join(re.findall(r"^    (.*\n)", recipe, re.MULTILINE))
    assert code.count("ssh-keygen") == 1
    shutil.copy(signers, bag / "allowed_signers")
    checks = "".join(re.findall(r"^    (sha256sum .*\n)", text, re.MULTILINE))
    code = "set -e\n" + code.replace("NAME", "me") + checks
    done = subprocess.run(["sh", "-c", code], cwd=bag, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'Good "agebackup@v1" signature for me' in done.stdout
    (bag / "allowed_signers").write_text(allowed(ssh_key(world.home / "stranger")))
    assert subprocess.run(["sh", "-c", code], cwd=bag, capture_output=True).returncode != 0


def test_an_unsigned_archive_says_nothing_of_signatures(
    world: World, app: SampleApp, keys: Keys
) -> None:
    """Without a signing key an archive is what it was: no member more, no word of it."""
    stream = opened(signed_archive(world, app, keys, None), keys)
    assert SIGNATURE.encode() not in stream and b"ssh-keygen" not in stream


def test_without_the_program_nothing_is_believed(
    world: World, archive: Path, keys: Keys, signers: Path
) -> None:
    """Where ssh-keygen is missing or fails, an archive is not taken for signed (1, 13)."""
    programs = world.directory / "bin"
    programs.mkdir()
    env = {**world.env, "PATH": str(programs)}
    words = ("verify", archive, "-i", keys.identity, "--signers", signers)
    done = world.run(*words, env=env)
    assert done.code == 1 and "need the program ssh-keygen" in done.err
    broken = programs / "ssh-keygen"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o700)
    assert world.run(*words, env=env).code == 13
    broken.write_text("#!/bin/sh\nexit 0\n")
    assert world.run(*words, env=env).code == 13
    assert world.leftovers() == ()


# Making


def test_a_key_that_fails_fails_early(world: World, app: SampleApp, keys: Keys, key: Path) -> None:
    """A wrong key ends create (1) before the application is paused; nothing is published."""
    out = world.directory / "out"
    out.mkdir()
    paused = world.directory / "paused"
    locked = ssh_key(world.home / "locked", word="some word")
    for file in (world.home / "absent", locked, app.config):
        configure(
            world,
            f'[apps.notes]\nrecipients = ["{keys.recipient}"]\ndestination = "{out}"\n'
            f'signing_key = "{file}"\nprepare = ["touch", "{paused}"]\n'
            f'[apps.notes.databases]\nledger = "{app.ledger}"\n',
        )
        done = world.run("create", "notes")
        assert done.code == 1 and "There is no signature" in done.err, done.err
        assert list(out.iterdir()) == [] and not paused.exists()
    assert world.leftovers() == ()
    assert published(world.run("create", "notes", "--signing-key", key))


def test_a_key_that_fails_in_the_end(world: World, app: SampleApp, keys: Keys, key: Path) -> None:
    """Where the signature fails after the trial, nothing is published and nothing is left."""
    out = world.directory / "out"
    out.mkdir()
    configure(
        world,
        f'[apps.notes]\nrecipients = ["{keys.recipient}"]\ndestination = "{out}"\n'
        f'signing_key = "{key}"\nprepare = ["mv", "{key}", "{key}.gone"]\n'
        f'[apps.notes.databases]\nledger = "{app.ledger}"\n',
    )
    done = world.run("create", "notes")
    assert done.code == 1 and "there is no such file" in done.err
    assert list(out.iterdir()) == [] and world.leftovers() == ()


def test_a_signature_that_does_not_hold_is_not_published(
    world: World, app: SampleApp, keys: Keys, key: Path
) -> None:
    """The proof asks the signature too: one that is over something else ends create (1)."""
    (world.directory / "out").mkdir()
    real = shutil.which("ssh-keygen")
    program = world.directory / "bin" / "ssh-keygen"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\ncase "$*" in\n*"sign -n agebackup@v1"*) echo other | {real} "$@" ;;\n'
        f'*) exec {real} "$@" ;;\nesac\n'
    )
    program.chmod(0o700)
    env = {**world.env, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    done = world.run(
        *("create", "--db", app.ledger, "--to", "out", "-r", keys.recipient),
        *("--signing-key", key),
        env=env,
    )
    assert done.code == 1 and "does not hold" in done.err, done.err
    assert not list((world.directory / "out").glob("*.age"))
    assert world.leftovers() == ()


def test_a_stop_while_signing(world: World, app: SampleApp, keys: Keys, key: Path) -> None:
    """SIGTERM while a key is waited for ends create at once, with nothing left."""
    (world.directory / "out").mkdir()
    program, begun = world.directory / "bin" / "ssh-keygen", world.directory / "begun"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch '{begun}'\nexec sleep 600\n")
    program.chmod(0o700)
    env = {**world.env, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    words = ("create", "--db", app.ledger, "--to", "out", "-r", keys.recipient)
    with world.start(*words, "--signing-key", key, env=env) as process:
        while not begun.exists():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 143
    assert list((world.directory / "out").iterdir()) == [] and world.leftovers() == ()


def test_compressed_and_unproved_archives_are_signed(
    world: World, app: SampleApp, keys: Keys, key: Path, signers: Path
) -> None:
    """Neither compression nor a missing proof changes the signature."""
    for more in (("--compress", "zstd"), ("--no-proof",)):
        archive = signed_archive(world, app, keys, key, *more)
        done = world.run("verify", archive, "-i", keys.identity, "--signers", signers)
        assert done.code == 0, done.err


def test_a_dry_run_names_the_key(world: World, app: SampleApp, keys: Keys, key: Path) -> None:
    """--dry-run says with which key it would sign, and signs nothing."""
    (world.directory / "out").mkdir()
    words = ("create", "--db", app.ledger, "--to", "out", "-r", keys.recipient, "--dry-run")
    assert f"signed with:  {key}" in world.run(*words, "--signing-key", key).out
    assert "signed with:  nothing" in world.run(*words).out


def test_keygen_signing(world: World, app: SampleApp, keys: Keys) -> None:
    """keygen --signing makes a pair that create signs with, and prints the line that trusts it."""
    made = world.run("keygen", "--signing", "-o", "signing")
    assert made.code == 0, made.err
    private, line = world.directory / "signing", world.directory / "signing.pub"
    assert private.stat().st_mode & 0o777 == 0o600
    assert keygen("-y", "-P", "", "-f", private).split()[1] == line.read_bytes().split()[1]
    assert re.fullmatch(r'agebackup@\S+ namespaces="agebackup@v1" ssh-ed25519 AAAA\S+\n', made.out)
    assert private.read_text() not in made.err
    (world.directory / "signers").write_text(made.out)
    archive = signed_archive(world, app, keys, private)
    done = world.run("verify", archive, "-i", keys.identity, "--signers", "signers")
    assert done.code == 0 and "Signed by agebackup@" in done.err
    assert world.leftovers() == ()
    fields = json.loads(world.run("--json", "keygen", "--signing", "-o", "second").out)
    assert fields["public"].endswith("second.pub") and "agebackup@v1" in fields["signer"]


def test_keygen_signing_replaces_nothing(world: World) -> None:
    """What lies where either file should go stays, and a pair needs names (2, 10, 13)."""
    (world.directory / "one").write_text("mine")
    (world.directory / "two.pub").write_text("mine")
    (world.directory / "link").symlink_to("nowhere")
    before = sorted(os.listdir(world.directory))
    for target, code in (("one", 13), ("two", 13), ("link", 13), (".", 2), ("-", 2), ("a/b", 10)):
        done = world.run("keygen", "--signing", "-o", target)
        assert (done.code, done.out) == (code, ""), (target, done.err)
    assert sorted(os.listdir(world.directory)) == before
    assert (world.directory / "one").read_text() == "mine"


def test_a_killed_keygen_leaves_no_key_for_long(world: World) -> None:
    """After SIGKILL between the making of a key and its place the next run removes it."""
    program = world.directory / "bin" / "ssh-keygen"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n{shutil.which("ssh-keygen")} "$@"\nkill -9 $PPID\n')
    program.chmod(0o700)
    env = {**world.env, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    assert world.run("keygen", "--signing", "-o", "signing", env=env).code == -9
    assert not (world.directory / "signing").exists()
    assert world.leftovers() and list(world.directory.rglob("key"))
    world.run("doctor", "--fix")
    assert world.leftovers() == () and not list(world.directory.rglob("key"))


def doctor(world: World) -> dict[str, str]:
    """Return the facts of doctor's problems, by code."""
    said = json.loads(world.run("doctor", "--json").out)
    return {one["code"]: one["fact"] for one in said["findings"] if one["severity"] != "note"}


def test_doctor_tries_the_signing_key(
    world: World, app: SampleApp, keys: Keys, key: Path, signers: Path
) -> None:
    """By day doctor says what would keep the night's archive from being signed, or be a secret."""
    (world.directory / "out").mkdir(mode=0o700)
    made = world.run(
        *("config", "init", "notes", "--db", app.ledger, "--to", "out", "-r", keys.recipient),
        *("--signing-key", key),
    )
    assert made.code == 0, made.err
    assert world.run("create", "notes").code == 0
    assert doctor(world) == {}
    text = world.config.read_text()
    assert f'signing_key = "{key}"' in text
    assert f"signed with  {key}" in world.run("config", "check").out
    world.config.write_text(text.replace('recipients = ["', f'recipients = ["{public(key)}", "'))
    assert "is also a recipient" in doctor(world)["signing-key-opens"]
    world.config.write_text(text.replace(str(key), f"{key}.gone"))
    assert "no such file" in doctor(world)["signing-key-unusable"]
    checked = world.run("config", "check")
    assert checked.code == 2 and "signing_key: there is no file" in checked.out
    world.config.write_text(f'trusted_signers = "absent"\n{text}')
    assert "absent" in doctor(world)["unusable"]
    world.config.write_text(f'trusted_signers = "{signers}"\n{text}')
    assert doctor(world) == {}


def test_a_rebuilt_ledger_believes_no_stranger(
    world: World, app: SampleApp, archive: Path, keys: Keys, key: Path, signers: Path
) -> None:
    """`ledger rebuild -i --signers` verifies what is signed; of the rest it takes no hash."""
    stranger = signed_archive(world, app, keys, ssh_key(world.home / "stranger"))
    shutil.rmtree(world.state)
    done = world.run(
        "--json", "ledger", "rebuild", "out", "-i", keys.identity, "--signers", signers
    )
    assert done.code == 4
    (place,) = json.loads(done.out)["destinations"]
    (finding,) = place["findings"]
    assert finding["code"] == "origin-refused" and stranger.name in finding["subject"]
    listed = json.loads(world.run("--json", "list", "--to", "out").out)
    hashes = {one["name"]: one["sha256"] for one in listed["destinations"][0]["archives"]}
    assert not hashes[stranger.name] and hashes[archive.name]


@pytest.mark.linux
def test_no_database_is_opened_before_the_signature(
    world: World, archive: Path, app: SampleApp, keys: Keys, signers: Path
) -> None:
    """SQLite sees nothing of an archive that nobody trusted has signed."""
    trace = world.directory / "trace"
    traced = ("strace", "-f", "-qq", "-e", "trace=openat,open", "-o", str(trace))
    unsigned = signed_archive(world, app, keys, None)
    for file, code, seen in ((archive, 0, True), (unsigned, 13, False)):
        done = subprocess.run(
            [*traced, *command(), "verify", file, "-i", keys.identity, "--signers", signers],
            env=dict(world.env),
            cwd=world.directory,
            capture_output=True,
        )
        assert done.returncode == code, done.stderr
        lines = [line for line in trace.read_text().splitlines() if "/database-1" in line]
        assert any("O_CREAT" in line for line in lines)
        assert any("O_RDONLY" in line for line in lines) == seen
