"""Pruning that follows from something else: whatever goes wrong with it is said, never raised."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from agebackup.destinations.interface import Destination
from agebackup.errors import AgebackupError, RefusedError, StoppedError, counted, printable
from agebackup.ledger import Ledger
from agebackup.model.lastrun import Pruning
from agebackup.operations.prune import HeldBackError, PruneOrder, prune
from agebackup.system.progress import Progress


@dataclass(frozen=True)
class Bench:
    """What pruning works with; `told` gets each name that went, and why."""

    ledger: Ledger
    progress: Progress
    told: Callable[[str, str], None]


def prune_quietly(
    order: PruneOrder, folder: Destination, bench: Bench, held_back: Callable[[], str]
) -> Pruning:
    """Prune, unless `held_back` says why nothing may go; return what became of it."""
    gone: list[str] = []

    def told(name: str, why: str) -> None:
        gone.append(name)
        bench.told(name, why)

    status, message = "done", ""
    try:
        asked = replace(order, held_back=held_back())
        report = prune(asked, folder, bench.ledger, bench.progress, told)
        if report.kept_there:
            message = (
                f"{printable(folder.key)} does not let {counted(len(report.kept_there), 'archive')}"
                f" go that no rule keeps: {report.refused_why}"
            )
    except HeldBackError as error:
        status, message = "held", f"{error.message} {error.hint}"
    except RefusedError as error:
        status, message = "refused", f"{error.message} {error.hint}"
    except StoppedError:
        status, message = "failed", "Pruning was cut short; the next run goes on with it."
    except Exception as error:
        status, message = "failed", f"Pruning failed: {reason(error)}"
    return Pruning(status, tuple(gone), message)


def reason(error: Exception) -> str:
    """Return what `error` says; of an unforeseen one its kind too."""
    if isinstance(error, AgebackupError):
        return error.message
    return printable(f"{type(error).__name__}: {error}")
