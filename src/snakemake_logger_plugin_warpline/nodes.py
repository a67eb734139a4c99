"""How much memory the machines have that jobs run on."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from warpline.plan.config import read_yaml
from warpline.plan.run import this_machine_mb


def memory_of_nodes(workflow: Any) -> Callable[[], float]:
    """What gives MB of memory of a machine that trainings run on.

    Where Snakemake's executor runs jobs here, this machine's. Else the most that a partition of the
    scheduler allows (``slurm-partition-config``), of those with GPUs where there are some; without
    end where nobody says it.

    Parameters
    ----------
    workflow
        Snakemake's; it knows its executor when it asks for the first job's resources.
    """

    def asked() -> float:
        if workflow.local_exec:
            return this_machine_mb()
        named = getattr(workflow.executor_settings, "partition_config", None)
        return most_allowed(Path(named)) if named else math.inf

    return asked


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
