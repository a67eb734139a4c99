"""What a run consists of: the configuration, its datasets, methods and papers.

Imported while the Snakefile is parsed: nothing heavy here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, TypeVar

from warpline.plan.dataset import Dataset
from warpline.plan.datasets import Datasets
from warpline.plan.loading import ConfigFiles
from warpline.plan.methods import Methods
from warpline.plan.papers import Papers
from warpline.plan.places import Places

Answer = TypeVar("Answer")


class Catalog:
    """Everything that a run's configuration names, read when asked for and checked when read.

    Parameters
    ----------
    config
        The merged configuration (files and command line).
    root
        The project's folder, with ``config/`` and ``workflow/schemas/``; or with it a folder of
        one's own.
    sources
        What the configuration was merged from, for errors; see `ConfigFiles`.

    Raises
    ------
    WarplineError
        If the configuration is not valid; when a file is asked for, if that is not.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        root: str | os.PathLike | Places = ".",
        sources: Mapping[str, Mapping[str, Any]] | None = None,
    ):
        self.places = root if isinstance(root, Places) else Places(Path(root))
        self._files = ConfigFiles(config, self.places, sources)
        self._methods = Methods(self._files)
        self._datasets = Datasets(self._files, self._methods)
        self._papers = Papers(self._files, self._datasets, self._methods)
        self.config, self.scale = self._files.config, self._files.scale
        self.answers: dict[tuple, Any] = {}  # see `remembered`

    def dataset(self, name: str) -> Dataset:
        """A dataset by the name of its file."""
        return self._datasets.get(name)

    def method(self, name: str) -> dict[str, Any]:
        """A method by the name of its file; see `warpline.plan.marks.marked`."""
        return self._methods.get(name)

    def tune(self, name: str) -> dict[str, Any] | None:
        """What a search of a method's settings may change, if its file says."""
        return self._methods.tune(name)

    def paper(self, name: str) -> dict[str, Any]:
        """A paper by the name of its file, or a study of the configuration in the same form."""
        return self._papers.get(name)

    def known(self, kind: str) -> list[str]:
        """The names of the files of a kind: ``datasets``, ``methods`` or ``papers``."""
        return self._files.known(kind)

    def arena(self, kind: str, name: str) -> dict[str, Any] | None:
        """How a method or dataset takes part in the arena, if its own file says that it does."""
        own = self.config["override"][kind].get(name) or {}
        text = self._files.path(kind, name).read_text(encoding="utf-8")
        if "arena" not in text and "arena" not in own:
            return None  # most files: they need not be checked for that
        (self.method if kind == "methods" else self.dataset)(name)
        return self._files.arena(kind, name)

    @property
    def papers(self) -> list[str]:
        """The papers and studies of this run."""
        return [*self.config["papers"], *self.config["studies"]]

    @cached_property
    def device(self) -> str:
        """``cpu`` or ``cuda``: ``auto`` is the GPU at paper scale only, never a silent choice."""
        device = self.config["device"]
        if device == "auto":
            return "cuda" if self.scale == "paper" else "cpu"
        return device


def remembered(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Answer a question to a catalog once: jobs by the thousand ask the same."""

    @wraps(function)
    def asked(catalog: Catalog, *arguments: Any) -> Answer:
        key = (function, *arguments)
        if key not in catalog.answers:
            catalog.answers[key] = function(catalog, *arguments)
        return catalog.answers[key]

    return asked
