"""Ask a live database one question, and leave it and what lies beside it as they were."""

from contextlib import closing

from agebackup.model.source import DatabaseSource
from agebackup.snapshot.connecting import HeldElsewhereError, busy, connect, explained
from agebackup.snapshot.inspection import answer
from agebackup.snapshot.live import look, remove_made_companions
from agebackup.system.progress import Stop

SECONDS = 60.0
MAX_ROWS = 10_000


def ask(source: DatabaseSource, sql: str, stop: Stop) -> list[tuple[object, ...]]:
    """Return the rows of `sql`, asked of the live database `source`, for `SECONDS` at most.

    Raises `FailedError` where it is missing, damaged or cannot answer, `BusyError` where somebody
    else has it locked.
    """
    live = look(source)
    try:
        with closing(connect(live)) as connection, explained(live):
            return answer(connection, sql, stop=stop, deadline_seconds=SECONDS, max_rows=MAX_ROWS)
    except HeldElsewhereError as error:
        raise busy(error.live) from None
    finally:
        remove_made_companions(live)
