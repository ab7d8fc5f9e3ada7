"""The recipients' types in an archive's header, and what they say of what the person asked for."""

from collections.abc import Sequence


def asked_for(stanzas: Sequence[str], *, proved: bool) -> tuple[str, ...]:
    """Return the kinds that the person asked for: a proof adds one X25519, whose key is forgotten.

    Source: FORMAT.md, and `snapshot.keys.Recipients.with_throwaway`.
    """
    kept = sorted(stanzas)
    if proved and "X25519" in kept:
        kept.remove("X25519")
    return tuple(kept)


def kinds(stanzas: Sequence[str]) -> str:
    """Return `stanzas` for a person: each kind, and how often."""
    counts = {kind: stanzas.count(kind) for kind in dict.fromkeys(stanzas)}
    texts = [f"{count} x {kind}" if count > 1 else kind for kind, count in counts.items()]
    return " and ".join(texts) or "nobody"
