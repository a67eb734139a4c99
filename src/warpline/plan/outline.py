"""What of a statement counts: its outline, as text, and the names that it uses.

Left out are docstrings, type annotations, imports, layout, the text of errors and what is only
said. A large package is read at every start of the workflow, so a statement is walked once.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from typing import Any

# Calls that say something and give nothing back that an output is made from.
_SAYING = {"print", "warn", "warning", "info", "debug"}
_NOTHING = "Constant(value=None)"


class Outline:
    """The outline of one statement.

    Parameters
    ----------
    statement
        Of a parsed file.
    of_frame
        Whether a name that is called comes from the frame of a job: what it is told does not count.

    Attributes
    ----------
    text
        As `ast.dump` of Python 3.11 writes what counts, whichever Python runs; empty if nothing.
    names
        Names that are used by themselves.
    attributes
        (name, attribute) of names of which an attribute is used.
    """

    def __init__(self, statement: ast.stmt, of_frame: Callable[[str], bool]):
        self.names: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self._of_frame = of_frame
        self.text = "" if self._is_silent(statement) else self._node(statement)

    def _value(self, value: Any) -> str:
        if isinstance(value, ast.AST):
            return self._node(value)
        if isinstance(value, list):
            return f"[{', '.join([self._value(v) for v in value if not self._is_silent(v)])}]"
        return repr(value)

    def _node(self, node: ast.AST, **instead: Any) -> str:
        """A node's text; `instead` are texts to be taken for some of its fields, None for none."""
        kind = type(node)
        if not kind._fields:
            return f"{kind.__name__}()"
        if not instead and (special := _SPECIAL.get(kind)) is not None:
            return special(self, node)
        parts = []
        for name in kind._fields:
            value = getattr(node, name, None)
            if name in instead:
                text = instead[name]
            elif value is None and getattr(kind, name, ...) is None:
                text = None  # an optional field that is not there
            else:
                text = self._value(value)
            if text is not None:
                parts.append(f"{name}={text}")
        return f"{kind.__name__}({', '.join(parts)})"

    def _is_silent(self, node: Any) -> bool:
        """Whether a statement only says something, or imports."""
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            return True
        if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
            return False
        function = node.value.func
        name = function.attr if isinstance(function, ast.Attribute) else None
        name = function.id if isinstance(function, ast.Name) else name
        return name in _SAYING or self._is_of_frame(function)

    def _is_of_frame(self, function: ast.expr) -> bool:
        while isinstance(function, ast.Attribute):
            function = function.value
        return isinstance(function, ast.Name) and self._of_frame(function.id)

    # Kinds of nodes of which something is left out, or noted -------------------------------------

    def _name(self, node: ast.Name) -> str:
        self.names.add(node.id)
        return f"Name(id={node.id!r}, ctx={type(node.ctx).__name__}())"

    def _attribute(self, node: ast.Attribute) -> str:
        if isinstance(node.value, ast.Name):
            self.attributes.add((node.value.id, node.attr))
            name = node.value
            value = f"Name(id={name.id!r}, ctx={type(name.ctx).__name__}())"
        else:
            value = self._value(node.value)
        return f"Attribute(value={value}, attr={node.attr!r}, ctx={type(node.ctx).__name__}())"

    def _argument(self, node: ast.arg) -> str:
        return self._node(node, annotation=None)

    def _class(self, node: ast.ClassDef) -> str:
        return self._node(node, body=self._value(without_docstring(node.body)))

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
        return self._node(node, body=self._value(without_docstring(node.body)), returns=None)

    def _annotated(self, node: ast.AnnAssign) -> str:
        # The name of a dataclass's field counts, its type does not.
        return self._node(node, annotation=_NOTHING)

    def _raise(self, node: ast.Raise) -> str:
        called = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        if called is None:
            return "Raise()"
        return f"Raise(exc={self._name(ast.Name(id=ast.unparse(called), ctx=ast.Load()))})"

    def _call(self, node: ast.Call) -> str:
        if not self._is_of_frame(node.func):
            return self._node(node, func=self._value(node.func))
        told = [_NOTHING if _is_told(part) else self._value(part) for part in node.args]
        named = [
            self._node(part, value=_NOTHING) if _is_told(part.value) else self._value(part)
            for part in node.keywords
        ]
        return self._node(node, args=f"[{', '.join(told)}]", keywords=f"[{', '.join(named)}]")


_SPECIAL: dict[type[ast.AST], Callable[[Outline, Any], str]] = {
    ast.Name: Outline._name,
    ast.Attribute: Outline._attribute,
    ast.arg: Outline._argument,
    ast.ClassDef: Outline._class,
    ast.FunctionDef: Outline._function,
    ast.AsyncFunctionDef: Outline._function,
    ast.AnnAssign: Outline._annotated,
    ast.Raise: Outline._raise,
    ast.Call: Outline._call,
}


def _is_told(node: ast.expr) -> bool:
    return isinstance(node, (ast.Constant, ast.JoinedStr))


def without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements of a body, but for a docstring at their head."""
    return body[1:] if body and is_docstring(body[0]) else body


def is_docstring(node: ast.stmt) -> bool:
    """Whether a statement is a text by itself."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def statements(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """The statements among some nodes, and all within them, without going into expressions."""
    for node in nodes:
        yield node
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(node, part, None)
            if isinstance(inner, list):
                yield from statements(inner)
