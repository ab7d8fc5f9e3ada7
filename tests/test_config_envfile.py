"""A file of variables for the configuration's paths: what it means, how it is refused."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agebackup.config import load_config
from agebackup.config.envfile import LARGEST, read_env_file
from agebackup.errors import UsageError

SECRET = "hunter2-4711"


def read(directory: Path, content: bytes | str) -> dict[str, str]:
    file = directory / "paths.env"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_env_file(file, {"HOME": "/home/me"})


def test_what_a_file_means(tmp_path: Path) -> None:
    """Comments, quotes, export, Windows' lines and variables are as shells and dotenv have them."""
    text = """\
    # remark
    export DATA=/srv/data  # where it is
    SPACED = "a b\\tc"
    RAW='$x "y"'
    MINE="${HOME}/x"
    BELOW=${DATA}/y
    OR=${NOTHING:-/z}
    EMPTY=
    """.replace("\n", "\r\n")
    assert read(tmp_path, "\ufeff" + text) == {
        "DATA": "/srv/data",
        "SPACED": "a b\tc",
        "RAW": '$x "y"',
        "MINE": "/home/me/x",
        "BELOW": "/srv/data/y",
        "OR": "/z",
        "EMPTY": "",
    }


def test_a_value_that_needs_what_is_not_set_is_none(tmp_path: Path) -> None:
    """Nobody backs up /x because ${GONE}/x lost its beginning; other lines are as good as ever."""
    assert read(tmp_path, "A=${GONE}/x\nB=1\nC=${A}\n") == {"B": "1"}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (f"A=1\n\n\n{SECRET}\n", 4),
        (f"A=1\n{SECRET} = \n A {SECRET}\n", 3),
        (f"A=1\n\nB='{SECRET}\n", 3),
        (f'A="{SECRET}" {SECRET}\n', 1),
        (f"=({SECRET})\n", 1),
        (f"A='x\ny'\nB=\"{SECRET}", 3),
        (f"A=1\nB={SECRET}\0\n", 2),
        (b"A=1\nB=" + SECRET.encode() + b"\xff\n", 2),
    ],
)
def test_what_is_refused_is_named_by_its_line_alone(
    tmp_path: Path, content: bytes | str, line: int
) -> None:
    """File and line are named; what stands there is not echoed, for it may be a secret."""
    with pytest.raises(UsageError) as caught:
        read(tmp_path, content)
    error = caught.value
    assert error.message.startswith(f"{tmp_path}/paths.env: line {line}: "), error.message
    assert SECRET not in error.message + error.hint and error.code == 2


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """What is absent, no file, a pipe without a writer, or endless, is told at once."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"#" * (LARGEST + 1))
    for name, why in (
        ("absent", "There is no file of variables"),
        (".", "Is a directory"),
        ("pipe", "no regular file"),
        ("large", "more than 1,048,576 bytes"),
    ):
        with pytest.raises(UsageError, match=why):
            read_env_file(tmp_path / name, {})


@given(st.text(), st.text(min_size=6).filter(lambda text: text not in "NAME=VALUE, quotes"))
def test_no_text_whatever_is_echoed(
    tmp_path_factory: pytest.TempPathFactory, a: str, b: str
) -> None:
    """Any text is variables or is refused, never a crash."""
    file = tmp_path_factory.getbasetemp() / "any.env"
    file.write_bytes(f"{a}\nX={b}".encode(errors="replace"))
    try:
        found = read_env_file(file, {})
    except UsageError as error:
        assert error.message.startswith(f"{file}: line ")
    else:
        assert all(isinstance(value, str) for value in found.values())


def config(directory: Path, text: str) -> Path:
    file = directory / "config.toml"
    file.write_text(text)
    return file


def test_the_key_of_the_configuration(tmp_path: Path) -> None:
    """`env_file` lies beside the configuration; what the environment has outranks it."""
    (tmp_path / "paths.env").write_text("DATA=/file/data\nMORE=/file/$$more\n")
    file = config(
        tmp_path,
        'env_file = "paths.env"\n[apps.x]\nroot = "$DATA"\ndestination = "${MORE}/out"\n',
    )
    (one,) = load_config(file, {}).apps
    assert one.root == Path("/file/data") and one.destination == Path("/file/$$more/out")
    (one,) = load_config(file, {"DATA": "/env"}).apps
    assert one.root == Path("/env") and one.destination == Path("/file/$$more/out")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ('"absent.env"', "There is no file of variables"),
        ('"$GONE/x"', "config.toml: env_file: the environment variable GONE is not set"),
        ("1", "config.toml: env_file: expected a text"),
        ('""', "config.toml: env_file: a path cannot be empty"),
    ],
)
def test_a_key_that_is_wrong(tmp_path: Path, key: str, said: str) -> None:
    """A key that names no file of variables is refused, as every other key is."""
    with pytest.raises(UsageError) as caught:
        load_config(config(tmp_path, f"env_file = {key}\n"), {})
    assert said in caught.value.message
