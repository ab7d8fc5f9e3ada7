"""Whether an archive fits the application that is here: versions, schemas, the values of gates."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agebackup.errors import printable
from agebackup.model.appversion import AppVersion, at_most, compare, parse_version
from agebackup.model.manifest import Manifest
from agebackup.model.profile import Profile
from agebackup.model.rules import INSTALLED, DatabaseRules, Gate

APP_VERSION = "app-version"
"""The name under which the gate of the app's version can be ignored."""
_SHOWN = 100

Value = int | float | str | None


@dataclass(frozen=True)
class Present:
    """What the application that is here says now.

    `values` are by gate; a gate that cannot be asked is in `unasked`, with the reason. `version`
    is what it says of itself, "" where nothing does.
    """

    values: Mapping[str, Value]
    unasked: Mapping[str, str]
    version: str = ""


@dataclass(frozen=True)
class Objection:
    """Why a `gate` (its name) does not let an archive pass."""

    gate: str
    text: str


def recorded_gates(manifest: Manifest) -> dict[str, Value]:
    """Return the values that were recorded, by the gates' names."""
    gates = [*manifest.gates, *(gate for one in manifest.databases for gate in one.gates)]
    return {gate.name: gate.value for gate in gates}


def objections(manifest: Manifest, profile: Profile, present: Present) -> Iterator[Objection]:
    """Yield every reason not to let the archive of `manifest` into the application of `profile`."""
    yield from version_objections(manifest.versions.app, profile, present.version)
    recorded = recorded_gates(manifest)
    for gate in profile.restore.gates:
        text = _gate_objection(gate, recorded, present)
        if text:
            yield Objection(gate.name, f"The gate {printable(gate.name)}: {text}")
    yield from schema_objections(manifest, profile)


def version_objections(made_by: str, profile: Profile, installed: str) -> Iterator[Objection]:
    """Yield why an archive that the version `made_by` of the app left is too old or too new."""
    rules = profile.restore
    if not rules.min_app_version and not rules.max_app_version:
        return
    version = parse_version(made_by)
    if version is None:
        yield Objection(
            APP_VERSION,
            "The archive does not say which version of the application made it"
            + (f": {_brief(made_by)}." if made_by else "."),
        )
        return
    for text in (
        _too_old(version, rules.min_app_version),
        _too_new(version, rules.max_app_version, installed),
    ):
        if text:
            yield Objection(APP_VERSION, text)


def _too_old(version: AppVersion, least: str) -> str:
    limit = parse_version(least)
    if limit is None:
        return ""
    order = compare(version, limit)
    if order is None:
        return _incomparable(version.text, limit.text)
    said = f"version {version.text} of the application, older than {limit.text}"
    return f"The archive was made by {said}." if order < 0 else ""


def _too_new(version: AppVersion, most: str, installed: str) -> str:
    if not most:
        return ""
    limit = parse_version(installed if most == INSTALLED else most)
    if limit is None:
        return f"The installed application does not say its version: {_brief(installed)}."
    fits = at_most(version, limit)
    if fits is None:
        return _incomparable(version.text, limit.text)
    said = f"version {version.text} of the application, newer than {limit.text}"
    return "" if fits else f"The archive was made by {said}."


def _incomparable(one: str, other: str) -> str:
    return f"Nobody can tell which of the versions {one} and {other} is newer."


def _gate_objection(gate: Gate, recorded: Mapping[str, Value], present: Present) -> str:
    if gate.name not in recorded:
        return "its value was not recorded when the archive was made."
    if gate.name in present.unasked:
        return f"its present value cannot be had: {present.unasked[gate.name]}"
    if gate.name not in present.values:
        return ""  # there is nothing here that could be older
    then, now = recorded[gate.name], present.values[gate.name]
    order = ordered(then, now)
    said = f"the archive has {_brief(then)}, the application here {_brief(now)}"
    if gate.compare == "equal":
        return "" if order == 0 else f"{said}, which must be equal."
    if order is None:
        return f"{said}, and nobody can tell which is newer."
    return f"{said}, which is older." if order > 0 else ""


def ordered(one: Value, other: Value) -> int | None:
    """Return -1, 0 or 1 as `one` is older than, equal to or newer than `other`; None: unknown.

    Numbers count as numbers, also those written as text; other texts count as versions.
    """
    if one == other:
        return 0
    first, second = _number(one), _number(other)
    if first is not None and second is not None:
        return (first > second) - (first < second)
    if isinstance(one, str | int | float) and isinstance(other, str | int | float):
        versions = parse_version(str(one)), parse_version(str(other))
        if versions[0] and versions[1]:
            return compare(versions[0], versions[1])
    return None


def _number(value: Value) -> int | float | None:
    if isinstance(value, str):
        text = value.strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
    return value


def schema_objections(manifest: Manifest, profile: Profile) -> Iterator[Objection]:
    """Yield each database whose schema is none of those that the application understands."""
    for record in manifest.databases:
        expected = rules_of(profile, record.name).schemas
        if expected and record.schema_sha256 not in expected:
            yield Objection(
                f"schema:{record.name}",
                f"The database {printable(record.name)} has a schema that the application does "
                f"not know: {_brief(record.schema_sha256)}.",
            )


def rules_of(profile: Profile, database: str) -> DatabaseRules:
    """Return what is declared of the database of that name, perhaps of the glob that finds it."""
    entry = profile.entry(database)
    name = entry.name if entry else database
    return profile.restore.databases.get(name, DatabaseRules())


def _brief(value: object) -> str:
    text = printable(str(value))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
