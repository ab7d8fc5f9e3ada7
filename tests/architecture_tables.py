"""The tables of the house: who may import whom, which technique has which owner, the budget."""

from collections.abc import Mapping
from dataclasses import dataclass

MAX_LINES, MEDIAN_LINES = 300, 150
MAX_FUNCTION_LINES, USUAL_FUNCTION_LINES = 60, 30
MAX_PARAMETERS = 5
FORBIDDEN_NAMES = {"util", "utils", "helper", "helpers", "common", "misc"}

_FLOOR = {"errors", "model", "system"}
_MIDDLE = {"config", "snapshot", "destinations", "scheduling", "reporting", "ledger"}
LAYERS: Mapping[str, set[str]] = {
    "errors": set(),
    "model": {"errors"},
    "system": {"errors"},
    **{layer: _FLOOR for layer in _MIDDLE},
    "operations": _FLOOR | {"snapshot", "destinations", "ledger"},
    "cli": _FLOOR | _MIDDLE | {"operations"},
    "__main__": {"cli"},
    "__init__": set(),
}
"""Which layers a layer may import besides itself and the package's version."""

LAYER_REASONS = {
    "model": "the model is pure and stands on nothing",
    "system": "the operating system's techniques know nothing of backups",
    "operations": "operations take ready collaborators; findings of config come as values",
}


@dataclass(frozen=True)
class Owner:
    """A technique and the places (files, or folders ending in a slash) that may use it."""

    technique: str
    names: tuple[str, ...]
    owners: tuple[str, ...]
    reason: str


OWNERS = (
    Owner("click", ("click",), ("cli/",), "only the command line talks to the terminal"),
    Owner(
        "age encryption",
        ("pyrage",),
        ("snapshot/keys.py", "snapshot/encryption.py", "snapshot/keyfit.py"),
        "its traps are guarded in one place",
    ),
    Owner("tarfile", ("tarfile",), ("snapshot/archive.py",), "one strict dialect, one reader"),
    Owner(
        "starting processes",
        ("subprocess", "multiprocessing", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"),
        ("system/process.py", "system/commands.py", "system/transfers.py"),
        "a child must die with its parent and hand over its error whole",
    ),
    Owner(
        "renaming",
        (
            "os.rename",
            "os.renames",
            "os.replace",
            "shutil.move",
            "word.renameat2",
            "word.renamex_np",
        ),
        ("system/durable.py", "system/renaming.py"),
        "a rename without its fsyncs loses data in a power cut",
    ),
    Owner(
        "Zstandard",
        ("backports.zstd", "backports", "compression", "zstandard", "pyzstd"),
        ("snapshot/compression.py",),
        "which module it is depends on Python's version",
    ),
    Owner(
        "SQLite", ("sqlite3",), ("snapshot/", "ledger/"), "opening a database wrongly changes it"
    ),
    Owner(
        "the wall clock",
        (
            "time.time",
            "time.time_ns",
            "time.localtime",
            "time.gmtime",
            "time.ctime",
            "datetime.datetime.now",
            "datetime.datetime.utcnow",
            "datetime.datetime.today",
            "datetime.date.today",
        ),
        ("cli/",),
        "the time is a value that the command line hands in",
    ),
    Owner(
        "the monotonic clock",
        ("time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns"),
        ("system/",),
        "deadlines are a technique of the system layer",
    ),
    Owner(
        "the environment",
        (
            "os.environ",
            "os.environb",
            "os.getenv",
            "os.path.expandvars",
            "platformdirs",
            "os.path.expanduser",
            "pathlib.Path.home",
        ),
        ("cli/",),
        "what the environment says comes in as a value",
    ),
    Owner(
        "printing, prompting and exiting",
        (
            "sys.exit",
            "sys.stdout",
            "sys.stderr",
            "sys.stdin",
            "sys.argv",
            "getpass",
            "builtins.print",
            "builtins.input",
            "builtins.exit",
            "builtins.quit",
        ),
        ("cli/", "__main__.py"),
        "library code reports; the command line speaks",
    ),
    Owner(
        "http",
        ("http", "urllib.request", "requests", "httpx", "urllib3", "aiohttp"),
        ("system/http.py",),
        "time limits and errors of the network are handled once",
    ),
    Owner(
        "ssh signatures",
        ("word.ssh-keygen",),
        ("snapshot/signatures.py",),
        "what a signature covers is decided once",
    ),
    Owner(
        "files of variables",
        ("dotenv",),
        ("config/envfile.py",),
        "what stands in them never reaches the environment, nor a message",
    ),
    Owner(
        "git",
        ("word.git",),
        ("system/checkout.py",),
        "a repository's own configuration names programs, which must not run",
    ),
    Owner(
        "page templates", ("jinja2", "mako", "chevron"), ("reporting/",), "pages come from reports"
    ),
)
PURE = Owner(
    "a file, a clock or chance",
    (
        "os",
        "io",
        "shutil",
        "tempfile",
        "time",
        "random",
        "secrets",
        "socket",
        "platform",
        "sys",
        "builtins.open",
    ),
    (),
    "the model is pure: values and rules only",
)
TELLING_WORDS = {"renameat2", "renamex_np", "ssh-keygen", "git"}
BUILTINS = {"print", "input", "exit", "quit", "open"}
HEAVY = {
    "jinja2",
    "pyrage",
    "msgspec",
    "sqlite3",
    "tarfile",
    "backports",
    "compression",
    "platformdirs",
    "dotenv",
}
TAKE_BOOLEANS = {"get", "pop", "getattr", "setattr", "setdefault", "append", "set_blocking"}
TAKE_BOOLEANS |= {"set_inheritable", "enable_load_extension", "setsockopt", "put", "c_bool"}
