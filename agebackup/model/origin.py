"""Who made an archive: what a signature is worth to somebody who says whom they trust."""

from dataclasses import dataclass
from typing import Literal

from agebackup.errors import RefusedError, printable

NAMESPACE = "agebackup@v1"
"""What a signature must be for: one by the same key over a commit or a file says nothing here."""

ANY_NAME, ANY_ORIGIN = "--any-name", "--any-origin"
UNPROVED = "unproved"
_FOREIGN = (
    "Somebody else who knows your public key may have made it. If it is older than your signing "
    f"key, or you trust it all the same: {ANY_ORIGIN}."
)


class OriginError(RefusedError):
    """Nobody who is trusted made this archive, or not under this name; none of it was used."""


@dataclass(frozen=True)
class Attested:
    """What came of checking a signature: its `signer` and `key`, or the `problem` with it.

    `problem` is a sentence without its full stop; `key` is a kind and a fingerprint.
    """

    signer: str = ""
    key: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Origin:
    """Who made an archive, as far as anybody asked. `carried`: there is a signature in it.

    `signed_by` is the signer as the file of signers calls them, `key` the key's kind and
    fingerprint; both are empty where the origin is unproved.
    """

    status: Literal["signed", "unproved"] = "unproved"
    signed_by: str = ""
    key: str = ""
    carried: bool = False

    def __str__(self) -> str:
        if self.status == "signed":
            return f"Signed by {printable(self.signed_by)} ({printable(self.key)})."
        if self.carried:
            return (
                "Its origin is unproved: it is signed, but no signers were named (--signers FILE)."
            )
        return "Its origin is unproved: nobody's signature was asked for (--signers FILE)."


@dataclass(frozen=True)
class Held:
    """An archive as it was found: `made_as` is its own word for its name, `file_name` where it lay.

    `file_name` is None for an extracted bag, whose folder may have any name.
    """

    made_as: str
    file_name: str | None
    carried: bool


def judge_origin(held: Held, attested: Attested | None, *, any_name: bool) -> Origin:
    """Return the origin of `held`; `attested` is None where nobody asked for a signature.

    Where somebody did, raises `OriginError` for an archive without a signature that counts, and
    for one that was signed under another name than its file's, unless `any_name`: an old archive
    under a newer name, or one of another app's, is as well signed as any.
    """
    if attested is None:
        return Origin(carried=held.carried)
    if not held.carried:
        raise OriginError("It is not signed.", hint=_FOREIGN)
    if attested.problem or not attested.signer:
        raise OriginError(f"{attested.problem or 'Nobody signed it'}.", hint=_FOREIGN)
    if held.file_name not in (None, held.made_as) and not any_name:
        raise OriginError(
            f"It was signed as {printable(held.made_as)}, not under this name: somebody renamed "
            "it, or put it in another one's place.",
            hint=f"Its own name tells its app and time. If it is the one you want: {ANY_NAME}.",
        )
    return Origin("signed", attested.signer, attested.key, carried=True)
