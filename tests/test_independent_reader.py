"""FORMAT.md is enough: a reader made from it alone agrees with ours about sound archives.

That it agrees about hostile and lying ones is in test_hostile_archives.py.
"""

import ast
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import independent_reader
import pytest
from bounded import Keep
from conftest import Keys
from hostile import SQLITE, Bag, manifest_for
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import PLACES

from agebackup.errors import RefusedError
from agebackup.model.limits import Limits
from agebackup.snapshot.bag import BagContents, BagWriter, read_bag
from agebackup.system.progress import Progress

SOURCE = Path(independent_reader.__file__)
SIZES = st.sampled_from([0, 1, 511, 512, 513, 65535, 65536, 65537])


def bag(directory: Path, files: dict[str, bytes], database: str = "") -> Path:
    """Return the path of a bag of `files` by our writer; `database` comes first."""
    path = directory / "bag.tar"
    carried: dict[str, bytes] = {}
    with path.open("wb", buffering=0) as file:
        writer = BagWriter(file.fileno(), "app", mtime=1, progress=Progress())
        writer.add_leading(b"# Hello\n")
        for place, content in files.items():
            try:
                writer.add_content(place, content)
            except RefusedError:  # one drawn place is a directory of another one
                continue
            carried[place] = content
        manifest = manifest_for(carried, (database,) if database else ())
        manifest["clashing_names"] = writer.clashing_names
        manifest["trees"] = [tree | {"path": "data"} for tree in manifest["trees"]]  # type: ignore[attr-defined]
        info = [("Payload-Oxum", f"{writer.bytes}.{writer.files}")]
        writer.finish(json.dumps(manifest).encode(), info)
    return path


def ours(path: Path) -> BagContents:
    """Return what our reader finds."""
    with path.open("rb") as file:
        contents = read_bag(file.fileno(), Keep(), limits=Limits(), progress=Progress())
    assert contents.differences == ()
    return contents


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sizes=st.dictionaries(PLACES.map(lambda place: f"data/{place}"), SIZES, max_size=6),
    with_database=st.booleans(),
)
def test_both_readers_find_the_same(
    sizes: dict[str, int], with_database: bool, tmp_path: Path
) -> None:
    """Both readers find the same files with the same sizes and hashes in what we write."""
    files = {place: os.urandom(size) for place, size in sizes.items()}
    database = "data/the.db" if with_database else ""
    if database:
        files = {database: SQLITE} | files
    path = bag(tmp_path, files, database)
    contents = ours(path)
    with path.open("rb") as file:
        manifest, payload = independent_reader.read_tar(file)
    assert manifest["payload_files"] == contents.files == len(payload)
    for place, (size, digest, _) in payload.items():
        assert size == len(files[place])
        assert contents.digest_of(place) == bytes.fromhex(digest)


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "zstd"])
def test_it_reads_an_archive_with_the_age_program(
    compress: bool, keys: Keys, tmp_path: Path
) -> None:
    """Run as a program on an encrypted archive, compressed or not, it prints the manifest."""
    content = Bag().stream()
    if compress:
        content = subprocess.check_output(["zstd", "-qc"], input=content)
    archive = tmp_path / "archive.age"
    archive.write_bytes(subprocess.check_output(["age", "-r", keys.recipient], input=content))
    shown = subprocess.check_output([sys.executable, "-I", SOURCE, archive, keys.identity])
    assert json.loads(shown)["payload_files"] == 4


def test_it_notices_a_damaged_archive(keys: Keys, tmp_path: Path) -> None:
    """Run as a program on a cut archive, it fails."""
    sealed = subprocess.check_output(["age", "-r", keys.recipient], input=Bag().stream())
    archive = tmp_path / "archive.age"
    archive.write_bytes(sealed[:-100])
    done = subprocess.run(
        [sys.executable, "-I", SOURCE, archive, keys.identity], capture_output=True, check=False
    )
    assert done.returncode != 0


def test_it_stays_independent_and_small() -> None:
    """It is under 150 lines and imports nothing but the standard library."""
    text = SOURCE.read_text()
    assert len(text.splitlines()) < 150
    imported = {
        name.name if isinstance(node, ast.Import) else node.module or ""
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    assert imported <= sys.stdlib_module_names
    assert "tarfile" not in imported


def test_the_honest_bag_has_the_same_files_for_both(tmp_path: Path) -> None:
    """The bag that the hostile ones are made from is the same to both readers."""
    path = tmp_path / "bag.tar"
    path.write_bytes(Bag(signature=b"s").stream())
    _, payload = independent_reader.read_tar(io.BytesIO(path.read_bytes()))
    assert len(payload) == ours(path).files
