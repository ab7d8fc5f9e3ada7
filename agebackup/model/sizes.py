"""Sizes as people read them."""


def human_bytes(count: int) -> str:
    """Return `count` bytes in binary units with three significant digits."""
    size = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{count} bytes" if unit == "bytes" else f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.4g} TiB"
