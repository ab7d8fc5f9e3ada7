"""Where the parts of an archive go in an application, by what both sides say of themselves."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_model_gates import manifest

from agebackup.errors import RefusedError
from agebackup.model.landing import landing, old_places
from agebackup.model.manifest import DatabaseRecord, Manifest, TreeRecord
from agebackup.model.profile import DatabaseEntry, Profile
from agebackup.model.source import DatabaseSource, Role, Source, TreeSource

ROOT = Path("/srv/notes")


def database(name: str, place: str) -> DatabaseRecord:
    """Return the record of a database."""
    return DatabaseRecord(
        name=name,
        path=f"data/{place}",
        bytes=512,
        sha256="0" * 64,
        method="backup",
        user_version=0,
        application_id=0,
        schema_sha256="0" * 64,
        page_size=512,
        encoding="UTF-8",
        journal_mode="delete",
        rows={},
        foreign_key_violations=0,
    )


def tree(name: str, place: str, role: Role = "attachments", source: str = "") -> TreeRecord:
    """Return the record of a tree; `place` "" is all of the payload."""
    path = f"data/{place}" if place else "data"
    return TreeRecord(name=name, path=path, role=role, files=1, bytes=1, source=source)


def archive(*records: DatabaseRecord | TreeRecord) -> Manifest:
    """Return a manifest of these."""
    import msgspec

    return msgspec.structs.replace(
        manifest(),
        databases=[one for one in records if isinstance(one, DatabaseRecord)],
        trees=[one for one in records if isinstance(one, TreeRecord)],
    )


def declared(*parts: DatabaseSource | TreeSource) -> Source:
    """Return what an application declares."""
    return Source(
        "notes",
        tuple(one for one in parts if isinstance(one, DatabaseSource)),
        tuple(one for one in parts if isinstance(one, TreeSource)),
    )


def db(name: str, path: Path, place: str) -> DatabaseSource:
    """Return a declared database."""
    return DatabaseSource(name, path, f"data/{place}")


def files(path: Path, place: str, role: Role = "attachments", name: str = "") -> TreeSource:
    """Return a declared tree."""
    return TreeSource(name, path, f"data/{place}" if place else "data", role)


PLAIN = Profile("notes", ROOT, root=ROOT)
GLOB = DatabaseEntry("w", ROOT, "work/{name}/*.db")


def test_places_decide_before_names() -> None:
    """A part goes where the archive has it, whatever it was called; its name is asked next."""
    source = declared(db("a", ROOT / "x.db", "x.db"), db("b", ROOT / "y.db", "y.db"))
    made = archive(database("b", "x.db"), database("a", "y.db"))
    targets = [part.target for part in landing(made, source, PLAIN).parts]
    assert targets == [ROOT / "x.db", ROOT / "y.db"]
    moved = archive(database("a", "a"), database("b", "b"))
    targets = [part.target for part in landing(moved, source, PLAIN).parts]
    assert targets == [ROOT / "x.db", ROOT / "y.db"]


def test_roles_are_never_mixed() -> None:
    """What was attachments does not become config because it has that place."""
    source = declared(files(ROOT / "x", "x", "config", "x"))
    with pytest.raises(RefusedError, match="does not declare"):
        landing(archive(tree("x", "x")), source, PLAIN)


def test_each_part_that_has_no_place_is_named() -> None:
    """All parts that nothing declares are told at once."""
    with pytest.raises(RefusedError) as refusal:
        landing(archive(database("a", "a.db"), tree("", "blobs")), declared(), PLAIN)
    assert refusal.value.details == ("database: a.db", "attachments: blobs")


def test_two_parts_for_one_place() -> None:
    """Two parts of an archive never go to one place."""
    source = declared(db("a", ROOT / "x.db", "x.db"))
    made = archive(database("a", "x.db"), database("a", "y.db"))
    with pytest.raises(RefusedError):
        landing(made, source, PLAIN)


def test_what_comes_along_in_a_tree() -> None:
    """A part inside a tree goes with the outermost one around it."""
    source = declared(
        files(ROOT, ""), files(ROOT / "a", "a", "config"), db("d", ROOT / "a/d.db", "a/d.db")
    )
    found = landing(
        archive(tree("", ""), tree("", "a", "config"), database("d", "a/d.db")), source, PLAIN
    )
    assert [part.target for part in found.placed] == [ROOT]
    assert {part.outer for part in found.parts} == {None, ROOT}
    alone = found.only(part for part in found.parts if part.role == "database")
    assert [part.target for part in alone.placed] == [ROOT / "a/d.db"]
    assert {part.target for part in alone.absent} == {ROOT, ROOT / "a"}


@pytest.mark.parametrize(
    ("name", "place", "target"),
    [
        ("w-one", "work/one/data.db", ROOT / "work/one/data.db"),
        ("w-one", "work/two/data.db", None),
        ("w-one", "work/one/data.txt", None),
        ("w-one", "bin/one/data.db", None),
        ("w-one", "work/one/deep/data.db", None),
        ("w-.hid", "work/.hid/data.db", None),
        ("w-", "work//data.db", None),
        ("x-one", "work/one/data.db", None),
    ],
)
def test_a_database_that_a_glob_would_find(name: str, place: str, target: Path | None) -> None:
    """One that is gone goes where its glob would find it, and nowhere else."""
    profile = replace(PLAIN, databases=(GLOB,))
    made = archive(database(name, place))
    if target is None:
        with pytest.raises(RefusedError):
            landing(made, declared(), profile)
    else:
        assert [part.target for part in landing(made, declared(), profile).parts] == [target]


@given(st.text(max_size=20), st.text(max_size=30))
def test_a_hostile_name_leads_nowhere(name: str, place: str) -> None:
    """Whatever an archive calls its databases, none goes outside what the glob finds."""
    for profile in (
        replace(PLAIN, databases=(GLOB,)),
        Profile("notes", ROOT, databases=(replace(GLOB, pattern="work/{name}/data.db"),)),
    ):
        try:
            found = landing(archive(database(f"w-{name}", place)), declared(), profile)
        except RefusedError:
            continue
        for part in found.parts:
            inside = part.target.relative_to(ROOT)
            assert ".." not in inside.parts
            assert inside.parts[0] == "work" and len(inside.parts) == 3


def test_a_glob_with_other_wildcards_needs_a_root() -> None:
    """Without a root a glob must say the whole path, or nobody knows where a lost one was."""
    profile = Profile("notes", ROOT, databases=(GLOB,))
    with pytest.raises(RefusedError):
        landing(archive(database("w-one", "w-one")), declared(), profile)


def test_where_the_application_was() -> None:
    """The old root is told where the application lies elsewhere now, and nothing where not."""
    source = declared(files(ROOT / "blobs", "blobs"))
    there = archive(tree("", "blobs", source="/home/old/notes/blobs"))
    parts = landing(there, source, PLAIN).parts
    assert old_places(there, parts) == ("/home/old/notes",)
    here = archive(tree("", "blobs", source="/srv/notes/blobs"))
    assert old_places(here, landing(here, source, PLAIN).parts) == ()
