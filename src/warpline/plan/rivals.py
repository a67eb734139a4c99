"""Programs of others that methods may use where they are installed, and nothing else needs.

Imported while the Snakefile is parsed: nothing heavy, and none of them, is imported here.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# A Python environment of their own, so that none of them can change what the papers run with.
ENVIRONMENT = "WARPLINE_RIVALS"
HOW = "pip install 'warpline[rivals]', here or in an environment that WARPLINE_RIVALS names"


@dataclass(frozen=True)
class Program:
    """What a kind of method runs in a process of its own.

    Attributes
    ----------
    module
        The Python module that must be there.
    command
        The program that must be there instead, where it is no module that is called.
    install
        How it is installed.
    weights
        Whether the method's file must name weights (``parameters.weights``).
    """

    module: str | None
    command: str | None
    install: str
    weights: bool


PROGRAMS = {
    "convexadam": Program("convexAdam", None, HOW, False),
    "greedy": Program("picsl_greedy", None, HOW, False),
    "fireants": Program("fireants", None, "pip install fireants (a licence of its own)", False),
    "impact": Program(None, "impact-reg-konfai", "pip install impact-reg-konfai", False),
    "unigradicon": Program(None, "unigradicon-register", "pip install unigradicon", True),
    "voxelmorph": Program("voxelmorph", None, "pip install voxelmorph", True),
}
# Rivals that need no package beyond the project's own.
INCLUDED = ("demons",)


def python() -> str:
    """The interpreter that rivals run in: that of their environment, or this one."""
    folder = os.environ.get(ENVIRONMENT)
    return str(Path(folder) / "bin" / "python") if folder else sys.executable


def command(name: str) -> str | None:
    """The path of a rival's program, beside its interpreter or wherever programs are found."""
    beside = Path(python()).parent / name
    return str(beside) if beside.is_file() else shutil.which(name)


def missing(spec: Mapping[str, Any]) -> str | None:
    """Why a method cannot run here, in a sentence; None if it can, as far as can be seen."""
    program = PROGRAMS.get(spec["kind"])
    if program is None:
        return None
    if program.module and not _has_module(program.module):
        return f"{program.module} is not installed ({program.install})."
    if program.command and command(program.command) is None:
        return f"The program {program.command} is not installed ({program.install})."
    if program.weights:
        weights = spec["parameters"].get("weights")
        if not weights:
            return "It has no weights: name their file as 'parameters.weights' of the method."
        if not Path(weights).is_file():
            return f"Its weights are not there: {weights}."
    return None


def _has_module(name: str) -> bool:
    """Whether the rivals' interpreter can import a module, by its file alone."""
    folder = os.environ.get(ENVIRONMENT)
    if not folder:
        return importlib.util.find_spec(name) is not None
    for packages in Path(folder).glob("lib/python3.*/site-packages"):
        listed = [packages]
        for file in packages.glob("*.pth"):
            lines = file.read_text(encoding="utf-8").splitlines()
            listed += [packages / line for line in lines if not line.startswith("import")]
        if any((at / name).is_dir() or any(at.glob(f"{name}.*")) for at in listed):
            return True
    return False


def definitions(kind: str) -> list[str]:
    """What registers by a kind of rival: its module here, and what it runs elsewhere."""
    own = [f"warpline.registration.rivals.{kind}"]
    if kind in PROGRAMS:
        folder = "warpline.registration.rivals.drivers"
        driver = f"run_{kind}" if PROGRAMS[kind].module else "run_command"
        own += [f"{folder}.{driver}", f"{folder}.measured"]
    return own
