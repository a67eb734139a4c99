"""`warpline.register`, `apply`, `evaluate`, `read_transform`: images of every kind, in memory."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from fieldtools import oblique, smooth_field, smooth_image

import warpline
from warpline.acquire.scans import as_image
from warpline.cli.main import main
from warpline.cli.page import page
from warpline.errors import WarplineError
from warpline.fields.exchange.nifti import ras_affine
from warpline.fields.io import write_field
from warpline.images.files import write_image
from warpline.images.itk import to_sitk

PROJECT = Path(__file__).parents[2]
GRID = oblique((10, 12, 11), seed=2)
IMAGE = smooth_image(GRID, seed=5)


def in_nibabel():
    return nibabel.Nifti1Image(IMAGE.array.transpose(2, 1, 0), ras_affine(GRID))


def test_an_image_is_the_same_whatever_it_comes_as(tmp_path):
    write_image(tmp_path / "a.nii.gz", IMAGE)
    kinds = (
        IMAGE, to_sitk(IMAGE), in_nibabel(), (IMAGE.array, GRID), tmp_path / "a.nii.gz",
        str(tmp_path / "a.nii.gz"),
    )  # fmt: skip
    for given in kinds:
        read = as_image(given)
        np.testing.assert_array_equal(read.array, IMAGE.array)
        assert read.grid.close_to(GRID, 1e-4), type(given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (7, "This is no image: int"),
        ((np.zeros((2, 3, 4)), GRID), r"the shape \(2, 3, 4\)"),
        (nibabel.Nifti1Image(np.zeros((3, 3, 3, 2)), np.eye(4)), "three axes"),
    ],
)
def test_what_is_no_image_is_named(given, said):
    with pytest.raises(WarplineError, match=said):
        as_image(given, "fixed")


def test_identity_leaves_all_where_it_is():
    found = warpline.register(in_nibabel(), to_sitk(IMAGE), method="identity")
    assert not found.forward.vectors.any()
    assert (found.folds, found.affine, found.diagnostics["method"]) == (0, None, "identity")
    np.testing.assert_allclose(
        sitk.GetArrayFromImage(warpline.apply(found, IMAGE)), IMAGE.array, atol=1e-6
    )


def test_apply_brings_points_and_images_both_ways(tmp_path):
    field = smooth_field(GRID, seed=1)
    write_field(tmp_path / "field.nii.gz", field)
    points = GRID.index_to_physical(np.array([[4.0, 5, 6], [5, 6, 4]]))
    there = points + field.vectors[[4, 5], [5, 6], [6, 4]]
    for transform in (field, tmp_path / "field.nii.gz", tmp_path):
        moved = warpline.apply(transform, points, inverse=True)
        np.testing.assert_allclose(moved, there, atol=1e-4)
        np.testing.assert_allclose(warpline.apply(transform, moved), points, atol=1e-3)
    own = sitk.Resample(
        to_sitk(IMAGE),
        to_sitk(IMAGE),
        sitk.DisplacementFieldTransform(
            sitk.Cast(sitk.ReadImage(tmp_path / "field.nii.gz"), sitk.sitkVectorFloat64)
        ),
    )
    inner = (slice(3, -3),) * 3
    ours = sitk.GetArrayFromImage(warpline.apply(field, IMAGE))
    np.testing.assert_allclose(ours[inner], sitk.GetArrayFromImage(own)[inner], atol=1e-4)
    with pytest.raises(WarplineError, match="grid the result") as error:
        warpline.apply(field, IMAGE, inverse=True)
    assert error.value.do == "Give the moving image."
    back = warpline.apply(field, to_sitk(IMAGE), inverse=True, onto=IMAGE, labels=True)
    assert back.GetSize() == GRID.shape[::-1]


def test_evaluate_counts_what_is_given():
    labels = (IMAGE.array > 0).astype(np.int16) + 1
    shifted = np.roll(labels, 1, axis=2)
    table = warpline.evaluate(
        warpline.register(IMAGE, IMAGE, method="identity"),
        IMAGE,
        IMAGE,
        fixed_labels=(labels, GRID),
        moving_labels=(shifted, GRID),
    )
    dice = table[table.metric == "dice"].set_index("label").value
    for value in (1, 2):
        a, b = labels == value, shifted == value
        assert dice[str(value)] == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
    with pytest.raises(WarplineError, match="labels of the moving image are missing"):
        warpline.evaluate(smooth_field(GRID), IMAGE, IMAGE, fixed_labels=(labels, GRID))


def test_a_device_or_option_that_is_not_there_is_named():
    with pytest.raises(WarplineError, match="no device 'tpu'"):
        warpline.register(IMAGE, IMAGE, device="tpu")
    with pytest.raises(WarplineError, match="does not take: quality"):
        warpline.register(IMAGE, IMAGE, method="identity", quality="fast")


def test_masks_that_are_none_are_named():
    with pytest.raises(WarplineError, match="'lung' are no masks"):
        warpline.register(IMAGE, IMAGE, masks="lung")
    with pytest.raises(WarplineError, match="No lung is found") as error:
        warpline.register(IMAGE, IMAGE, masks="lungs")
    assert error.value.where == "the fixed image"


def test_the_example_notebook_runs(capsys):
    path = PROJECT / "examples" / "two-scans.ipynb"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    names: dict = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), str(path), "exec"), names)
            assert not cell["outputs"]
    said = capsys.readouterr().out
    assert "0 folds" in said
    assert "[ 3.  -2.   1.5]" in said
    table = names["table"]
    assert table[table.metric == "dice"].value.iloc[0] > 0.95


def test_the_page_of_the_commands_is_what_help_says():
    kept = (PROJECT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert kept == page(), "python -m warpline.cli.page > docs/commands.md"
    assert {line[3:] for line in kept.splitlines() if line.startswith("## ")} == set(
        main.list_commands(None)
    )
