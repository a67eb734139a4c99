"""A run of the workflow: what it consists of, where its results lie, which code makes them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any

from warpline.plan.catalog import Catalog
from warpline.plan.experiments import measured, registration_batches, registrations
from warpline.plan.layout import Layout
from warpline.plan.places import Places
from warpline.plan.sources import OwnFolder
from warpline.plan.versions import Versions


class Run:
    """What the rules of the workflow ask; see `warpline.plan.inputs`.

    Parameters
    ----------
    config
        The merged configuration (files and command line).
    root
        The project's folder, or with it a folder of one's own.
    sources
        What the configuration was merged from, for errors; see `warpline.plan.loading`.
    node_mb
        Gives MB of memory of a machine that jobs run on, without end where nobody knows; this
        machine's where it is not given. Asked late: Snakemake knows its executor after its rules.

    Raises
    ------
    WarplineError
        If anything that the run names is not there or not valid: before any job.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        root: str | os.PathLike | Places,
        sources: Mapping[str, Mapping[str, Any]] | None = None,
        node_mb: Callable[[], float] | None = None,
    ):
        self.catalog = Catalog(config, root, sources)
        self.places, self.root = self.catalog.places, self.catalog.places.root
        self.layout = Layout(self.catalog.config["results"])
        self._versions = Versions(self.root / "scripts")
        self._folders: dict[str, OwnFolder] = {}
        self._node_mb = node_mb or (lambda: this_machine_mb())
        for paper in self.catalog.papers:
            measured(self.catalog, paper)
            for experiment in registrations(self.catalog, paper):
                registration_batches(self.catalog, experiment)

    def code(self, script: str | None, *definitions: str) -> str:
        """Fingerprint of a script and the library code that it runs.

        Parameters
        ----------
        script
            None: only of what is chosen.
        definitions
            What is chosen by name at run time: ``package.module`` or ``package.module:name``.
        """
        return self._versions.of(script, *definitions)

    def project_file(self, path: str | os.PathLike) -> str:
        """A file of the project as an input: relative, so that the project may move."""
        return self.places.as_input(self.root / path)

    def named_file(self, path: str | os.PathLike, kind: str) -> str:
        """A file that a configuration file of a kind names, as an input."""
        return self.places.as_input(self.places.find(path, kind))

    def own_folder(self, dataset: str) -> OwnFolder:
        """The folder of a dataset of own data."""
        if dataset not in self._folders:
            spec = self.catalog.dataset(dataset).spec
            self._folders[dataset] = OwnFolder(
                spec["folder"], spec["format"], self.catalog.config["results"]
            )
        return self._folders[dataset]

    def node_mb(self) -> float:
        """MB of memory of a machine that trainings run on; without end where nobody knows."""
        return self.catalog.config["node_memory_mb"] or self._node_mb()

    @property
    def gpus(self) -> int:
        """GPUs of a job whose network can use one."""
        return 1 if self.catalog.device == "cuda" else 0


def this_machine_mb() -> float:
    """MB of memory that this machine has; without end where it does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (AttributeError, ValueError, OSError):
        return math.inf
