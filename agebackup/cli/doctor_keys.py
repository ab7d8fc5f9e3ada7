"""What `doctor` looks at about keys: private ones that lie around, and those that sign."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from agebackup.cli.console import Console
from agebackup.cli.settings import IDENTITY_VARIABLE
from agebackup.errors import AgebackupError

if TYPE_CHECKING:
    from agebackup.model.findings import Finding
    from agebackup.model.profile import Profile, Resolution


def drilling_keys() -> frozenset[Path]:
    """Return the private keys that timers of drills were given; none where that is not known."""
    from agebackup.cli.nightly import drill_identities

    with suppress(AgebackupError):  # who looks at timers says what is wrong
        return frozenset(map(Path, drill_identities()))
    return frozenset()


def named_key(out: Console) -> Path | None:
    """Return the private key that the environment names."""
    variable = out.settings.variable(IDENTITY_VARIABLE)
    return Path(variable) if variable else None


def of_keys(
    resolved: "Sequence[Resolution]", stuck: "frozenset[Path]", out: Console
) -> "Iterator[Finding]":
    """Yield private keys that lie where they should not; the folders `stuck` are not looked at."""
    from agebackup.cli import directories
    from agebackup.operations.keysearch import Place, of_places

    profiles = [one.profile for one in resolved]
    folders = dict.fromkeys(folder for one in profiles for folder in one.folders)
    found = [Place(folder, "destination") for folder in folders if folder not in stuck]
    for one in resolved:
        trees = one.source.trees if one.source is not None else ()
        found += [Place(tree.path, "source") for tree in trees]
    found.append(Place(directories.config_path(out.settings).parent, "machine"))
    found.append(Place(directories.state_directory(), "machine"))
    home = Path(os.path.expanduser("~"))
    found.append(Place(home / ".config/age", "machine"))
    near = {file.parent for one in profiles for file in one.recipients_files}
    found += [Place(path, "machine", depth=1) for path in sorted({*near, home})]
    named = named_key(out)
    if named is not None:
        found.append(Place(named, "machine"))
    meant = set(map(str, drilling_keys()))
    for finding in of_places(found, out.progress.stop):
        if finding.code != "identity-on-machine" or finding.subject not in meant:
            yield finding


def of_signatures(profiles: "Sequence[Profile]", out: Console) -> "Iterator[Finding]":
    """Yield what keeps archives from being signed; raises as `signers` does for those trusted."""
    from agebackup.cli import directories
    from agebackup.cli.origin import signers
    from agebackup.cli.wiring import declared_recipients
    from agebackup.operations.doctor import of_signing
    from agebackup.snapshot.signatures import Bench, SigningKey

    for one in profiles:
        if one.signing_key is not None:
            key = SigningKey(one.signing_key, out.settings.environment)
            bench = Bench(directories.state_directory(), directories.claims(), out.progress)
            yield from of_signing(one.name, key, declared_recipients(one), bench)
    signers(out, {"any_origin": False, "signers": None, "revoked": None})
