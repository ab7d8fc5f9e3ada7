"""Hostile and damaged archives: each kind is refused, in bounded time and memory."""

import io
from contextlib import suppress
from itertools import islice
from pathlib import Path

import independent_reader
import pytest
from bounded import contents_of, judged
from hostile import FILES, Bag, filled, leading, long_named, member
from hostile_lies import LIES, NEWER, saying
from hostile_streams import ENDLESS, STREAMS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agebackup.errors import RefusedError, VerificationError
from agebackup.model.limits import KIB, MIB, Limits
from agebackup.model.names import MAX_PATH_BYTES

HONEST = Bag().stream()
TIGHT = Limits(
    members=2000, total_bytes=8 * MIB, tag_file_bytes=MIB, manifest_bytes=MIB, path_bytes=KIB
)


def test_the_honest_bag_is_accepted() -> None:
    """What all the hostile archives are made from is itself in order."""
    assert judged([HONEST]).accepted
    assert judged([Bag(signature=b"signed").stream()]).accepted


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS.keys())
def test_a_hostile_stream_is_refused(stream: bytes) -> None:
    """Whatever is not exactly our dialect and order ends with exit code 4 and a plain sentence."""
    judgement = judged([stream])
    assert judgement.code == 4
    assert judgement.message.endswith(".")
    assert judgement.message.isprintable()


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS.keys())
def test_the_second_reader_refuses_it_too(stream: bytes) -> None:
    """A reader made from FORMAT.md alone agrees about every hostile stream."""
    with pytest.raises(Exception):  # noqa: B017 - it raises errors as they come
        independent_reader.read_tar(io.BytesIO(stream))


@pytest.mark.parametrize("kind", ENDLESS)
def test_an_endless_stream_is_left_soon(kind: str) -> None:
    """A stream that never ends is refused at a limit, not when the machine is full."""
    assert judged(islice(ENDLESS[kind](), 100_000), TIGHT).code == 4


@pytest.mark.parametrize("bag, says", LIES.values(), ids=LIES.keys())
def test_a_lie_is_named(bag: Bag, says: str) -> None:
    """A statement that what was found contradicts is a difference which names the promise."""
    judgement = judged([bag.stream()])
    assert judgement.code == 0
    assert any(says in line for line in judgement.details), judgement.details
    assert all(line.isprintable() for line in judgement.details)


@pytest.mark.parametrize("bag", [bag for bag, _ in LIES.values()], ids=LIES.keys())
def test_the_second_reader_sees_the_lie_too(bag: Bag) -> None:
    """A reader made from FORMAT.md alone agrees about every lie."""
    with pytest.raises(Exception):  # noqa: B017 - it raises errors as they come
        independent_reader.read_tar(io.BytesIO(bag.stream()))


@pytest.mark.parametrize("bag", NEWER.values(), ids=NEWER.keys())
def test_a_newer_format_is_refused_as_such(bag: Bag) -> None:
    """An archive that needs a later reader says so, even where all else would look damaged."""
    judgement = judged([bag.stream()])
    assert judgement.code == 13
    assert "format 2" in judgement.message


def test_all_lies_are_told_at_once() -> None:
    """A person learns of every broken promise from one run."""
    bag = saying(payload_files=9, clashing_names=9, skipped_count=9)
    bag.tags["bag-info.txt"] = b"Payload-Oxum: 9.9\n"
    details = judged([bag.stream()]).details
    assert len(details) == 4


def test_a_manifest_that_is_none_hides_no_other_difference() -> None:
    """Where manifest.json cannot be read, the differences found before it are still told."""
    bag = Bag(tags={"manifest.json": b"{}", "bag-info.txt": b"Payload-Oxum: 9.9\n"})
    judgement = judged([bag.stream()])
    assert judgement.code == 4
    assert any("Payload-Oxum" in line for line in judgement.details)


def test_a_million_differences_are_counted() -> None:
    """A flood of differences is told in a bounded number of lines, with the number of the rest."""
    files = {f"data/attachments/{number}": b"" for number in range(1500)}
    bag = Bag(files=files, databases=(), tags={"manifest-sha256.txt": b""})
    details = judged([bag.stream()]).details
    assert len(details) == 1001
    assert details[-1] == "… and 500 more of this kind"


@pytest.mark.parametrize("at", range(0, len(HONEST), 512))
def test_a_cut_anywhere_is_noticed(at: int, tmp_path: Path) -> None:
    """A stream cut at any block is refused."""
    with pytest.raises(VerificationError, match="ends early"):
        contents_of(HONEST[:at], tmp_path)


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_changed_byte_goes_unnoticed(data: st.DataObject, tmp_path: Path) -> None:
    """Whatever byte of an archive is changed, removed or added, both readers notice."""
    at = data.draw(st.integers(0, len(HONEST) - 1))
    removed = data.draw(st.integers(0, 2))
    added = data.draw(st.binary(max_size=2))
    changed = HONEST[:at] + added + HONEST[at + removed :]
    if changed == HONEST:
        return
    with suppress(VerificationError, RefusedError):
        assert contents_of(changed, tmp_path).differences
    with pytest.raises(Exception):  # noqa: B017 - it raises errors as they come
        independent_reader.read_tar(io.BytesIO(changed))


LIMITED = {
    "members": (Limits(members=9), Limits(members=10)),
    "total_bytes": (Limits(total_bytes=2000), Limits(total_bytes=8000)),
    "path_bytes": (Limits(path_bytes=20), Limits(path_bytes=30)),
    "depth": (Limits(depth=2), Limits(depth=3)),
    "tag_file_bytes": (Limits(tag_file_bytes=500), Limits(tag_file_bytes=3000)),
    "manifest_bytes": (Limits(manifest_bytes=100), Limits(manifest_bytes=1000)),
}


@pytest.mark.parametrize("name, limits", LIMITED.items(), ids=LIMITED.keys())
def test_a_limit_refuses_and_can_be_raised(name: str, limits: tuple[Limits, Limits]) -> None:
    """Each limit refuses by its name what is beyond it, and lets pass what is within."""
    tight, raised = limits
    refused = judged([HONEST], tight)
    assert refused.code == 4
    assert name.replace("_", " ") in refused.message
    assert judged([HONEST], raised).accepted


def test_the_list_of_files_is_bounded_while_it_grows() -> None:
    """What is kept of millions of files is bounded before the archive's own list of them comes."""
    limits = Limits(manifest_bytes=MIB)
    files = islice(ENDLESS["members"](), 1000)
    assert "manifest bytes" in judged([*files, b"garbage"], limits).message


def test_directories_count_as_members() -> None:
    """Few files in very many directories are as much work as many files, and limited alike."""
    deep = member("app/data/" + "d/" * 30 + "x")
    assert "members" in judged([filled(leading() + deep)], Limits(members=20)).message


@pytest.mark.parametrize(
    "name, limits", {"members": Limits(members=20), "depth": Limits(depth=9)}.items()
)
def test_empty_directories_are_limited_like_those_of_files(name: str, limits: Limits) -> None:
    """A list of directories that a restore would make costs no more than files may."""
    bag = saying(empty_directories=["data/" + "d/" * 30 + "x"])
    assert judged([bag.stream()]).accepted
    assert name in judged([bag.stream()], limits).message
    unmakeable = saying(empty_directories=["data/" + "n" * 256])
    assert "too long a name" in judged([unmakeable.stream()]).details[0]
    long = saying(empty_directories=["data/" + "n" * 200])
    assert "path bytes" in judged([long.stream()], Limits(path_bytes=100)).message


def test_the_deepest_path_is_within_the_limits() -> None:
    """Whatever path create carries, a reader accepts without any flag."""
    deepest = "data/attachments/" + "d/" * ((MAX_PATH_BYTES - 18) // 2) + "x"
    empty = deepest.removesuffix("x") + "e"
    bag = Bag(
        files=FILES | {deepest: b"deep"}, lie=lambda said: said.update(empty_directories=[empty])
    )
    assert len(deepest) > MAX_PATH_BYTES - 2
    judgement = judged([bag.stream()])
    assert judgement.accepted, judgement


def test_a_long_name_is_read_within_limits_only() -> None:
    """A name's length is looked at before the name is."""
    stream = filled(leading() + long_named("app/data/" + "n" * 300))
    assert "path bytes" in judged([stream], Limits(path_bytes=200)).message
