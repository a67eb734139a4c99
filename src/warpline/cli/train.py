"""``warpline train``: a recipe's network, by the workflow."""

from __future__ import annotations

import os
from pathlib import Path

import click

from warpline.cli import options
from warpline.cli.run import configuration, cores_of, cores_option, snakemake, with_profile
from warpline.cli.run_log import check_unlocked


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("recipe")
@click.option("--data", required=True, help="A dataset ('warpline datasets').")
@options.directory_option
@cores_option
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[OPTION]...")
@options.in_words
def train(
    recipe: str, data: str, directory: Path, cores: str | None, arguments: tuple[str, ...]
) -> None:
    """Train the network of RECIPE on a dataset, with all that this needs before it.

    The weights lie in results/ under the dataset's and the recipe's name, with model.json beside
    them; 'warpline register --method' takes them. What is there and up to date stays, and a
    training that was stopped goes on. All other options are Snakemake's.

    \b
    Examples:
      warpline train estienne2020-task4-baseline --data hippocampus --config scale=demo
      warpline train hansen2020-256 --data luna16 --dry-run

    The exit status is Snakemake's, or 2 if there is no such recipe or dataset.
    """
    from warpline.errors import WarplineError
    from warpline.plan.layout import Layout
    from warpline.plan.methods import Methods
    from warpline.plan.places import Places, project_folder

    places = Places.here(project_folder(), directory)
    files = configuration(places)
    files.path("datasets", data, "--data")
    spec = Methods(files).get(recipe)
    if "training" not in spec:
        raise WarplineError(
            f"The method '{recipe}' has nothing to train: it is of kind '{spec['kind']}'.",
            where=files.told("methods", recipe),
            do="Name a recipe with 'training'; 'warpline methods' lists them.",
        )
    options.check_writable(directory)
    check_unlocked(directory, arguments)
    weights = Layout(files.config["results"]).weights(data, recipe)
    arguments = with_profile(arguments, places)
    words = [*cores_of(cores, arguments), weights, *arguments]
    command = [*snakemake(places, directory), *words]
    # In this process's place, as 'warpline run'.
    os.execv(command[0], command)
