"""Tags, parts and texts of releases: what is written is read again, and nothing else is."""

from hypothesis import given
from hypothesis import strategies as st

from agebackup.model.releases import (
    Asset,
    Described,
    Release,
    can_carry,
    described_in,
    entries_of,
    release_text,
    tag_of,
)

NAMES = st.from_regex(
    r"[a-z]{1,9}-2026010[1-9]T03040[0-9]Z-[0-9a-f]{8}(-manual)?\.tar(\.zst)?\.age", fullmatch=True
)
DESCRIBED = st.builds(
    Described,
    NAMES,
    st.integers(1, 10**6),
    st.text("0123456789abcdef", min_size=64, max_size=64),
    st.integers(10**4, 10**6) | st.just(0),
)


@given(DESCRIBED)
def test_what_a_release_says_is_read_again(described: Described) -> None:
    """Every text that is written is understood, also after a browser changed its line ends."""
    text = release_text(described)
    assert described_in(text) == described == described_in(text.replace("\n", "\r\n"))
    assert described_in(text[:700]) == described


@given(DESCRIBED)
def test_pieces_are_the_whole_archive_in_order(described: Described) -> None:
    """No byte of an archive is in two parts or in none, and their names sort in their order."""
    pieces = described.pieces
    assert [piece.name for piece in pieces] == sorted(piece.name for piece in pieces)
    end = 0
    for piece in pieces:
        assert piece.offset == end and piece.size > 0
        end += piece.size
    assert end == described.size


@given(DESCRIBED, st.data())
def test_an_archive_counts_as_whole_only_with_all_of_its_parts(
    described: Described, data: st.DataObject
) -> None:
    """One part that is absent, short or half uploaded makes the archive partial."""
    assets = [Asset(n, piece.name, piece.size) for n, piece in enumerate(described.pieces)]
    release = Release(1, tag_of(described.name), release_text(described), assets=tuple(assets))
    (entry,) = entries_of((release,))
    assert (entry.name, entry.size, entry.partial) == (described.name, described.size, False)
    hurt = data.draw(st.sampled_from(assets))
    rest = [asset for asset in assets if asset is not hurt]
    half = Asset(hurt.id, hurt.name, hurt.size, uploaded=False)
    for left in (rest, [*rest, half]):
        broken = Release(1, release.tag, release.text, assets=tuple(left))
        (entry,) = entries_of((broken,))
        assert entry.name == described.name and entry.partial


@given(st.text(max_size=40), st.text(max_size=60), st.text(max_size=200))
def test_nothing_that_others_write_breaks_the_list(tag: str, name: str, text: str) -> None:
    """Whatever tags, assets and texts hold, each entry has a name that can be shown."""
    found = entries_of((Release(1, tag, text, assets=(Asset(2, name, 5),)),))
    assert found
    for entry in found:
        assert can_carry(entry.name) or entry.name.startswith("release:")
