"""A fingerprint of the code that shapes a script's outputs, and of nothing else.

Snakemake notices an edited script but not an edited module that it imports. The fingerprint covers
the script and each function, class and constant of this package that it reaches, by name: a new
function beside a used one changes nothing. Comments, docstrings and layout do not count, nor what
errors, warnings and printed lines say, nor the frame of a job (`FRAME`). Sources are parsed only.

What code chooses by a name from the configuration cannot be seen and is given (`code_version`).
"""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from warpline.registry import network_folders

PACKAGE, NETWORKS_OF = Path(__file__).parents[1], "warpline.networks"
# What surrounds a job without shaping what it makes, and why.
FRAME = {
    "warpline.devices": "chooses the card, waits for it, and is part of a recipe as its device",
    "warpline.errors": "what an error says",
    "warpline.jobs": "the log, the number of threads, what is said on the terminal",
    "warpline.plan.kinds": "which definition a name stands for; what a job uses of them is given",
    "warpline.progress": "lines and bars while a job works",
    "warpline.training.budget": "counts a step, by which a training chooses where its cases lie",
    "warpline.provenance": "tells how an output came to be, beside it",
}
# Calls that say something and give nothing back that an output is made from.
_SAYING = {"print", "warn", "warning", "info", "debug"}


@dataclass(frozen=True)
class _Code:
    """What counts of some statements: their outline, and what they refer to.

    `references` are (module, name), the name None for all of a module.
    """

    outline: str
    references: tuple[tuple[str, str | None], ...]


@dataclass
class _Module:
    """A parsed file: its definitions, imports, and what it does when it is imported.

    `quiet` is what counts of a statement, by its id, once that was asked for."""

    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    statements: list[ast.stmt] = field(default_factory=list)
    quiet: dict[int, _Code] = field(default_factory=dict)


def code_version(script: str | os.PathLike | None, *chosen: str) -> str:
    """Fingerprint of a script and of the package's code that it reaches.

    Parameters
    ----------
    script
        None: only what is chosen.
    chosen
        What is chosen by name at run time: ``package.module`` for all of a module, or
        ``package.module:name`` for one definition.
    """
    digest = hashlib.sha256()
    if script is not None:
        digest.update(_script(Path(script)).outline.encode())
    for module, name in sorted(definitions_reached(script, chosen)):
        digest.update(f"{module}:{name}\n{_definition(module, name).outline}".encode())
    return digest.hexdigest()[:16]


def definitions_reached(
    script: str | os.PathLike | None, chosen: Iterable[str] = ()
) -> set[tuple[str, str]]:
    """(module, name) of each definition that a script reaches; the name "" is a module's import.

    Parameters
    ----------
    chosen
        As in `code_version`.
    """
    waiting = [] if script is None else list(_script(Path(script)).references)
    for entry in chosen:
        module, _, name = entry.partition(":")
        waiting.append((module, name or None))
    found: set[tuple[str, str]] = set()
    while waiting:
        for module, name in _resolve(*waiting.pop()):
            for reached in ((module, name), (module, "")):
                if reached not in found:
                    found.add(reached)
                    waiting += _definition(*reached).references
    return found


# Names ----------------------------------------------------------------------------------------


def _resolve(module: str, name: str | None) -> Iterator[tuple[str, str]]:
    """The definitions that a reference means: one, or of a module as a whole all."""
    if _in_frame(module) or (name is not None and _in_frame(f"{module}.{name}")):
        return
    path = _path(module)
    if path is None:
        return
    parsed = _parsed(path)
    if name is None:
        yield from ((module, known) for known in parsed.definitions)
    elif name in parsed.definitions:
        yield module, name
    elif name in parsed.imports:  # handed on, as by a package's face
        source, attribute = parsed.imports[name]
        yield from _resolve(source, attribute)
    elif _path(f"{module}.{name}") is not None:
        yield from _resolve(f"{module}.{name}", None)


@cache
def _definition(module: str, name: str) -> _Code:
    """A definition of a module, or with the name "" what the module does when it is imported."""
    parsed = _parsed(_path(module))
    nodes = parsed.definitions[name] if name else parsed.statements
    return _code(nodes, parsed, module)


@cache
def _script(path: Path) -> _Code:
    """A whole script."""
    tree = ast.parse(_source(path), filename=str(path))
    return _code([node for node in tree.body if not _is_docstring(node)], _Module(), None)


def _code(nodes: Iterable[ast.stmt], parsed: _Module, module: str | None) -> _Code:
    imports = {**parsed.imports, **_imports((p for n in nodes for p in ast.walk(n)), module)}
    outlines, references = [], {}
    for node in nodes:
        if id(node) not in parsed.quiet:  # a block may define several names
            quiet = _Quiet(imports).visit(node)
            named = () if quiet is None else tuple(_references(quiet, imports, parsed, module))
            parsed.quiet[id(node)] = _Code("" if quiet is None else ast.dump(quiet), named)
        code = parsed.quiet[id(node)]
        outlines += [code.outline] if code.outline else []
        references.update(dict.fromkeys(code.references))
    return _Code("\n".join(outlines), tuple(references))


def _references(
    node: ast.AST,
    imports: dict[str, tuple[str, str | None]],
    parsed: _Module,
    module: str | None,
) -> Iterator[tuple[str, str | None]]:
    handled: set[int] = set()
    for part in ast.walk(node):  # attributes come before the names within them
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
            source = imports.get(part.value.id)
            if source is not None and _is_module(*source):
                handled.add(id(part.value))
                yield ".".join(filter(None, source)), part.attr
        elif isinstance(part, ast.Name) and id(part) not in handled:
            if part.id in imports:
                source, attribute = imports[part.id]
                if attribute is not None and _is_module(source, attribute):
                    source, attribute = f"{source}.{attribute}", None
                yield source, attribute
            elif module is not None and part.id in parsed.definitions:
                yield module, part.id


def _is_module(source: str, attribute: str | None) -> bool:
    """Whether an imported name stands for a module of the package."""
    if attribute is None:
        return True
    path = _path(source)
    if path is not None and attribute in _parsed(path).definitions:
        return False
    return _path(f"{source}.{attribute}") is not None


def _in_frame(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in FRAME)


# Files ----------------------------------------------------------------------------------------


def _source(path: Path) -> bytes:
    return path.read_bytes()


@cache
def _parsed(path: Path) -> _Module:
    tree = ast.parse(_source(path), filename=str(path))
    module = f"{NETWORKS_OF}.{path.stem}"  # of a folder of one's own
    if path.is_relative_to(PACKAGE):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    parsed = _Module()
    for node in tree.body:
        names = _defined(node)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            parsed.imports.update(_imports([node], module))
        elif _is_type_checking(node):
            continue  # for readers and type checkers alone
        elif names:
            for name in names:
                parsed.definitions.setdefault(name, []).append(node)
            parsed.imports.update(_imports(ast.walk(node), module) if _is_block(node) else {})
        elif not _is_docstring(node):
            parsed.statements.append(node)
    return parsed


def _defined(node: ast.stmt) -> list[str]:
    """The names that a statement of a module defines."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    if _is_block(node):
        return [name for part in _bodies(node) for name in _defined(part)]
    targets: list[ast.expr] = []
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [part.id for t in targets for part in ast.walk(t) if isinstance(part, ast.Name)]


def _is_block(node: ast.stmt) -> bool:
    return isinstance(node, (ast.If, ast.Try, ast.With))


def _bodies(node: ast.stmt) -> Iterator[ast.stmt]:
    for part in ("body", "orelse", "finalbody"):
        yield from getattr(node, part, [])
    for handler in getattr(node, "handlers", []):
        yield from handler.body


def _is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _imports(nodes: Iterable[ast.AST], module: str | None) -> dict[str, tuple[str, str | None]]:
    """Local name to (module, attribute) of what is imported from the package."""
    found: dict[str, tuple[str, str | None]] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == PACKAGE.name:
                    found[alias.asname or PACKAGE.name] = (
                        alias.name if alias.asname else PACKAGE.name,
                        None,
                    )
        elif isinstance(node, ast.ImportFrom):
            base = (module or "").split(".")[: -node.level] if node.level else []
            source = ".".join([*base, *filter(None, [node.module])])
            if source.split(".")[0] == PACKAGE.name:
                found.update({a.asname or a.name: (source, a.name) for a in node.names})
    return found


@cache
def _path(module: str) -> Path | None:
    package, *parts = module.split(".")
    base = PACKAGE.joinpath(*parts)
    own = network_folders() if module.rpartition(".")[0] == NETWORKS_OF else []
    known = [base.with_suffix(".py"), base / "__init__.py"]
    known += [Path(folder) / f"{parts[-1]}.py" for folder in own]
    return next((p for p in known if p.is_file()), None) if package == PACKAGE.name else None


class _Quiet(ast.NodeTransformer):
    """Takes out docstrings, annotations, imports, and what is only said."""

    def __init__(self, imports: dict[str, tuple[str, str | None]]):
        self.imports = imports

    def _without_docstring(self, node):
        if node.body and _is_docstring(node.body[0]):
            node.body = node.body[1:]
        self.generic_visit(node)
        return node

    visit_ClassDef = _without_docstring

    def visit_FunctionDef(self, node):
        node.returns = None
        for argument in ast.walk(node.args):
            if isinstance(argument, ast.arg):
                argument.annotation = None
        return self._without_docstring(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_AnnAssign(self, node):
        # The name of a dataclass's field counts, its type does not.
        node.annotation = ast.Constant(None)
        self.generic_visit(node)
        return node

    def visit_Import(self, node):
        return None

    visit_ImportFrom = visit_Import

    def visit_Raise(self, node):
        called = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return ast.Raise(
            exc=called and ast.Name(id=ast.unparse(called), ctx=ast.Load()), cause=None
        )

    def visit_Call(self, node):
        self.generic_visit(node)
        if self._of_frame(node.func):
            for part in (*node.args, *(keyword.value for keyword in node.keywords)):
                if isinstance(part, (ast.Constant, ast.JoinedStr)):
                    part.__class__, part.__dict__ = ast.Constant, {"value": None, "kind": None}
        return node

    def visit_Expr(self, node):
        value = node.value
        if isinstance(value, ast.Call):
            function = value.func
            name = function.attr if isinstance(function, ast.Attribute) else None
            name = function.id if isinstance(function, ast.Name) else name
            if name in _SAYING or self._of_frame(function):
                return None
        self.generic_visit(node)
        return node

    def _of_frame(self, function: ast.expr) -> bool:
        """Whether a called name comes from the frame of a job."""
        while isinstance(function, ast.Attribute):
            function = function.value
        if not isinstance(function, ast.Name) or function.id not in self.imports:
            return False
        source, attribute = self.imports[function.id]
        return _in_frame(source) or _in_frame(f"{source}.{attribute}")
