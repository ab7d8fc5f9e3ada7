"""Hostile streams by name: none of them is an archive, whatever else it is."""

from collections.abc import Callable, Iterator

from hostile import (
    BAGIT,
    END,
    FILES,
    Bag,
    endless,
    endless_members,
    header,
    inside,
    leading,
    lines,
    long_named,
    member,
    padded,
    pax,
    reordered,
    replaced,
    stream_of,
)

FILE = "app/data/attachments/x"
LONG = "app/data/attachments/" + "n" * 200
SECOND = member(FILE, b"second")


def _huge(size: int) -> bytes:
    return b"\x80" + size.to_bytes(11)


def _mebibyte(_: int) -> bytes:
    return bytes(1 << 20)


def _replacing_header(**fields: bytes) -> bytes:
    """An honest stream but for the header of one payload file."""
    content = FILES["data/attachments/a.txt"]
    return replaced(
        "data/attachments/a.txt", member("app/data/attachments/a.txt", content, **fields)
    )


def _sparse() -> bytes:
    content = pax(("GNU.sparse.major", "1"), ("GNU.sparse.realsize", str(1 << 40)))
    return inside(member("app/PaxHeaders/x", content, kind=b"x") + SECOND)


def _without(name: str) -> bytes:
    return Bag(left_out=(name,)).stream()


def _cut(at: int) -> bytes:
    return Bag().stream()[:at]


_HONEST = Bag().stream()
_MANIFEST = dict(Bag().members())["manifest.json"]
_UNFILLED = _HONEST[: len(_HONEST.rstrip(b"\0")) + -len(_HONEST.rstrip(b"\0")) % 512]

STREAMS: dict[str, bytes] = {
    "empty": b"",
    "zeros": bytes(10240),
    "text": b"This is no tar.\n" * 1000,
    "another format": b"\x1f\x8b\x08" + bytes(range(256)) * 40,
    "absolute path": inside(member("/etc/passwd", b"x")),
    "absolute path in the top folder": inside(member("app//etc/passwd", b"x")),
    "dot-dot": inside(member("app/data/../../../etc/passwd", b"x")),
    "dot-dot at the end": inside(member("app/data/attachments/..", b"x")),
    "dot": inside(member("app/data/./x", b"x")),
    "empty component": inside(member("app/data//x", b"x")),
    "trailing slash": inside(member("app/data/attachments/x/")),
    "another top folder": inside(member("other/data/x", b"x")),
    "top folder alone": inside(member("app")),
    "no name": inside(member("")),
    "top folder is no app": stream_of(Bag().members(), top="App"),
    "duplicate": inside(SECOND + SECOND),
    "duplicate by a long name": inside(long_named(LONG) + long_named(LONG)),
    "file and directory": inside(SECOND + member(FILE + "/y")),
    "directory and file": inside(member(FILE + "/y") + SECOND),
    "hard link": inside(member(FILE, kind=b"1", link=b"app/bagit.txt")),
    "symbolic link": inside(member(FILE, kind=b"2", link=b"/etc/passwd")),
    "character device": inside(member(FILE, kind=b"3", major=b"0000001\0")),
    "block device": inside(member(FILE, kind=b"4")),
    "directory": inside(member("app/data/dir/", kind=b"5")),
    "fifo": inside(member(FILE, kind=b"6")),
    "contiguous file": inside(member(FILE, b"x", kind=b"7")),
    "old-style file": inside(member(FILE, b"x", kind=b"\0")),
    "GNU sparse file": inside(member(FILE, b"x", kind=b"S")),
    "pax sparse file": _sparse(),
    "pax path": inside(member("p", pax(("path", "/etc/passwd")), kind=b"x") + SECOND),
    "pax size": inside(member("p", pax(("size", str(1 << 40))), kind=b"x") + SECOND),
    "pax link": inside(member("p", pax(("linkpath", "/etc/passwd")), kind=b"x") + SECOND),
    "pax headers without end": inside(member("p", pax(("mtime", "1")), kind=b"x") * 50),
    "global pax": inside(member("p", pax(("path", "app/data/y")), kind=b"g") + SECOND),
    "long link name": inside(member("././@LongLink", b"/etc\0", kind=b"K") + SECOND),
    "volume label": inside(member("app", kind=b"V")),
    "continued file": inside(member(FILE, b"x", kind=b"M")),
    "long name for a short path": inside(long_named(FILE, b"x")),
    "long name for nothing": inside(member("././@LongLink", b"", kind=b"L") + SECOND),
    "long name without its NUL": inside(
        member("././@LongLink", LONG.encode(), kind=b"L", mtime=b"%011o\0" % 0) + SECOND
    ),
    "long name with two NULs": inside(long_named(LONG.encode() + b"\0/y")),
    "long name twice": inside(long_named(LONG)[:1024] + long_named(LONG + "y")),
    "long name, then the end": leading() + long_named(LONG)[:1024] + bytes(10240),
    "long name before another name": inside(long_named(LONG)[:1024] + SECOND),
    "path cut at another slash": inside(member("y" * 96, prefix=b"app/data/attachments/x")),
    "prefix for a short path": inside(member("x", b"", prefix=b"app/data")),
    "size over the content": _replacing_header(size=b"%011o\0" % 5000),
    "size under the content": replaced(
        "data/attachments/b/c.bin",
        header(b"app/data/attachments/b/c.bin", 512) + FILES["data/attachments/b/c.bin"],
    ),
    "size of 1 TiB, nothing behind": leading() + header(FILE.encode(), size=_huge(1 << 40)),
    "negative size": _replacing_header(size=b"\xff" * 12),
    "negative octal size": _replacing_header(size=b"-0000000005\0"),
    "size in base 256 where octal would do": _replacing_header(size=b"\x80" + (5).to_bytes(11)),
    "size of 2^63": leading() + header(FILE.encode(), size=_huge(1 << 63)),
    "time of 2^63": _replacing_header(mtime=_huge(1 << 63)),
    "time before -2^63": _replacing_header(mtime=(-(1 << 63) - 1).to_bytes(12, signed=True)),
    "size with blanks": _replacing_header(size=b"          5\0"),
    "size with an underscore": _replacing_header(size=b"0000000_0_5\0"),
    "size of no digits": _replacing_header(size=bytes(12)),
    "set-user-id": _replacing_header(mode=b"0004755\0"),
    "world-writable": _replacing_header(mode=b"0000666\0"),
    "an owner": _replacing_header(uid=b"0001750\0"),
    "an owner's name": _replacing_header(uname=b"root"),
    "a checksum that is wrong": _replacing_header(checksum=b"000000\0 "),
    "bytes behind the name": _replacing_header(name=b"app/data/attachments/a.txt\0hidden"),
    "bytes in the header's rest": _replacing_header(rest=b"hidden"),
    "GNU's magic": _replacing_header(magic=b"ustar  \0"),
    "no magic": _replacing_header(magic=b""),
    "padding that is not zero": _HONEST.replace(padded(b"alpha"), b"alpha".ljust(512, b"!")),
    "no end marker": _UNFILLED,
    "half an end marker": _UNFILLED + bytes(512),
    "last record not filled": _UNFILLED + END,
    "a file behind half the end marker": _UNFILLED + bytes(512) + SECOND + bytes(20480),
    "zeros behind the last record": _HONEST + bytes(10240),
    "data behind the end": _HONEST + b"x",
    "data in the last record": _HONEST[:-1] + b"x",
    "another archive behind the end": _HONEST + _HONEST,
    "cut in a header": _cut(700),
    "cut behind a header": _cut(1536),
    "cut in a payload file": _cut(3500),
    "cut behind a payload file": _cut(4096),
    "not UTF-8": inside(member(b"app/data/\xff\xfe")),
    "newline in a name": inside(member("app/data/a\nb")),
    "escape in a name": inside(member("app/data/\x1b[2Jb")),
    "C1 control in a name": inside(member("app/data/\x9bb")),
    "line separator in a name": inside(member("app/data/a\u2028b")),
    "blank at a name's end": inside(member("app/data/a ")),
    "%0A in a name": inside(member("app/data/a%0Ab")),
    "path of 4 KiB and more": inside(long_named("app/data/" + "/".join(["p" * 99] * 42))),
    "manifest before the payload": reordered("bagit.txt", "RECOVER.md", "manifest.json"),
    "payload first": reordered("data/ledger.db"),
    "bagit.txt second": reordered("RECOVER.md", "bagit.txt"),
    "tag manifest first": reordered("tagmanifest-sha256.txt"),
    "no bagit.txt": _without("bagit.txt"),
    "no RECOVER.md": _without("RECOVER.md"),
    "no bag-info.txt": _without("bag-info.txt"),
    "no payload manifest": _without("manifest-sha256.txt"),
    "no manifest.json": _without("manifest.json"),
    "no tag manifest": _without("tagmanifest-sha256.txt"),
    "payload behind the manifests": stream_of([*Bag().members(), ("data/late", b"x")]),
    "fetch.txt": stream_of([*Bag().members(), ("fetch.txt", b"http://example.org/ 1 data/x\n")]),
    "two manifests": stream_of([*Bag().members()[:-1], *Bag().members()[-2:]]),
    "two signatures": stream_of(
        [*Bag(signature=b"s").members(), ("tagmanifest-sha256.txt.sig", b"")]
    ),
    "bag-info.txt of a million lines": Bag(tags={"bag-info.txt": b"\n" * (1 << 20)}).stream(),
    "a tag manifest of a million lines": Bag(
        tags={"tagmanifest-sha256.txt": b"\n" * (1 << 20)}
    ).stream(),
    "a signature of 1 MiB": Bag(signature=bytes(1 << 20)).stream(),
    "bagit.txt of another version": Bag(
        tags={"bagit.txt": BAGIT.replace(b"1.0", b"0.97")}
    ).stream(),
    "RECOVER.md names no format": Bag(tags={"RECOVER.md": b"# Hello\n"}).stream(),
    "manifest.json is no JSON": Bag(tags={"manifest.json": b"{"}).stream(),
    "manifest.json is an array": Bag(tags={"manifest.json": b"[]"}).stream(),
    "manifest.json is not UTF-8": Bag(
        tags={"manifest.json": _MANIFEST.replace(b'"host": "host"', b'"host": "\xff"')}
    ).stream(),
    "manifest.json nests without end": Bag(tags={"manifest.json": b"[" * 200_000}).stream(),
    "manifest.json without its app": Bag(lie=lambda m: m.pop("app")).stream(),
    "manifest.json with text for a number": Bag(lie=lambda m: m.update(payload_files="4")).stream(),
    "a payload manifest of very much more": Bag(
        tags={"manifest-sha256.txt": b"0" * 64 + b"  data/x\n" + bytes(2_000_000)}
    ).stream(),
}
"""Finite streams that every reader must refuse."""

ENDLESS: dict[str, Callable[[], Iterator[bytes]]] = {
    "members": lambda: endless(leading(), endless_members),
    "one file": lambda: endless(leading() + header(FILE.encode(), size=_huge(1 << 62)), _mebibyte),
    "RECOVER.md": lambda: endless(
        member("app/bagit.txt", BAGIT) + header(b"app/RECOVER.md", size=_huge(1 << 50)), _mebibyte
    ),
    "a long name": lambda: endless(
        leading() + header(b"././@LongLink", size=_huge(1 << 50), kind=b"L", mtime=b"%011o\0" % 0),
        _mebibyte,
    ),
    "zeros": lambda: endless(b"", _mebibyte),
    "zeros behind the end": lambda: endless(_HONEST, _mebibyte),
    "pax headers": lambda: endless(leading(), lambda _: member("p", pax(("a", "b")), kind=b"x")),
    "manifest lines": lambda: endless(
        leading()
        + header(b"app/bag-info.txt")
        + header(b"app/manifest-sha256.txt", size=_huge(1 << 60)),
        lambda count: lines({f"data/{count}": b""}) * 1000,
    ),
}
"""Streams without an end; a reader within its limits refuses each soon."""
