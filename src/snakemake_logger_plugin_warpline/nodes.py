"""How much memory the machines have that jobs run on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from snakemake import cli

from snakemake_logger_plugin_warpline.asked import options_of, profiles_of
from warpline.plan.config import read_yaml
from warpline.plan.run import this_machine_mb

LOCAL = ("local", "dryrun", "touch")  # Snakemake's own executors


def memory_of_nodes(workflow: Any, arguments: Sequence[str], begun: Path) -> Callable[[], float]:
    """What gives MB of memory of a machine that trainings run on.

    Where Snakemake's executor runs jobs here, this machine's. Else the most that a partition of the
    scheduler allows (``slurm-partition-config``), of those with GPUs where there are some; without
    end where nobody says it.

    Parameters
    ----------
    workflow
        Snakemake's; it knows its executor when it asks for the first job's resources. Of a dry run
        it only knows that there is none.
    arguments
        Of the command line, which tells of a dry run where the jobs would go.
    begun
        Where the command was given.
    """

    @cache
    def asked() -> float:
        local, named = workflow.local_exec, None
        if not local:
            named = getattr(workflow.executor_settings, "partition_config", None)
        elif workflow.dryrun:
            local, named = _meant(workflow, arguments, begun)
        if local:
            return this_machine_mb()
        path = Path(begun, named) if named else None
        return most_allowed(path) if path and path.is_file() else math.inf

    return asked


def _meant(workflow: Any, arguments: Sequence[str], begun: Path) -> tuple[bool, str | None]:
    """Whether jobs would run on this machine, and the description of the partitions."""
    given, _ = cli.get_argument_parser().parse_known_args(list(arguments))
    options: dict[str, Any] = {}
    for profile in profiles_of(given, workflow, begun):
        options |= options_of(profile)[1]
    executor = given.executor or options.get("executor")
    typed = getattr(given, "slurm_partition_config", None)  # of Snakemake's, where it is not given
    partitions = typed if isinstance(typed, str) else options.get("slurm-partition-config")
    return executor in (None, *LOCAL), partitions


def most_allowed(partitions: Path) -> float:
    """The most MB that a partition of the SLURM plugin's description allows a job.

    Raises
    ------
    WarplineError
        If the file cannot be read.
    """
    found = (read_yaml(partitions).get("partitions") or {}).values()
    found = [partition or {} for partition in found]
    with_gpus = [partition for partition in found if partition.get("max_gpu")]
    return max(
        (part.get("max_mem_mb") or math.inf for part in with_gpus or found), default=math.inf
    )
