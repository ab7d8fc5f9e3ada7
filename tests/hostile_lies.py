"""Bags that lie: well formed, with all hashes above the lie in order, and one statement untrue."""

import hashlib
from collections.abc import Callable

from hostile import FILES, FORMAT_LINE, SQLITE, Bag, Manifest, lines

_OTHER = hashlib.sha256(b"other").hexdigest()
_TAG_LINES = lines(dict(Bag().members()[:2] + Bag().members()[-4:-1]))


def saying(**changes: object) -> Bag:
    """Return a bag whose manifest says `changes`."""
    return Bag(lie=lambda manifest: manifest.update(changes))


def _first(manifest: Manifest, key: str) -> Manifest:
    records = manifest[key]
    assert isinstance(records, list)
    record: Manifest = records[0]
    return record


def _changed(key: str, **changes: object) -> Bag:
    """A bag whose manifest says `changes` of the first record in `key`."""
    return Bag(lie=lambda manifest: _first(manifest, key).update(changes))


def _added(key: str, **changes: object) -> Bag:
    """A bag whose manifest holds the first record in `key` once more, with `changes`."""

    def lie(manifest: Manifest) -> None:
        records = manifest[key]
        assert isinstance(records, list)
        records.append(_first(manifest, key) | changes)

    return Bag(lie=lie)


def _listing(change: Callable[[list[bytes]], object]) -> Bag:
    """A bag whose payload manifest was changed line by line."""
    text = lines(FILES).splitlines(keepends=True)
    change(text)
    return Bag(tags={"manifest-sha256.txt": b"".join(text)})


def _line(number: int, change: Callable[[bytes], bytes]) -> Bag:
    return _listing(lambda text: text.__setitem__(number, change(text[number])))


def _tag(name: str, content: bytes) -> Bag:
    return Bag(tags={name: content})


def _info(text: bytes) -> Bag:
    return _tag("bag-info.txt", text)


def _beside(*places: str) -> Bag:
    """A bag that holds files at `places` besides the usual ones."""
    return Bag(files=FILES | dict.fromkeys(places, b"more"))


def _databases(files: dict[str, bytes], *databases: str, **changes: object) -> Bag:
    return Bag(files=files, databases=databases, lie=lambda manifest: manifest.update(changes))


_TWO = {"data/a.db": SQLITE, "data/b.db": SQLITE}
_SKIP = {"path": "a", "reason": "b"}
_CLASH = "clashing_names is 0, found was 1"
_NO_HASH = "does not have the hash that is listed"
_NOT_FIRST = "is not among the first payload files"
_NOT_AHEAD = "the payload does not begin with the databases"
_UNOWNED = "belongs to no database and no tree"

LIES: dict[str, tuple[Bag, str]] = {
    "a changed file": (_line(1, lambda line: _OTHER.encode() + line[64:]), _NO_HASH),
    "a missing file": (_listing(lambda t: t.append(t[1].replace(b"a.t", b"b.t"))), "is not there"),
    "a file that is not listed": (_listing(lambda text: text.pop()), "is not listed"),
    "a file listed twice": (_listing(lambda text: text.append(text[0])), "listed twice"),
    "lines in another order": (_listing(lambda text: text.reverse()), "in their order"),
    "one blank in a line": (_line(0, lambda line: line.replace(b"  ", b" ")), "is not listed"),
    "an upper-case hash": (_line(0, lambda line: line[:64].upper() + line[64:]), _NO_HASH),
    "no last line end": (_line(3, lambda line: line[:-1]), "payload manifest"),
    "an empty payload manifest": (_listing(lambda text: text.clear()), "is not listed"),
    "a wrong tag hash": (_tag("tagmanifest-sha256.txt", _TAG_LINES.replace(b"1", b"2")), _NO_HASH),
    "a tag twice": (_tag("tagmanifest-sha256.txt", _TAG_LINES + _TAG_LINES[:77]), "tag manifest"),
    "an empty tag manifest": (_tag("tagmanifest-sha256.txt", b""), "tag manifest: bagit.txt"),
    "Payload-Oxum": (_info(b"Payload-Oxum: 1.4\n"), "Payload-Oxum"),
    "no Payload-Oxum": (_info(b"Contact-Name: x\n"), "Payload-Oxum"),
    "Payload-Oxum twice": (_info(b"Payload-Oxum: 2167.4\n" * 2), "Payload-Oxum"),
    "bag-info.txt of bytes": (_info(b"\xff\x00"), "bag-info.txt"),
    "bag-info.txt folded": (_info(b"Payload-Oxum: 2167.4\n a\n"), "bag-info.txt"),
    "app": (saying(app="other"), "app is other"),
    "payload_files": (saying(payload_files=5), "payload_files is 5"),
    "payload_bytes": (saying(payload_bytes=0), "payload_bytes is 0"),
    "format": (saying(format=2), "not those of RECOVER.md"),
    "minimum_reader": (saying(minimum_reader=0), "minimum_reader"),
    "consistency": (_databases(_TWO, *_TWO, consistency="single", trees=[]), "consistency"),
    "a database's hash": (_changed("databases", sha256=_OTHER), "sha256 of the database"),
    "a database's size": (_changed("databases", bytes=1), "bytes of the database"),
    "a database elsewhere": (_changed("databases", path="data/x.db"), _NOT_FIRST),
    "a database outside": (_changed("databases", path="../x.db"), _NOT_FIRST),
    "a database more": (_added("databases", path="data/attachments/a.txt"), _NOT_AHEAD),
    "a database twice": (_added("databases"), _NOT_FIRST),
    "a database less": (saying(databases=[]), _UNOWNED),
    "a database behind": (_databases({"data/attachments/a": b""} | _TWO, "data/a.db"), _NOT_AHEAD),
    "a database that is none": (_databases({"data/x.db": b"text"}, "data/x.db"), _NOT_AHEAD),
    "a smuggled -wal": (_beside("data/ledger.db-wal"), "may not lie beside a database"),
    "a smuggled -journal": (_beside("data/ledger.db-journal"), "may not lie beside a database"),
    "a smuggled -WAL": (_beside("data/ledger.db-WAL"), "ledger.db-WAL may not lie beside"),
    "a smuggled -wal of LEDGER.DB": (_beside("data/LEDGER.DB-wal"), "may not lie beside"),
    "a tree's files": (_changed("trees", files=2), "the tree"),
    "a tree's bytes": (_changed("trees", bytes=0), "the tree"),
    "a tree elsewhere": (_changed("trees", path="data/other"), _UNOWNED),
    "a tree outside": (_added("trees", path="data/../../etc", files=0, bytes=0), "not in data/"),
    "an absolute tree": (_added("trees", path="/etc", files=0, bytes=0), "not in data/"),
    "a tree twice": (_added("trees"), "two trees have one path"),
    "a tree of nothing": (_added("trees", path="data/none"), "the tree data/none"),
    "a tree within": (_added("trees", path="data/attachments/b", files=0, bytes=0), "the tree"),
    "tokens not declared": (_changed("trees", role="tokens"), "tokens_included"),
    "config not declared": (_changed("trees", role="config"), "config_included"),
    "complete, but lost": (saying(skipped=[_SKIP | {"lost": True}], skipped_count=1), "complete"),
    "complete, but missing": (saying(missing=["x"]), "complete is true"),
    "skipped_count too low": (saying(skipped=[_SKIP]), "skipped_count is less"),
    "skipped_count too high": (saying(skipped_count=3), "skipped lists less"),
    "an empty directory outside": (saying(empty_directories=["data/../../x"]), "not in data/"),
    "an absolute empty directory": (saying(empty_directories=["/etc"]), "not in data/"),
    "an empty directory beside data": (saying(empty_directories=["tags"]), "not in data/"),
    "an empty directory of lines": (saying(empty_directories=["data/a\nb"]), "not in data/"),
    "an empty directory as a file": (saying(empty_directories=["data/ledger.db"]), "is a file"),
    "an empty directory in a file": (saying(empty_directories=["data/ledger.db/b/c"]), "below one"),
    "an empty directory twice": (saying(empty_directories=["data/e", "data/e"]), "one twice"),
    "names that clash by case": (_beside("data/attachments/A.txt"), _CLASH),
    "directories that clash by case": (_beside("data/attachments/B/c"), _CLASH),
    "a file that clashes with a directory": (_beside("data/attachments/B"), _CLASH),
    "clashes by form": (_beside("data/attachments/\u00e9", "data/attachments/e\u0301"), _CLASH),
    "clashing names that are none": (saying(clashing_names=1), "clashing_names is 1, found was 0"),
}
"""Each lie, and what the difference that names it says."""

NEWER: dict[str, Bag] = {
    "said by RECOVER.md": Bag(
        tags={"RECOVER.md": FORMAT_LINE.replace(b"reader 1", b"reader 2"), "bag-info.txt": b"?"}
    ),
    "said by manifest.json": saying(format=2, minimum_reader=2),
}
"""Archives that need a later reader."""
