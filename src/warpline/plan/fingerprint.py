"""A fingerprint of the code that a script runs, so that editing a module remakes its stages.

Snakemake notices an edited script but not an edited module that it imports. The fingerprint
covers the script and every module of this package that it imports, directly or not; comments,
docstrings and layout do not count. Nothing is imported: the sources are parsed.
"""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def code_version(script: str | os.PathLike, *extra: str) -> str:
    """Fingerprint of a script, of the package modules that it imports, and of `extra` ones.

    Parameters
    ----------
    extra
        Names of modules that are imported by name at run time, such as ``warpline.networks.x``.
    """
    digest = hashlib.sha256(_outline(Path(script)).encode())
    for module in sorted(imported_modules(Path(script), extra)):
        digest.update(module.encode())
        digest.update(_outline(_path(module)).encode())
    return digest.hexdigest()[:16]


def imported_modules(script: Path, extra: Iterable[str] = ()) -> set[str]:
    """Names of the package's modules that `script` imports, directly or through others."""
    found: set[str] = set()
    waiting = [*_imports(script), *extra]
    while waiting:
        module = waiting.pop()
        path = _path(module)
        if module in found or path is None:
            continue
        found.add(module)
        parent = module.rpartition(".")[0]
        waiting += [parent, *_imports(path)]
    return found


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes(), filename=str(path))


@cache
def _outline(path: Path) -> str:
    """The syntax tree of a file as text, without docstrings and positions."""
    tree = _tree(path)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
            and isinstance(body[0].value.value, str)
        ):
            node.body = body[1:]
    return ast.dump(tree)


@cache
def _imports(path: Path) -> tuple[str, ...]:
    """Names under ``warpline`` that a file imports anywhere, also inside functions."""
    names: set[str] = set()
    package = path.relative_to(PACKAGE.parent).parts[:-1] if PACKAGE in path.parents else ()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join([*base, *filter(None, [node.module])])
            names.add(module)
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return tuple(sorted(n for n in names if n.split(".")[0] == PACKAGE.name))


@cache
def _path(module: str) -> Path | None:
    parts = module.split(".")
    if parts[0] != PACKAGE.name:
        return None
    base = PACKAGE.joinpath(*parts[1:])
    if base.with_suffix(".py").is_file():
        return base.with_suffix(".py")
    return base / "__init__.py" if (base / "__init__.py").is_file() else None
