"""The structure of the code against its own goals: sizes, loose modules, upward imports, circles.

    python benchmarks/house.py

Prints what misses a goal, a line each, and a count of each kind; the exit status is 1 if any does.
A room is a package directly in ``src/warpline``; an import runs from the room that holds it to the
room that it names, imports for type checkers included. Nothing is imported.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "warpline"
# From the top floor down; who stands on one line may not import one another.
FLOORS = (
    ("cli",),
    ("report", "explorer"),
    ("figures", "tables"),
    ("evaluation",),
    ("training",),
    ("registration",),
    ("networks",),
    ("segmentation",),
    ("phantoms",),
    ("acquire",),
    ("cases",),
    ("fields",),
    ("images",),
    ("devices",),
    ("plan",),
    ("provenance",),
    ("errors", "files", "jobs", "progress", "registry", "__init__"),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
GROUND = FLOORS[-1]
# Within a room: lines of a file at most.
LIMITS = {
    "workflow/Snakefile": 60,
    "workflow/rules/common.smk": 100,
    "scripts/*.py": 60,
    "src/warpline/**/*.py": 350,
}


def too_long() -> Iterator[str]:
    """Files with more lines than their kind should have."""
    for pattern, limit in LIMITS.items():
        for path in sorted(ROOT.glob(pattern)):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            if lines > limit:
                yield f"{path.relative_to(ROOT)}: {lines} lines, at most {limit}"


def loose_modules() -> Iterator[str]:
    """Modules beside the rooms that are not part of the ground."""
    for path in sorted(PACKAGE.glob("*.py")):
        if path.stem not in GROUND:
            yield f"{path.relative_to(ROOT)}: belongs into a room"


def room_of(module: str) -> str:
    """The room of a module of the package."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports() -> dict[tuple[str, str], str]:
    """(room, imported room) to the first file and line that imports so."""
    found: dict[tuple[str, str], str] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        own = path.relative_to(PACKAGE.parent).with_suffix("").parts
        room = own[1] if len(own) > 2 else own[-1]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module == PACKAGE.name:
                names = [f"{PACKAGE.name}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            for name in names:
                if name.split(".")[0] == PACKAGE.name:
                    target = room_of(name)
                    target = target if target in FLOOR else "__init__"
                    if target != room:
                        place = f"{path.relative_to(ROOT)}:{node.lineno}"
                        found.setdefault((room, target), place)
    return found


def upward(found: dict[tuple[str, str], str]) -> Iterator[str]:
    """Imports that do not run downward, and rooms that have no floor."""
    for (room, target), place in found.items():
        if room not in FLOOR:
            yield f"{place}: the room '{room}' has no floor"
        elif room in GROUND and target in GROUND:
            continue
        elif FLOOR[target] <= FLOOR[room]:
            yield f"{place}: {room} imports {target}"


def circles(found: dict[tuple[str, str], str]) -> Iterator[str]:
    """Rooms that reach themselves."""
    below: dict[str, set[str]] = {}
    for room, target in found:
        below.setdefault(room, set()).add(target)
    for start in sorted(below):
        reached, waiting = set(), [start]
        while waiting:
            for target in below.get(waiting.pop(), ()):
                if target not in reached:
                    reached.add(target)
                    waiting.append(target)
        if start in reached:
            yield f"{start}: imports itself by way of others"


def private_imports() -> Iterator[str]:
    """Names with an underscore that one module takes from another."""
    for path in sorted([*PACKAGE.rglob("*.py"), *(ROOT / "scripts").glob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE.name):
                for alias in node.names:
                    if alias.name.startswith("_") and not alias.name.startswith("__"):
                        yield f"{path.relative_to(ROOT)}:{node.lineno}: {alias.name}"


def names_not_there() -> Iterator[str]:
    """Names that a file takes from a module of the package that does not have them.

    An import within a function fails only where that function runs, which no linter sees.
    """
    tops: dict[Path, set[str]] = {}
    folders = ("src", "scripts", "tests", "benchmarks", "workflow", "docs")
    for path in sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or node.level:
                continue
            parts = (node.module or "").split(".")
            if parts[0] != PACKAGE.name:
                continue
            module = PACKAGE.parent.joinpath(*parts)
            file = module.with_suffix(".py")
            file = file if file.exists() else module / "__init__.py"
            if file not in tops:
                tops[file] = names_of(file) if file.exists() else set()
            for alias in node.names:
                beside = module / alias.name
                if alias.name not in tops[file] and not (
                    beside.is_dir() or beside.with_suffix(".py").exists()
                ):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}: {node.module}.{alias.name}"


def names_of(file: Path) -> set[str]:
    """What a module has by its own text: what it defines, assigns or imports outside functions.

    Of a package that looks names up when they are asked for, the strings of its tables, too.
    """
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names: set[str] = set()
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            names.add(node.name)
            if node.name == "__getattr__":
                names |= {
                    each.value
                    for each in ast.walk(tree)
                    if isinstance(each, ast.Constant) and isinstance(each.value, str)
                }
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        waiting.extend(ast.iter_child_nodes(node))
    return names


def main() -> int:
    found = imports()
    goals = {
        "files that are too long": list(too_long()),
        "loose modules": list(loose_modules()),
        "imports that do not run downward": list(upward(found)),
        "circles": list(circles(found)),
        "private names imported": list(private_imports()),
        "imported names that are not there": list(names_not_there()),
    }
    for goal, misses in goals.items():
        print(f"{len(misses)} {goal}")
        for line in misses:
            print(f"    {line}")
    rooms = {room for pair in found for room in pair}
    print(f"{len(rooms)} rooms, {len(found)} imports between them")
    return 1 if any(goals.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
