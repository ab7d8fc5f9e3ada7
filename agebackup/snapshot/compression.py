"""Zstandard, the one optional compression: a whole stream, one frame, with its checksum.

The frame is bounded so that `zstd -d` and every other decoder opens it with its usual memory; ours
takes nothing larger, and stops a small archive that would fill the disk.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from agebackup.errors import VerificationError
from agebackup.model.limits import Limits

if sys.version_info >= (3, 14) and not TYPE_CHECKING:
    from compression import zstd
else:
    from backports import zstd

MAGIC = b"\x28\xb5\x2f\xfd"
LEVELS = range(1, 20)
"""The levels that are offered; beyond them a reader needs up to 128 MiB for the window alone."""
DEFAULT_LEVEL = 3

_LARGEST_WINDOW = 23
"""Base-two logarithm of the bytes that the decoder must keep: what level 19 needs."""
_PIECE = 1 << 18


def compressed(pieces: Iterable[bytes], level: int) -> Iterator[bytes]:
    """Yield the compressed form of `pieces`, at one of `LEVELS`."""
    assert level in LEVELS
    compressor = zstd.ZstdCompressor(
        options={
            zstd.CompressionParameter.compression_level: level,
            zstd.CompressionParameter.checksum_flag: 1,
        }
    )
    for piece in pieces:
        packed = compressor.compress(piece)
        if packed:
            yield packed
    yield compressor.flush()


class Expander:
    """Passes on to `put` what the compressed bytes given to `write` stand for."""

    def __init__(self, put: Callable[[bytes], object], limits: Limits) -> None:
        self._put = put
        self._limits = limits
        self._given = 0
        self._made = 0
        self._decoder = zstd.ZstdDecompressor(
            options={zstd.DecompressionParameter.window_log_max: _LARGEST_WINDOW}
        )

    def write(self, data: bytes) -> None:
        """Expand `data`; raises `VerificationError` for damage, and for what would not end."""
        if self._decoder.eof:
            raise _damaged("something follows its end")
        self._given += len(data)
        while True:
            try:
                piece = self._decoder.decompress(data, _PIECE)
            except zstd.ZstdError as error:
                raise _damaged(str(error)) from None
            data = b""
            self._made += len(piece)
            self._require_bounds()
            self._put(piece)
            if self._decoder.eof or (self._decoder.needs_input and not piece):
                break
        if self._decoder.unused_data:
            raise _damaged("something follows its end")

    def finish(self) -> None:
        """Raise `VerificationError` unless the stream came to its end."""
        if not self._decoder.eof:
            raise _damaged("it is cut short")

    def _require_bounds(self) -> None:
        limits = self._limits
        bomb = self._made > limits.expansion_floor and self._made > limits.expansion * self._given
        if bomb or self._made > limits.total_bytes:
            raise VerificationError(
                f"The archive expands without measure: {self._given} compressed bytes became "
                f"{self._made} and more.",
                hint="If you trust its origin, raise --max-expansion or --max-total-bytes.",
            )


def _damaged(why: str) -> VerificationError:
    return VerificationError(
        f"The compressed content of the archive is damaged: {why}.",
        hint="Take another copy of the file, or an older archive.",
    )
