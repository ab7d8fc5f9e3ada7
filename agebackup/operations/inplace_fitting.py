"""Which parts of an archive are put into the live application, and what stays as it is."""

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agebackup.errors import RefusedError, UsageError, printable, shortened
from agebackup.model.gates import APP_VERSION, Present, objections
from agebackup.model.landing import Landing, Part, landing
from agebackup.model.manifest import Manifest
from agebackup.model.profile import allowed
from agebackup.operations.inplace_order import InPlaceOrder
from agebackup.operations.receivers import EVERYTHING


@dataclass(frozen=True)
class Fitted:
    """`landing` is of what is put into place. `carried` are config and tokens that stay although
    the tree around them is exchanged; `remarks` say what else stays, or will be missed."""

    landing: Landing
    carried: tuple[Part, ...]
    remarks: tuple[str, ...]

    @property
    def databases(self) -> tuple[Part, ...]:
        """The databases that are put into place, those inside trees too."""
        return tuple(part for part in self.landing.parts if part.role == "database")


def fitted(order: InPlaceOrder, manifest: Manifest) -> Fitted:
    """Return what of the archive of `manifest` goes where.

    Raises `RefusedError` where that would leave a mixture: an archive of another app, parts that
    nothing declares, present databases or attachments that it does not bring (unless
    `order.leave_others`, or a part was asked for), and what cannot stay inside an exchanged tree.
    """
    if manifest.app != order.profile.name:
        raise RefusedError(
            f"The archive is of {printable(manifest.app)}, not of {order.profile.name}.",
            hint="Restore it to a --target, or name the app that it is of.",
        )
    whole = landing(_asked_for(order, manifest), order.source, order.profile)
    unwanted = order.wanted.unwanted
    chosen = whole.only(part for part in whole.parts if part.role not in unwanted)
    if not chosen.parts:
        raise RefusedError(
            "What is asked for is no whole part of the application, and in place only these are "
            "exchanged.",
            hint="Ask for a database, or for all of a tree, or restore to a --target.",
        )
    present = [part for part in chosen.absent if os.path.lexists(part.target)]
    inside = [part for part in present if _around(part, chosen)]
    carried = tuple(part for part in inside if part.role in ("config", "tokens"))
    _refuse_torn([part for part in inside if part not in carried], chosen)
    beside = [part for part in present if part not in inside]
    _refuse_mixture(order, [part for part in beside if part.role in ("database", "attachments")])
    remarks = tuple(f"Stays as it is: {part.shown}." for part in (*beside, *carried))
    return Fitted(chosen, carried, remarks + _missed(manifest, chosen))


def _asked_for(order: InPlaceOrder, manifest: Manifest) -> Manifest:
    """Return `manifest` with only those databases and trees that --only names as a whole."""
    if order.wanted.selection == EVERYTHING:
        return manifest
    return msgspec.structs.replace(
        manifest,
        databases=[one for one in manifest.databases if order.asks_for(one.path, tree=False)],
        trees=[one for one in manifest.trees if order.asks_for(one.path, tree=True)],
    )


def _around(part: Part, chosen: Landing) -> Part | None:
    """Return the tree that is exchanged with `part` in it."""
    return next((one for one in chosen.placed if one.target in part.target.parents), None)


def _refuse_torn(parts: list[Part], chosen: Landing) -> None:
    for part in parts:
        around = _around(part, chosen)
        raise RefusedError(
            f"The {part.shown} is not brought back, but lies in "
            f"{printable(str(around.target if around else ''))}, which is exchanged as a whole.",
            hint="Restore both, or neither (--only), or move it out of there first.",
        )


def _refuse_mixture(order: InPlaceOrder, parts: list[Part]) -> None:
    if not parts or order.leave_others or order.wanted.selection != EVERYTHING:
        return
    raise RefusedError(
        "The archive does not bring all that is there now: old and new state would be mixed.",
        hint="Move these away first, or let them stay with --leave-others.",
        details=shortened([f"{part.shown}: {printable(str(part.target))}" for part in parts]),
    )


def _missed(manifest: Manifest, chosen: Landing) -> tuple[str, ...]:
    """Return a remark where exchanged trees hold files now that no archive takes."""
    globs = [printable(glob) for glob in (*manifest.derived, *manifest.excluded)]
    trees = [part for part in chosen.placed if part.role != "database" and _is_tree(part.target)]
    if not trees or not (globs or manifest.skipped_count):
        return ()
    what = f"patterns: {', '.join(globs)}" if globs else "files that were skipped"
    return (
        f"What the archive leaves out ({what}) is not in the restored trees: it lies in the state "
        "that is put aside, from which it must be taken before clean removes that; derived state "
        "is to be rebuilt.",
    )


def _is_tree(path: Path) -> bool:
    return path.is_dir()


def require_gates(order: InPlaceOrder, manifest: Manifest, present: Present) -> tuple[str, ...]:
    """Raise `RefusedError` where a gate does not let the archive pass; return what was ignored."""
    found = list(objections(manifest, order.profile, present))
    ignored = [one.text for one in found if one.gate in order.ignored]
    standing = [one for one in found if one.gate not in order.ignored]
    if standing:
        first, *more = standing
        flags = " ".join(f"--ignore-gate {printable(one.gate)}" for one in standing)
        raise RefusedError(
            first.text,
            hint=f"Upgrade the application or take another archive; {flags} restores it all the "
            "same.",
            details=shortened([one.text for one in more]),
        )
    return tuple(f"Ignored as asked: {text}" for text in ignored)


def require_known_gates(order: InPlaceOrder) -> None:
    """Raise `UsageError` for an ignored gate that is none."""
    known = [APP_VERSION, *(gate.name for gate in order.profile.restore.gates)]
    known += [f"schema:{one.name}" for one in order.source.databases]
    for name in sorted(order.ignored):
        if name not in known and not name.startswith("schema:"):
            raise UsageError(
                f"There is no gate {printable(name)!r} to ignore.", hint=allowed(name, known)
            )
