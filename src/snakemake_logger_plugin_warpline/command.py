"""Slips of a command line of Snakemake's that would end in a traceback or a page of options.

Snakemake reads its plugins before its options, so this is the place where they can be told.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

SWALLOWING = ("--configfile", "--configfiles", "--config")
PROFILES = ("--workflow-profile", "--profile")
# Where the command was given: Snakemake reads its plugins before it goes to its --directory.
BEGUN = Path.cwd()


def problem(arguments: Sequence[str]) -> str | None:
    """What is wrong with the arguments of ``snakemake``, and what to write; None if nothing is.

    A target after ``--configfile X`` or ``--config a=b`` is taken for another of their values: for
    a file that is not there, or for a setting without ``=``.
    """
    option = None
    for word in arguments:
        if word == "--":
            break
        if word.startswith("-"):
            option = word if word in SWALLOWING else None
            continue
        if option is None or word.startswith("{"):
            continue
        wrong = "=" not in word if option == "--config" else not os.path.exists(word)
        named = option == "--config" or not word.endswith((".yaml", ".yml", ".json"))
        if wrong and named:
            rest = " ".join(part for part in arguments if part != word)
            return (
                f"'{word}' was taken for a value of {option}: that option takes all words after "
                f"it.\n  to do: Put targets first, as in: snakemake {word} {rest}"
            )
        if wrong:
            return f"The configuration file '{word}' does not exist.\n  to do: Check its path."
    return _without_slurm(arguments)


def _without_slurm(arguments: Sequence[str]) -> str | None:
    """A profile for SLURM where Snakemake's plugin for it is not installed."""
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is not None:
        return None
    for option, folder in pairwise(arguments):
        for name in ("config.yaml", "config.v8+.yaml", "config.v9+.yaml"):
            path = Path(folder) / name
            if option in PROFILES and path.is_file():
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
                if any(line.split("#")[0].strip() == "executor: slurm" for line in lines):
                    return (
                        f"{folder} sends jobs to SLURM, for which Snakemake's plugin is missing.\n"
                        "  to do: .venv/bin/pip install --no-deps --requirement envs/slurm.lock "
                        "(docs/cluster.md)"
                    )
    return None


def check() -> None:
    """Tell the slip of this process's own command line, if it is Snakemake's and has one."""
    found = problem(arguments())
    if found:
        sys.exit(found)


def arguments() -> list[str]:
    """The words of this command line; none where a program that is not snakemake runs it."""
    program = Path(sys.argv[0])
    own = program.stem == "snakemake" or program.parts[-2:] == ("snakemake", "__main__.py")
    return sys.argv[1:] if own else []
