"""What of a statement counts is written as Python's own dump writes it, and nothing is lost."""

from __future__ import annotations

import ast
import sys

import pytest

from warpline.plan.outline import Outline, statements

KINDS = '''
@decorated(1)
async def first(a, /, b=2, *c, d: int = 4, **e) -> None:
    """Says what it does."""
    global shared
    async with a as x, b:
        await x
    async for i in c:
        yield i, *d
    else:
        del e["f"][1:2, ...]
    return lambda q, *r: (q if not r else -q ** 2) or r @ q

class Second(Base, metaclass=Meta):
    field: int = 3
    other: str
    held = [x async for x in y if x] + [*z], {k: v for k, v in w}, {1, 2}, {**m, "n": None}

try:
    while (n := 1) < 2 <= 3 != 4:
        n += f"{n!r:>{3}} and {n}"
except (ValueError, TypeError) as error:
    pass
finally:
    assert n is not None, b"bytes"

match command:
    case [1, *rest] if rest:
        continue_()
    case {"key": Point(x=0)} | None:
        raise
'''


class Plain(ast.NodeTransformer):
    """Without what does not count in `KINDS`."""

    def visit_AsyncFunctionDef(self, node):
        node.returns, node.body = None, node.body[1:]
        return self.generic_visit(node)

    def visit_arg(self, node):
        node.annotation = None
        return node

    def visit_AnnAssign(self, node):
        node.annotation = ast.Constant(None)
        return node


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="its dump leaves out empty lists")
def test_an_outline_is_the_dump_of_what_counts():
    for node in ast.parse(KINDS).body:
        text = Outline(node, lambda name: False).text
        assert text == ast.dump(Plain().visit(node))


def test_names_and_attributes_are_told_apart():
    (node,) = ast.parse("a.b.c(d, e.f[g], key=h)[lambda i: i] = a").body
    found = Outline(node, lambda name: False)
    assert found.names == {"a", "d", "g", "h", "i"}
    assert found.attributes == {("a", "b"), ("e", "f")}


def test_what_the_frame_is_told_does_not_count_but_what_it_is_given_does():
    def outline(text: str) -> str:
        return Outline(ast.parse(text).body[0], lambda name: name == "Progress").text

    assert outline("p = Progress(n, 'one')") == outline("p = Progress(n, f'{two}')")
    assert outline("p = Progress(n, 'one')") != outline("p = Progress(m, 'one')")
    assert outline("p = Other(n, 'one')") != outline("p = Other(n, 'two')")
    assert outline("Progress.say(n)") == outline("print(1)") == outline("import os") == ""


def test_statements_are_found_wherever_they_stand():
    text = (
        "if a:\n  import b\nelse:\n  try:\n    import c\n  except E:\n    import d\n"
        "  finally:\n    import e\nmatch f:\n  case 1:\n    import g\n"
        "def h():\n  with i:\n    for j in k:\n      import l\n"
    )
    tree = ast.parse(text)
    found = [n.names[0].name for n in statements(tree.body) if isinstance(n, ast.Import)]
    walked = [n.names[0].name for n in ast.walk(tree) if isinstance(n, ast.Import)]
    assert sorted(found) == sorted(walked) == list("bcdegl")
