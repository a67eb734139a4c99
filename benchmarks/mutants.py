"""How many small faults the unit tests find: mutants of the modules on which every result rests.

    python benchmarks/mutants.py --minutes 5 --seed 0
    python benchmarks/mutants.py state --only "state or checkpoint"

A mutant is a module with one operator, number, condition or statement of a function changed. The
unit tests of a part are collected once and run once on the unchanged code, which says which test
reaches which line. For each mutant the process forks, the child's functions get the changed code,
and the tests that reach the line run there, the quickest first. A mutant is killed if one of them
fails or takes far longer than before.

Not mutated: texts, annotations, what is raised, printed or logged (whether it is raised, is), and
what runs only when a module is imported. Mutants are drawn at random with a seed, until each part
has had its minutes of CPU time or no mutant is left.
"""

from __future__ import annotations

import argparse
import ast
import gc
import importlib
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import types
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE, UNIT = ROOT / "src/warpline", ROOT / "tests/unit"
LIBRARIES = ("numpy", "torch", "SimpleITK", "pandas", "scipy.stats", "scipy.ndimage", "hypothesis")
# Modules of `src/warpline`, and the files of `tests/unit` that are about them.
PARTS = {
    "fields": ("fields/*.py", "test_fields_*.py"),
    "metrics": ("evaluation/metrics/*.py", "test_metrics*.py"),
    "statistics": (
        "tables/statistics.py tables/intervals.py tables/structure.py",
        "test_statistics.py test_intervals.py test_claims.py",
    ),
    "verify": (
        "acquire/verify.py",
        "test_verify.py test_acquire_shared.py",
    ),
    "state": ("training/checkpoints.py", "test_training_loop.py"),
    "loop": (
        "training/loop.py training/settings.py training/determinism.py",
        "test_training_loop.py test_training_determinism.py",
    ),
}
# Tests that take half a minute each: thousands of samples, kills.
LONG = ("cover_as_often", "would_not", "draw_seeds_too", "in_twenty", "on_average", "sigkill")
SWAPS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Div, ast.Mod: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
TOLD = ("print", "warning", "info", "debug")  # functions whose arguments are read by people
SLOWER, LEAST = 10, 5  # times the usual seconds of CPU, and seconds: what takes longer is found
WAITS = 20
TICKS = os.sysconf("SC_CLK_TCK")  # a second
CALLS = 20  # of a function in one test, whose lines are looked at
MOST = 20.0  # seconds of CPU of tests that a mutant gets, by what they usually take


@dataclass(frozen=True)
class Mutant:
    """A changed module: what changed, and on which lines."""

    module: Path
    change: str
    first: int
    last: int
    tree: ast.Module


def alternatives(node: ast.AST) -> Iterator[ast.AST]:
    """What a node is replaced by, one change each."""

    def copy(**new: object) -> ast.AST:
        return type(node)(**{**dict(ast.iter_fields(node)), **new})

    match node:
        case ast.Compare(ops=[op, *more]) if type(op) in SWAPS:
            yield copy(ops=[SWAPS[type(op)](), *more])
        case ast.BinOp(op=op) | ast.AugAssign(op=op) | ast.BoolOp(op=op) if type(op) in SWAPS:
            yield copy(op=SWAPS[type(op)]())
        case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand):
            yield operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield ast.Constant(value + 1)
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            yield copy(test=ast.UnaryOp(ast.Not(), test))
        case ast.Return(value=None | ast.Constant(value=None)):
            pass
        case ast.Return():
            yield ast.Return(ast.Constant(None))
        case ast.Raise() | ast.Continue() | ast.Break() | ast.Expr(value=ast.Call()):
            yield ast.Pass()


class Site(ast.NodeTransformer):
    """Makes the change of one number; `change` stays None if there are fewer."""

    def __init__(self, number: int):
        self.left, self.change, self.lines = number, None, (0, 0)
        self.functions, self.span = 0, (0, 0)

    def visit(self, node: ast.AST) -> ast.AST:
        if self.change is not None or _is_text(node):
            return node
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if isinstance(body, list) else node.end_lineno
            self.span = (node.lineno, max(node.lineno, last))
        for other in alternatives(node) if self.functions else ():
            if self.left == 0:
                self.change = f"{_short(node)} → {_short(other)}"
                self.lines = self.span
                return ast.fix_missing_locations(ast.copy_location(other, node))
            self.left -= 1
        if isinstance(node, ast.Raise):
            return node
        function = isinstance(node, ast.FunctionDef)
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "type_params"):
                continue
            self.functions += function and name == "body"
            if isinstance(value, list):
                value[:] = [self.visit(v) if isinstance(v, ast.AST) else v for v in value]
            elif isinstance(value, ast.AST):
                setattr(node, name, self.visit(value))
            self.functions -= function and name == "body"
        return node


def _is_text(node: ast.AST) -> bool:
    """Whether only people read a node: an annotation, a docstring, what is printed or logged."""
    match node:
        case ast.JoinedStr() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Expr(value=ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name))):
            return name in TOLD
        case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.keyword(arg="strict"):
            return True  # the latter checks what is so
    return False


def _short(node: ast.AST) -> str:
    return ast.unparse(node).splitlines()[0][:70]


def mutated(module: Path, number: int) -> Mutant:
    """One of the mutants of a module."""
    tree, site = ast.parse(module.read_text(encoding="utf-8")), Site(number)
    site.visit(tree)
    return Mutant(module, site.change or "", *site.lines, tree)


def count(module: Path) -> int:
    """How many mutants a module has."""
    site = Site(1 << 30)
    site.visit(ast.parse(module.read_text(encoding="utf-8")))
    return (1 << 30) - site.left


def take_over(mutant: Mutant) -> None:
    """Give all functions of the mutant's module, wherever they are used, its code."""
    new, file = {}, str(mutant.module)
    waiting = [compile(mutant.tree, file, "exec")]
    while waiting:
        code = waiting.pop()
        new[code.co_qualname, code.co_firstlineno] = code
        waiting += [value for value in code.co_consts if isinstance(value, types.CodeType)]
    for function in gc.get_objects():
        if isinstance(function, types.FunctionType) and function.__code__.co_filename == file:
            code = function.__code__
            function.__code__ = new[code.co_qualname, code.co_firstlineno]


def forked(work: Callable[[], None], seconds: float) -> int:
    """The exit status of a process that does this; -1 if it took more seconds of CPU.

    By the clock it may take `WAITS` times as long: other work may run, and some tests wait.
    """
    child = os.fork()
    if not child:
        status = 1
        try:
            os.setpgid(0, 0)
            resource.setrlimit(resource.RLIMIT_AS, (1 << 35, 1 << 35))
            for number in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), number)
            work()
            status = 0
        finally:
            os._exit(status)
    end, stat = time.monotonic() + WAITS * seconds, Path(f"/proc/{child}/stat")
    used = 0.0
    while time.monotonic() < end and used < seconds:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        used = sum(map(int, stat.read_text().rpartition(")")[2].split()[11:13])) / TICKS
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1


class Part:
    """The modules of one part and their tests; a plugin of pytest that runs the mutants."""

    def __init__(self, name: str, seed: int, minutes: float, only: str, folder: Path):
        patterns, self.tests = PARTS[name]
        self.name, self.minutes, self.only, self.folder = name, minutes, only, folder
        self.modules = sorted(path for each in patterns.split() for path in PACKAGE.glob(each))
        self.files = set(map(str, self.modules))
        self.left = [(module, n) for module in self.modules for n in range(count(module))]
        self.there = len(self.left)
        random.Random(f"{seed} {name}").shuffle(self.left)
        self.lines: dict[str, set[tuple[str, int]]] = defaultdict(set)
        self.seconds: dict[str, float] = defaultdict(float)
        self.results: list[bool] = []  # whether killed
        self.failing: set[str] = set()  # on the unchanged code
        self.measured = False

    def run(self) -> None:
        """Collect the tests, and go on in `pytest_runtestloop`."""
        import pytest

        files = sorted(str(path) for each in self.tests.split() for path in UNIT.glob(each))
        options = ["-q", "-s", "-p", "no:cacheprovider", "--basetemp", str(self.folder / "tmp")]
        chosen = f"not ({' or '.join(LONG)})" + (f" and ({self.only})" if self.only else "")
        options += ["-k", chosen]
        pytest.main([*options, *files], plugins=[self])
        kept = self.folder / f"{self.name}.json"
        kept.write_text(json.dumps([self.results, self.there]), encoding="utf-8")

    def pytest_runtestloop(self, session) -> bool:
        """Instead of the tests: what each reaches, then mutant after mutant."""
        self.items = {item.nodeid: item for item in session.items}
        self._measure()
        print(f"{self.name}: {self.there} mutants, {len(self.items)} tests", flush=True)
        end = _cpu() + 60 * self.minutes
        while self.left and _cpu() < end:
            self._next()
            if len(self.results) % 10 == 0:
                print(f"{self.name}: {sum(self.results)} of {len(self.results)}", flush=True)
        return True

    def pytest_runtest_setup(self, item) -> None:
        """On the unchanged code: look at the lines of the test that begins."""
        if not self.measured:
            sys.settrace(self._tracer(self.lines[item.nodeid]))

    def pytest_runtest_logreport(self, report) -> None:
        """In a child: note that a test failed."""
        if report.failed and self.measured:
            os._exit(1)
        if report.failed:
            self.failing.add(report.nodeid)

    def _run(self, tests: list[str]) -> None:
        items = [self.items[test] for test in tests]
        for item, following in zip(items, [*items[1:], None], strict=True):
            before = time.process_time()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            self.seconds[item.nodeid] = time.process_time() - before

    def _measure(self) -> None:
        """Learn which test reaches what, on the unchanged code."""
        kept = self.folder / "reach.json"

        def work() -> None:
            self._run(list(self.items))
            sys.settrace(None)
            lines = {t: sorted(n) for t, n in self.lines.items() if t not in self.failing}
            told = [lines, self.seconds, sorted(self.failing)]
            kept.write_text(json.dumps(told), encoding="utf-8")

        if forked(work, 3600) != 0:
            raise SystemExit(f"the tests of {self.name} cannot be run")
        lines, self.seconds, failing = json.loads(kept.read_text(encoding="utf-8"))
        if failing:
            print("left out, as they fail on the unchanged code:", *failing, flush=True)
        self.measured = True
        self.lines = {test: {(f, n) for f, n in found} for test, found in lines.items()}

    def _tracer(self, lines: set[tuple[str, int]]) -> Callable:
        calls: Counter = Counter()

        def local(frame, event, argument):
            lines.add((frame.f_code.co_filename, frame.f_lineno))
            return local

        def called(frame, event, argument):
            if frame.f_code.co_filename not in self.files:
                return None
            calls[frame.f_code] += 1
            return local if calls[frame.f_code] <= CALLS else None

        return called

    def _tests_of(self, mutant: Mutant) -> list[str]:
        """The tests that reach a mutant, the quickest first."""
        changed = {(str(mutant.module), n) for n in range(mutant.first, mutant.last + 1)}
        reach = [test for test, lines in self.lines.items() if lines & changed]
        chosen, total = [], 0.0
        for test in sorted(reach, key=self.seconds.__getitem__):
            total += self.seconds[test]
            if chosen and total > MOST:
                break
            chosen.append(test)
        return chosen

    def _next(self) -> None:
        """Try one more mutant."""
        mutant = mutated(*self.left.pop())
        tests = self._tests_of(mutant)
        usual = sum(self.seconds[test] for test in tests)

        def work() -> None:
            take_over(mutant)
            self._run(tests)

        killed = bool(tests) and forked(work, LEAST + SLOWER * usual) != 0
        self.results.append(killed)
        if not killed:
            where = f"{mutant.module.relative_to(PACKAGE)}:{mutant.first}"
            print(f"lives: {where}: {mutant.change} ({len(tests)} tests)", flush=True)


def main() -> None:
    """Print each mutant that lives and how many were killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--minutes", type=float, default=5.0, help="of CPU for mutants, each part")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="tests, as pytest's -k names them")
    arguments = parser.parse_args()
    sys.path[:0] = [str(ROOT / "src"), str(UNIT)]
    for library in LIBRARIES:
        importlib.import_module(library)
    sys.modules["torch"].set_num_threads(1)
    totals = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as place:
        for name in arguments.parts or PARTS:
            told = arguments.seed, arguments.minutes, arguments.only
            part = Part(name, *told, Path(place))
            child = os.fork()
            if not child:
                try:
                    part.run()
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
            results, there = json.loads((Path(place) / f"{name}.json").read_text(encoding="utf-8"))
            totals.append((results, there))
            tell(name, results, there)
    tell("all", [dead for results, _ in totals for dead in results], sum(n for _, n in totals))
    print(f"{_cpu() / 60:.1f} minutes of CPU")


def tell(name: str, results: list[bool], there: int) -> None:
    """Print how many mutants of a part were killed."""
    share = sum(results) / max(1, len(results))
    print(
        f"{name}: {sum(results)} of {len(results)} killed, {share:.1%}; there are {there}",
        flush=True,
    )


def _cpu() -> float:
    """Seconds of CPU of this process and its children."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


if __name__ == "__main__":
    main()
