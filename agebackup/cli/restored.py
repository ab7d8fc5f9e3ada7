"""What both kinds of restore say: what of the app's state they did not bring."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agebackup.cli.console import Console
from agebackup.cli.pointing import say_pointers
from agebackup.errors import printable

if TYPE_CHECKING:
    from agebackup.model.manifest import Manifest


def say_what_is_missing(left_out: Sequence[str], manifest: "Manifest", to: Console) -> None:
    """Say what was `left_out` as asked, and what the archive never held."""
    if left_out:
        to.output.say(f"Left out as asked: {', '.join(left_out)}.")
    if manifest.derived:
        patterns = ", ".join(map(printable, manifest.derived))
        to.output.say(f"Derived state that was never in the archive, to be rebuilt: {patterns}.")
    say_pointers(manifest, to)
