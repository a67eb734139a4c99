"""Two images registered by one call, by any method that is ready."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from warpline.acquire.scans import as_image, as_volume, read_mask
from warpline.cases.case import Case
from warpline.cases.lungs import lungs_of
from warpline.errors import WarplineError
from warpline.fields.physical import DisplacementField
from warpline.registration import registrar
from warpline.registration.result import Registration

if TYPE_CHECKING:
    from warpline.registration.chosen import Chosen

log = logging.getLogger(__name__)

OWN = "warpline"
LUNGS = "lungs"  # instead of masks: they are found
APART = 0.05  # of what could overlap, below which images do not


def register(
    fixed: Any,
    moving: Any,
    *,
    method: str = OWN,
    masks: tuple[Any | None, Any | None] | str = (None, None),
    device: str = "auto",
    threads: int | None = None,
    seed: int | None = None,
    **options: Any,
) -> Registration:
    """Register two images, of one modality or of two.

    Parameters
    ----------
    fixed, moving
        Three-dimensional images: paths (of a file, or of a folder with one DICOM series),
        SimpleITK images, nibabel images, or pairs of an array (z, y, x) and its
        `warpline.images.grid.Grid`.
    method
        ``warpline`` (the project's own), ``syn``, ``elastix-bspline``, ``affine``, another file of
        methods that needs no training, a model of the house, or the path of a checkpoint
        (``.safetensors``) with its record beside it.
    masks
        Of the fixed and of the moving image, on their grids: where to look. Either may be None.
        ``"lungs"``: the lungs of two CTs, which are found.
    device
        ``cpu``, ``cuda``, or ``auto``: cuda where there is one and the method can use it.
    threads
        As many as torch takes by itself, if None.
    seed
        Of what is random; the method's own if None.
    options
        Of the method ``warpline``: ``quality`` (fast, balanced, best), ``smoothness``, ``start``
        (none, translation, rigid, affine, or a matrix (4, 4)), ``landmarks`` (two arrays (n, 3) of
        corresponding points, mm, LPS), ``probabilities`` (two arrays (C, z, y, x)) or
        ``segmenter`` (a model that finds them), ``appearance`` (auto, like, unlike). See
        `warpline.registration.variational.call.register`.

    Returns
    -------
    Registration
        Fields both ways, and what the method tells of itself.

    Raises
    ------
    WarplineError
        If an image cannot be read or is no volume, no lungs are found in it where they are asked
        for, there is no such method, the method does not take an option, or it fails.

    Examples
    --------
    >>> found = warpline.register("fixed.nii.gz", "moving.nii.gz")
    >>> found.warp("moving.nii.gz")
    """
    if device not in ("auto", "cpu", "cuda"):
        raise WarplineError(
            f"There is no device '{device}'.", where="device", do="One of: auto, cpu, cuda."
        )
    if isinstance(masks, str):
        if masks != LUNGS:
            raise WarplineError(
                f"'{masks}' are no masks.",
                where="masks",
                do=f"Give one of each image, or '{LUNGS}', which are found.",
            )
        masks = LUNGS, LUNGS
    cases = [
        _case(name, image, mask)
        for name, image, mask in (("fixed", fixed, masks[0]), ("moving", moving, masks[1]))
    ]
    started = time.perf_counter()
    found = _by_name(cases, method, device, threads, seed, options)
    told = {"method": method, **found.diagnostics, "seconds": time.perf_counter() - started}
    return replace(found, diagnostics=told)


def _by_name(
    cases: list[Case],
    method: str,
    device: str,
    threads: int | None,
    seed: int | None,
    options: dict[str, Any],
) -> Registration:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if method == OWN:
        from warpline.registration.variational.call import register as own

        found = own(*cases, device=device, **options)
        if found.diagnostics["overlap"] < APART:
            log.warning(
                "What both images show%s does not lie on each other after the start; the field is "
                "no more than a guess. Look at the masks, or at --start",
                " within their masks" if any(case.mask for case in cases) else "",
            )
        if found.diagnostics["lungs"]:
            log.warning(
                "Both images show lungs. If they matter most and a breath lies between them, look "
                "into them alone: --lungs, or masks='lungs'"
            )
        told = {"title": "warpline", "device": device, **found.diagnostics}
        return replace(found, diagnostics=told)
    foreign = sorted(name for name, value in options.items() if value is not None)
    if foreign:
        raise WarplineError(
            f"The method '{method}' does not take: {', '.join(foreign)}.",
            where="the arguments of the call",
            do="Leave them out, or use the method 'warpline'.",
        )
    return _by_method(cases, method, device, threads or torch.get_num_threads(), seed)


def _by_method(
    cases: list[Case], name: str, device: str, threads: int, seed: int | None
) -> Registration:
    from warpline.fields.inverse import invert_onto
    from warpline.registration.chosen import choose

    found, title, used = _found(cases, choose(name, threads=threads, seed=seed), device)
    backward, missed = invert_onto(found.field, cases[1].grid)
    known = missed[np.isfinite(missed)]
    told = {
        "title": title,
        "device": used,
        **found.diagnostics.values,
        "there_and_back_mm": float(np.percentile(known, 99)) if known.size else None,
    }
    return Registration(found.field, backward, None, told)


def _found(
    cases: Sequence[Case], chosen: Chosen, device: str
) -> tuple[registrar.Registration, str, str]:
    """What a method finds of a pair, after its initial registration; its title and device."""
    from warpline.registration.in_frame import register_in_frame
    from warpline.registration.initial import resample_moving
    from warpline.registration.method import registrar as ready_registrar

    fixed, moving = cases
    title, first = chosen.title, None
    if chosen.initial:
        before, said, _ = _found(cases, chosen.initial, device)
        title, first = f"{said}, then {title}", before.field
        moving = resample_moving(moving, first)
    with ready_registrar(chosen.method, device, job=f"a pair by {chosen.name}") as ready:
        if chosen.moved:
            field = register_in_frame(
                lambda *seen: ready.register(*seen).field, fixed, moving, chosen.moved
            )
            found = registrar.Registration(field)
        else:
            found = ready.register(fixed, moving)
        used = ready.device
    if first is not None:
        found = replace(found, field=first.compose(found.field))
    return found, title, used


def _case(name: str, image: Any, mask: Any | None) -> Case:
    """One of the two images, and where to look in it."""
    read = as_volume(image, name)
    if mask is None:
        return Case(name, read)
    if isinstance(mask, str) and mask == LUNGS:
        return Case(name, read, mask=lungs_of(read, name))
    return Case(name, read, mask=read_mask(mask, read.grid, name))


def apply(
    transform: Any,
    image: Any,
    *,
    labels: bool = False,
    inverse: bool = False,
    onto: Any | None = None,
) -> Any:
    """Bring an image of the moving side to the fixed one, or with `inverse` the other way.

    Parameters
    ----------
    transform
        A `Registration`, a `DisplacementField`, or a path that `read_transform` reads.
    image
        As of `register`; or an array (n, 3) of points, mm, LPS.
    labels
        Whether it is a label map: no value comes anew.
    inverse
        Whether it belongs to the fixed image and goes to the moving one.
    onto
        An image whose grid the result shall have. With `inverse` it is needed unless `transform`
        is a `Registration`.

    Returns
    -------
    SimpleITK.Image or numpy.ndarray
        The image, or the points.

    Raises
    ------
    WarplineError
        If something cannot be read, or the grid of the moving image is not known.
    """
    from warpline.fields.inverse import invert_onto, invert_points
    from warpline.images.itk import to_sitk

    forward, backward = _both(transform)
    if isinstance(image, np.ndarray):
        points = np.asarray(image, np.float64).reshape(-1, 3)
        return (
            forward.transform_points(points, order=1)
            if inverse
            else invert_points(forward, points)[0]
        )
    read = as_image(image)
    grid = None if onto is None else as_image(onto, "onto").grid
    if not inverse:
        field = forward if grid is None else forward.resample(grid)
    elif backward is not None and grid is None:
        field = backward
    elif grid is None:
        raise WarplineError(
            "On which grid the result shall lie is not known.",
            where="onto",
            do="Give the moving image.",
        )
    else:
        field = invert_onto(forward, grid).field
    return to_sitk(field.warp_labels(read) if labels else field.warp_image(read))


def read_transform(
    files: Any, format: str = "itk", *, fixed: Any | None = None, moving: Any | None = None
) -> DisplacementField:
    """A transform of another program, from fixed to moving points, mm, LPS.

    Parameters
    ----------
    files
        One path, or several in the program's own order; of the folder of a registration its field.
    format
        ``itk``, ``ants``, ``elastix``, ``fsl``, ``niftyreg``, ``spm``, ``afni``, ``slicer``,
        ``learn2reg`` or ``voxelmorph``.
    fixed, moving
        The two images, as of `register`; which of them is needed depends on the program.

    Raises
    ------
    WarplineError
        As `warpline.fields.exchange.read_transform`.
    """
    from warpline.fields.exchange import read_transform as read

    grids = [None if image is None else as_image(image).grid for image in (fixed, moving)]
    if isinstance(files, str | os.PathLike) and os.path.isdir(files):
        files = os.path.join(files, "field.nii.gz")
    return read(files, format, *grids)


def _both(transform: Any) -> tuple[DisplacementField, DisplacementField | None]:
    if isinstance(transform, Registration):
        return transform.forward, transform.backward
    if isinstance(transform, DisplacementField):
        return transform, None
    return read_transform(transform), None
