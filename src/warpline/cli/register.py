"""``warpline register``: two scans, one command."""

from __future__ import annotations

import ctypes
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from warpline.cli import options

if TYPE_CHECKING:
    import numpy as np

    from warpline.images.grid import Image
    from warpline.registration.result import Registration
    from warpline.report.pair import Pair

# CT and MR are themselves like in shades, whoever made them.
MODALITIES = {"auto": None, "like": "like", "unlike": "unlike", "ct": "like", "mr": "like"}
LISTED = 5  # landmarks that are named
# Of the C library's mallopt: what is freed stays, and nothing is taken beside it.
KEEPING = {"M_TRIM_THRESHOLD": (-1, 2**31 - 1), "M_MMAP_MAX": (-4, 0)}


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
@click.option(
    "--method",
    default="warpline",
    show_default=True,
    help="syn, elastix-bspline, affine, … ('warpline methods'), a model or a checkpoint.",
)
@click.option("--fixed-mask", type=options.FILE, help="Where to look in FIXED.")
@click.option("--moving-mask", type=options.FILE, help="Where to look in MOVING.")
@click.option(
    "--lungs",
    is_flag=True,
    help="Look into the lungs of two CTs, which are found; what is around them slides along.",
)
@click.option("--fixed-landmarks", type=options.FILE, help="Points of FIXED to bring together ...")
@click.option("--moving-landmarks", type=options.FILE, help="... with those of MOVING by name.")
@click.option(
    "--modality",
    type=click.Choice(list(MODALITIES)),
    default="auto",
    show_default=True,
    help="Both CT, both MR, or whether tissues have like shades in both or not (CT and MR).",
)
@click.option(
    "--quality",
    type=click.Choice(["fast", "balanced", "best"]),
    help="Of the method warpline.  [default: balanced]",
)
@click.option("--smoothness", type=float, help="Of the method warpline; more is smoother.")
@click.option(
    "--start",
    type=click.Choice(["none", "translation", "rigid", "affine"]),
    help="What comes before the deformation; none trusts the scanners' frames.  [default: affine]",
)
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True
)
@click.option("--segmenter", help="A model that segments both, for the method warpline.")
@click.option("--threads", type=click.IntRange(min=1), help="All that there are, if not given.")
@options.volume_option
@options.json_option
@options.verbose_option
@click.pass_context
@options.in_words
def register(
    context: click.Context,
    fixed: Path,
    moving: Path,
    output: Path,
    method: str,
    fixed_mask: Path | None,
    moving_mask: Path | None,
    lungs: bool,
    fixed_landmarks: Path | None,
    moving_landmarks: Path | None,
    modality: str,
    quality: str | None,
    smoothness: float | None,
    start: str | None,
    segmenter: str | None,
    device: str,
    threads: int | None,
    volume: int | None,
    machine: bool,
) -> None:
    """Register MOVING to FIXED: by the project's own method, or by another one.

    FIXED and MOVING are image files, or folders that hold one DICOM series each. The folder then
    holds field.nii.gz (ITK, mm, on FIXED's grid), inverse.nii.gz (on MOVING's), affine.tfm (if the
    method tells it), warped.nii.gz (MOVING on FIXED's grid), report.html and registration.json.

    \b
    Examples:
      warpline register fixed.nii.gz moving.nii.gz -o out
      warpline register ct.nii.gz mr.nii.gz --modality unlike -o out
      warpline register inhale.nii.gz exhale.nii.gz --lungs -o breath
      warpline register a.nii.gz b.nii.gz --method syn -o by_syn
      warpline apply out --labels organs_in_moving.nii.gz -o organs_in_fixed.nii.gz

    The exit status is 1 if the method is not sure that the images show the same, and 2 if
    something cannot be read or written.
    """
    from warpline.acquire.scans import looks_like_labels, read_scan
    from warpline.registration.call import register as find
    from warpline.report.pair import Pair, is_sure, measured

    _keep_memory()
    wait_asleep()
    with options.heard() as said:
        images = read_scan(fixed, volume), read_scan(moving, volume)
        options.check_writable(output)
        for path, image in zip((fixed, moving), images, strict=True):
            if looks_like_labels(image):
                options.log.warning(
                    "%s: holds few whole numbers, as label maps do. If it is one, register the "
                    "images and bring it over by 'warpline apply --labels'",
                    path,
                )
        masks = _masks(fixed_mask, moving_mask, lungs, images)
        points = _points(fixed_landmarks, moving_landmarks, [image.grid for image in images])
        chosen = {
            "quality": quality,
            "smoothness": smoothness,
            "start": start,
            "appearance": MODALITIES[modality],
            "segmenter": segmenter,
        }
        own = {"landmarks": points} if method == "warpline" else {}
        found = find(
            *images,
            method=method,
            masks=tuple(masks),
            device=device,
            threads=threads,
            **{name: value for name, value in chosen.items() if value is not None},
            **own,
        )
    pair = Pair(found, *images, *masks)
    output.mkdir(parents=True, exist_ok=True)
    # One thread packs what the other has not to wait for.
    with ThreadPoolExecutor(1) as beside:
        fields = beside.submit(_write_fields, output, found)
        told = {
            "fixed": str(fixed),
            "moving": str(moving),
            "volume": volume,
            "device": device,
            **found.diagnostics,
            **measured(pair, points),
        }
        others = _write_page(output, pair, told, said)
        options.wrote([*fields.result(), *others])
    if machine:
        click.echo(json.dumps(told, indent=2, default=str))
    else:
        click.echo(_in_words(told, output))
    context.exit(1 if is_sure(told) is False else 0)


def _masks(
    fixed: Path | None, moving: Path | None, lungs: bool, images: tuple[Image, Image]
) -> list[Image | None]:
    """Where to look in each image: in what is given, or in its lungs."""
    from warpline.acquire.scans import read_mask
    from warpline.cases.lungs import lungs_of
    from warpline.errors import WarplineError

    names, paths = ("fixed", "moving"), (fixed, moving)
    if not lungs:
        return [
            None if path is None else read_mask(path, image.grid, name)
            for path, image, name in zip(paths, images, names, strict=True)
        ]
    if any(path is not None for path in paths):
        raise WarplineError(
            "A mask is given, and lungs are to be looked for.",
            where="--lungs, --fixed-mask, --moving-mask",
            do="Give masks of both lungs, or '--lungs' alone.",
        )
    return [lungs_of(image, name) for image, name in zip(images, names, strict=True)]


def _points(
    fixed: Path | None, moving: Path | None, grids: list
) -> tuple[np.ndarray, np.ndarray] | None:
    """Points of both images with a name in common, (n, 3) each, mm, LPS; others are told."""
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
    places = []
    for path, points, grid in zip((fixed, moving), read, grids, strict=True):
        alone = [name for name in points.ids if name not in common]
        if alone:
            _tell(path, alone, "have no partner of their name and are left out")
        known = dict(zip(points.ids, points.physical(grid), strict=True))
        place = np.array([known[name] for name in common])
        off = options.beyond(grid, place)
        if off.any():
            outside = [name for name, o in zip(common, off, strict=True) if o]
            _tell(path, outside, "lie outside their image")
        places.append(place)
    return tuple(places)


def _tell(path: Path, names: list[str], what: str) -> None:
    listed = ", ".join(names[:LISTED]) + (" …" if len(names) > LISTED else "")
    options.log.warning("%s: %d landmarks %s: %s", path, len(names), what, listed)


def _keep_memory() -> None:
    """Have the C library, where it is glibc, keep what is freed for what comes next.

    Else each array of a volume's size is asked of the system and cleared by it: a sixth of the
    time.
    """
    try:
        change = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for parameter, value in KEEPING.values():
        change(parameter, value)


def wait_asleep() -> None:
    """Have the threads of torch sleep while they wait for each other, unless one says otherwise.

    Else they spin, and where other work runs they take the cores from each other and from it: two
    threads needed 42 seconds of CPU for what takes 17. The library reads it when it is loaded.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _write_fields(folder: Path, found: Registration) -> list[Path]:
    """Both fields, and the affine map if it is known."""
    from warpline.fields.exchange.itk import sitk_affine, write_sitk
    from warpline.fields.io import write_field

    written = [folder / "field.nii.gz", folder / "inverse.nii.gz"]
    for path, field in zip(written, (found.forward, found.backward), strict=True):
        write_field(path, field, quick=True)
    if found.affine is not None:
        written.append(folder / "affine.tfm")
        write_sitk(written[-1], sitk_affine(found.affine))
    return written


def _write_page(folder: Path, pair: Pair, told: dict[str, Any], said: list[str]) -> list[Path]:
    """The warped image, the page and the record."""
    from warpline.files import write_json
    from warpline.images.files import write_image
    from warpline.report.pair import write_page

    written = [folder / name for name in ("warped.nii.gz", "registration.json", "report.html")]
    write_image(written[0], pair.after, quick=True)
    write_json(written[1], {**told, "said": said})
    write_page(written[2], pair, told, said)
    return written


def _in_words(told: dict[str, Any], output: Path) -> str:
    from warpline.report.pair import is_sure

    seconds, folds, sure = float(told["seconds"]), int(told["folds"]), is_sure(told)
    known = "" if sure is None else f", confidence {float(told['confidence']):.2f}"
    page = output / "report.html"
    said = f"; look at {page} before you use the field" if sure is False else f"; see {page}"
    return f"registered in {seconds:.1f} s, {folds} folds{known}{said}"
