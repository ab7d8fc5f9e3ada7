"""What was not foreseen becomes one sentence too, for one app or archive among several as well."""

from collections.abc import Iterator
from contextlib import contextmanager

from agebackup.cli.output import OutputLostError
from agebackup.errors import AgebackupError, FailedError


@contextmanager
def translated() -> Iterator[None]:
    """Let nothing but an `AgebackupError` out of the body; what caused it stays its cause."""
    try:
        yield
    except AgebackupError:
        raise
    except BrokenPipeError as error:
        raise OutputLostError("The reader of standard output has gone.") from error
    except MemoryError as error:
        raise FailedError(
            "The memory is exhausted.", hint="Close other programs, then run it again."
        ) from error
    except OSError as error:
        raise FailedError(
            f"The system refused: {error}.",
            hint="Mend the cause and run it again; -v shows where it happened.",
        ) from error
    except Exception as error:
        raise FailedError(
            f"Unforeseen {type(error).__name__}: {error}.",
            hint="This is a defect of agebackup; please report it with the output of the same "
            "command and -v.",
        ) from error
