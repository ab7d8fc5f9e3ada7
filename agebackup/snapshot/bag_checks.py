"""Compare what a bag promises with what was found in it; every broken promise is a line."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from agebackup.errors import printable
from agebackup.model.layout import LEADING_TAG_FILES, SQLITE_COMPANIONS, TRAILING_TAG_FILES
from agebackup.model.manifest import MAX_RECORDED_SKIPS, Manifest
from agebackup.model.names import clash_key
from agebackup.snapshot.bag_contents import Payload, parse_lines
from agebackup.snapshot.places import Places, is_place
from agebackup.system.progress import Progress

SHOWN = 1000
"""So many lines of one kind are given; the rest is counted."""

_OXUM = re.compile(r"Payload-Oxum: ([0-9]{1,20})\.([0-9]{1,20})")
_POLL = 4096
LONGEST_NAME = 255
"""Of one component, in bytes: more no usual file system takes."""


def bounded(lines: Iterable[str]) -> list[str]:
    """Return `lines`, of which at most `SHOWN` are spelt out."""
    rest = iter(lines)
    shown = list(islice(rest, SHOWN))
    more = sum(1 for _ in rest)
    return [*shown, f"… and {more:,} more of this kind"] if more else shown


def payload_differences(
    promised: bytes | bytearray, payload: Payload, progress: Progress
) -> Iterator[str]:
    """Yield how `promised`, the text of manifest-sha256.txt, differs from what was found."""
    if promised == payload.lines:
        return
    expected: dict[bytes, bytes] = {}
    told = False
    for count, (name, digest) in enumerate(parse_lines(promised)):
        if count % _POLL == 0:
            progress.advance(0)
        if name in expected:
            told = True
            yield f"payload manifest: {_shown(name)} is listed twice"
        expected[name] = digest
    for count, (name, digest) in enumerate(parse_lines(payload.lines)):
        if count % _POLL == 0:
            progress.advance(0)
        wanted = expected.pop(name, None)
        if wanted != digest:
            told = True
            why = "is not listed" if wanted is None else "does not have the hash that is listed"
            yield f"payload manifest: {_shown(name)} {why}"
    for name in expected:
        told = True
        yield f"payload manifest: {_shown(name)} is listed, but is not there"
    if not told:
        yield "payload manifest: its lines are not those of the files, in their order"


def tag_differences(promised: bytes, found: dict[str, bytes]) -> Iterator[str]:
    """Yield how the tag manifest differs from the hashes (as hex) of the tag files in `found`."""
    names = LEADING_TAG_FILES + TRAILING_TAG_FILES
    lines = {name: b"%b  %b\n" % (found[name], name.encode()) for name in names if name in found}
    if promised == b"".join(lines.values()):
        return
    listed = promised.splitlines(keepends=True)
    wrong = [name for name, line in lines.items() if line not in listed]
    for name in wrong:
        yield f"tag manifest: {name} does not have the hash that is listed"
    if not wrong:
        yield "tag manifest: it does not list exactly the tag files, in their order"


def info_differences(bag_info: bytes, payload: Payload) -> Iterator[str]:
    """Yield how bag-info.txt is malformed, or its Payload-Oxum differs from what was found."""
    try:
        lines = bag_info.decode("ascii").split("\n")
    except UnicodeDecodeError:
        yield "bag-info.txt: it is not ASCII"
        return
    if lines.pop() != "" or any(": " not in line or not line.isprintable() for line in lines):
        yield "bag-info.txt: it is not lines of LABEL: VALUE"
    sums = [_OXUM.fullmatch(line) for line in lines if line.startswith("Payload-Oxum:")]
    found = (payload.bytes, len(payload.sizes))
    if len(sums) != 1 or sums[0] is None or (int(sums[0][1]), int(sums[0][2])) != found:
        yield f"bag-info.txt: Payload-Oxum is not {found[0]}.{found[1]}, as found"


def manifest_differences(
    manifest: Manifest, app: str | None, payload: Payload, progress: Progress
) -> Iterator[str]:
    """Yield each statement of manifest.json that what was found contradicts.

    `app` is the top folder's name, None where it says nothing (an extracted bag was renamed).
    """
    figures: list[tuple[str, object, object]] = [
        ("app", manifest.app, manifest.app if app is None else app),
        ("payload_files", manifest.payload_files, len(payload.sizes)),
        ("payload_bytes", manifest.payload_bytes, payload.bytes),
        ("clashing_names", manifest.clashing_names, payload.places.clashes),
    ]
    for name, promised, found in figures:
        if promised != found:
            yield f"manifest.json: {name} is {_text(promised)}, found was {_text(found)}"
    yield from bounded(_record_differences(manifest))
    yield from bounded(_database_differences(manifest, payload))
    yield from bounded(_companions(manifest, payload))
    yield from bounded(_tree_differences(manifest, payload, progress))
    yield from bounded(_directory_differences(manifest, payload))


def _record_differences(manifest: Manifest) -> Iterator[str]:
    """Yield where the manifest contradicts itself."""
    if not 1 <= manifest.minimum_reader <= manifest.format:
        yield "manifest.json: minimum_reader is not between 1 and format"
    if manifest.consistency == "single" and len(manifest.databases) > 1:
        yield "manifest.json: consistency is single, but there are several databases"
    if manifest.skipped_count < len(manifest.skipped):
        yield "manifest.json: skipped_count is less than what skipped lists"
    if len(manifest.skipped) < min(manifest.skipped_count, MAX_RECORDED_SKIPS):
        yield "manifest.json: skipped lists less than skipped_count says"
    if manifest.complete and (manifest.missing or any(one.lost for one in manifest.skipped)):
        yield "manifest.json: complete is true, but files are recorded as missing"
    roles = {tree.role for tree in manifest.trees}
    for role, included in (
        ("config", manifest.config_included),
        ("tokens", manifest.tokens_included),
    ):
        if role in roles and not included:
            yield f"manifest.json: {role}_included is false, but there is {role}"


def _database_differences(manifest: Manifest, payload: Payload) -> Iterator[str]:
    count = len(manifest.databases)
    if count > payload.databases:
        yield "manifest.json: the payload does not begin with the databases that are listed"
    leading = dict(islice(zip(parse_lines(payload.lines), payload.sizes, strict=True), count))
    found = {name.decode(): (digest, size) for (name, digest), size in leading.items()}
    for record in manifest.databases:
        shown = printable(record.path)
        digest, size = found.pop(record.path, (None, 0))
        if digest is None:
            yield f"manifest.json: the database {shown} is not among the first payload files"
        elif digest != record.sha256.encode("utf-8", "replace"):
            yield f"manifest.json: sha256 of the database {shown} is not that of the file"
        elif size != record.bytes:
            yield f"manifest.json: bytes of the database {shown} is {record.bytes}, found {size}"


def _companions(manifest: Manifest, payload: Payload) -> Iterator[str]:
    """Yield files that would change what an application sees in a database beside them."""
    besides = {clash_key(one.path + end) for one in manifest.databases for end in SQLITE_COMPANIONS}
    held = {key for key in besides if payload.places.holds_key(key)}
    for place, _ in payload.files() if held else ():
        if clash_key(place) in held:
            yield f"payload: {printable(place)} may not lie beside a database"


def _tree_differences(manifest: Manifest, payload: Payload, progress: Progress) -> Iterator[str]:
    databases = {record.path for record in manifest.databases}
    files: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    trees = {tree.path for tree in manifest.trees}
    if len(trees) < len(manifest.trees):
        yield "manifest.json: two trees have one path"
    parent, above = "", None
    for count, (place, size) in enumerate(payload.files()):
        if count % _POLL == 0:
            progress.advance(0)
        if place in databases:
            continue
        directory = place[: place.rfind("/")]
        if directory != parent:
            parent, above = directory, _innermost(directory, trees)
        tree = place if place in trees else above
        if tree is None:
            yield f"manifest.json: {printable(place)} belongs to no database and no tree"
            continue
        files[tree] += 1
        sizes[tree] += size
    for record in manifest.trees:
        if record.path != "data" and not is_place(record.path):
            yield f"manifest.json: the tree {printable(record.path)} is not in data/"
        elif (record.files, record.bytes) != (files[record.path], sizes[record.path]):
            yield (
                f"manifest.json: the tree {printable(record.path)} has {record.files} files of "
                f"{record.bytes} bytes, found {files[record.path]} of {sizes[record.path]}"
            )


def _directory_differences(manifest: Manifest, payload: Payload) -> Iterator[str]:
    """Yield what cannot be among empty_directories: a restore will make all of them.

    Raises `VerificationError` where they pass a limit.
    """
    places = payload.places
    if len(set(manifest.empty_directories)) < len(manifest.empty_directories):
        yield "manifest.json: empty_directories lists one twice"
    for place in manifest.empty_directories:
        if not is_place(place):
            yield f"manifest.json: empty_directories lists {printable(place)}, not in data/"
        elif _is_in_a_file(place, places):
            yield f"manifest.json: {printable(place)} is a file or below one, not a directory"
        elif any(len(name.encode()) > LONGEST_NAME for name in place.split("/")):
            yield f"manifest.json: empty_directories lists {printable(place)}: too long a name"
        else:
            payload.admit_directory(place)


def _is_in_a_file(place: str, places: Places) -> bool:
    """Return whether `place` or a directory above it is a file, looking from the top down.

    Below what is no directory there is nothing, which keeps long places from costing much.
    """
    end = place.find("/")
    while end >= 0:
        end = place.find("/", end + 1)
        above = place if end < 0 else place[:end]
        if not places.holds_directory(above):
            return places.holds_file(above)
    return False


def _innermost(directory: str, trees: set[str]) -> str | None:
    return next((name for name in _upwards(directory) if name in trees), None)


def _upwards(place: str) -> Iterator[str]:
    """Yield `place` and every directory above it."""
    while place:
        yield place
        place = place[: max(place.rfind("/"), 0)]


def _shown(name: bytes) -> str:
    return printable(name.decode("utf-8", "surrogateescape"))


def _text(value: object) -> str:
    return printable(str(value))
