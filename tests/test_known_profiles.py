"""The profiles themselves: each is understood, says what it rests on, and a broken one is named."""

import json
import re
from pathlib import Path

import pytest
from conftest import Keys, World
from hypothesis import given
from hypothesis import strategies as st
from profile_states import FIREFOX, MSGVAULT, STATES, VAULTWARDEN
from test_documents import blocks, shell
from test_json_documents import WORDS, undescribed

from agebackup.config import described, known_names, read_known, usual_roots
from agebackup.config.known import BUILT_IN, parse_known
from agebackup.config.reading import load_config
from agebackup.config.writing import key, quoted_path, toml
from agebackup.errors import UsageError
from agebackup.model.knownapp import LINUX, MACOS, KnownApp

NOWHERE = Path("/nowhere/profiles")
NAMES = sorted(file.stem for file in BUILT_IN.glob("*.toml"))
FILE = Path("/own/mine.toml")
HEAD = "title = 'Mine'\nsummary = 'my own'\n"


def known(name: str) -> KnownApp:
    return read_known(name, NOWHERE)


@pytest.mark.parametrize("name", NAMES)
def test_each_profile_is_understood(name: str) -> None:
    """A profile says only what a section may say, what it rests on, and how to go on."""
    one = known(name)
    assert one.title and one.summary and one.sources and not one.origin
    assert all(source.project and source.file and source.version for source in one.sources)
    assert bool(one.refused) == (not one.app) and bool(one.refused) == bool(one.instead)
    assert one.marks
    if not one.refused:
        assert parse_known(f"{HEAD}[app]\n{_nested(described(one))}".encode(), FILE).app == one.app


def _nested(text: str) -> str:
    return re.sub(r"^\[", "[app.", text, flags=re.MULTILINE)


def test_every_profile_has_a_state() -> None:
    """No profile but a refused one is without a test that brings its application back."""
    refused = {name for name in NAMES if known(name).refused}
    assert {state.profile for state in STATES} | refused == set(NAMES)


REFUSED = [
    ("title = 'x'", "the key 'summary' is missing"),
    (HEAD, "the key 'app' is missing"),
    (f"{HEAD}nonsense = 1", "nonsense: there is no such key"),
    (f"{HEAD}[app]\ndatbases = {{}}", "app.datbases: there is no such key"),
    (f"{HEAD}[app]\nrecipients = ['age1x']", "app.recipients: this is for the config file to say"),
    (f"{HEAD}[app]\nroot = '/srv'", "app.root: this is for the config file to say"),
    (f"{HEAD}[app.databases]\na = '../x.db'", "app.databases: /x.db is not below the app's root"),
    (f"{HEAD}[app.databases]\na = '/etc/x.db'", "/etc/x.db is not below"),
    (f"{HEAD}[app.databases]\na = '~/x.db'", "app.databases.a: there is no ~"),
    (f"{HEAD}[app.databases]\na = '$X/x.db'", "app.databases.a: the environment variable X"),
    (f"{HEAD}[app.databases.a]\nglob = '*.db'", "app.databases.a.glob: a glob must hold {name}"),
    (f"{HEAD}[app]\nderived = ['!x']", "app.derived[0]: '!x' is not a pattern"),
    (f"{HEAD}[roots]\nwindows = ['C:']", "roots.windows: there is no such key"),
    (f"{HEAD}[[sources]]\nproject = 'x'", "the key 'file' is missing"),
    (f"{HEAD}refused = 'no'\n[app]\nconfig = []\nderived = ['x']", "app that is refused"),
    (
        f"{HEAD}optional = ['y.db']\n[app]\ndatabases = {{a = 'x.db'}}",
        "optional[0]: y.db is no path",
    ),
    (
        f"{HEAD}[roots]\nlinux = ['~/{{name}}']\n[app]\nattachments = ['x']",
        "linux[0]: {name} needs",
    ),
    (f"{HEAD}[roots]\nlinux = ['/{{name}}/x']\n[app]\ndatabases = {{a = 'x'}}", "in its last part"),
    (f"{HEAD}[roots]\nmacos = ['/{{name}}[z-a]']\n[app]\ndatabases = {{a = 'x'}}", "macos[0]: '"),
    ("title = ", "it is not TOML"),
]


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_what_does_not_fit_is_named(text: str, said: str) -> None:
    """A profile of one's own is read as strictly as the configuration: file and key are named."""
    with pytest.raises(UsageError) as caught:
        parse_known(text.encode(), FILE)
    assert said in caught.value.message and "mine.toml" in caught.value.message


def test_a_file_that_is_no_text_or_has_no_name_is_named() -> None:
    """So is one that is not UTF-8, and one whose name no app could have."""
    with pytest.raises(UsageError, match="not UTF-8"):
        parse_known(b"\xff\xfe", FILE)
    with pytest.raises(UsageError, match=r"Mine!\.toml"):
        parse_known(HEAD.encode(), Path("/own/Mine!.toml"))


SCALARS = st.booleans() | st.integers(-9, 10**9) | st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(min_size=1), inner)
)


@given(VALUES)
def test_every_value_survives_being_written(value: object) -> None:
    """What is written as TOML is read as the same."""
    import tomllib

    try:
        written = f"{key('x y')} = {toml(value)}\n"
    except UsageError:  # a lone surrogate
        return
    assert tomllib.loads(written) == {"x y": value}


def test_a_path_is_meant_literally() -> None:
    """A dollar sign in a path is no variable."""
    assert quoted_path(Path("/a$b")) == '"/a$$b"'


def test_usual_places_on_each_system(tmp_path: Path) -> None:
    """Places are looked for by system; a variable that is not set, or a profile of Firefox without
    history, is none; each Firefox profile with one is."""
    env = {"HOME": str(tmp_path)}
    assert usual_roots(known("firefox"), LINUX, env) == ()
    profiles = tmp_path / "Library" / "Application Support" / "Firefox" / "Profiles"
    for name in ("a.default", "b.default-release"):
        FIREFOX.build(profiles / name)
    (profiles / "c.empty").mkdir()
    found = usual_roots(known("firefox"), MACOS, env)
    assert found == (profiles / "a.default", profiles / "b.default-release")
    assert usual_roots(known("firefox"), LINUX, env) == ()
    VAULTWARDEN.build(tmp_path / "vw")
    assert usual_roots(known("vaultwarden"), MACOS, env) == ()
    env["DATA_FOLDER"] = str(tmp_path / "vw")
    assert usual_roots(known("vaultwarden"), MACOS, env) == (tmp_path / "vw",)
    env["DATA_FOLDER"] = "vw"
    assert usual_roots(known("vaultwarden"), MACOS, env) == (), "relative to what?"
    assert usual_roots(known("vaultwarden"), "haiku", env) == ()


def test_nothing_is_found_then_everything_there_is(world: World, keys: Keys) -> None:
    """--detect lists what lies in the usual places, writes nothing, and gives the very command
    that declares it."""
    none = world.run("config", "init", "--detect")
    assert none.code == 0 and "No known application was found" in none.out
    assert json.loads(world.run("--json", "config", "init", "--detect").out)["found"] == []
    root = world.home / ".msgvault"
    MSGVAULT.build(root)
    done = world.run("config", "init", "--detect")
    assert done.code == 0 and not world.config.exists()
    (line,) = re.findall(r"agebackup (config init .*) --to DIR -r KEY", done.out)
    declared = world.run(*line.split(), "--to", "out", "--mkdir", "-r", keys.recipient)
    assert declared.code == 0, declared.err
    assert load_config(world.config, world.env).app("msgvault").root == root
    assert "msgvault is declared" in declared.err and "Analytics" in declared.err


def test_the_only_one_found_needs_no_profile(world: World, keys: Keys) -> None:
    """`config init NAME --detect` declares the one that is there, and asks where several are."""
    words = ("config", "init", "mail", "--detect", "-r", keys.recipient)
    none = world.run(*words)
    assert none.code == 2 and "No known application" in none.err
    MSGVAULT.build(world.home / ".msgvault")
    done = world.run(*words)
    assert done.code == 0, done.err
    profile = load_config(world.config, world.env).app("mail")
    assert profile.root == world.home / ".msgvault" and profile.watch.shrink == "refuse"
    FIREFOX.build(world.home / ".mozilla" / "firefox" / "x.default")
    several = world.run(*words)
    assert several.code == 2 and "firefox, msgvault" in several.err


def test_several_places_are_asked_about(world: World, keys: Keys) -> None:
    """Of two profiles of Firefox neither is guessed."""
    for name in ("x.default", "y.default"):
        FIREFOX.build(world.home / ".mozilla" / "firefox" / name)
    done = world.run("config", "init", "--profile", "firefox", "-r", keys.recipient)
    assert done.code == 2 and "x.default" in done.err and "--root" in done.err


def test_a_profile_of_ones_own_wins(world: World, keys: Keys) -> None:
    """PROFILE.toml beside the usual configuration takes the place of a built-in one, and says so;
    --config does not move it."""
    own = world.config.parent / "profiles"
    own.mkdir(parents=True)
    (own / "msgvault.toml").write_text(f"{HEAD}[app.databases]\nx = 'x.db'\n")
    (own / "README").write_text("no profile")
    listed = world.run("--json", "profiles", "--config", "elsewhere.toml")
    by_name = {one["name"]: one for one in json.loads(listed.out)["profiles"]}
    assert set(by_name) == set(NAMES)
    assert by_name["msgvault"]["origin"] == str(own / "msgvault.toml")
    assert by_name["firefox"]["origin"] is None
    assert "Mine" in world.run("profiles").out
    MSGVAULT.build(world.directory / "state")
    words = ("config", "init", "--profile", "msgvault", "--root", "state", "-r", keys.recipient)
    done = world.run(*words)
    assert done.code == 2 and "there is no x.db" in done.err
    (own / "msgvault.toml").write_text(f"{HEAD}nonsense = 1\n")
    for broken in (words, ("profiles",), ("profiles", "msgvault"), ("config", "init", "--detect")):
        done = world.run(*broken)
        assert done.code == 2 and "msgvault.toml: nonsense" in done.err
    assert world.run("profiles", "firefox").code == 0, "a broken one keeps no other from use"


def test_a_profile_is_shown_with_what_it_rests_on(world: World) -> None:
    """`profiles PROFILE` says where it looks, what it declares, what it rests on, and why not."""
    shown = world.run("profiles", "vaultwarden").out
    for word in ("/var/lib/vaultwarden", "db.sqlite3", "dani-garcia", "1.37.2", "icon cache"):
        assert word in shown
    assert "SQLCipher" in world.run("profiles", "signal-desktop").out
    assert "none on this system" in world.run("profiles", "django").out


BAD = [
    (("--profile", "msgvalt"), 2, "Did you mean 'msgvault'?"),
    (("--profile", "../../etc/passwd"), 2, "There is no profile"),
    (("--profile", "msgvault", "--root", "absent"), 2, "absent is not a directory"),
    (("--profile", "msgvault", "--root", "."), 2, "there is no msgvault.db"),
    (("--profile", "msgvault"), 2, "none of its usual places"),
    (("--profile", "django"), 2, "has no usual place"),
    (("--profile", "msgvault", "--db", "x.db"), 2, "--db and a profile exclude each other"),
    (("--profile", "msgvault", "--exclude", "x"), 2, "--exclude and a profile"),
    (("--root", "."), 2, "belong to --profile"),
    (("--include-tokens",), 2, "belong to --profile"),
    (("--profile", "signal-desktop"), 13, "cannot be backed up"),
    (("Bad_Name", "--profile", "tiny-forge", "--root", "state"), 2, "Bad_Name"),
    (("--profile", "tiny-forge", "--root", "state", "--to", "absent"), 10, "does not exist"),
]


@pytest.mark.parametrize(("words", "code", "said"), BAD, ids=lambda one: str(one)[:40])
def test_nonsense_declares_nothing(
    world: World, keys: Keys, words: tuple[str, ...], code: int, said: str
) -> None:
    """Whatever cannot be is said in a sentence, and no configuration is written."""
    (world.directory / "state").mkdir()
    (world.directory / "state" / "forge.db").write_bytes(b"")
    done = world.run("config", "init", *words, "-r", keys.recipient)
    assert done.code == code and said in done.err, done.err
    assert not world.config.exists()


def test_what_else_is_refused(world: World, keys: Keys) -> None:
    """No recipient, a flag beside --detect, a name that is taken, an unknown profile to show."""
    (world.directory / "state").mkdir()
    (world.directory / "state" / "forge.db").write_bytes(b"")
    words = ("config", "init", "--profile", "tiny-forge", "--root", "state")
    assert "No recipient" in world.run(*words).err
    flag = world.run("config", "init", "--detect", "--to", "out")
    assert flag.code == 2 and "only looks" in flag.err
    assert world.run("config", "init", "--detect", "--root", "state").code == 2
    assert world.run(*words, "-r", keys.recipient).code == 0
    once = world.config.read_bytes()
    taken = world.run(*words, "-r", keys.recipient)
    assert taken.code == 2 and "declares tiny-forge already" in taken.err
    assert world.config.read_bytes() == once
    unknown = world.run("profiles", "firefx")
    assert unknown.code == 2 and "Did you mean 'firefox'?" in unknown.err


def test_names_are_listed_once(tmp_path: Path) -> None:
    """Every name is there once, in order; a directory that cannot be read is named."""
    assert list(known_names(NOWHERE)) == NAMES
    (tmp_path / "zzz.toml").write_text(HEAD)
    (tmp_path / ".zzz.toml").write_text("an editor's")
    assert list(known_names(tmp_path)) == [*NAMES, "zzz"]
    assert list(known_names(tmp_path / "zzz.toml")) == NAMES


def test_the_readme_declares_what_it_finds(world: World, keys: Keys) -> None:
    """The commands of the README's section work as they are."""
    MSGVAULT.build(world.home / ".msgvault")
    (world.home / "Dropbox" / "backups").mkdir(parents=True)
    (world.directory / "key.pub").write_text(keys.recipient)
    (code,) = blocks("Applications it knows", "sh")
    done = shell(world, code, world.directory)
    assert done.returncode == 0, done.stderr
    assert "--profile msgvault" in done.stdout
    assert len(list((world.home / "Dropbox" / "backups").glob("mail-*.age"))) == 1


def test_what_is_printed_as_json_is_described(world: World, keys: Keys) -> None:
    """Every field that --profile and --detect add has its line in JSON.md."""
    MSGVAULT.build(world.home / ".msgvault")
    words = ("--json", "config", "init")
    for more in (("--detect",), ("--profile", "msgvault", "-r", keys.recipient)):
        printed = json.loads(world.run(*words, *more).out)
        assert undescribed(printed, WORDS["config-init"] | WORDS[""]) == set()
    assert printed["left_out"] == ["version"], "there is no program msgvault here"


def test_the_example_of_the_documentation_is_a_profile() -> None:
    """PROFILES.md shows a profile that is understood."""
    text = (BUILT_IN.parent / "PROFILES.md").read_text()
    (example,) = re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert parse_known(example.encode(), FILE).required == ("notes.db",)
    table = text.split("\n## The list\n", 1)[1].split("\n## ", 1)[0]
    assert sorted(re.findall(r"^\| `([\w-]+)`", table, re.MULTILINE)) == NAMES


def test_a_folder_without_databases_can_have_a_profile(tmp_path: Path) -> None:
    """Where neither database nor `found_by` tells, the directory itself does."""
    text = f"{HEAD}[roots]\nlinux = ['~/papers']\n[app]\nattachments = ['.']\n"
    one = parse_known(text.encode(), FILE)
    env = {"HOME": str(tmp_path)}
    assert usual_roots(one, LINUX, env) == ()
    (tmp_path / "papers").mkdir()
    assert usual_roots(one, LINUX, env) == (tmp_path / "papers",)


def test_no_text_of_a_profile_reaches_the_terminal_raw() -> None:
    """Control characters in a profile are escaped."""
    text = (
        'title = "\\u001b[2J"\nsummary = "x\\u202e"\nnotes = ["\\u0007"]\n[app]\nconfig = ["c"]\n'
    )
    one = parse_known(text.encode(), FILE)
    assert "".join((one.title, one.summary, *one.notes)).isprintable()
