"""Where agebackup keeps its own things on this machine, outside every destination."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from agebackup.cli.settings import CONFIG_VARIABLE, Settings
from agebackup.errors import FailedError, UsageError, printable
from agebackup.system.claims import Claims
from agebackup.system.workspace import is_tmpfs

if TYPE_CHECKING:
    from agebackup.operations.swap_records import SwapRecords


def state_directory() -> Path:
    """Return the state directory, made 0700: locks and the claims of running work."""
    return _made(state_path())


def state_path() -> Path:
    """Return where the state directory is, or should be."""
    return _absolute(platformdirs.user_state_path("agebackup", appauthor=False))


def config_path(settings: Settings) -> Path:
    """Return the configuration file: the flag's, the environment's, or the usual one."""
    variable = settings.variable(CONFIG_VARIABLE)
    return settings.config or (Path(variable) if variable else config_file())


def config_file() -> Path:
    """Return where the configuration file usually lies."""
    directory = platformdirs.user_config_path("agebackup", appauthor=False)
    return _absolute(directory) / "config.toml"


def profiles_directory() -> Path:
    """Return where the person's own profiles lie, if there are any; --config does not move it."""
    return config_file().parent / "profiles"


def claims() -> Claims:
    """Return the claims of this user's runs."""
    return Claims(_made(state_directory() / "claims"))


def lock_file(app: str) -> Path:
    """Return the file whose lock means that a run of `app` is at work."""
    return _made(state_directory() / "locks") / f"{app}.lock"


def push_lock_file(app: str) -> Path:
    """Return the file whose lock means that copies of `app`'s archives are being carried."""
    return lock_file(f"{app}.push")  # no app's name has a dot


def ledger_file() -> Path:
    """Return the ledger's file."""
    return state_directory() / "ledger.db"


def last_run_file(app: str) -> Path:
    """Return the file that tells other programs how the last run of `app` ended."""
    return _made(state_directory() / "apps") / f"{app}.last-run.json"


def schedule_file(task: str = "backup") -> Path:
    """Return the file that says which timers of `task` were installed, and for which apps."""
    return state_directory() / ("schedule.json" if task == "backup" else "drills.json")


def swaps_path() -> Path:
    """Return where the journals of restores into applications are, or should be, app by app."""
    return state_path() / "restores"


def swap_records(app: str) -> "SwapRecords":
    """Return the journals of restores into `app`; makes nothing."""
    from agebackup.operations.swap_records import SwapRecords

    return SwapRecords(app, swaps_path() / app, Claims(state_path() / "claims"))


def wish_file(app: str) -> Path:
    """Return the file that asks the next run of `app` ("": of all) for an archive, due or not."""
    return _made(state_directory() / "wanted") / (app or ".all")


def log_file() -> Path:
    """Return the log's current file; its directory is made 0700."""
    directory = _made(_absolute(platformdirs.user_log_path("agebackup", appauthor=False)))
    return directory / "agebackup.log"


def workspace(asked: Path | None) -> Path:
    """Return the directory for private copies: what was asked for, else the cache directory.

    A file system in memory is used only when asked for: copies of databases would fill it.
    """
    if asked is not None:
        return Path(os.path.abspath(asked))  # made when it is used: guards come first
    usual = _made(_absolute(platformdirs.user_cache_path("agebackup", appauthor=False)))
    if is_tmpfs(usual):
        raise UsageError(
            f"The workspace {printable(str(usual))} lies in memory.",
            hint="Name a directory on a disk with --workspace, or this one to use it all the same.",
        )
    return usual


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise UsageError(
            "There is no home directory, so there is no place for agebackup's own state.",
            hint="Set HOME, or XDG_STATE_HOME, XDG_CACHE_HOME and XDG_CONFIG_HOME.",
        )
    return path


def _made(path: Path) -> Path:
    missing = [directory for directory in (path, *path.parents) if not directory.exists()]
    try:
        for directory in reversed(missing):  # parents=True would not give them the mode
            directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise FailedError(
            f"The directory {printable(str(path))} cannot be made: {error.strerror}.",
            hint="Check its permissions, or set XDG_STATE_HOME and XDG_CACHE_HOME elsewhere.",
        ) from None
    return path
