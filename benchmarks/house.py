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


def main() -> int:
    found = imports()
    goals = {
        "files that are too long": list(too_long()),
        "loose modules": list(loose_modules()),
        "imports that do not run downward": list(upward(found)),
        "circles": list(circles(found)),
        "private names imported": list(private_imports()),
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
