"""The pattern language for paths."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agebackup.errors import UsageError
from agebackup.model.globs import compile_globs, covers

MATCHES = [
    ("*.tmp", "a.tmp", True),
    ("*.tmp", "deep/er/a.tmp", True),
    ("*.tmp", "a.tmp/", True),
    ("*.tmp", "a.tmp.gz", False),
    ("*.tmp", ".tmp", True),
    ("*.TMP", "a.tmp", False),
    ("cache/", "cache/", True),
    ("cache/", "x/cache/", True),
    ("cache/", "cache", False),
    ("cache/", "mycache/", False),
    ("/cache", "cache/", True),
    ("/cache", "x/cache/", False),
    ("blobs/thumbs", "blobs/thumbs/", True),
    ("blobs/thumbs", "x/blobs/thumbs/", False),
    ("blobs/*.jpg", "blobs/a.jpg", True),
    ("blobs/*.jpg", "blobs/a/b.jpg", False),
    ("**/cache", "cache/", True),
    ("**/cache", "a/b/cache", True),
    ("a/**/b", "a/b", True),
    ("a/**/b", "a/x/y/b", True),
    ("a/**/b", "ab", False),
    ("cache/**", "cache/a", True),
    ("cache/**", "cache/a/b/", True),
    ("cache/**", "cache/", False),
    ("a**b", "axxb", True),
    ("a**b", "a/b", False),
    ("?", "ä", True),
    ("?", "ab", False),
    ("a?b", "a/b", False),
    ("[ab]c", "bc", True),
    ("[!ab]c", "bc", False),
    ("[!ab]c", "cc", True),
    ("a[!x]b", "a/b", False),
    ("[a-c]", "b", True),
    ("[]]", "]", True),
    ("[&&|~]", "~", True),
    (r"\*", "*", True),
    (r"\*", "a", False),
    ("a.b", "axb", False),
    ("a[b", "a[b", True),
    ("new\nline*", "new\nline\n", True),
]


@pytest.mark.parametrize("pattern, path, matches", MATCHES)
def test_what_a_pattern_matches(pattern: str, path: str, matches: bool) -> None:
    """A pattern means what .gitignore means by it; directories' paths end with a slash."""
    assert bool(compile_globs([pattern]).fullmatch(path)) is matches


def test_several_patterns_and_none() -> None:
    """Any of several patterns is enough, and no pattern matches nothing."""
    several = compile_globs(["*.tmp", "b"])
    assert several.fullmatch("a.tmp") and several.fullmatch("b") and not several.fullmatch("c")
    assert not compile_globs([]).fullmatch("")
    assert not compile_globs([]).fullmatch("a")


@pytest.mark.parametrize("pattern", ["", "/", "!a", "a//b", "./a", "../a", "a/..", "[]", "[z-a]"])
def test_what_is_no_pattern(pattern: str) -> None:
    """A pattern that can match nothing, or that hopes for negation, is refused by its name."""
    with pytest.raises(UsageError, match="is not a pattern") as caught:
        compile_globs(["fine", pattern])
    assert repr(pattern) in caught.value.message


def test_a_matching_directory_takes_its_content_along() -> None:
    """What lies below a matching directory is covered by the pattern as well."""
    cache = compile_globs(["cache/"])
    assert covers(cache, "a/cache/b/c") and covers(cache, "cache/")
    assert not covers(cache, "a/b/cache") and not covers(cache, "a")


@given(st.lists(st.text(st.characters(exclude_characters="/\0"), min_size=1), min_size=1))
def test_an_escaped_path_matches_itself_alone(parts: list[str]) -> None:
    """Any path can be named literally by escaping it, and then matches nothing but itself."""
    parts = ["x" if part in (".", "..") else part for part in parts]
    path = "/".join(parts)
    pattern = "/" + "".join(f"\\{c}" if c in "\\*?[!" else c for c in path)
    expression = compile_globs([pattern])
    assert expression.fullmatch(path) and expression.fullmatch(path + "/")
    assert not expression.fullmatch(path + "x") and not expression.fullmatch("x/" + path)


@pytest.mark.parametrize(
    "pattern", ["a*" * 40 + "b", "*a" * 40 + "*b*", "*" * 4000 + "b", "?*" * 50 + "b"]
)
@pytest.mark.parametrize("name", ["a" * 255, "/".join(["a" * 255] * 15), "a/" * 2000])
def test_a_hostile_name_costs_little(pattern: str, name: str) -> None:
    """A pattern with very many stars takes a moment for any name, not years."""
    expression = compile_globs([pattern, "**/a/" * 20 + "b"])
    begun = time.monotonic()
    assert not expression.fullmatch(name)
    assert time.monotonic() - begun < 0.5


@given(
    st.lists(st.sampled_from(["a", "b", "**"]), min_size=2, max_size=6),
    st.lists(st.sampled_from("ab"), min_size=1, max_size=8),
)
def test_double_stars_mean_what_they_always_meant(parts: list[str], path: list[str]) -> None:
    """Many `**` in one pattern match what a plain trial of every division matches."""
    *inner, last = parts
    plain = "".join("(?:[^/]+/)*" if part == "**" else f"{part}/" for part in inner)
    plain += "[^/].*" if last == "**" else f"{last}/?"
    found = compile_globs(["/" + "/".join(parts)]).fullmatch("/".join(path))
    assert bool(found) is bool(re.fullmatch(plain, "/".join(path)))


@given(
    st.text(st.sampled_from("ab*?"), min_size=1, max_size=8),
    st.text(st.sampled_from("ab/"), max_size=10),
)
def test_stars_mean_what_they_always_meant(pattern: str, path: str) -> None:
    """Many stars in one name match what a plain trial of every division matches."""
    plain = "".join({"*": "[^/]*", "?": "[^/]"}.get(one, one) for one in pattern)
    expected = bool(re.fullmatch(f"(?:.*/)?{plain}/?", path)) if pattern != "**" else None
    if expected is not None:
        assert bool(compile_globs([pattern]).fullmatch(path)) is expected
