"""A field measured by one call, whichever program made it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from warpline.acquire.scans import as_image, place_of
from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.fields.exchange.common import same_place
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid, Image

if TYPE_CHECKING:
    import pandas as pd

WHOLE = 1e-3  # by which a label's value may miss a whole number: a writer's rounding


def evaluate(
    transform: Any,
    fixed: Any,
    moving: Any,
    *,
    fixed_labels: Any | None = None,
    moving_labels: Any | None = None,
    fixed_landmarks: Any | None = None,
    moving_landmarks: Any | None = None,
) -> pd.DataFrame:
    """Measure a transform by the metrics of this project.

    Parameters
    ----------
    transform
        A `DisplacementField`, a `warpline.registration.result.Registration`, or the path of a field
        or of the folder of a registration.
    fixed, moving
        The images, as `warpline.acquire.scans.as_image` takes them; label maps likewise, on the
        grids of their images.
    fixed_landmarks, moving_landmarks
        Paths of points, or tables with the columns ``id, x, y, z`` (mm, LPS); matched by ``id``.

    Returns
    -------
    pandas.DataFrame
        ``metric, label, value, unit``, a row a metric and label or landmark; the metrics are listed
        in ``docs/architecture.md``.

    Raises
    ------
    WarplineError
        If something cannot be read, only one image has labels or landmarks, a label map lies
        elsewhere than its image, or a landmark has no partner.
    """
    import pandas as pd

    from warpline.evaluation.pairs import evaluate_pair
    from warpline.registration.call import read_transform
    from warpline.registration.result import Registration

    cases = given_cases(
        (fixed, fixed_labels, fixed_landmarks), (moving, moving_labels, moving_landmarks)
    )
    if isinstance(transform, Registration):
        transform = transform.forward
    if not isinstance(transform, DisplacementField):
        images = [case.image for case in cases]
        transform = read_transform(transform, fixed=images[0], moving=images[1])
    return pd.DataFrame(evaluate_pair(*cases, transform, label_names(*cases)))


def given_cases(
    fixed: tuple[Any, Any | None, Any | None], moving: tuple[Any, Any | None, Any | None]
) -> tuple[Case, Case]:
    """Both cases of a pair, of (image, label map, landmarks) each, checked against one another."""
    cases = []
    for name, (given, labels, landmarks) in (("fixed", fixed), ("moving", moving)):
        image = as_image(given, name)
        cases.append(
            Case(
                name,
                image,
                labels=None if labels is None else _labels(labels, image.grid, given),
                landmarks=None if landmarks is None else _landmarks(landmarks, image.grid),
            )
        )
    _check_partners(*cases)
    return tuple(cases)


def _labels(given: Any, grid: Grid, image: Any) -> Image:
    """A label map on its image's grid, from which headers may differ in their last digits."""
    read = as_image(given, "the label map")
    path = place_of(given, "the label map")
    if read.array.ndim != 3:
        raise WarplineError("The label map has more than one number a voxel.", where=path)
    if not same_place(read.grid, grid):
        raise WarplineError(
            f"The label map does not lie where its image lies ({place_of(image, 'image')}).",
            where=path,
            do="Give the labels of this image, on its own grid.",
        )
    whole = np.rint(read.array)
    if not np.isfinite(whole).all() or np.abs(read.array - whole).max(initial=0) > WHOLE:
        raise WarplineError(
            "The label map holds numbers that are not whole.",
            where=path,
            do="Export it without interpolation (nearest neighbour), and NaN as 0.",
        )
    return Image(whole.astype(np.int32), grid)


def _landmarks(given: Any, grid: Grid) -> pd.DataFrame:
    import pandas as pd

    from warpline.fields.exchange.points import read_points

    if isinstance(given, pd.DataFrame):
        return given[["id", "x", "y", "z"]]
    points = read_points(Path(given))
    table = pd.DataFrame(points.physical(grid), columns=["x", "y", "z"])
    table.insert(0, "id", list(points.ids))
    return table


def _check_partners(fixed: Case, moving: Case) -> None:
    """That both images have labels or landmarks, and the same landmarks."""
    for what in ("labels", "landmarks"):
        if (getattr(fixed, what) is None) != (getattr(moving, what) is None):
            other = "moving" if getattr(moving, what) is None else "fixed"
            raise WarplineError(
                f"The {what} of the {other} image are missing.", do=f"Give --{other}-{what}."
            )
    if fixed.landmarks is None:
        return
    one, two = set(fixed.landmarks["id"]), set(moving.landmarks["id"])
    if one != two:
        lone = [
            f"{name} (only {of})"
            for of, names in (("fixed", one - two), ("moving", two - one))
            for name in sorted(names)
        ]
        raise WarplineError(
            f"{len(lone)} landmarks have no partner of their name: {', '.join(lone[:10])}"
            + (" …" if len(lone) > 10 else "")
            + ".",
            where="--fixed-landmarks, --moving-landmarks",
            do="Name corresponding points alike in both files, and leave out the others.",
        )


def label_names(fixed: Case, moving: Case) -> dict[int, str]:
    """The labels that either image has, by their numbers; 0 is the background."""
    if fixed.labels is None:
        return {}
    values = np.union1d(fixed.labels.array, moving.labels.array)
    return {int(value): str(int(value)) for value in values if value > 0}
