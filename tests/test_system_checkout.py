"""What git says of a checkout, asked without letting the repository run anything."""

import os
import subprocess
from pathlib import Path

import pytest
from system_faults import run

from agebackup.errors import FailedError
from agebackup.model.provenance import git_environment
from agebackup.system.checkout import CheckedOut, checked_out
from agebackup.system.progress import Progress

WHO = ("-c", "user.name=me", "-c", "user.email=me@example.org")


def git(directory: Path, *words: str) -> str:
    """Let git work in `directory`, as nobody in particular."""
    done = subprocess.run(
        ["git", "-C", directory, *WHO, *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A checkout of one commit on the branch `main`."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "program").write_text("one\n")
    git(code, "init", "-q", "-b", "main")
    git(code, "add", ".")
    git(code, "commit", "-q", "-m", "first")
    return code


def look(directory: Path, *, seconds: float = 20, **environment: str) -> CheckedOut:
    """Ask for what is checked out, with a search path and a home of its own."""
    given = {"PATH": os.environ["PATH"], "HOME": str(directory.parent), **environment}
    return checked_out(directory, seconds=seconds, environment=given, progress=Progress())


def test_commit_branch_and_changes(code: Path) -> None:
    """Changes count where they are of files under version control, staged or not; below the top of
    the checkout the same is said."""
    commit = git(code, "rev-parse", "HEAD")
    assert look(code) == CheckedOut(commit, "main", dirty=False)
    (code / "data").mkdir()
    (code / "data" / "app.db").write_text("uploads are no change")
    assert look(code / "data") == CheckedOut(commit, "main", dirty=False)
    (code / "program").write_text("two\n")
    assert look(code).dirty is True
    git(code, "add", "program")
    assert look(code).dirty is True
    git(code, "commit", "-q", "-m", "second")
    git(code, "checkout", "-q", "HEAD~1")
    assert look(code) == CheckedOut(commit, "", dirty=False)


def test_nothing_of_the_repository_is_run(code: Path, tmp_path: Path) -> None:
    """A monitor, hooks and filters that its own configuration names do not run; what only a filter
    could tell is unknown, and the index is as it was."""
    ran = tmp_path / "ran"
    hook = code / ".git" / "hooks" / "post-index-change"
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
    hook.chmod(0o755)
    git(code, "config", "core.fsmonitor", f"touch {ran}; false")
    os.utime(code / "program", (1, 1))
    index = (code / ".git" / "index").read_bytes()
    assert look(code).dirty is False
    git(code, "config", "include.path", "more")
    (code / ".git" / "more").write_text(f'[filter "x"]\n\tclean = touch {ran}; cat\n')
    (code / ".gitattributes").write_text("* filter=x\n")
    (code / "program").write_text("two\n")
    assert look(code).dirty is None and look(code).branch == "main"
    assert not ran.exists() and (code / ".git" / "index").read_bytes() == index
    subprocess.run(["git", "-C", code, "-c", "core.fsmonitor=false", "status"], check=True)
    assert ran.exists(), "else this proves nothing: git itself must have run the filter"


def test_the_person_s_own_filters_are_theirs(code: Path, tmp_path: Path) -> None:
    """What the person's own configuration says of filters does not make anything unknown."""
    (tmp_path / ".gitconfig").write_text('[filter "lfs"]\n\tclean = cat\n')
    assert look(code).dirty is False


def test_no_other_repository_is_asked(code: Path) -> None:
    """A backup that a hook of git starts asks the declared checkout, not the one of the hook; and
    no program of the checkout is taken for git."""
    person = {"PATH": ".:bin:/usr/bin:/bin", "HOME": "/h", "GIT_DIR": "/x", "GIT_CONFIG_COUNT": "9"}
    assert git_environment(person) == {"PATH": "/usr/bin:/bin", "HOME": "/h"}


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("no repository", "is not in a checkout of git"),
        ("no commit", "has no commit checked out"),
        ("absent", "No such file or directory"),
        ("no git", "cannot be started"),
        ("bare", "work tree"),
        ("damaged", "The command git"),
    ],
)
def test_what_is_no_checkout(code: Path, tmp_path: Path, case: str, said: str) -> None:
    """Each reason why nothing can be said is an error in one sentence."""
    where, more = tmp_path / "other", {}
    where.mkdir()
    if case == "no commit":
        git(where, "init", "-q")
    elif case == "absent":
        where = tmp_path / "gone"
    elif case == "no git":
        more = {"PATH": str(tmp_path)}
    elif case == "bare":
        where = tmp_path / "bare.git"
        git(tmp_path, "clone", "-q", "--bare", str(code), str(where))
    elif case == "damaged":
        where = code
        (code / ".git" / "index").write_bytes(b"DIRC")
    with pytest.raises(FailedError) as caught:
        look(where, **more)
    assert said in caught.value.message and "\n" not in caught.value.message


def test_a_slow_git_is_given_up(code: Path, tmp_path: Path) -> None:
    """A checkout on a disk that does not answer does not hold up a backup for longer than that."""
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    with pytest.raises(FailedError, match=r"git took longer than 0\.2 seconds in "):
        look(code, seconds=0.2, PATH=f"{slow.parent}:{os.environ['PATH']}")


@pytest.mark.linux
def test_a_checkout_of_somebody_else(code: Path) -> None:
    """Where git refuses another user's repository, the message says what to do about it."""
    for path in (code, *code.rglob("*")):
        os.chown(path, 12345, 12345)
    with pytest.raises(FailedError, match="belongs to somebody else") as caught:
        look(code)
    assert f"safe.directory {code}" in caught.value.hint
    (code.parent / ".gitconfig").write_text(f"[safe]\n\tdirectory = {code}\n")
    assert look(code).branch == "main"


STUCK = """
from agebackup.model.provenance import Checkout
from agebackup.operations.provenance import provenance_of


class Said(Progress):
    def warn(self, text):
        print(text)


(here / "dead").mkdir()
assert provenance_of(Checkout(here / "dead", 1), {}, Said()) is None
"""


@pytest.mark.linux
def test_a_checkout_that_never_answers_is_a_warning(tmp_path: Path) -> None:
    """A dead mount under the checkout costs its seconds, and neither hangs nor fails the backup."""
    hang = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(tmp_path / "dead")]
    hang += ["-e", "trace=statfs", "-e", "inject=statfs:delay_enter=4s"]
    done = run(STUCK, tmp_path, under=tuple(hang))
    assert done.stdout.startswith("The checkout is not recorded: ") and done.returncode == 0, done
    assert "dead did not answer within 1 seconds" in done.stdout
