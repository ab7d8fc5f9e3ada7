"""doctor: whether archives can go to the releases of a GitHub repository, and making it fit."""

from collections.abc import Generator, Iterator
from dataclasses import replace

from agebackup.destinations.github import GitHub, Look
from agebackup.destinations.github_setup import (
    OLDEST,
    gh_version,
    make_first_commit,
    make_repository,
)
from agebackup.errors import AgebackupError, NotFoundError, RefusedError, StoppedError
from agebackup.model.findings import Finding

_FIX = "agebackup doctor --fix does it."


def of_github(remote: GitHub, *, fix: bool) -> Iterator[Finding]:
    """Yield what keeps archives from going to `remote`.

    With `fix` a repository that is absent is made, private, and an empty one gets a first commit;
    nothing else is changed.
    """
    try:
        version = gh_version(remote)
        if version < OLDEST:
            wanted = ".".join(map(str, OLDEST))
            yield Finding(
                "error",
                "gh-too-old",
                remote.key,
                f"gh is of version {version[0]}.{version[1]}; {wanted} or later is needed.",
                "Install a newer gh (cli.github.com).",
            )
            return
        look = yield from _looked(remote, fix=fix)
        if look is not None:
            yield from _judged(remote, look, fix=fix)
    except StoppedError:
        raise
    except AgebackupError as error:
        yield Finding("error", "github-unusable", remote.key, error.message, error.hint)


def _looked(remote: GitHub, *, fix: bool) -> Generator[Finding, None, Look | None]:
    calls = remote.calls
    try:
        return calls.patiently(remote.look)
    except NotFoundError as error:
        if not fix:
            yield Finding(
                "error", "github-no-repository", remote.key, error.message, error.hint, fixable=True
            )
            return None
    make_repository(remote)
    yield Finding("note", "github-made", remote.key, "The private repository was made.")
    return calls.patiently(remote.look)


def _judged(remote: GitHub, look: Look, *, fix: bool) -> Iterator[Finding]:
    try:
        remote.require_writable(replace(look, empty=False))
    except RefusedError as error:
        yield Finding("error", "github-refuses", remote.key, error.message, error.hint)
        return
    if not look.empty:
        return
    if fix:
        make_first_commit(remote)
        yield Finding("note", "github-first-commit", remote.key, "It got its first commit.")
        return
    yield Finding(
        "error",
        "github-empty",
        remote.key,
        "The repository is empty, and a release needs a commit.",
        _FIX,
        fixable=True,
    )
