"""Whether a folder lies on another drive than before, from words that `device_of` found for it."""

_KNOWN = " UUID "


def differs(was: str, now: str) -> bool:
    """Return whether `now` is another device than `was`; False where nobody can tell.

    A device's UUID may be known at one time and not at another: a service that systemd keeps away
    from devices sees none. Then only the type of the file system can be compared.
    """
    if not was or not now:
        return False
    if (_KNOWN in was) == (_KNOWN in now):
        return was != now
    return was.partition(" ")[0] != now.partition(" ")[0]


def telling(was: str, now: str) -> str:
    """Return which words to keep of one device: those that tell it from more others."""
    return was if _KNOWN in was and _KNOWN not in now else now
