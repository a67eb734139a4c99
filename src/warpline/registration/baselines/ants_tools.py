"""What the baselines made with ANTs share."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.fields.antspy import load_ants
from warpline.images.grid import Image
from warpline.plan.recipe import Parameters
from warpline.registration.baselines.tools import check_finite, tool_run
from warpline.registry import suggestion

# Arguments of ants.registration that the caller decides, not a method's file. `random_seed` is in
# its signature's **kwargs, and ignored.
TAKEN = {"fixed", "moving", "mask", "moving_mask", "outprefix", "verbose", "kwargs"}
TAKEN |= {"initial_transform", "write_composite_transform", "multivariate_extras"}


def run(
    fixed: Case,
    moving: Case,
    parameters: Parameters,
    use: Callable[[list[str]], Any],
    *,
    seed: int,
    start: str | None = None,
) -> Any:
    """Register by ``ants.registration`` and return ``use(forward transform files)``.

    ANTs repeats itself to the bit only on one thread and with a seed, and takes both from
    ``ants.config`` and the environment; so it always runs on one thread. The files are gone
    afterwards.

    Parameters
    ----------
    fixed, moving
        The cases.
    parameters
        Arguments of ``ants.registration`` by name, and ``masked``: whether to look only inside
        the masks of cases that have them (default true).
    use
        Called with the paths, in the order of ``fwdtransforms``.
    seed
        Of ANTs' random sampling; 0 is taken as any other seed.
    start
        The file of a transform to begin with, or ``Identity``; None: the shift between the centres
        of mass, for which the least intensity of each image counts as 0. ANTs takes intensities
        for masses as they are: of Hounsfield units those of air would count, and of z-scores, whose
        sum is 0, the centre lies nowhere.

    Raises
    ------
    WarplineError
        For an unknown parameter, and for an error of ANTs, with its last lines of output.
    """
    # Before the first use of ANTs: its ITK reads this once.
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"
    ants = load_ants()

    options = {**parameters}
    masked = options.pop("masked", True)
    known = set(inspect.signature(ants.registration).parameters) - TAKEN
    for key in options:
        if key not in known:
            raise WarplineError(
                f"ANTs' registration has no parameter '{key}' that a method may set.",
                where=f"parameters: {key}",
                do=suggestion(key, known),
            )
    # It tells one stage from several by the type: a tuple is one value for each level.
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    for name, key, case in (("fixed", "mask", fixed), ("moving", "moving_mask", moving)):
        check_finite("ANTs", f"{name} {case.id}", case.image)
        if masked and case.mask is not None:
            options[key] = ants_image(case.mask)
    with tool_run("ANTs", fixed.id, moving.id) as folder:
        # ITK takes seed 0 for the clock.
        ants.config.set_ants_deterministic(True, seed + 1)
        images = [fixed.image, moving.image]
        if start is None:
            images = [_from_zero(image) for image in images]
        result = ants.registration(
            *map(ants_image, images),
            outprefix=f"{folder}/ants_",
            initial_transform=start,
            verbose=True,
            **options,
        )
        return use(result["fwdtransforms"])


def _from_zero(image: Image) -> Image:
    """The image with its least value moved to 0, if that is below: no metric here notices."""
    least = np.float32(image.array.min())
    return Image(image.array.astype(np.float32) - least, image.grid) if least < 0 else image


def ants_image(image: Image):
    """An `Image` as an ``ants.ANTsImage``, float32; its arrays are indexed (x, y, z)."""
    ants = load_ants()

    return ants.from_numpy(
        np.ascontiguousarray(image.array.astype(np.float32).transpose(2, 1, 0)),
        origin=tuple(image.grid.origin),
        spacing=tuple(image.grid.spacing),
        direction=np.array(image.grid.direction).reshape(3, 3),
    )
