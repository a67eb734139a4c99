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

from warpline.plan.outline import Outline, is_docstring, statements
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


@dataclass(frozen=True)
class _Code:
    """What counts of some statements: their outline, and what they refer to.

    `references` are (module, name), the name None for all of a module."""

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
    return _code([node for node in tree.body if not is_docstring(node)], _Module(), None)


def _code(nodes: Iterable[ast.stmt], parsed: _Module, module: str | None) -> _Code:
    imports = {**parsed.imports, **_imports(statements(nodes), module)}

    def of_frame(name: str) -> bool:
        source, attribute = imports.get(name, ("", None))
        return _in_frame(source) or _in_frame(f"{source}.{attribute}")

    outlines, references = [], {}
    for node in nodes:
        if id(node) not in parsed.quiet:  # a block may define several names
            outline = Outline(node, of_frame)
            named = tuple(_references(outline, imports, parsed, module))
            parsed.quiet[id(node)] = _Code(outline.text, named)
        code = parsed.quiet[id(node)]
        outlines += [code.outline] if code.outline else []
        references.update(dict.fromkeys(code.references))
    return _Code("\n".join(outlines), tuple(references))


def _references(
    outline: Outline,
    imports: dict[str, tuple[str, str | None]],
    parsed: _Module,
    module: str | None,
) -> Iterator[tuple[str, str | None]]:
    used = {*outline.attributes, *((name, None) for name in outline.names)}
    for name, part in sorted(used, key=str):
        if name in imports:
            source, attribute = imports[name]
            if not _is_module(source, attribute):
                yield source, attribute
            else:
                yield ".".join(filter(None, (source, attribute))), part
        elif module is not None and name in parsed.definitions:
            yield module, name


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
            parsed.imports.update(_imports(statements([node]), module) if _is_block(node) else {})
        elif not is_docstring(node):
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
