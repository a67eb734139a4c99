# What is to be made is decided by warpline.plan; rules ask it, and hold no logic of their own.

import shutil
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.utils import update_config

# The library beside the Snakefile, of a checkout; else the one that is installed.
HERE = Path(workflow.current_basedir.get_path_or_uri(secret_free=True))
if (SOURCE := HERE.parents[1] / "src").is_dir():
    sys.path.insert(0, str(SOURCE))

from snakemake_logger_plugin_warpline import command, forks, take_the_terminal
from snakemake_logger_plugin_warpline.asked import read_words, settle
from snakemake_logger_plugin_warpline.nodes import memory_of_nodes
from snakemake_logger_plugin_warpline.rules import asking, growing, passing
from snakemake_logger_plugin_warpline.timers import stop_timers
from warpline.errors import WarplineError
from warpline.plan.environment import export_environment
from warpline.plan.inputs import acquire, arena, cases, described, disk, evaluate
from warpline.plan.inputs import explorer, fields, figures, models, needs, papers
from warpline.plan.inputs import register, train, tune, weights
from warpline.plan.outlook import outlook
from warpline.plan.places import Places, installed, library
from warpline.plan.run import Run

places = Places.here(installed(HERE.parents[1]))


configfile: str(places.config_file)


update_config(config, read_words(workflow.config_settings.config))
asked = None
if workflow.is_main_process:
    take_the_terminal(logger, workflow.output_settings)
    asked = settle(workflow, config, command.arguments(), command.BEGUN)
nodes = memory_of_nodes(workflow, command.arguments(), command.BEGUN)
try:
    export_environment(library(), places.networks())
    forks.start_quickly(workflow, HERE.parents[1] / "scripts")
    run = Run(config, places, asked and asked.sources, nodes)
    if workflow.is_main_process and workflow.output_settings:
        cores = workflow.resource_settings.cores
        logger.info(outlook(run, asked.targets, asked.origin, cores))
except WarplineError as error:
    raise WorkflowError(str(error)) from None

ask, layout, settings = asking(run), run.layout, run.catalog.config
heavy = needs.memory_mb(run)  # a job whose data nobody can count before
# What much else waits for goes first: else the longest trainings come last, one core after the other.
CASES_FIRST, TRAININGS_FIRST = 10, 20


wildcard_constraints:
    dataset=r"[A-Za-z0-9_-]+",
    method=r"[A-Za-z0-9_-]+(\+[0-9.e-]+)?(=tuned)?(@[A-Za-z0-9]+)?(~[0-9]+)?",
    paper=r"[A-Za-z0-9_-]+",
    split=r"[A-Za-z0-9]+",
    batch=r"[A-Za-z0-9_.-]+",
    table=r"[A-Za-z0-9_-]+",
    figure=r"[A-Za-z0-9_-]+",


def in_report(files, caption, paper, subcategory):
    """Outputs that a job remakes one by one; some of the formats go into Snakemake's report."""
    shown = dict(
        caption=f"../report/{caption}.rst", category=paper, subcategory=subcategory
    )
    return [
        (
            update(report(file, **shown, labels={"file": Path(file).name}))
            if file.endswith((".csv", ".html", ".png"))
            else update(file)
        )
        for file in files
    ]


onstart:
    # Of a run that was killed Snakemake leaves copies of what was being remade, and falls over
    # them when it wants to make them again. What is remade here is whole at any moment.
    shutil.rmtree(workflow.persistence.path / "backups", ignore_errors=True)


onsuccess:
    stop_timers()


onerror:
    stop_timers()
