"""The files of ``config/``, each laid over what it extends, at a run's scale, checked."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from warpline.errors import WarplineError
from warpline.plan.config import at_scale, merge, problems, read_yaml, validate
from warpline.plan.places import Places, project_folder
from warpline.plan.rehearsal import rehearsed
from warpline.registry import suggestion


class ConfigFiles:
    """The run's configuration and the files that it lays its overrides over.

    Parameters
    ----------
    config
        The merged configuration (files and command line).
    places
        The project's folder, with ``config/`` and ``workflow/schemas/``, and one's own.
    sources
        What the configuration was merged from, the most explicit last: how one names it, and what
        it says; for errors.

    Raises
    ------
    WarplineError
        If the configuration is not valid, or overrides what is not there.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        places: Places,
        sources: Mapping[str, Mapping[str, Any]] | None = None,
    ):
        self.places, self._sources = places, sources or {}
        self._read = cache(read_yaml)  # most files are asked for several times
        self._arena: dict[tuple[str, str], dict[str, Any] | None] = {}
        self._tune: dict[tuple[str, str], dict[str, Any] | None] = {}
        self.config = validate(config, self.schema("config"), self._blamed(config))
        self.config["studies"] = {**self._own_studies(), **self.config["studies"]}
        self.scale: str = self.config["scale"]
        if self.config["rehearse"]:
            self.config["given_weights"] = False  # nothing is downloaded
        for kind, changes in self.config["override"].items():
            for name in changes:
                self.path(kind, name, f"key 'override.{kind}' of the configuration")
        for name in self.config["studies"]:
            if name in self.known("papers"):
                raise WarplineError(
                    f"The study '{name}' has the name of a paper.",
                    where="key 'studies' of the configuration",
                    do="Give it another name.",
                )

    def _blamed(self, config: Mapping[str, Any]) -> str:
        """Which of the sources has what is wrong with the configuration; all, if none has."""
        schema = self.schema("config")
        wrong = set(problems(copy.deepcopy(dict(config)), schema))
        names = [
            name
            for name, said in self._sources.items()
            if wrong & set(problems(copy.deepcopy(dict(said)), schema))
        ]
        return " and ".join(names) or f"{self.places.told(self.places.config_file)} and --config"

    def _overrides(self, kind: str, name: str) -> str:
        """Where an override stands that is laid over a file."""
        named = [
            source
            for source, said in self._sources.items()
            if name in ((said.get("override") or {}).get(kind) or {})
        ]
        return f"key 'override.{kind}.{name}' of {' and '.join(named) or 'the configuration'}"

    def schema(self, name: str) -> dict[str, Any]:
        """The JSON schema of a kind of file."""
        return self._read(self.places.root / "workflow" / "schemas" / f"{name}.schema.yaml")

    def known(self, kind: str) -> list[str]:
        """The names of the files of a kind."""
        folders = self.places.folders(kind)
        return sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})

    def path(self, kind: str, name: str, where: object = None) -> Path:
        """The file of a kind with this name; `where` is what names it, for the error."""
        folders = self.places.folders(kind)
        for folder in folders:
            if (folder / f"{name}.yaml").exists():
                return folder / f"{name}.yaml"
        raise WarplineError(
            f"There is no '{name}' in {self.places.told(folders[0])}"
            + (" or the project's." if self.places.own else "."),
            where=where or folders[0] / f"{name}.yaml",
            do=suggestion(name, self.known(kind)),
        )

    def told(self, kind: str, name: str) -> str:
        """The file of a kind with this name, as errors name it."""
        return self.places.told(self.path(kind, name))

    def alone(self, kind: str, name: str, where: object = None) -> dict[str, Any]:
        """A file of config/<kind> as it stands, laid over nothing; `where` as for `path`."""
        return self._read(self.path(kind, name, where))

    def raw(
        self, kind: str, name: str, children: tuple[str, ...] = (), overridden: bool = True
    ) -> dict[str, Any]:
        """A file of config/<kind> laid over the one that it extends, under this run's override."""
        if name in children:
            raise WarplineError(
                f"The key 'extends' goes in a circle: {' → '.join([*children, name])}.",
                where=self.path(kind, name),
            )
        child = self.path(kind, children[-1]) if children else None
        raw = self.alone(kind, name, where=child)
        if "extends" in raw:
            raw = merge(self.raw(kind, raw["extends"], (*children, name)), raw)
        override = self.config["override"][kind].get(name)
        return _overridden(raw, override) if override and overridden else raw

    def load(self, kind: str, name: str, schema: str) -> dict[str, Any]:
        """A file of config/<kind> validated as it is at this run's scale."""
        raw = self.raw(kind, name)
        if "extends" in raw and (kind, raw["extends"]) not in self._arena:
            # Checked first, so that its own file is blamed for its errors.
            self.load(kind, raw["extends"], schema)
        try:
            return self._checked(kind, name, schema, raw)
        except WarplineError as error:
            if not self.config["override"][kind].get(name):
                raise
            self._checked(kind, name, schema, self.raw(kind, name, overridden=False))
            place = f"{self._overrides(kind, name)}, over {self.told(kind, name)}"
            raise WarplineError(error.what, where=place, do=error.do) from None

    def _checked(self, kind: str, name: str, schema: str, raw: dict[str, Any]) -> dict[str, Any]:
        file = self.told(kind, name)
        where = f"{file} (scale {self.scale})"
        checked = validate(raw, self.schema(schema), where)
        scaled = {
            other: validate(at_scale(raw, other), self.schema(schema), f"{file} (scale {other})")
            for other in checked["scales"]
        }
        value = scaled.get(self.scale, checked)
        if self.config["rehearse"]:
            own = rehearsed(kind, at_scale(raw, self.scale), at_scale(raw, "demo"))
            value = validate(own, self.schema(schema), where)
        value.pop("scales", None)
        value.pop("extends", None)
        # Parts of their own, so that they change nothing that is made.
        self._arena[kind, name] = value.pop("arena", None)
        self._tune[kind, name] = value.pop("tune", None)
        return value

    def arena(self, kind: str, name: str) -> dict[str, Any] | None:
        """How a method or dataset takes part in the arena; None if its own file does not say.

        The file must have been loaded.
        """
        own = {
            **self.alone(kind, name),
            **(self.config["override"][kind].get(name) or {}),
        }
        return self._arena[kind, name] if "arena" in own else None

    def tune(self, name: str) -> dict[str, Any] | None:
        """What a search of a method's settings may change, if its file says; it must be loaded."""
        return self._tune["methods", name]

    def _own_studies(self) -> dict[str, Any]:
        """The studies of one's own folder, one a file of ``studies``."""
        schema = self.schema("config")["properties"]["studies"]["additionalProperties"]
        found: dict[str, Any] = {}
        for folder in (folder / "studies" for folder in self.places.owns):
            for path in sorted(folder.glob("*.yaml")):
                found.setdefault(path.stem, validate(read_yaml(path), schema, path))
        return found


@cache
def schema(name: str) -> dict[str, Any]:
    """The project's JSON schema of a kind of file, for who has no run."""
    return read_yaml(project_folder() / "workflow" / "schemas" / f"{name}.schema.yaml")


def _overridden(raw: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """A file under an override, which wins over the file's own scales too."""
    plain = {key: value for key, value in override.items() if key != "scales"}
    scales = {name: merge(part, plain) for name, part in (raw.get("scales") or {}).items()}
    return merge({**raw, **({"scales": scales} if scales else {})}, override)
