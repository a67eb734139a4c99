"""``warpline run``: the workflow in a folder of one's own, by Snakemake."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import click

from warpline.cli import options
from warpline.cli.run_log import check_unlocked
from warpline.errors import WarplineError
from warpline.plan.config import read_yaml
from warpline.plan.loading import ConfigFiles
from warpline.plan.places import Places, project_folder
from warpline.plan.targets import TARGETS
from warpline.registry import suggestion

# What may name a configuration that only Snakemake reads.
CONFIGURING = ("--config", "-C", "--configfile", "--configfiles", "--snakefile", "-s")
KINDS = ("datasets", "methods", "studies")


PROFILE = "--workflow-profile"
# What says by itself how much is done at a time.
MANY = ("--executor", "-e", "--jobs", "-j")

cores_option = click.option(
    "-c",
    "--cores",
    help="Cores to use at a time.  [default: all; those of a profile where one says]",
)


@click.command(context_settings={"ignore_unknown_options": True})
@options.directory_option
@cores_option
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[STUDY]... [OPTION]...")
@options.in_words
def run(directory: Path, cores: str | None, arguments: tuple[str, ...]) -> None:
    """Make the tables and figures of a study or a paper, or all that the folder names.

    Whatever is there and up to date stays. All other options are Snakemake's:

    \b
      warpline run                       all studies, and one page: results/report.html
      warpline run mystudy               its tables and figures
      warpline run mystudy --dry-run     what would be done
      warpline run mystudy --keep-going  one bad scan does not stop the others
      warpline run --config seed=1       with a value of config.yaml changed
      warpline run --workflow-profile slurm    by a profile of the project's, or a folder
    """
    places = Places.here(project_folder(), directory)
    arguments = with_profile(arguments, places)
    if not any(argument.split("=")[0] in CONFIGURING for argument in arguments):
        check_targets(places, [a for a in arguments[:1] if not a.startswith("-")])
    options.check_writable(directory)
    check_unlocked(directory, arguments)
    words = [*snakemake(places, directory), *cores_of(cores, arguments), *arguments]
    # In this process's place: Ctrl-C and other signals reach Snakemake alone, which tidies up.
    os.execv(words[0], words)


def snakemake(places: Places, directory: Path) -> list[str]:
    """The beginning of a command that runs the project's workflow in a folder."""
    workflow = ["--snakefile", str(places.root / "Snakefile"), "--directory", str(directory)]
    return [sys.executable, "-m", "snakemake", *workflow]


def cores_of(cores: str | None, arguments: Sequence[str]) -> list[str]:
    """Snakemake's option: as asked for, else all cores of this machine.

    Unless a profile or an option says how much is done at a time: on a cluster the cores of the
    machine from which jobs are submitted would be the most that any of them is given.
    """
    if cores is not None:
        return ["--cores", cores]
    words = [part for argument in arguments for part in argument.split("=", 1)]
    said = any(word in MANY for word in words)
    for name, value in pairwise(words):
        if name in (PROFILE, "--profile"):
            path = Path(value) / "config.yaml"
            profile = read_yaml(path) if path.is_file() else {}
            said |= bool({"executor", "cores", "jobs"} & set(profile))
    return [] if said else ["--cores", "all"]


def configuration(places: Places) -> ConfigFiles:
    """The configuration of a folder, as its files say."""
    return ConfigFiles(read_yaml(places.config_file), places)


def check_targets(places: Places, named: Sequence[str]) -> None:
    """Refuse a study that is not there, before Snakemake starts.

    Raises
    ------
    WarplineError
        If a target is neither a study nor a paper of this run, nor a path; or if none is named
        where there is nothing to run.
    """
    if not named and places.own and not _is_ones_own(places):
        raise WarplineError(
            "There is nothing to run: neither config.yaml nor studies.",
            where=places.own,
            do="Write them by 'warpline init DATA', or name a paper: 'warpline run estienne2020'.",
        )
    config = configuration(places).config
    known = [*config["studies"], *config["papers"], *TARGETS]
    for name in named:
        if name not in known and not any(sign in name for sign in "/."):
            raise WarplineError(
                f"There is no study or paper '{name}' in this run.",
                where=places.config_file,
                do=suggestion(name, known),
            )


def _is_ones_own(places: Places) -> bool:
    folders = (folder / kind for folder in places.owns for kind in KINDS)
    return places.config_file.parent in places.owns or any(map(Path.is_dir, folders))


def with_profile(arguments: Sequence[str], places: Places) -> list[str]:
    """The arguments, a profile of the project's by its path."""
    found = list(arguments)
    for place, argument in enumerate(found):
        option, sign, name = argument.rpartition("=")
        if not sign and place and found[place - 1] == PROFILE:
            option = PROFILE
        own = places.root / "profiles" / name
        if option == PROFILE and not Path(name).exists() and own.is_dir():
            found[place] = f"{PROFILE}={own}" if sign else str(own)
    return found
