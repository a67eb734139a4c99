"""A case on its way through its dataset's steps, described on the way if that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from warpline.cases.case import read_case, write_case
from warpline.cases.steps import prepare
from warpline.plan.recipe import Step
from warpline.registry import lookup


def prepare_case(
    source: Path, steps: Sequence[Step], target: Path, *, explore: bool = False
) -> None:
    """Prepare the case in `source` and write it to `target`.

    Parameters
    ----------
    steps
        The dataset's ``prepare`` list.
    explore
        Describe the case as it was and as it became (`warpline.cases.exploration`).

    Raises
    ------
    WarplineError
        If a step is unknown or fails.
    """
    if not explore:
        case = prepare(read_case(source), steps)
        write_case(target, case)
    else:
        # By name, so that who does not explore is not prepared again when this code changes.
        exploration = lookup("exploration", {"exploration": "warpline.cases.exploration"}, "module")
        before = read_case(source)
        names = [next(iter(step)) for step in steps]
        until = names.index("clip_background") + 1 if "clip_background" in names else 0
        clipped = prepare(before, steps[:until])
        case = prepare(clipped, steps[until:])
        write_case(target, case)
        description = exploration.describe(before, case, clipped if until else None)
        exploration.write_description(target, description)
    print(f"{target.name}: {case.grid.shape} voxels of {case.grid.spacing} mm", flush=True)
