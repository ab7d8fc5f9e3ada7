"""How much a reader accepts of an archive before it calls it hostile or damaged."""

from dataclasses import dataclass

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40


@dataclass(frozen=True)
class Limits:
    """Upper bounds for one archive; all but the floor have a flag that raises them (--max-...).

    Sizes are in bytes. `expansion` is how many bytes one compressed byte may become (Zstandard
    reaches about 10,000 on zeros), counted once the first `expansion_floor` bytes have come out.
    `depth` lets every path pass that a bag can carry. `seconds` is what one SQL statement may
    take on a restored database.
    """

    members: int = 5_000_000
    total_bytes: int = 16 * TIB
    path_bytes: int = 4096
    depth: int = 2048
    tag_file_bytes: int = 64 * MIB
    manifest_bytes: int = 1 * GIB
    expansion: int = 1000
    expansion_floor: int = 64 * MIB
    seconds: int = 3600
