"""`agebackup report`: one page that shows how the backups stand, and needs nothing else."""

import json
import os
import random
import re
import sqlite3
import stat
import subprocess
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import Keys, World
from history import Machine, lived
from nights import declare
from past_nights import ago, night, ran, state
from sample_app import SampleApp, command

from agebackup.ledger import open_ledger
from agebackup.model.names import ArchiveName
from agebackup.model.records import ArchiveRecord, DrillRecord

pytestmark = pytest.mark.linux

VOID = {"meta", "br", "hr", "img", "input", "link", "base"}
ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "section", "footer"),
    *("h1", "h2", "h3", "p", "ul", "li", "dl", "div", "dt", "dd", "a", "span", "strong", "code"),
    *("time", "details", "summary", "table", "caption", "thead", "tbody", "tr", "th", "td"),
    *("svg", "desc", "line", "text", "circle", "path", "rect"),
}
"""Every element that a page may have: none that runs or loads anything."""


@dataclass
class Page(HTMLParser):
    """What a parser of HTML finds in a page: elements, attributes, texts, and what is left open."""

    text: str
    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    path: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), (tag, attrs)
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.path.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.path.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.path.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        if self.path and self.path[-1] != "style":
            self.words.append(data)

    @property
    def said(self) -> str:
        """All of its text, blanks made one."""
        return " ".join(" ".join(self.words).split())

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """Its elements with the names of their attributes."""
        return [(tag, tuple(attributes)) for tag, attributes in self.elements]


def alone(page: Page) -> None:
    """Nothing in `page` runs, loads or leads anywhere else."""
    assert not page.path, "everything is closed"
    identities = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identities) == len({*identities})
    for tag, attributes in page.elements:
        assert tag in ALLOWED, tag
        assert not any(name.startswith("on") or name in ("style", "src") for name in attributes)
        if "href" in attributes:
            assert attributes["href"].startswith("#app-") and attributes["href"][1:] in identities
        for name in ("aria-labelledby",):
            assert {*attributes.get(name, "").split()} <= {*identities}
    assert "url(" not in page.text and "@import" not in page.text


def written(world: World, *words: object, code: int = 0) -> Page:
    """Let the page be written; return it."""
    done = world.run("report", "-o", "report.html", *words)
    assert done.code == code, done.err
    assert not world.leftovers()
    return Page((world.directory / "report.html").read_text())


@pytest.fixture
def out(world: World, app: SampleApp, keys: Keys) -> Path:
    """The destination of the declared app `notes`."""
    return declare(world, app, keys, "[apps.notes.retention]\nkeep_daily = 3\nkeep_manual = 1\n")


def test_all_of_it(world: World) -> None:
    """Of machines with a long history the page shows everything, alone in itself, quickly; nothing
    is changed by it."""
    machine = Machine(world.state, world.config, world.directory, ago(), random.Random(7))
    lived(machine)
    before = contents(world)
    page = written(world)
    assert contents(world) == before, "ledger and destinations are as they were"
    alone(page)
    sections = page.text.partition("</main>")[0].split('<section class="app"')[1:]
    notes, photos, never, mail = (Page(f"<section{one}").said for one in sections)
    for word in ("fresh", "hourly", "monthly", "yearly (the oldest)", "by hand", "#before-upgrade"):
        assert word in notes, word
    assert "restores for the sake of proof" in notes.lower() and "Nothing wrong." in notes
    for word in ("stale", "does not exist", "Size and growth", "It is a conflict copy", "gone"):
        assert word in photos, word
    assert "never backed up" in never and "There is no archive yet." in never
    here = len(list((world.directory / "mail").glob("*.age")))
    for place, fewer in (("github:somebody/backups-of-my-mail", 1), ("rclone:drive:backups", 5)):
        count = here - fewer
        assert re.search(rf"{place}\S* {count} [\d,]+ \d{{4}}-\d\d-\d\d", mail), mail
    assert "as the ledger knows it" in mail
    assert stat.S_IMODE((world.directory / "report.html").stat().st_mode) == 0o600


def contents(world: World) -> dict[str, bytes]:
    """Return every archive, and the ledger's rows."""
    files = {str(path): path.read_bytes() for path in world.directory.rglob("*.age")}
    with closing(sqlite3.connect(world.state / "ledger.db")) as connection:
        return files | {"ledger": "\n".join(connection.iterdump()).encode()}


def test_it_can_be_read_without_seeing_or_a_mouse(world: World) -> None:
    """Language, headings in their order, captions, headed columns, drawings with a title, what they
    show in words and as a table; no information by colour alone; what scrolls takes the focus."""
    lived(Machine(world.state, world.config, world.directory, ago(), random.Random(7)))
    page = written(world)
    tags = [tag for tag, _ in page.elements]
    assert page.elements[0] == ("html", {"lang": "en"})
    assert tags.count("h1") == tags.count("main") == 1
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for table in re.findall(r"<table>.*?</table>", page.text, re.DOTALL):
        assert table.index("<caption>") < table.index('<th scope="col"')
        for row in re.findall(r"<tr.*?</tr>", table.split("<tbody>")[1], re.DOTALL):
            assert '<th scope="row"' in row
    for tag, attributes in page.elements:
        if tag == "svg" and attributes.get("role") == "img":
            title, described = attributes["aria-labelledby"].split()
            assert f'<title id="{title}">' in page.text and f'<desc id="{described}">' in page.text
        if attributes.get("class") == "table":
            assert attributes["tabindex"] == "0" and attributes["aria-label"]
    for state_ in re.findall(r'class="badge \w+">.*?</svg>\s*(.*?)</span>', page.text, re.DOTALL):
        assert re.search(r"\w{4}", state_), "each state is a word"


HOSTILE = '<script>alert(1)</script><img src=x onerror="x">\'" onload="y" &amp; {{ 7*7 }} {% x %}'
BIDI = "\u202egnp.exe\u2066\x1b[31m\x07\x00"


def test_what_names_hold_stays_text(world: World, app: SampleApp, keys: Keys) -> None:
    """Notes, tags, messages, paths and file names make neither an element nor an attribute, and no
    character of them acts; of a private key nothing is shown."""
    plain, hostile = (_with(world, app, keys, number, word) for number, word in enumerate(
        ("plain 7", f"{HOSTILE}{BIDI}AGE-SECRET-KEY-1QQQQ")
    ))  # fmt: skip
    alone(hostile)
    assert hostile.shape == plain.shape, "the same elements with the same attributes"
    assert hostile.said.count("<script>alert(1)</script>") >= 6
    assert hostile.said.count("{{ 7*7 }} {% x %}") >= 6
    assert not set("\u202e\u2066\x1b\x07\x00") & set(hostile.text)
    assert "KEY-1QQQQ" not in hostile.text and "AGE-SECRET-KEY-(not shown)" in hostile.text


def _with(world: World, app: SampleApp, keys: Keys, number: int, word: str) -> Page:
    """Return the page of a machine where `word` stands wherever anybody can put it."""
    name = re.sub("[/\0]", "", word)
    home = world.home.with_name(f"home-{number}")
    home.mkdir()
    there = replace(
        world,
        home=home,
        env={k: v.replace(str(world.home), str(home)) for k, v in world.env.items()},
    )
    out = there.directory / f"{number}-{name}"
    out.mkdir()
    (out / name).write_text("x")
    (out / f"notes-20261120T021500Z-1f2e3d4c ({name}).tar.age").write_text("x")
    first = night(there, out, ago(hours=3), tag=word, note=word)
    night(there, out, ago(hours=50), deleted=ago(), deleted_why=word)
    ran(there, "failed", word, hours=1)
    with open_ledger(state(there) / "ledger.db") as ledger:
        (row,) = [one for one in ledger.archives() if one.name == first]
        ledger.put(replace(row, destination=f"github:{word}", time=row.time - timedelta(hours=1)))
        drill = DrillRecord("1", "notes", word, ago(hours=2), 1.5, "failed", word, receipt=word)
        ledger.put(drill)
    config = f"[apps.notes]\nroot = {json.dumps(str(app.root))}\n"
    config += f"databases = {{ledger = 'ledger.db'}}\ndestination = {json.dumps(str(out))}\n"
    config += f"recipients = [{keys.recipient!r}]\n[apps.notes.retention]\nkeep_last = 3\n"
    there.config.parent.mkdir(parents=True)
    there.config.write_text(config + f"keep_tags = [{json.dumps(word)}]\n")
    return written(there, "--overwrite")


def test_a_name_that_is_no_text(world: World, out: Path) -> None:
    """A file name that is not UTF-8 is shown as what it is."""
    night(world, out, ago(hours=1))
    with open(os.fsencode(out) + b"/\xff\xfe.age", "wb"):
        pass
    assert "\\udcff\\udcfe.age" in written(world).said


def test_without_a_ledger(world: World, out: Path) -> None:
    """What lies in the folders is shown, and that there is no ledger."""
    night(world, out, ago(hours=1))
    (world.state / "ledger.db").unlink()
    page = written(world)
    assert "The ledger: There is none" in page.said and "There is no ledger that knows" in page.said
    assert "1 archive," in page.said
    assert not (world.state / "ledger.db").exists()


def test_a_damaged_ledger(world: World, out: Path) -> None:
    """The page says what is wrong with it, and shows what is seen without it."""
    night(world, out, ago(hours=1))
    (world.state / "ledger.db").write_bytes(b"no database, " * 1000)
    page = written(world)
    assert re.search("The ledger: The ledger .* (damaged|not a ledger|no ledger)", page.said)
    assert "1 archive," in page.said


def test_without_a_configuration(world: World, out: Path) -> None:
    """What the ledger knows is shown; where nothing at all is known, that is said (10)."""
    night(world, out, ago(hours=1))
    world.config.unlink()
    assert "known" in written(world).said
    (world.state / "ledger.db").unlink()
    done = world.run("report", "-o", "other.html")
    assert done.code == 10 and not (world.directory / "other.html").exists()


def test_a_destination_that_is_away(world: World, out: Path) -> None:
    """What the ledger knows of it is shown as such."""
    night(world, out, ago(hours=1))
    out.rename(out.with_name("away"))
    page = written(world)
    assert "as the ledger knows it: The destination" in page.said
    assert "not audited. The destination" in page.said and "1 archive, 4.88 KiB" in page.said


def test_destinations_beyond_a_folder(world: World, out: Path) -> None:
    """Of each place that copies go to the page says how many are owed, even where none ever went;
    none is contacted, and none reads as if its audit had failed."""
    first = night(world, out, ago(hours=26))
    night(world, out, ago(hours=2))
    config = world.config.read_text()
    several = f'["{out}", "rclone:far:backups", "github:ada/backups"]'
    world.config.write_text(config.replace(f'destination = "{out}"', f"destination = {several}"))
    with open_ledger(world.state / "ledger.db") as ledger:
        rows = {row.name: replace(row, sha256="0" * 64) for row in ledger.archives()}
        ledger.put(*rows.values(), replace(rows[first], destination="rclone:far:backups"))
    (one,) = json.loads(world.run("--json", "report", "-o", "report.html").out)["apps"]
    page = Page((world.directory / "report.html").read_text())
    told = [(each["destination"], each["archives"], each["owed"]) for each in one["destinations"]]
    assert told == [(str(out), 2, None), ("rclone:far:backups", 1, 1), ("github:ada/backups", 0, 2)]
    assert [each["destination"] for each in one["audited"]] == [str(out)]
    row_of = page.said.partition("github:ada/backups 0 0")[2]
    assert "2 as the ledger knows it" in row_of[:60]
    assert "It was not looked at" not in page.said and "not audited" not in page.said


def test_a_destination_that_hangs(world: World, out: Path) -> None:
    """A dead mount is not waited for: the page is there soon, and says so."""
    night(world, out, ago(hours=1))
    link = out.with_name("link")
    link.symlink_to(out)
    world.config.write_text(world.config.read_text().replace(str(out), str(link)))
    hang = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(link)]
    hang += ["-e", "trace=openat,readlink", "-e", "inject=openat,readlink:delay_enter=4s"]
    done = under(world, hang)
    assert done == 0
    assert "does not answer." in Page((world.directory / "report.html").read_text()).said


def under(world: World, prefix: list[str]) -> int:
    """Run `report` by the command that begins with `prefix`; return its exit code."""
    words = [*prefix, *command(), "report", "-o", "report.html"]
    return subprocess.run(
        words, cwd=world.directory, env=dict(world.env), timeout=60, check=False
    ).returncode


def test_the_exit_code_is_that_of_the_page(world: World, out: Path) -> None:
    """Stale backups are on the page and on stderr; status has the exit code for them."""
    night(world, out, ago(days=9))
    done = world.run("report", "-o", "report.html")
    assert done.code == 0 and "not well: notes" in done.err
    assert done.out == f"{world.directory / 'report.html'}\n"
    assert world.run("status").code == 5


def test_without_an_audit(world: World, out: Path) -> None:
    """With --no-audit no archive is opened."""
    night(world, out, ago(hours=1))
    assert "damaged" in written(world).said
    assert "None was made for this page." in written(world, "--no-audit").said


def test_on_standard_output(world: World, out: Path) -> None:
    """`-o -` is the page and nothing else."""
    night(world, out, ago(hours=1))
    done = world.run("report", "-o", "-")
    assert done.code == 0
    alone(Page(done.out))
    assert not list(world.directory.glob("*.html"))


def test_a_report_is_replaced_and_nothing_else(world: World, out: Path) -> None:
    """The next report takes the last one's place; another file stays, unless --overwrite says so;
    a link or a directory always does."""
    night(world, out, ago(hours=1))
    file = world.directory / "report.html"
    written(world)
    written(world)
    for content in ("<html>mine</html>", ""):
        file.write_text(content)
        done = world.run("report", "-o", "report.html")
        assert done.code == 13 and file.read_text() == content and "is no report" in done.err
    written(world, "--overwrite")
    (world.directory / "folder.html").mkdir()
    (world.directory / "link.html").symlink_to(file)
    os.mkfifo(world.directory / "pipe.html")
    before = file.read_bytes()
    for name in ("folder.html", "link.html", "pipe.html"):
        done = world.run("report", "-o", name, "--overwrite")
        assert done.code == 13 and "no regular file" in done.err
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "No file was named"),
        (("-o", ""), 2, "No file was named"),
        (("-o", "report.txt"), 2, "a report is a .html file"),
        (("-o", "report"), 2, "a report is a .html file"),
        (("-o", "absent/report.html"), 10, "does not exist"),
        (("-o", "report.html", "Notes!"), 2, "cannot be an app's name"),
        (("-o", "report.html", "other"), 10, "No destination of other"),
        (("-o", "report.html", "notes", "other"), 2, "unexpected extra argument"),
    ],
)
def test_bad_input(world: World, out: Path, words: tuple[str, ...], code: int, said: str) -> None:
    """What cannot be is said in a sentence, and nothing is written."""
    night(world, out, ago(hours=1))
    done = world.run("report", *words)
    assert done.code == code and said in done.err and "Traceback" not in done.err, done.err
    assert not list(world.directory.glob("*.html"))


def test_json(world: World, out: Path) -> None:
    """With --json an object says where the page is, and how each app and destination stands."""
    night(world, out, ago(days=9))
    told = json.loads(world.run("--json", "report", "-o", "report.html").out)
    assert told["path"] == str(world.directory / "report.html") and told["audit"] is True
    assert told["bytes"] == (world.directory / "report.html").stat().st_size
    (one,) = told["apps"]
    assert (one["app"], one["states"], one["stale"]) == ("notes", ["stale"], True)
    (place,) = one["destinations"]
    assert (place["destination"], place["archives"], place["seen"]) == (str(out), 1, True)


def test_thousands_of_archives(world: World, out: Path) -> None:
    """They make neither a page of many megabytes nor a wait of minutes."""
    now = ago(hours=1)
    names = [ArchiveName("notes", now - timedelta(hours=i), f"{i:08x}") for i in range(2_500)]
    for name in names:
        (out / str(name)).write_bytes(b"x")
    with open_ledger(state(world) / "ledger.db") as ledger:
        ledger.put(
            *(replace(ArchiveRecord.of(one, str(out)), size=1, proved=True) for one in names)
        )
    page = written(world)
    assert len(page.text) < 1_500_000
    assert "the first 500 of 2,500" in page.said and "2,500 archives" in page.said
