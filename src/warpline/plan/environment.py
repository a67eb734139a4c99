"""The environment that jobs inherit. Imported while the Snakefile is parsed: nothing heavy here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from warpline.registry import NETWORKS


def export_environment(source: Path, networks: Sequence[Path] = ()) -> None:
    """Let every job import the library from `source`, and let its waiting threads sleep.

    Jobs find the library whether or not it is installed in their environment. Without the last,
    two jobs on two cores spend more time in each other's spinning threads than at work.

    Parameters
    ----------
    networks
        Folders of one's own: their Python files are networks beside those of the library
        (`warpline.networks`).
    """
    os.environ[NETWORKS] = os.pathsep.join(map(str, networks))
    paths = [str(source), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
