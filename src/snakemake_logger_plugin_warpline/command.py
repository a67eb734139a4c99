"""Slips of a command line of Snakemake's that would end in a traceback or a page of options.

Snakemake reads its plugins before its options, so this is the place where they can be told.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

SWALLOWING = ("--configfile", "--configfiles", "--config")
PROFILES = ("--workflow-profile", "--profile")
PARTITIONS = "--slurm-partition-config"
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
    for path, lines in _profiles(arguments):
        if any(line.split("#")[0].strip() == "executor: slurm" for line in lines):
            return (
                f"{path.parent} sends jobs to SLURM, for which Snakemake's plugin is missing.\n"
                "  to do: .venv/bin/pip install --no-deps --requirement envs/slurm.lock "
                "(docs/cluster.md)"
            )
    return None


def with_partitions(arguments: Sequence[str], begun: Path) -> list[str]:
    """The arguments, the description of SLURM's partitions by a path that holds anywhere.

    Snakemake's plugin for SLURM looks for it where the command was given and reads it in
    ``--directory``. A profile's relative path is here one from where the command was given, from
    the profile's folder, or from one above it.

    Parameters
    ----------
    arguments
        Of ``snakemake``.
    begun
        Where the command was given.

    Raises
    ------
    FileNotFoundError
        If a profile names a description that is in none of these places, with what to do.
    """
    given = [part for word in arguments for part in _parted(word)]
    typed = [place for place, option in enumerate(given[:-1], start=1) if option == PARTITIONS]
    for place in typed:
        given[place] = str(begun / given[place])
    if typed:
        return given
    for path, lines in _profiles(arguments, begun):
        words = [line.split("#")[0].strip().partition(":") for line in lines]
        for named in (value.strip(" '\"") for key, _, value in words if f"--{key}" == PARTITIONS):
            known = [folder / named for folder in (begun, *path.absolute().parents)]
            found = next((place for place in known if place.is_file()), None)
            if found is None:
                raise FileNotFoundError(
                    f"The description of SLURM's partitions, '{named}', is not there.\n"
                    f"  where: {path}, key '{PARTITIONS.strip('-')}'\n"
                    "  to do: Write its path as seen from the profile's folder, or the whole path."
                )
            return [PARTITIONS, str(found), *given]
    return given


def _profiles(arguments: Sequence[str], begun: Path = Path()) -> Iterator[tuple[Path, list[str]]]:
    """The files of the profiles that a command line names by their folders, and their lines."""
    words = [part for word in arguments for part in _parted(word)]
    for folder in (value for option, value in pairwise(words) if option in PROFILES):
        files = ("config.yaml", "config.v8+.yaml", "config.v9+.yaml")
        places = (begun / folder, begun / "profiles" / folder)
        for path in (place / name for place in places for name in files):
            if path.is_file():
                yield path, path.read_text(encoding="utf-8", errors="replace").splitlines()
                break


def _parted(word: str) -> list[str]:
    """An option of these and its value where one word says both."""
    return word.split("=", 1) if word.startswith((*PROFILES, PARTITIONS)) else [word]


def check() -> None:
    """Tell the slip of this process's own command line, if it is Snakemake's and has one."""
    own = arguments()
    found = problem(own)
    if found:
        sys.exit(found)
    try:
        # Snakemake reads its command line after its plugins.
        sys.argv[len(sys.argv) - len(own) :] = with_partitions(own, BEGUN)
    except FileNotFoundError as error:
        sys.exit(str(error))


def arguments() -> list[str]:
    """The words of this command line; none where a program that is not snakemake runs it."""
    program = Path(sys.argv[0])
    own = program.stem == "snakemake" or program.parts[-2:] == ("snakemake", "__main__.py")
    return sys.argv[1:] if own else []
