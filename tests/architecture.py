"""The rules of the house as functions: a module goes in, complaints with their reasons come out."""

import ast
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from architecture_tables import (
    BUILTINS,
    FORBIDDEN_NAMES,
    HEAVY,
    LAYER_REASONS,
    LAYERS,
    MAX_FUNCTION_LINES,
    MAX_LINES,
    MAX_PARAMETERS,
    OWNERS,
    PURE,
    TAKE_BOOLEANS,
    TELLING_WORDS,
)

PACKAGE = Path(__file__).resolve().parent.parent / "agebackup"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One source file: its path below the package, its text and its tree."""

    path: str
    source: str
    tree: ast.Module

    @classmethod
    def of(cls, path: str, source: str) -> "Module":
        return cls(path, source, ast.parse(source))

    @property
    def name(self) -> str:
        dotted = "agebackup." + self.path.removesuffix(".py").replace("/", ".")
        return dotted.removesuffix(".__init__")

    @property
    def layer(self) -> str:
        return self.path.split("/")[0].removesuffix(".py")

    def complain(self, node: ast.AST, what: str, why: str) -> str:
        return f"agebackup/{self.path}:{getattr(node, 'lineno', 1)}: {what}: {why}"


Rule = Callable[[Module], Iterator[str]]


def modules() -> tuple[Module, ...]:
    """Return every module of the package."""
    return tuple(
        Module.of(file.relative_to(PACKAGE).as_posix(), file.read_text())
        for file in sorted(PACKAGE.rglob("*.py"))
    )


def imports(module: Module, nodes: Iterator[ast.AST]) -> Iterator[tuple[ast.AST, str]]:
    """Yield every import among `nodes` as a full dotted name."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                parts = module.name + ".x" if module.path.endswith("__init__.py") else module.name
                origin = ".".join(filter(None, [*parts.split(".")[: -node.level], origin]))
            yield from ((node, f"{origin}.{alias.name}") for alias in node.names)


def layers(module: Module) -> Iterator[str]:
    """Who may import whom."""
    if module.layer not in LAYERS:
        yield module.complain(module.tree, f"unknown layer {module.layer!r}", "a folder is a layer")
        return
    allowed = LAYERS[module.layer] | {module.layer, "__version__"}
    reason = LAYER_REASONS.get(module.layer, "imports go down the layers, never sideways")
    for node, name in imports(module, ast.walk(module.tree)):
        top, _, rest = name.partition(".")
        target = rest.split(".")[0]
        if top == "agebackup" and target and target not in allowed:
            yield module.complain(node, f"{module.layer} imports {target}", reason)


def wiring(module: Module) -> Iterator[str]:
    """cli/wiring.py, and for destinations cli/remotes.py, alone pick collaborators."""
    if module.layer != "cli" or module.path in ("cli/wiring.py", "cli/remotes.py"):
        return
    for node, name in imports(module, ast.walk(module.tree)):
        if name.startswith("agebackup.destinations"):
            yield module.complain(node, f"imports {name}", "only cli/wiring.py picks collaborators")


def owners(module: Module) -> Iterator[str]:
    """One technique, one owner."""
    techniques = OWNERS + ((PURE,) if module.layer == "model" else ())
    for node, name in _uses(module):
        for owner in techniques:
            foreign = not owner.owners or not module.path.startswith(owner.owners)
            if foreign and any(f"{name}.".startswith(f"{known}.") for known in owner.names):
                where = " and ".join(owner.owners) or "nowhere"
                what = f"{name} is used here; {owner.technique} belongs to {where}"
                yield module.complain(node, what, owner.reason)


def _uses(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """Yield every use of an imported or built-in name as a full dotted name."""
    known: dict[str, str] = {}
    nodes = list(ast.walk(module.tree))
    for node, name in imports(module, iter(nodes)):
        yield node, name
        for alias in getattr(node, "names", ()):
            if isinstance(node, ast.ImportFrom) and name.endswith(f".{alias.name}"):
                known[alias.asname or alias.name] = name
            elif isinstance(node, ast.Import) and alias.name == name:
                known[alias.asname or name.split(".")[0]] = (
                    name if alias.asname else name.split(".")[0]
                )
    for node in nodes:
        if isinstance(node, ast.Attribute):
            yield from ((node, name) for name in _resolved(node, known))
        elif isinstance(node, ast.Name) and node.id in BUILTINS - known.keys():
            yield node, f"builtins.{node.id}"
        elif isinstance(node, ast.Constant) and node.value in TELLING_WORDS:
            yield node, f"word.{node.value}"


def _resolved(node: ast.Attribute, known: Mapping[str, str]) -> Iterator[str]:
    parts = [node.attr]
    inner = node.value
    while isinstance(inner, ast.Attribute):
        parts.append(inner.attr)
        inner = inner.value
    if isinstance(inner, ast.Name) and inner.id in known:
        yield ".".join([known[inner.id], *reversed(parts)])


def path_renames(module: Module) -> Iterator[str]:
    """Path.rename and Path.replace are renames too."""
    if module.path == "system/durable.py":
        return
    for node in ast.walk(module.tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        method, given = node.func.attr, (len(node.args), len(node.keywords))
        if given == (1, 0) and method in ("rename", "replace"):
            what = f"Path.{method} is used here; renaming belongs to system/durable.py"
            yield module.complain(node, what, "a rename without its fsyncs loses data")


def size(module: Module) -> Iterator[str]:
    """No file over 300 lines, no function over 60, at most five parameters."""
    lines = module.source.count("\n")
    if lines > MAX_LINES:
        yield module.complain(module.tree, f"{lines} lines", f"no file is over {MAX_LINES}")
    for node in _functions(module):
        length, parameters = _length(node), len(_parameters(node))
        if length > MAX_FUNCTION_LINES:
            why = f"no function is over {MAX_FUNCTION_LINES}"
            yield module.complain(node, f"{node.name} has {length} lines", why)
        if parameters > MAX_PARAMETERS:
            why = f"more than {MAX_PARAMETERS} belong together in a value of their own"
            yield module.complain(node, f"{node.name} takes {parameters} parameters", why)


def booleans(module: Module) -> Iterator[str]:
    """No positional booleans, neither taken nor given."""
    why = "a bare True says nothing where it is passed; make it keyword-only"
    for node in _functions(module):
        for parameter, default in _positional(node):
            typed = parameter.annotation is not None and "bool" in ast.unparse(parameter.annotation)
            if typed or isinstance(getattr(default, "value", None), bool):
                yield module.complain(node, f"{node.name}: positional boolean {parameter.arg}", why)
    for call in ast.walk(module.tree):
        if isinstance(call, ast.Call) and _called(call) not in TAKE_BOOLEANS:
            for argument in call.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, bool):
                    yield module.complain(call, f"{argument.value} passed by position", why)


def annotations(module: Module) -> Iterator[str]:
    """Everything is annotated."""
    for node in _functions(module):
        bare = [p.arg for p in _parameters(node) if p.annotation is None]
        bare += ["the result"] if node.returns is None else []
        if bare:
            what = f"{node.name} leaves {', '.join(bare)} unannotated"
            yield module.complain(node, what, "types are checked only where they are written")


def names(module: Module) -> Iterator[str]:
    """No drawer for everything."""
    for part in module.path.removesuffix(".py").split("/"):
        if part.lstrip("_") in FORBIDDEN_NAMES:
            yield module.complain(
                module.tree, f"module name {part}", "a module is named after its noun"
            )


RULES: tuple[Rule, ...] = (
    layers,
    wiring,
    owners,
    path_renames,
    size,
    booleans,
    annotations,
    names,
)


def _functions(module: Module) -> Iterator[Function]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _length(node: Function) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _positional(node: Function) -> list[tuple[ast.arg, ast.expr | None]]:
    plain = node.args.posonlyargs + node.args.args
    missing = len(plain) - len(node.args.defaults)
    defaults: list[ast.expr | None] = [*[None] * missing, *node.args.defaults]
    pairs = list(zip(plain, defaults, strict=True))
    return [pair for pair in pairs if pair[0].arg not in ("self", "cls")]


def _parameters(node: Function) -> list[ast.arg]:
    rest = [node.args.vararg, node.args.kwarg]
    named = [parameter for parameter, _ in _positional(node)]
    return named + node.args.kwonlyargs + [p for p in rest if p is not None]


def _called(call: ast.Call) -> str:
    function = call.func
    return getattr(function, "attr", getattr(function, "id", ""))


def median_length(all_modules: Sequence[Module]) -> float:
    """Return the median number of lines of the modules that hold more than a docstring."""
    return statistics.median(m.source.count("\n") for m in all_modules if len(m.tree.body) > 1)


def function_lengths(all_modules: Sequence[Module]) -> list[int]:
    """Return how many lines each function of the package has."""
    return [_length(node) for module in all_modules for node in _functions(module)]


def heavy_imports(all_modules: Sequence[Module], *, start: str) -> list[str]:
    """Return the heavy packages that importing `start` brings along, each with its chain."""
    by_name = {module.name: module for module in all_modules}
    chains, pending, found = {start: start}, [start], []
    while pending:
        module = by_name.get(pending.pop())
        for _, name in imports(module, _run_on_import(module.tree)) if module else ():
            chain = f"{chains[module.name]} imports {name}" if module else name
            if name.split(".")[0] in HEAVY:
                found.append(f"{chain}: start-up is paid by every command, help included")
            for known in (name, name.rpartition(".")[0]):
                if known in by_name and known not in chains:
                    chains[known] = f"{chain}, which" if known == name else f"{chain}; {known}"
                    pending.append(known)
    return found


def _run_on_import(tree: ast.Module) -> Iterator[ast.AST]:
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending.extend(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            pending.extend(ast.iter_child_nodes(node))
