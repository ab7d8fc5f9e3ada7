"""Recording and telling a run that cannot even be begun; what any run's end is told by.

Nothing here imports what makes archives: where that cannot be loaded, somebody must still be told.
"""

from collections.abc import Callable

from agebackup.errors import printable
from agebackup.model.profile import Profile
from agebackup.model.watch import Hooks
from agebackup.operations.hooks import Telling
from agebackup.operations.record import Post, Recording
from agebackup.system.progress import Progress


def record_failure(
    app: str, profile: Profile | None, error: BaseException, post: Post, progress: Progress
) -> None:
    """Record and tell that `app` could not even be tried, for `error`."""
    record = Recording(app, "auto", post, progress)
    told(lambda: record.failed(error, telling_of(profile, record)), progress)


def telling_of(profile: Profile | None, record: Recording) -> Telling:
    """Return who is to be told of the run; without a `profile` nobody."""
    hooks, directory = (profile.watch.hooks, profile.base) if profile else (Hooks(), None)
    return Telling(hooks, record.run.id, directory, record.post.proxies)


def told(tell: Callable[[], None], progress: Progress) -> None:
    """Let nothing that goes wrong while a run is recorded change what became of it."""
    try:
        tell()
    except Exception as error:
        text = printable(f"{type(error).__name__}: {error}")
        progress.warn(f"What became of the run could not be recorded everywhere: {text}.")
