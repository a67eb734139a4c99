"""``warpline register``: two scans, one command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from warpline.cli import options

if TYPE_CHECKING:
    from warpline.registration.variational.call import Registration

SURE = 0.5  # confidence from which on a result is called sure


@click.command()
@click.argument("fixed", type=options.FILE)
@click.argument("moving", type=options.FILE)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("registration"),
    show_default=True,
    help="The folder to write.",
)
@click.option("--fixed-mask", type=options.FILE, help="Where to look in FIXED.")
@click.option("--moving-mask", type=options.FILE, help="Where to look in MOVING.")
@click.option("--fixed-landmarks", type=options.FILE, help="Points of FIXED to bring together ...")
@click.option("--moving-landmarks", type=options.FILE, help="... with those of MOVING by name.")
@click.option(
    "--modality",
    type=click.Choice(["auto", "like", "unlike"]),
    default="auto",
    show_default=True,
    help="Whether both show tissues in like shades, or not (CT and MR).",
)
@click.option(
    "--quality",
    type=click.Choice(["fast", "balanced", "best"]),
    default="balanced",
    show_default=True,
)
@click.option("--smoothness", type=float, default=0.01, show_default=True, help="More: smoother.")
@click.option(
    "--start",
    type=click.Choice(["none", "translation", "rigid", "affine"]),
    default="affine",
    show_default=True,
    help="What comes before the deformation; none trusts the scanners' frames.",
)
@click.option("--segmenter", help="A model that segments both, see 'warpline models'.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="All that there are, if not given.")
@options.json_option
@click.pass_context
@options.in_words
def register(
    context: click.Context,
    fixed: Path,
    moving: Path,
    output: Path,
    fixed_mask: Path | None,
    moving_mask: Path | None,
    fixed_landmarks: Path | None,
    moving_landmarks: Path | None,
    modality: str,
    quality: str,
    smoothness: float,
    start: str,
    segmenter: str | None,
    device: str,
    threads: int | None,
    machine: bool,
) -> None:
    """Register MOVING to FIXED by the project's own method, without training.

    The folder then holds field.nii.gz (ITK, mm, on FIXED's grid), inverse.nii.gz (on MOVING's),
    affine.tfm, warped.nii.gz (MOVING on FIXED's grid), overview.png and registration.json.

    \b
    Examples:
      warpline register fixed.nii.gz moving.nii.gz -o out
      warpline register ct.nii.gz mr.nii.gz --modality unlike -o out
      warpline apply out --fixed ct.nii.gz --labels organs_in_mr.nii.gz -o organs_in_ct.nii.gz

    The exit status is 1 if the method is not sure that the images show the same, and 2 if
    something cannot be read or written.
    """
    import torch

    from warpline.images.files import read_image
    from warpline.registration.variational.call import register as find

    if threads is not None:
        torch.set_num_threads(threads)
    images = read_image(fixed), read_image(moving)
    points = _points(fixed_landmarks, moving_landmarks, [image.grid for image in images])
    found = find(
        *images,
        quality=quality,
        smoothness=smoothness,
        start=start,
        masks=(fixed_mask, moving_mask),
        landmarks=points,
        segmenter=segmenter,
        appearance=modality,
        device=device,
    )
    told = {
        "fixed": str(fixed),
        "moving": str(moving),
        "settings": {"quality": quality, "smoothness": smoothness, "start": start},
        **found.diagnostics,
    }
    options.wrote(_write(output, images, found, told))
    sure = float(told["confidence"]) >= SURE
    if machine:
        click.echo(json.dumps(told, indent=2, default=str))
    else:
        click.echo(_in_words(told, sure))
    context.exit(0 if sure else 1)


def _points(fixed: Path | None, moving: Path | None, grids: list) -> tuple | None:
    """Points of both images with a name in common, (n, 3) each, mm, LPS."""
    import numpy as np

    from warpline.errors import WarplineError
    from warpline.fields.exchange.points import read_points

    if fixed is None and moving is None:
        return None
    if fixed is None or moving is None:
        raise WarplineError(
            "Landmarks of one image alone say nothing.",
            where="--fixed-landmarks, --moving-landmarks",
            do="Give both, with the same names for the same places.",
        )
    read = [read_points(path) for path in (fixed, moving)]
    common = [name for name in read[0].ids if name in set(read[1].ids)]
    if not common:
        raise WarplineError(
            "The two files of landmarks have no name in common.",
            where=f"{fixed}, {moving}",
            do="Give the same place the same name in both.",
        )
    places = [
        dict(zip(p.ids, p.physical(g), strict=True)) for p, g in zip(read, grids, strict=True)
    ]
    return tuple(np.array([place[name] for name in common]) for place in places)


def _write(folder: Path, images: tuple, found: Registration, told: dict[str, Any]) -> list[Path]:
    """All files of a registration."""
    import numpy as np
    import SimpleITK as sitk

    from warpline.fields.physical import DisplacementField
    from warpline.figures.overview import draw_overview
    from warpline.files import atomic_path, write_json
    from warpline.images.files import write_image
    from warpline.images.itk import grid_of
    from warpline.images.resample import resample_to

    folder.mkdir(parents=True, exist_ok=True)
    fixed, moving = images
    field = DisplacementField(sitk.GetArrayFromImage(found.field), grid_of(found.field))
    warped = field.warp_image(moving)
    files = {"field.nii.gz": found.field, "inverse.nii.gz": found.inverse}
    for name, image in files.items():
        with atomic_path(folder / name) as temporary:
            sitk.WriteImage(image, str(temporary))
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(np.asarray(found.affine)[:3, :3].ravel().tolist())
    affine.SetTranslation(np.asarray(found.affine)[:3, 3].tolist())
    with atomic_path(folder / "affine.tfm") as temporary:
        sitk.WriteTransform(affine, str(temporary))
    write_image(folder / "warped.nii.gz", warped)
    before = resample_to(moving, fixed.grid)
    arrays = [np.asarray(image.array, np.float32) for image in (fixed, before, warped)]
    jacobian = np.pad(field.jacobian_determinant(), 1, mode="edge")
    draw_overview(*arrays, jacobian, fixed.grid.spacing, folder / "overview.png")
    write_json(folder / "registration.json", told)
    others = ("affine.tfm", "warped.nii.gz", "overview.png", "registration.json")
    return [folder / name for name in (*files, *others)]


def _in_words(told: dict[str, Any], sure: bool) -> str:
    seconds, folds = float(told["seconds"]), int(told["folds"])
    known = f"confidence {float(told['confidence']):.2f}"
    said = "" if sure else "; look at overview.png before you use the field"
    return f"registered in {seconds:.1f} s, {folds} folds, {known}{said}"
