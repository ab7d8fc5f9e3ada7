"""What `rekey --json` reports, read again by the machine that keeps the ledger of the archives."""

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from agebackup.errors import UsageError

LIMIT = 1 << 26
"""The longest report in bytes that is read: room for more than 50,000 archives."""

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


@dataclass(frozen=True)
class RekeyedFile:
    """An archive that was rekeyed: its file's name, and what the file is now and was before."""

    archive: str
    size: Annotated[int, msgspec.Meta(ge=0)]
    sha256: Sha256
    former_sha256: Sha256
    stanzas: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Outcome:
    status: str


@dataclass(frozen=True)
class _Report:
    schema: Literal["agebackup/rekey/v1"]
    results: tuple[msgspec.Raw, ...] = ()


def parse_report(text: bytes) -> tuple[RekeyedFile, ...]:
    """Return the archives that the report `text` says were rekeyed.

    Raises `UsageError` for what is no report of `rekey --json`.
    """
    try:
        report = msgspec.json.decode(text, type=_Report)
        statuses = [msgspec.json.decode(one, type=_Outcome).status for one in report.results]
        return tuple(
            msgspec.json.decode(one, type=RekeyedFile)
            for one, status in zip(report.results, statuses, strict=True)
            if status == "ok"
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            f"It is no report of a rekey: {error}.",
            hint="Give the file that 'agebackup rekey --json ... > FILE' wrote on the other "
            "machine.",
        ) from None
