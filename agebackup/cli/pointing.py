"""What an archive points to and does not hold: shown to people, and handed to the app's check."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from agebackup.cli.console import Console
from agebackup.errors import SHOWN, AgebackupError, StoppedError, counted

if TYPE_CHECKING:
    from agebackup.model.manifest import Manifest, PointerRecord, PointersRecord
    from agebackup.model.profile import Profile
    from agebackup.operations.pointers import Restored


def pointer_lines(manifest: "Manifest") -> list[str]:
    """Return a line for each query or file of pointers, and lines for its first pointers below it.

    An archive may say anything: what is shown is bounded in number and length.
    """
    lines = [line for record in manifest.pointers[:SHOWN] for line in _lines(record)]
    more = len(manifest.pointers) - SHOWN
    return [*lines, f"and {counted(more, 'list')} more"] if more > 0 else lines


def _lines(record: "PointersRecord") -> Iterator[str]:
    from agebackup.model.pointers import bounded, pointed
    from agebackup.operations.references import brief

    yield f"{brief(record.name)}: {pointed(record)}"
    for one in record.entries[:SHOWN]:
        yield f"  {brief(one.location)}{_known(one)}"
    more = max(bounded(record.count), len(record.entries)) - min(len(record.entries), SHOWN)
    if more > 0:
        yield f"  and {more:,} more"


def _known(one: "PointerRecord") -> str:
    from agebackup.model.pointers import bounded
    from agebackup.operations.references import brief

    facts = [
        "" if one.count is None else f"{bounded(one.count):,} of them",
        "" if one.bytes is None else f"{bounded(one.bytes):,} bytes",
        brief(one.hash),
        brief(one.note),
    ]
    said = ", ".join(filter(None, facts))
    return f" ({said})" if said else ""


def say_pointers(manifest: "Manifest", to: Console) -> None:
    """Say what the person must still fetch after a restore of `manifest`."""
    if manifest.pointers:
        to.output.say("What was never in the archive, and is still to be fetched:")
        for line in pointer_lines(manifest):
            to.output.say(f"  {line}")


def checked_pointers(
    restored: "Restored", profile: "Profile | None", to: Console
) -> tuple[str, ...]:
    """Let the app's `pointer_check` look at the pointers of an archive; return what it finds.

    Nothing is run where the archive has no pointers, or nothing is declared. Whatever it finds,
    what was restored stays.
    """
    command = profile.pointer_check if profile else None
    if profile is None or command is None or not restored.manifest.pointers:
        return ()
    from agebackup.operations.pointers import pointer_problems

    try:
        return pointer_problems(command, profile.base, restored, to.progress)
    except StoppedError as error:
        error.message = "The check of the pointers was cut off by a stop. What was restored stays."
        raise
    except (AgebackupError, OSError) as error:
        return (f"pointer_check failed: {getattr(error, 'message', None) or error}",)
