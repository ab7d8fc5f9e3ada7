"""A worker's outcome as bytes: its result, or its error whole (class, errno, text, hint)."""

import json
import os
import signal
import traceback

from agebackup.errors import AgebackupError, FailedError, printable

Result = dict[str, object]


def of_result(result: Result) -> bytes:
    """Return the bytes that stand for `result`, whose values JSON can carry."""
    return json.dumps({"result": result}).encode()


def of_error(error: BaseException) -> bytes:
    """Return the bytes that stand for `error`, of whatever kind."""
    return json.dumps({"error": _described(error)}, default=str).encode()


def _described(error: BaseException) -> Result:
    kind = type(error).__name__
    if isinstance(error, AgebackupError):
        # The parent may never have imported the very class: it then takes the nearest it knows.
        kinds = [family.__name__ for family in type(error).__mro__]
        return {"kind": "agebackup", "kinds": kinds, "args": error.args, "state": vars(error)}
    if isinstance(error, OSError):
        name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else None
        return {"kind": "OSError", "args": (error.errno, error.strerror or str(error), name)}
    trace = "".join(traceback.format_exception(error))
    return {"kind": "crash", "args": (kind, str(error)), "trace": trace}


def unpack(received: bytes, status: int) -> Result:
    """Return the result in `received`, or raise the error in it.

    `status` is how the worker ended, as `subprocess` counts it; it explains bytes that are cut.
    """
    try:
        message = json.loads(received)
    except ValueError:
        raise FailedError(
            f"A worker process {ended(status)} before it was done.",
            hint="If the machine was short of memory, free some; then run it again.",
        ) from None
    if "error" in message:
        raise _rebuilt(message["error"])
    result: Result = message["result"]
    return result


def ended(status: int) -> str:
    """Say how a process ended: `status` is its exit code, or minus the signal's number."""
    if status >= 0:
        return f"ended with code {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def _rebuilt(described: dict[str, object]) -> Exception:
    kind, arguments = described["kind"], described["args"]
    assert isinstance(arguments, list)
    if kind == "OSError":
        number, text, name = arguments
        return OSError(text) if number is None else OSError(number, text, name)
    if kind == "crash":
        name, text = arguments
        error = FailedError(
            f"A worker process failed unexpectedly: {name}: {printable(text)}.",
            hint="Please report this as a defect of agebackup.",
        )
        error.add_note(str(described["trace"]))
        return error
    state, kinds = described["state"], described["kinds"]
    assert isinstance(state, dict) and isinstance(kinds, list)
    known = {family.__name__: family for family in _families(AgebackupError)}
    family = next(known[kind] for kind in kinds if kind in known)
    rebuilt = family.__new__(family, *arguments)
    for key, value in state.items():
        setattr(rebuilt, key, tuple(value) if isinstance(value, list) else value)
    return rebuilt


def _families(base: type[AgebackupError]) -> list[type[AgebackupError]]:
    return [base, *(c for child in base.__subclasses__() for c in _families(child))]
