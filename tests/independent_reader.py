"""A second reader, made from FORMAT.md alone. Usage: independent_reader.py ARCHIVE KEY-FILE."""

import io
import json
import re
import subprocess
import sys
from hashlib import sha256
from unicodedata import category, normalize

TAGS = ["bagit.txt", "RECOVER.md", "bag-info.txt", "manifest-sha256.txt", "manifest.json"]
LAST = "tagmanifest-sha256.txt"
BAGIT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
FORMAT_LINE = rb"<!-- agebackup archive, format (\d+), minimum reader (\d+) -->\n"
HEADER = (  # name, mode, size, mtime, checksum, typeflag, prefix
    rb"(?s)([^\0]+)\0*(?<=^.{100})0000([67])00\0(?:0{7}\0){2}(.{12})(.{12})([0-7]{6})\0 ([0L])"
    rb"\0{100}ustar\x0000\0{64}(?:0{7}\0){2}(?=.{167}$)([^\0]*)\0{12,}"
)


def require(true, what):
    if not true:
        raise ValueError(what)


def number(field):
    if field[0] < 0x80:
        return int(re.fullmatch(rb"([0-7]{11})\0", field)[1], 8)
    value = int.from_bytes(field[1:]) - (field[0] == 0xFF) * (1 << 88)
    require(value in (range(8**11, 1 << 63) if field[0] == 0x80 else range(-(1 << 63), 0)), "size")
    return value


def header(raw):
    match = re.fullmatch(HEADER, raw)
    require(match and int(match[5], 8) == sum(raw[:148] + raw[156:]) + 8 * 32, "a header")
    size, mtime, kind = number(match[3]), number(match[4]), match[6]
    require(size >= 0 and (kind == b"0" or (match[2], mtime) == (b"6", 0)), "a header's field")
    return match[1], match[7], size, kind


def written(path):
    cut = path.find(b"/", len(path) - 101) if len(path) > 100 else -1
    if len(path) <= 100 or (0 < cut <= 155 and path[cut + 1 :]):
        return path[cut + 1 :], path[: max(cut, 0)], False
    return path.split(b"/")[0] + b"/long-name-%.16b" % sha256(path).hexdigest().encode(), b"", True


def members(tar):
    def take(size):
        data = tar.read(size)
        require(len(data) == size, "the stream ends early")
        return data

    while any(raw := take(512)):
        name, prefix, size, kind = header(raw)
        path, long = prefix + b"/" * bool(prefix) + name, kind == b"L"
        if long:
            require(path == b"././@LongLink", "the header of a long name")
            path, end, rest = take(size).partition(b"\0")
            require(end and not rest and not any(take(-size % 512)), "the end of a long name")
            name, prefix, size, kind = header(take(512))
        require((name, prefix, long, kind) == (*written(path), b"0"), "a path written otherwise")
        yield path.decode(), take(size)
        require(not any(take(-size % 512)), "padding that is not zero")
    require(not any(take(512)) and not any(take(-tar.tell() % 10240)), "the end marker")
    require(not tar.read(1), "something after the end")


def upwards(place):
    return [place[: end.start()] for end in re.finditer("/|$", place)][::-1]


def key(name):
    return normalize("NFC", normalize("NFC", name).casefold())


def check_place(place):
    bad = re.search("Cc|Zl|Zp|Zs$", " ".join(map(category, place))) or re.search("%0[adAD]", place)
    require(not bad and not {"", ".", ".."} & set(place.split("/")), "a place that is not allowed")
    require(len(place.encode()) <= 4054, "a place that is too long")


def read_tar(tar):
    order, tags, payload = [], {}, {}
    for path, data in members(tar):
        top, _, place = path.partition("/")
        check_place(place)
        order.append((top, "data/" if place.startswith("data/") else place))
        if place.startswith("data/"):
            payload[place] = len(data), sha256(data).hexdigest(), data[:16] == b"SQLite format 3\0"
        else:
            tags[place] = data
            require(len(data) <= 65536 or place in {TAGS[1], *TAGS[3:]}, "a tag file's size")
    names = [*TAGS[:2], *["data/"] * len(payload), *TAGS[2:], LAST, *tags.keys() & {LAST + ".sig"}]
    require(order == [(top, name) for name in names], "the order of the members")
    require(re.fullmatch("[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", top), "the app's name")
    formats = [int(one) for one in re.match(FORMAT_LINE, tags["RECOVER.md"]).groups()]
    lines = "".join(f"{payload[place][1]}  {place}\n" for place in payload).encode()
    require((tags["bagit.txt"], tags["manifest-sha256.txt"]) == (BAGIT, lines), "bagit.txt, hashes")
    lines = "".join(f"{sha256(tags[name]).hexdigest()}  {name}\n" for name in TAGS).encode()
    require(tags[LAST] == lines, "tagmanifest-sha256.txt")
    total, count = sum(size for size, _, _ in payload.values()), len(payload)
    *info, end = tags["bag-info.txt"].decode("ascii").split("\n")
    require(not end and all(": " in one and one.isprintable() for one in info), "bag-info.txt")
    oxum = f"Payload-Oxum: {total}.{count}"
    require([one for one in info if one.startswith("Payload-Oxum:")] == [oxum], "Payload-Oxum")
    said = json.loads(tags["manifest.json"])
    figures = said["minimum_reader"], said["format"], said["payload_bytes"], said["payload_files"]
    require(figures == (formats[1], formats[0], total, count) and said["app"] == top, "a figure")
    require(formats[0] >= formats[1] == 1, "a format that this reader knows")
    check_manifest({"skipped": [], "trees": [], "databases": []} | said, payload)
    return said, payload


def check_manifest(said, payload):
    trees, paths = {one["path"]: [0, 0] for one in said["trees"]}, list(payload)
    records = {one["path"]: (one["bytes"], one["sha256"], True) for one in said["databases"]}
    leading = {place: payload[place] for place in paths[: len(said["databases"])]}
    besides = {key(place + end) for place in leading for end in ("-wal", "-shm", "-journal")}
    require(records == leading and not besides & set(map(key, paths)), "the databases")
    for place in paths[len(said["databases"]) :]:
        tree = trees[next((name for name in upwards(place) if name in trees), None)]
        tree[:] = tree[0] + 1, tree[1] + payload[place][0]
    require([[one["files"], one["bytes"]] for one in said["trees"]] == list(trees.values()), "tree")
    asked = {one["role"] for one in said["trees"] if not said.get(one["role"] + "_included")}
    lost = said.get("missing") or any(one.get("lost") for one in said["skipped"])
    require(asked <= {"attachments"} and not (lost and said["complete"]), "a role, or complete")
    require(len(said["skipped"]) == min(said.get("skipped_count", 0), 10_000), "skipped_count")
    require(said["consistency"] != "single" or len(said["databases"]) < 2, "consistency")
    empty = said.get("empty_directories", [])
    for place in [*(trees.keys() - {"data"}), *empty]:
        require(check_place(place) is None and place.startswith("data/"), "a place elsewhere")
    require(not {up for place in empty for up in upwards(place)} & set(paths), "empty_directories")
    directories = {name for place in paths for name in upwards(place)[1:]} - {"data"}
    require(not directories & set(paths) and len(set(empty)) == len(empty), "a directory")
    clashes = len(directories) + len(paths) - len(set(map(key, {*directories, *paths})))
    require(said.get("clashing_names", 0) == clashes, "clashes")


def read(archive, key):
    plain = subprocess.check_output(["age", "-d", "-i", key, archive])
    if plain[:4] == b"\x28\xb5\x2f\xfd":
        plain = subprocess.check_output(["zstd", "-dc"], input=plain)
    return read_tar(io.BytesIO(plain))


if __name__ == "__main__":
    print(json.dumps(read(*sys.argv[1:3])[0], indent=2))
