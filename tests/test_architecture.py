"""The house keeps its shape: who may import whom, one technique one owner, and the size budget.

The rules themselves are in `architecture.py`; here they meet the code, and here each of them is
shown to fire. A failure names the place, the rule and its reason.
"""

import architecture
import pytest
from architecture import Module
from architecture_tables import MEDIAN_LINES, USUAL_FUNCTION_LINES

MODULES = architecture.modules()


@pytest.mark.parametrize("rule", architecture.RULES, ids=lambda rule: rule.__name__.strip("_"))
def test_the_code_keeps_the_rule(rule: architecture.Rule) -> None:
    """Every module of agebackup keeps every rule of the design."""
    found = [complaint for module in MODULES for complaint in rule(module)]
    assert not found, "\n" + "\n".join(found)


def test_the_median_module_is_short() -> None:
    """Half of the modules are under 150 lines: a reader takes one in at a sitting."""
    assert architecture.median_length(MODULES) < MEDIAN_LINES


def test_most_functions_are_short() -> None:
    """Nine functions in ten are at most 30 lines long."""
    lengths = architecture.function_lengths(MODULES)
    long = sum(length > USUAL_FUNCTION_LINES for length in lengths)
    assert long <= len(lengths) / 10, f"{long} of {len(lengths)} functions are over 30 lines"


def test_help_starts_light() -> None:
    """Starting `agebackup --help` imports none of the heavy packages, by whatever way."""
    heavy = architecture.heavy_imports(MODULES, start="agebackup.cli.main")
    assert not heavy, "\n" + "\n".join(heavy)


OFFENCES = {
    "model imports system": ("model/a.py", "from agebackup.system import lock"),
    "system imports model": ("system/a.py", "import agebackup.model.names"),
    "snapshot imports config": ("snapshot/a.py", "from agebackup import config"),
    "snapshot imports destinations": ("snapshot/a.py", "import agebackup.destinations.folder"),
    "operations imports cli": ("operations/a.py", "def f() -> None:\n    import agebackup.cli"),
    "operations imports config": ("operations/a.py", "from agebackup.config import Profile"),
    "relative import across layers": ("model/a.py", "from ..system import lock"),
    "errors imports model": ("errors.py", "from agebackup.model import names"),
    "a new top-level module": ("extra.py", "X = 1"),
    "destinations chosen outside wiring": ("cli/a.py", "import agebackup.destinations.folder"),
    "click outside cli": ("operations/a.py", "import click"),
    "pyrage elsewhere": ("snapshot/bag.py", "import pyrage"),
    "tarfile elsewhere": ("snapshot/bag.py", "from tarfile import TarInfo"),
    "subprocess elsewhere": ("snapshot/bag.py", "import subprocess"),
    "fork elsewhere": ("snapshot/bag.py", "import os\nos.fork()"),
    "os.rename elsewhere": ("snapshot/bag.py", "import os\nos.rename('a', 'b')"),
    "imported rename": ("snapshot/bag.py", "from os import replace"),
    "Path.rename": ("snapshot/bag.py", "def f(p: str) -> None:\n    p.rename('b')"),
    "Path.replace": ("snapshot/bag.py", "def f(p: str) -> None:\n    p.replace('b')"),
    "zstd elsewhere": ("snapshot/bag.py", "from backports import zstd"),
    "sqlite3 elsewhere": ("operations/a.py", "import sqlite3"),
    "the clock in a library": ("snapshot/a.py", "import time\ntime.time()"),
    "datetime.now in a library": ("model/a.py", "from datetime import datetime\ndatetime.now()"),
    "monotonic outside system": ("operations/a.py", "import time\ntime.monotonic()"),
    "the environment in a library": ("config.py", "import os\nos.environ['HOME']"),
    "print in a library": ("operations/a.py", "print('hello')"),
    "exit in a library": ("operations/a.py", "import sys\nsys.exit(1)"),
    "http elsewhere": ("destinations/a.py", "import urllib.request"),
    "templates elsewhere": ("operations/a.py", "import jinja2"),
    "dotenv elsewhere": ("cli/a.py", "def f() -> None:\n    import dotenv"),
    "git elsewhere": ("operations/a.py", "COMMAND = ['git', 'status']"),
    "ssh-keygen elsewhere": ("snapshot/a.py", "COMMAND = ['ssh-keygen', '-Y']"),
    "the model opens a file": ("model/a.py", "def f() -> None:\n    open('x')"),
    "the model imports os": ("model/a.py", "import os"),
    "a long module": ("model/a.py", "X = 1\n" * 301),
    "a long function": ("model/a.py", "def f() -> None:\n" + "    g()\n" * 61),
    "six parameters": (
        "model/a.py",
        "def f(a: int, b: int, c: int, *, d: int, e: int, f: int) -> None: ...",
    ),
    "a positional boolean": ("model/a.py", "def f(loud: bool = False) -> None: ..."),
    "a boolean passed by position": ("model/a.py", "f(True)"),
    "an unannotated parameter": ("model/a.py", "def f(a) -> None: ..."),
    "an unannotated result": ("model/a.py", "def f(a: int): ..."),
    "a drawer for everything": ("model/helpers.py", "X = 1"),
}


@pytest.mark.parametrize("path, source", OFFENCES.values(), ids=OFFENCES.keys())
def test_each_rule_fires(path: str, source: str) -> None:
    """Code that breaks a rule is found, and the complaint gives the reason."""
    module = Module.of(path, source)
    complaints = [complaint for rule in architecture.RULES for complaint in rule(module)]
    assert complaints, source
    assert all(path in complaint and ": " in complaint for complaint in complaints)


ALLOWED = {
    "str.replace": ("model/a.py", "def f(s: str) -> str:\n    return s.replace('a', 'b')"),
    "dataclasses.replace": ("model/a.py", "import dataclasses\ndataclasses.replace(X, a=1)"),
    "self is no parameter": (
        "model/a.py",
        "class A:\n    def f(self, a: int, b: int, c: int, d: int, e: int) -> None: ...",
    ),
    "a keyword-only boolean": ("model/a.py", "def f(*, loud: bool) -> None: ..."),
    "the owner's technique": ("snapshot/archive.py", "import tarfile"),
    "a layer's own modules": ("snapshot/bag.py", "from agebackup.snapshot import archive"),
}


@pytest.mark.parametrize("path, source", ALLOWED.values(), ids=ALLOWED.keys())
def test_no_rule_fires_on_good_code(path: str, source: str) -> None:
    """Ordinary code is left in peace."""
    module = Module.of(path, source)
    assert not [complaint for rule in architecture.RULES for complaint in rule(module)]


def test_a_heavy_import_is_found_through_others() -> None:
    """A package that a light module pulls in through another one is found as well."""
    modules = (
        Module.of("cli/main.py", "from agebackup.model import names"),
        Module.of("model/names.py", "from agebackup.model.manifest import Manifest"),
        Module.of("model/manifest.py", "import msgspec"),
    )
    assert "msgspec" in architecture.heavy_imports(modules, start="agebackup.cli.main")[0]
