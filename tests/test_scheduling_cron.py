"""Lines in a crontab: read back as cron does, and nobody else's line touched."""

import os
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timers import AWKWARD, CRONTAB, TEXTS, job, person, program

from agebackup.errors import FailedError, RefusedError, UsageError
from agebackup.model.calendar import Every
from agebackup.scheduling.cron import Cron, block, escaped, installed_command, parted, shell_command
from agebackup.scheduling.job import Job
from agebackup.system.progress import Progress

NICE = ("nice", "-n", "19")
LINES = st.lists(
    st.sampled_from(["", "# a comment", "MAILTO=me", "5 4 * * * true \\% x", "# END agebackup-x"])
    | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\n"), max_size=20)
)
CRONTABS = LINES.map(lambda lines: "".join(f"{line}\n" for line in lines))


def installed(crontab: str, one: Job) -> str:
    """Return a crontab with the block of a job, as `install` writes it."""
    before, _, after = parted(crontab, one.name)
    return before + block(one, NICE) + after


@given(CRONTABS, st.sampled_from(["notes", ""]))
def test_install_then_remove_changes_nothing(crontab: str, app: str) -> None:
    """Whatever stands in a crontab stays byte for byte, and so does another app's block."""
    crontab = installed(crontab, job("other"))
    with_ours = installed(crontab, job(app))
    assert with_ours == crontab + block(job(app), NICE)
    before, mine, after = parted(with_ours, job(app).name)
    assert before + after == crontab and mine == block(job(app), NICE)


@given(CRONTABS, CRONTABS)
def test_installing_again_replaces_in_place(before: str, after: str) -> None:
    """A new rhythm takes the place of the old one; twice the same is once."""
    crontab = before + block(job(every="1h"), NICE) + after
    changed = installed(crontab, job(every="daily"))
    assert changed == before + block(job(every="daily"), NICE) + after
    assert installed(changed, job(every="daily")) == changed


def test_a_command_that_is_too_long() -> None:
    """What Debian's cron would refuse without saying which line is refused in a sentence."""
    assert block(job(words=("x" * 700,)), NICE)
    with pytest.raises(UsageError, match="990 bytes"):
        block(job(words=("x" * 1000,)), NICE)


@given(st.lists(TEXTS, max_size=4))
def test_the_shell_gets_the_very_words(words: list[str]) -> None:
    """Escaped for cron and quoted for the shell, each word arrives as it was."""
    line = installed_command(block(job(words=tuple(words)), NICE))
    assert line is not None
    assert shlex.split(line)[-1 - len(words) : -1] == words


@given(st.text(st.sampled_from("\\%'a "), max_size=8))
def test_no_percent_ends_a_line(word: str) -> None:
    """Backslashes before a percent sign, however many, let cron cut nothing off."""
    quoted = shlex.join(["x", word])
    assert shlex.split(installed_command(f"* * * * * {escaped(quoted)}") or "") == ["x", word]


def test_a_real_shell_agrees() -> None:
    """The words come through /bin/sh too, with every awkward name at once."""
    printing = ("-c", "import sys; print('\\0'.join(sys.argv[1:]), file=sys.stderr)")
    line = shell_command(job(words=(*printing, *AWKWARD)), NICE)
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=True)
    assert done.stderr.rstrip("\n").split("\0") == list(AWKWARD) and not done.stdout


BEGIN, END = block(job(), NICE).splitlines()[0], block(job(), NICE).splitlines()[-1]


@pytest.mark.parametrize(
    "damaged",
    [
        *([BEGIN], [BEGIN, "x"], [END], ["x", END], [END, BEGIN], [BEGIN, BEGIN, END]),
        *([BEGIN, END, END], [BEGIN, END, BEGIN, END], [BEGIN, "# BEGIN agebackup-x", END]),
    ],
)
def test_damaged_markers_are_refused(damaged: list[str]) -> None:
    """Where nobody can tell what belongs to the block, nothing is touched."""
    with pytest.raises(FailedError, match="damaged") as caught:
        parted("\n".join(["5 4 * * * true", *damaged, ""]), job().name)
    assert "crontab -e" in caught.value.hint


def test_blocks_of_other_apps_are_others(tmp_path: Path) -> None:
    """An app whose name begins alike, and the timer for all, have blocks of their own."""
    crontab = block(job("notes-2"), NICE) + block(job(""), NICE)
    assert parted(crontab, job("notes").name) == (crontab, "", "")
    assert parted(crontab, job("").name)[1] == block(job(""), NICE)


def test_drills_are_others() -> None:
    """The block of drills of an app is none of its backups, nor of an app called `drill-notes`."""
    drill = replace(job(every="monthly"), task="drill")
    everybody = replace(job("", "monthly"), task="drill")
    others = [job(), job("drill"), job("drill-notes"), job(""), everybody]
    crontab = "".join(block(one, NICE) for one in others)
    assert parted(crontab, drill.name) == (crontab, "", "")
    assert parted(crontab + block(drill, NICE), drill.name)[1] == block(drill, NICE)
    assert "\n30 4 1 * * " in block(drill, NICE)
    damaged = block(job(), NICE).replace(END, f"{BEGIN.replace('agebackup-', 'agebackup_drill-')}")
    with pytest.raises(FailedError, match="damaged"):
        parted(damaged + END + "\n", job().name)


@pytest.fixture
def cron(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cron:
    """A person whose crontab is the file `crontab` of their home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    program(tmp_path / "bin", "crontab", CRONTAB)
    return Cron(person(tmp_path), Progress())


def test_a_last_line_without_an_end(cron: Cron, tmp_path: Path) -> None:
    """A line end is added to it before ours, and nothing else."""
    (tmp_path / "crontab").write_text("5 4 * * * true")
    cron.install(job())
    assert (tmp_path / "crontab").read_text() == "5 4 * * * true\n" + "".join(
        cron.render(job()).values()
    )
    assert cron.remove("notes") and not cron.remove("notes")
    assert (tmp_path / "crontab").read_text() == "5 4 * * * true\n"


def test_the_first_and_only_line(cron: Cron, tmp_path: Path) -> None:
    """Who had no crontab has none again after the timer was removed."""
    assert not cron.present("notes") and not cron.trouble()
    cron.install(job())
    assert cron.present("notes") == cron.render(job())
    assert cron.remove("notes")
    assert not (tmp_path / "crontab").exists()


@pytest.mark.parametrize("every", ["daily", "weekly", "5m", "1h", "6h", "23:05"])
def test_what_is_installed_says_it_itself(cron: Cron, tmp_path: Path, every: str) -> None:
    """Whose timers there are, and how often they fire, is known without any notes of it."""
    assert list(cron.apps()) == []
    cron.install(job(every=every))
    cron.install(job("", "3h"))
    with (tmp_path / "crontab").open("a") as file:
        file.write("# BEGIN agebackup of mine\n# BEGIN agebackup-/../x (written)\n")
    assert list(cron.apps()) == ["", "notes"]
    assert cron.rhythm("notes") == Every.parse(every)
    assert cron.rhythm("") == Every.parse("3h") and cron.rhythm("other") is None
    text = (tmp_path / "crontab").read_text()
    (tmp_path / "crontab").write_text(text.replace("0 */3 * * *", "0 */3 1 * *"))
    assert cron.rhythm("") is None


def test_a_long_crontab(cron: Cron, tmp_path: Path) -> None:
    """Thousands of lines stay as they are, CR at line ends and tabs too."""
    content = "".join(f"# line {number}\t雪\r\n5 4 * * * true\n" for number in range(5000))
    (tmp_path / "crontab").write_bytes(content.encode())
    cron.install(job())
    cron.install(job(every="1h"))
    ours = "".join(cron.render(job(every="1h")).values())
    assert (tmp_path / "crontab").read_bytes() == (content + ours).encode()
    cron.remove("notes")
    assert (tmp_path / "crontab").read_bytes() == content.encode()


@pytest.mark.parametrize("content", [b"# caf\xe9\n", b"# " + b"x" * 600_000 + b"\n"])
def test_what_could_not_be_written_back_is_not_touched(
    cron: Cron, tmp_path: Path, content: bytes
) -> None:
    """Text in another encoding, or too long to be sure of, is left to the person."""
    (tmp_path / "crontab").write_bytes(content)
    for act in (lambda: cron.install(job()), lambda: cron.remove("notes"), cron.require):
        with pytest.raises((FailedError, RefusedError), match="not touched"):
            act()
    assert (tmp_path / "crontab").read_bytes() == content


def test_crontab_fails(cron: Cron, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What crontab says is passed on, and the crontab is what it was."""
    (tmp_path / "crontab").write_text("5 4 * * * true\n")
    monkeypatch.setenv("CRONTAB", "full")
    with pytest.raises(FailedError, match="No space left"):
        cron.install(job())
    monkeypatch.setenv("CRONTAB", "forbidden")
    with pytest.raises(RefusedError, match="not allowed"):
        cron.require()
    with pytest.raises(FailedError, match="not allowed"):
        cron.install(job())
    assert (tmp_path / "crontab").read_text() == "5 4 * * * true\n"
    with pytest.raises(RefusedError, match="no crontab"):
        Cron(person(tmp_path, str(tmp_path / "nowhere")), Progress()).require()


def test_the_installed_line_is_run(cron: Cron, tmp_path: Path) -> None:
    """Running it means the very line, with cron's few variables: what a person broke, fails."""
    seen = "import os, sys; print(sorted(os.environ), file=sys.stderr); sys.exit(3)"
    one = job(words=("-c", seen, "%"), places=(str(tmp_path),))
    with pytest.raises(FailedError, match="no line"):
        cron.run(one)
    cron.install(one)
    done = cron.run(one)
    names = {"HOME", "LOGNAME", "PATH", "SHELL"}
    assert done.code == 3 and all(name in done.stderr for name in names)
    assert "XDG" not in done.stderr and "PYTHONPATH" not in done.stderr
    file = tmp_path / "crontab"
    file.write_text(file.read_text().replace("nice", "nyce"))
    done = cron.run(one)
    assert done.code == 127 and "nyce" in done.stderr


def test_what_is_missed_is_said(cron: Cron) -> None:
    """cron makes up for nothing: at install it is said what to do instead."""
    assert any("--every 1h" in one for one in cron.doubts(job(every="daily")))
    assert not any("--every 1h" in one for one in cron.doubts(job(every="1h")))
