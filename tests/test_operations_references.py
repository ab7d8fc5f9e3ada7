"""Attachments that databases name."""

from hashlib import sha256

import pytest

from agebackup.errors import FailedError, StoppedError
from agebackup.operations.references import References, TreePlace
from agebackup.system.progress import Stop

ONE = TreePlace("", "data/attachments", "/srv/app/blobs")
A, B = sha256(b"a").digest(), sha256(b"b").digest()


def test_found_missing_and_different() -> None:
    """Each referenced file that is missing or different is named; the others are counted."""
    references = References((ONE,))
    assert references.add([("x/a", A.hex()), ("b", B), ("gone", None), ("c",)], "ledger") == 4
    assert references.settle("data/attachments/x/a", A)
    assert references.settle("data/attachments/b", A)
    assert references.settle("data/attachments/c", B)
    assert not references.settle("data/attachments/orphan", A)
    assert references.problems() == [
        "referenced but missing: attachments/gone",
        "content differs from its reference: attachments/b",
    ]


@pytest.mark.parametrize("path", ["x/a", "./x/a", "x//a", "x/y/../a", "/srv/app/blobs/x/a", b"x/a"])
def test_spellings_of_one_path(path: object) -> None:
    """A path counts however the application spells it: relative, absolute, unnormalised, blob."""
    references = References((ONE,))
    references.add([(path,)], "ledger")
    assert references.places() == ("data/attachments/x/a",)


@pytest.mark.parametrize("path", ["../a", "/etc/passwd", "..", "."])
def test_a_path_outside_is_a_problem(path: str) -> None:
    """A reference to something outside the attachments is reported, not silently accepted."""
    references = References((ONE,))
    references.add([(path,)], "ledger")
    assert references.problems() == [f"referenced outside the attachments: {path}"]


def test_several_trees_are_told_apart_by_name() -> None:
    """With several attachment trees the path begins with the tree's name."""
    trees = (TreePlace("img", "data/attachments/img"), TreePlace("doc", "data/attachments/doc"))
    references = References(trees)
    references.add([("img/a",), ("doc/b",), ("c",)], "ledger")
    assert references.places() == ("data/attachments/img/a", "data/attachments/doc/b")
    assert len(references.problems()) == 3


@pytest.mark.parametrize("row", [(), (None,), (3,), ("a", 7), ("a", "abc"), ("a", "g" * 64)])
def test_a_row_of_another_shape_is_refused(row: tuple[object, ...]) -> None:
    """A query that does not select a path and a hash fails the run and says of which database."""
    with pytest.raises(FailedError, match="ledger"):
        References((ONE,)).add([row], "ledger")


def test_absolute_paths_and_the_innermost_tree() -> None:
    """An absolute path belongs to the innermost tree around it, however it is spelt."""
    trees = (
        TreePlace("blobs", "data/blobs", "/srv/app/blobs"),
        TreePlace("inner", "data/inner", "/srv/app/blobs/inner"),
    )
    references = References(trees)
    references.add([("/srv/app/blobs/a",), ("/srv//app/blobs/x/../inner/b",)], "ledger")
    assert references.places() == ("data/blobs/a", "data/inner/b")
    references.add([("/srv/app/blobs",), ("/srv/app/blobsy/a",)], "ledger")
    assert len(references.problems()) == 4


def test_a_great_many_trees_cost_no_time_for_each_row() -> None:
    """Ten thousand trees and as many rows are placed at once, not tree by tree."""
    trees = tuple(TreePlace(f"t{i}", f"data/t{i}", f"/srv/t{i}") for i in range(10_000))
    references = References(trees)
    assert references.add(((f"t{i}/a",) for i in range(10_000)), "ledger") == 10_000
    assert references.problems()[9_999] == "referenced but missing: t9999/a"


def test_two_rows_that_contradict_each_other() -> None:
    """Where two rows want different contents of one file, one of them must be wrong: a problem."""
    references = References((ONE,))
    references.add([("a", A), ("a", None), ("a", B)], "ledger")
    assert references.settle("data/attachments/a", A)
    assert references.problems() == ["content differs from its reference: attachments/a"]


def test_long_names_are_shortened() -> None:
    """A problem's line has a bounded length, whatever a database calls a path."""
    references = References((ONE,))
    references.add([("x" * 5_000,), ("/" + "y" * 100_000,)], "ledger")
    assert max(map(len, references.problems())) < 400


def test_a_stop_is_noticed_among_the_rows() -> None:
    """Millions of rows do not hold up SIGTERM."""
    stop = Stop()
    stop.request(15)
    with pytest.raises(StoppedError):
        References((ONE,), stop).add((("a",) for _ in range(5_000)), "ledger")
