"""manifest.json: what was recorded comes back; what is none, or is of another format, is said."""

import json

import pytest
from hostile import FILES, manifest_for
from hypothesis import given, settings
from hypothesis import strategies as st

from agebackup.errors import AgebackupError, RefusedError, VerificationError
from agebackup.model.manifest import FORMAT, Manifest, decode_manifest, encode_manifest


def honest(**changes: object) -> dict[str, object]:
    """Return a manifest as JSON has it, with `changes`."""
    return manifest_for(FILES, ("data/ledger.db",)) | changes


def decoded(record: object) -> Manifest:
    """Return the manifest in `record`."""
    return decode_manifest(json.dumps(record).encode())


def test_a_manifest_comes_back() -> None:
    """What is written is read back, by people too: indented text with a final line end."""
    manifest = decoded(honest(note="été", tag="x", empty_directories=["data/e"], sequence=3))
    text = encode_manifest(manifest)
    assert decode_manifest(text) == manifest
    assert text.endswith(b"\n}\n")
    assert "été" in text.decode()
    assert text.count(b"\n") > 30


def test_what_may_be_absent_has_a_value() -> None:
    """Keys that are marked in FORMAT.md may be absent and have the value given there."""
    manifest = decoded(honest())
    assert (manifest.tag, manifest.note, manifest.series, manifest.sequence) == ("", "", None, None)
    assert (manifest.skipped, manifest.skipped_count, manifest.missing) == ([], 0, [])
    assert (manifest.empty_directories, manifest.excluded, manifest.clashing_names) == ([], [], 0)
    assert (manifest.config_included, manifest.tokens_included) == (False, False)
    assert manifest.previous is None


def test_unknown_keys_are_ignored() -> None:
    """A later writer that we can still read may say more than we know."""
    record = honest(colour="green", format=2)
    record["versions"] = {"agebackup": "9", "python": "4", "sqlite": "4", "pyrage": "2", "new": "1"}
    manifest = decoded(record)
    assert manifest.format == 2
    assert manifest.versions.agebackup == "9"


def test_a_newer_format_says_what_to_upgrade() -> None:
    """A manifest that asks for a later reader is refused by a guard, whatever else it holds."""
    with pytest.raises(RefusedError, match=f"format {FORMAT + 1}.*up to format {FORMAT}") as caught:
        decoded({"format": FORMAT + 1, "minimum_reader": FORMAT + 1, "app": ["another", "type"]})
    assert "Upgrade" in caught.value.hint


REQUIRED = sorted(honest().keys() - {"databases", "trees"})


@pytest.mark.parametrize("key", REQUIRED)
def test_a_missing_key_is_damage(key: str) -> None:
    """Each key that must be there is missed by its name."""
    record = honest()
    del record[key]
    with pytest.raises(VerificationError, match=key):
        decoded(record)


WRONG = {
    "format": "1", "minimum_reader": 1.5, "app": None, "kind": "weekly", "consistency": "torn",
    "complete": 1, "proof": "later", "payload_files": "4", "payload_bytes": [], "databases": {},
    "trees": [{"name": "x"}], "skipped": [1], "empty_directories": [None], "versions": {},
    "clashing_names": True, "sequence": "one",
}  # fmt: skip


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_type_is_damage(key: str) -> None:
    """Each key of a wrong type is refused."""
    with pytest.raises(VerificationError):
        decoded(honest(**{key: WRONG[key]}))


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"null", b"\xff", b'"x"', b"{}", b"[" * 100_000, b'{"a":' * 100_000, b"\0"],
    ids=lambda text: text[:8].decode("latin-1"),
)
def test_what_is_no_manifest_is_damage(text: bytes) -> None:
    """Anything that is no JSON object is damage, said in one sentence."""
    with pytest.raises(VerificationError, match=r"manifest\.json is not a manifest"):
        decode_manifest(text)


@settings(deadline=None)
@given(data=st.data())
def test_a_changed_manifest_never_surprises(data: st.DataObject) -> None:
    """Whatever is done to a manifest's bytes, it is read, or refused with a sentence."""
    text = encode_manifest(decoded(honest()))
    at = data.draw(st.integers(0, len(text)))
    removed = data.draw(st.integers(0, 5))
    changed = text[:at] + data.draw(st.binary(max_size=5)) + text[at + removed :]
    try:
        decode_manifest(changed)
    except AgebackupError as error:
        assert error.code in (4, 13)
