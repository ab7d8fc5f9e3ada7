"""What hypothesis draws names from."""

from hypothesis import strategies as st

from agebackup.model.names import uncarriable
from agebackup.snapshot.places import misplaced

_CARRIED = st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Zs"), exclude_characters="/")
_COMPONENTS = st.text(_CARRIED, min_size=1, max_size=70).filter(lambda part: part.strip("."))

PLACES = (
    st.lists(_COMPONENTS, min_size=1, max_size=8)
    .map("/".join)
    .filter(lambda place: not uncarriable(place) and not misplaced(place))
)
"""Paths that a bag can carry, of every length that a header must treat differently."""
