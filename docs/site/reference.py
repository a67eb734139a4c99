"""The reference: all keys from the schemas, the library from its docstrings, data from its files.

    python docs/site/reference.py

Writes configuration.md, library.md and datasets.md of docs/reference, which
tests/unit/test_docs.py holds against the sources.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "reference"
SCHEMAS = {
    "config": "A run: config/config.yaml, --configfile, --config",
    "dataset": "A dataset: config/datasets/NAME.yaml",
    "method": "A method: config/methods/NAME.yaml",
    "paper": "A paper: config/papers/NAME.yaml",
}
SIGNS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
MADE = "<!-- Made by docs/site/reference.py; change the schemas instead. -->\n\n"


def configuration() -> str:
    """A table of all keys for each kind of file."""
    text = MADE + "# Every key of the configuration\n\n"
    text += (
        "A key within another is written with a dot; `NAME` stands for a name of one's own, `[]` "
        "for each entry of a list. What has no default is required or may be left out, as its row "
        "says. A key that no table names is an error, which tells the nearest one that there is.\n"
    )
    for name, title in SCHEMAS.items():
        path = ROOT / "workflow" / "schemas" / f"{name}.schema.yaml"
        schema = yaml.safe_load(path.read_text(encoding="utf-8"))
        text += f"\n## {title}\n\n| key | type | default | meaning |\n|---|---|---|---|\n"
        for key, entry, required in keys(schema, schema):
            cells = (f"`{key}`", kind(entry), default(entry, required), meaning(entry))
            text += "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
    return text


def default(entry: Mapping[str, Any], required: bool) -> str:
    """An entry's default, or whether there has to be a value."""
    if "default" in entry:
        return f"`{json.dumps(entry['default'], ensure_ascii=False)}`"
    return "required" if required else ""


def keys(
    entry: Mapping[str, Any], schema: Mapping[str, Any], before: str = ""
) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """(key, its entry, whether it is required) of everything below an entry of a schema."""
    entry = resolved(entry, schema)
    for name, below in entry.get("properties", {}).items():
        key, below = f"{before}{name}", resolved(below, schema)
        if below:
            yield key, below, name in entry.get("required", ())
            yield from keys(below, schema, f"{key}.")
    within = before.removesuffix(".")
    if isinstance(below := entry.get("additionalProperties"), Mapping):
        yield from keys(below, schema, f"{within}.NAME." if within else "NAME.")
    if isinstance(below := entry.get("items"), Mapping):
        yield from keys(below, schema, f"{within}[].")


def resolved(entry: Any, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """An entry in the place of a reference to it; nothing for ``true`` and ``false``."""
    if not isinstance(entry, Mapping):
        return {}
    if "$ref" in entry:
        found: Any = schema
        for part in entry["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return {**found, **{key: value for key, value in entry.items() if key != "$ref"}}
    return entry


def kind(entry: Mapping[str, Any]) -> str:
    """An entry's type, in a few words."""
    if "enum" in entry:
        return " or ".join(f"`{json.dumps(value).strip(chr(34))}`" for value in entry["enum"])
    if "const" in entry:
        return f"`{entry['const']}`"
    names = entry.get("type", "any")
    names = names if isinstance(names, list) else [names]
    words = {"array": "list", "object": "mapping", "null": "null", "string": "text"}
    text = " or ".join(words.get(name, name) for name in names)
    for mark, sign in SIGNS.items():
        if mark in entry:
            text += f" {sign} {entry[mark]}"
    return text


def meaning(entry: Mapping[str, Any]) -> str:
    """What the schema says of an entry."""
    return " ".join(str(entry.get("description", "")).split())


# What the page of the library shows: the name to write, the module, whether its methods too.
LIBRARY = (
    ("warpline.register", "registration/call.py", False),
    ("warpline.apply", "registration/call.py", False),
    ("warpline.evaluate", "evaluation/call.py", False),
    ("warpline.read_transform", "registration/call.py", False),
    ("warpline.Registration", "registration/result.py", True),
    ("warpline.Grid", "images/grid.py", True),
    ("warpline.images.grid.Image", "images/grid.py", True),
    ("warpline.fields.physical.DisplacementField", "fields/physical.py", True),
    ("warpline.registration.registrar.Registrar", "registration/registrar.py", True),
)
Definition = ast.FunctionDef | ast.ClassDef
HIDDEN = ("@staticmethod", "@abstractmethod")


def library() -> str:
    """The public calls and classes with their docstrings."""
    text = MADE.replace("change the schemas", "change the docstrings") + "# The library\n\n"
    text += (
        "What Python code may call. Arrays are `(z, y, x)`; points and vectors are `(x, y, z)` in "
        "mm, LPS. [Two scans](../../examples/two-scans.ipynb) shows the calls at work.\n"
    )
    for name, module, methods in LIBRARY:
        path = ROOT / "src" / "warpline" / module
        tree = ast.parse(path.read_text(encoding="utf-8"))
        last = name.rpartition(".")[2]
        (node,) = (n for n in tree.body if isinstance(n, Definition) and n.name == last)
        text += f"\n## {name}\n{told(node)}"
        if methods:
            for below in node.body:
                if isinstance(below, ast.FunctionDef) and not below.name.startswith("_"):
                    text += f"\n### {last}.{below.name}\n{told(below)}"
    return text


def told(node: Definition) -> str:
    """A definition's signature and docstring as Markdown."""
    source = inspect.cleandoc(ast.get_docstring(node) or "")
    shown = signature(node).replace("'", '"')
    return f"\n```python\n{shown}\n```\n\n{markdown(source)}\n"


def signature(node: Definition) -> str:
    """As one writes it, without a body."""
    if isinstance(node, ast.ClassDef):
        fields = [n for n in node.body if isinstance(n, ast.AnnAssign)]
        lines = [f"    {ast.unparse(n)}" for n in fields if not ast.unparse(n).startswith("_")]
        return "\n".join([f"class {node.name}:", *lines]) if lines else f"class {node.name}"
    marks = [f"@{ast.unparse(each)}" for each in node.decorator_list]
    arguments = ast.unparse(node.args)
    if len(arguments) > 70:
        arguments = "\n    " + re.sub(r", (?=[\w*]+(: |$|, |=))", ",\n    ", arguments) + ",\n"
    given = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    shown = [mark for mark in marks if mark not in HIDDEN]
    return "\n".join([*shown, f"def {node.name}({arguments}){given}"])


def markdown(docstring: str) -> str:
    """numpydoc as Markdown: headings in bold, entries as a list."""
    text = re.sub(r"^(\w[\w ]*)\n-{3,}$", r"\n**\1**\n", docstring, flags=re.M)
    lines, entries = [], False
    for line in text.split("\n"):
        if re.fullmatch(r"\*\*\w[\w ]*\*\*", line):
            entries = line.strip("*") in ("Parameters", "Attributes", "Returns", "Raises")
        if entries and line.startswith("    "):
            lines.append("  " + line.strip())
        elif entries and line and not line.startswith("**"):
            lines.append(f"- `{line}`:" if re.fullmatch(r"[\w., *]+", line) else line)
        elif line.startswith(">>> "):
            lines.append(f"    {line}")
        else:
            lines.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def datasets() -> str:
    """Licence and citation of every dataset that is not made of others."""
    text = MADE.replace("change the schemas", "change config/datasets")
    text += (
        "# Licences of the data\n\n"
        "Whoever uses a dataset keeps to its licence and cites its makers. Generated data that "
        "stand for a dataset (scale `demo`) are free of both.\n\n"
    )
    made_of_others = []
    for path in sorted((ROOT / "config" / "datasets").glob("*.yaml")):
        spec = yaml.safe_load(path.read_text(encoding="utf-8"))
        parts = list(spec.get("members") or [spec.get("extends")])
        if parts != [None]:
            made_of_others.append(f"`{path.stem}` of {', '.join(parts)}")
            continue
        licence = re.sub(r"https?://[^\s)]+", r"<\g<0>>", spec["licence"])
        text += f"- `{path.stem}`, **{spec['title']}**. Licence: {licence}. "
        text += f"To be cited: {' '.join(spec['citation'].split())}.\n"
    return text + f"\nMade of others: {'; '.join(made_of_others)}.\n"


def pages() -> dict[Path, str]:
    """Path of each page to its text."""
    made = {"configuration": configuration, "library": library, "datasets": datasets}
    return {PAGES / f"{name}.md": text() for name, text in made.items()}


if __name__ == "__main__":
    PAGES.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
