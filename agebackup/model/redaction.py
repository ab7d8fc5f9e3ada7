"""Taking private keys out of texts that were never meant to hold one."""

import re

_SECRET = re.compile(r"AGE-SECRET-KEY-[A-Z0-9-]*", re.IGNORECASE)


def redacted(text: str, *secrets: str) -> str:
    """Return `text` without any secret key in it, and without any of `secrets` (empty ones none).

    A key that was given in the wrong place is not echoed.
    """
    for secret in filter(None, secrets):
        text = text.replace(secret, "(not shown)")
    return _SECRET.sub("AGE-SECRET-KEY-(not shown)", text)
