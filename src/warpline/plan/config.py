"""Reading configuration: strict schemas, defaults inside, scales, helpful errors.

Imported while the Snakefile is parsed: nothing heavy here.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from warpline.errors import WarplineError
from warpline.registry import closest_word

SCALES = ("demo", "cpu", "paper")


def read_yaml(path: str | os.PathLike) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises
    ------
    WarplineError
        If the file is missing or unreadable, is not YAML, repeats a key or holds no mapping.
    """
    path = Path(path)
    try:
        value = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)
    except FileNotFoundError as error:
        near = closest_word(path.name, os.listdir(path.parent)) if path.parent.is_dir() else None
        raise WarplineError(
            "The configuration file does not exist.",
            where=path,
            do=f"Did you mean '{near}'?" if near else "Check the name.",
        ) from error
    except OSError as error:
        raise WarplineError(f"The file cannot be read: {error.strerror}.", where=path) from error
    except UnicodeDecodeError as error:
        raise WarplineError(
            f"The file is not UTF-8 text: {error}.", where=path, do="Save it as UTF-8."
        ) from error
    except yaml.YAMLError as error:
        raise WarplineError(f"The file is not valid YAML: {error}", where=path) from error
    if not isinstance(value, dict):
        raise WarplineError("The file must hold a mapping of keys to values.", where=path)
    return value


class _StrictLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Safe loader, in C where there is one, that refuses a key given twice in one mapping."""

    def get_single_node(self) -> yaml.Node | None:
        # Before merge keys (<<) are resolved: they may well bring a key that stands there too.
        root = super().get_single_node()
        _refuse_repeated_keys(root, set())
        return root


def _refuse_repeated_keys(node: yaml.Node | None, checked: set[yaml.Node]) -> None:
    if not isinstance(node, yaml.CollectionNode) or node in checked:
        return
    checked.add(node)  # an alias is the node that it stands for, and may stand within it
    if isinstance(node, yaml.SequenceNode):
        parts = node.value
    else:
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise yaml.composer.ComposerError(
                        None, None, f"the key '{key.value}' stands twice", key.start_mark
                    )
                seen.add((key.tag, key.value))
        parts = [part for pair in node.value for part in pair]
    for part in parts:
        _refuse_repeated_keys(part, checked)


def merge(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `override` laid over it; mappings merge key by key, all else is replaced."""
    result = copy.deepcopy(dict(base))
    for key, value in override.items():
        if isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = merge(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def at_scale(value: Mapping[str, Any], scale: str) -> dict[str, Any]:
    """The setting at a scale: the published one with ``scales.<scale>`` laid over it."""
    base = {key: item for key, item in value.items() if key != "scales"}
    return merge(base, (value.get("scales") or {}).get(scale) or {})


def validate(value: Mapping[str, Any], schema: Mapping[str, Any], where: object) -> dict[str, Any]:
    """Check a value against a JSON schema and fill in the schema's defaults.

    Raises
    ------
    WarplineError
        With every violation: the key's path, what is wrong, and for an unknown key the nearest
        known one.
    """
    result = copy.deepcopy(dict(value))
    found = problems(result, schema)
    if found:
        raise WarplineError(
            "The configuration is not valid:\n    " + "\n    ".join(found),
            where=where,
            do="Correct the keys above; docs/reference/configuration.md lists them all.",
        )
    return result


def problems(value: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Every violation of a schema in a line; its defaults are filled into `value`."""
    errors = _DefaultingValidator(schema).iter_errors(value)
    order = sorted(errors, key=lambda error: list(map(str, error.path)))
    return [line for error in order for line in _explain(error)]


def _explain(error: jsonschema.ValidationError) -> Iterator[str]:
    path = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        known = list(error.schema.get("properties", {}))
        for key in error.instance:
            if key not in known:
                near = closest_word(key, known)
                hint = f"did you mean '{near}'?" if near else f"known: {', '.join(known)}"
                yield f"{path + '.' if path else ''}{key}: unknown key; {hint}"
    elif error.validator == "enum":
        near = closest_word(error.instance, error.validator_value)
        hint = f"; did you mean '{near}'?" if near else ""
        yield f"{path}: '{error.instance}' is not one of {error.validator_value}{hint}"
    elif error.validator in ("anyOf", "oneOf") and error.context:
        deepest = max(error.context, key=lambda e: len(e.absolute_path))
        yield from _explain(deepest)
    else:
        yield f"{path or '(top level)'}: {error.message}"


def _fill_defaults(validator, properties, instance, schema):
    if isinstance(instance, dict):
        for key, sub in properties.items():
            if isinstance(sub, Mapping) and "default" in sub:
                instance.setdefault(key, copy.deepcopy(sub["default"]))
    yield from jsonschema.Draft202012Validator.VALIDATORS["properties"](
        validator, properties, instance, schema
    )


_DefaultingValidator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator, {"properties": _fill_defaults}
)
