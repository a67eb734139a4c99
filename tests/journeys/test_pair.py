"""Someone with two scans: from an empty folder to a result, by the commands alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

SOURCE = Path(__file__).parents[2] / "src"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONUTF8": "1"}
SHAPE, SPACING = (26, 30, 34), (1.5, 1.5, 2.0)


def push(points: np.ndarray) -> np.ndarray:
    """From fixed to moving points, mm: a shift of 4 mm and a bulge of 3 mm in the middle."""
    middle = (np.array(SHAPE[::-1]) - 1) * SPACING / 2
    bulge = np.exp(-(((points - middle) / 12) ** 2).sum(-1, keepdims=True))
    return np.array([4.0, 0.0, 0.0]) + bulge * np.array([0.0, 3.0, -2.0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two scans with organs and landmarks, as any program may have written them."""
    folder = tmp_path_factory.mktemp("my scans, Zoë's")
    points = np.moveaxis(np.indices(SHAPE), 0, -1)[..., ::-1] * np.array(SPACING)
    noise = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((60, 60, 60)), 2.2)
    noise /= noise.std()

    def shade(places: np.ndarray) -> np.ndarray:
        index = np.moveaxis(places[..., ::-1] / 1.2 + 8, -1, 0)
        return 300 * ndimage.map_coordinates(noise, index, order=1, mode="mirror")

    def organs(places: np.ndarray) -> np.ndarray:
        centre = np.array([28.0, 24.0, 26.0])
        return (((places - centre) / (10, 9, 11)) ** 2).sum(-1) < 1

    def save(name: str, array: np.ndarray) -> None:
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(SPACING)
        sitk.WriteImage(image, os.fspath(folder / f"{name}.nii.gz"))

    # The fixed image shows at x what the moving one shows at T(x).
    save("fixed", shade(points + push(points)).astype(np.int16))
    save("moving", shade(points).astype(np.int16))
    save("fixed_organs", organs(points + push(points)).astype(np.uint8))
    save("moving_organs", organs(points).astype(np.uint8))
    marks = np.array([[16.0, 18, 20], [30, 24, 24], [24, 30, 30]])
    for name, places in (("fixed", marks), ("moving", marks + push(marks))):
        rows = [f"p{k},{x},{y},{z}" for k, (x, y, z) in enumerate(places)]
        (folder / f"{name}_points.csv").write_text("\n".join(["id,x,y,z", *rows]) + "\n")
    return folder


def shell(folder: Path, line: str) -> subprocess.CompletedProcess:
    """A command as a shell runs it in the folder."""
    words = [sys.executable, "-m", "warpline.cli", *line.split()]
    return subprocess.run(
        words, cwd=folder, env=ENVIRONMENT, capture_output=True, encoding="utf-8", check=False
    )


def warpline(folder: Path, line: str) -> str:
    """What a command that succeeds says."""
    done = shell(folder, line)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_from_two_scans_to_numbers(folder, timed):
    assert "0 folds" in warpline(
        folder, "register fixed.nii.gz moving.nii.gz -o out --quality fast --threads 1"
    )
    names = {path.name for path in (folder / "out").iterdir()}
    fields = {"field.nii.gz", "inverse.nii.gz", "affine.tfm", "warped.nii.gz"}
    assert names == fields | {"report.html", "registration.json"}

    warpline(folder, "apply out --labels moving_organs.nii.gz -o organs_on_fixed.nii.gz")
    ours, truth = (
        sitk.GetArrayFromImage(sitk.ReadImage(os.fspath(folder / f"{name}.nii.gz"))) > 0
        for name in ("organs_on_fixed", "fixed_organs")
    )
    assert 2 * (ours & truth).sum() / (ours.sum() + truth.sum()) > 0.9

    measured = warpline(
        folder,
        "evaluate out --fixed fixed.nii.gz --moving moving.nii.gz --json "
        "--fixed-labels fixed_organs.nii.gz --moving-labels moving_organs.nii.gz "
        "--fixed-landmarks fixed_points.csv --moving-landmarks moving_points.csv",
    )
    rows = json.loads(measured)
    apart = [row["value"] for row in rows if row["metric"] == "tre"]
    assert len(apart) == 3
    assert max(apart) < 1.0  # mm, of 4 to 5.4

    warpline(folder, "convert out --to ants -o 1Warp.nii.gz")
    same = json.loads(warpline(folder, "jacobian 1Warp.nii.gz --from ants --json"))
    assert same["folds"] == 0


def test_a_file_that_is_missing_is_named(folder):
    done = shell(folder, "register fixed.nii.gz movng.nii.gz -o no")
    assert done.returncode == 2
    assert "movng.nii.gz" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "no").exists()
