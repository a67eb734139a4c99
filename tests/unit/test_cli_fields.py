"""The commands on fields, by files that are known, as a shell runs them."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from click.testing import CliRunner, Result
from exchangetools import FIXED, LPS, MOVING, RAS, apply, voxels, world
from fieldtools import smooth_field, smooth_image

from warpline.cli.main import main
from warpline.fields.exchange import FORMATS, read_transform
from warpline.fields.exchange.points import read_points, write_points
from warpline.fields.io import read_field, write_field
from warpline.fields.physical import DisplacementField
from warpline.images.files import read_image, write_image
from warpline.images.grid import Grid, Image

# Around the place to which the known map takes the fixed image.
CENTRE = apply(LPS, [FIXED.index_to_physical((np.array(FIXED.shape) - 1) / 2)])[0]
TARGET = Grid(
    (24, 24, 24),
    (1.0, 1.1, 1.2),
    tuple(CENTRE - np.reshape(MOVING.direction, (3, 3)) @ (np.array([1.0, 1.1, 1.2]) * 11.5)),
    MOVING.direction,
)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def ok(*arguments: object) -> Result:
    done = run(*arguments)
    assert done.exit_code == 0, done.output
    return done


def plane(grid: Grid) -> np.ndarray:
    """An image whose value is a linear function of the place, so that any resampling is exact."""
    return (grid.index_to_physical(grid.indices()) @ (0.5, -1.0, 2.0)).astype(np.float32)


@pytest.fixture
def files(tmp_path) -> Path:
    """The known map as ``field.nii.gz``, images of both grids, and points of both images."""
    write_field(tmp_path / "field.nii.gz", DisplacementField.from_matrix(LPS, FIXED))
    write_image(tmp_path / "fixed.nii.gz", Image(plane(FIXED), FIXED))
    write_image(tmp_path / "moving.nii.gz", Image(plane(TARGET), TARGET))
    points = world(FIXED, voxels(FIXED))[5:12]
    names = [f"p{k}" for k in range(len(points))]
    write_points(tmp_path / "fixed.csv", names, points)
    write_points(tmp_path / "moving.mrk.json", names, apply(LPS, points))
    return tmp_path


def test_help_of_every_command_has_examples():
    for name in ("apply", "compose", "convert", "evaluate", "inspect", "invert", "jacobian"):
        told = ok(name, "--help").output
        assert f"warpline {name} " in told.split("Examples:")[1]
        assert "exit status" in told


def test_convert(files):
    ok("convert", files / "field.nii.gz", "--to", "niftyreg", "-o", files / "affine.txt")
    np.testing.assert_allclose(np.loadtxt(files / "affine.txt"), RAS, atol=1e-4)
    images = ("--fixed", files / "fixed.nii.gz", "--moving", files / "moving.nii.gz")
    ok("convert", files / "field.nii.gz", "--to", "fsl", *images, "-o", files / "warp.nii.gz")
    ok("convert", files / "warp.nii.gz", "--from", "fsl", *images, "-o", files / "back.nii.gz")
    back, known = read_field(files / "back.nii.gz"), read_field(files / "field.nii.gz")
    np.testing.assert_allclose(back.vectors, known.vectors, atol=1e-3)
    done = run("convert", files / "warp.nii.gz", "--from", "fsl", "-o", files / "no.nii.gz")
    assert done.exit_code == 2
    assert "moving image is needed" in done.stderr
    assert "--moving" in done.stderr
    assert run("convert", "none.tfm", "--from", "antz", "-o", "x").exit_code == 2
    assert not (files / "no.nii.gz").exists()


def test_apply_brings_what_belongs_to_the_moving_image_to_the_fixed_one(files):
    field = files / "field.nii.gz"
    ok("apply", field, "--image", files / "moving.nii.gz", "-o", files / "w.nii.gz")
    warped = read_image(files / "w.nii.gz")
    assert warped.grid.close_to(FIXED)
    points = world(FIXED, voxels(FIXED))
    expected = apply(LPS, points) @ (0.5, -1.0, 2.0)
    ijk = voxels(FIXED)
    found = warped.array[ijk[:, 2], ijk[:, 1], ijk[:, 0]]
    # Where the map stays on the moving image.
    index = TARGET.physical_to_index(apply(LPS, points))
    inside = ((index >= 0) & (index <= 23)).all(axis=1)
    assert inside.mean() > 0.9
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-3)

    ok("apply", field, "--points", files / "moving.mrk.json", "-o", files / "a.fcsv")
    there, known = read_points(files / "a.fcsv"), read_points(files / "fixed.csv")
    assert there.ids == known.ids
    np.testing.assert_allclose(there.values, known.values, atol=1e-3)


def test_apply_inverse_brings_what_belongs_to_the_fixed_image_to_the_moving_one(files):
    field = files / "field.nii.gz"
    ok("apply", field, "--inverse", "--points", files / "fixed.csv", "-o", files / "b.csv")
    there, known = read_points(files / "b.csv"), read_points(files / "moving.mrk.json")
    np.testing.assert_allclose(there.values, known.values, atol=1e-3)

    moving = ("--moving", files / "moving.nii.gz")
    ok(
        "apply",
        field,
        "--inverse",
        *moving,
        "--image",
        files / "fixed.nii.gz",
        "-o",
        files / "v.mha",
    )
    image = read_image(files / "v.mha")
    assert image.grid.close_to(TARGET)
    starts = apply(np.linalg.inv(LPS), TARGET.index_to_physical(TARGET.indices()).reshape(-1, 3))
    index = FIXED.physical_to_index(starts)
    inside = ((index >= 0) & (index <= np.array(FIXED.shape) - 1)).all(axis=1)
    assert inside.sum() > 500
    expected = starts @ (0.5, -1.0, 2.0)
    np.testing.assert_allclose(image.array.ravel()[inside], expected[inside], atol=2e-3)
    for side, name in ((moving, "fixed"), (("--inverse", *moving), "moving")):
        done = run("apply", field, *side, "--image", files / f"{name}.nii.gz", "-o", "x.nii.gz")
        assert done.exit_code == 2
        assert f"belongs to the {name} image" in done.stderr
    done = run("apply", field, "--inverse", "--image", files / "fixed.nii.gz", "-o", "x.nii.gz")
    assert done.exit_code == 2
    assert "--moving" in done.stderr


def test_apply_keeps_labels_and_goes_onto_another_grid(files):
    labels = np.random.default_rng(0).choice([0, 3, 300], TARGET.shape).astype(np.int16)
    write_image(files / "labels.nii.gz", Image(labels, TARGET))
    onto = ("--onto", files / "fine.nii.gz")
    fine = Grid((5, 6, 7), (0.4, 0.5, 0.6), tuple(world(FIXED, np.array([[2, 3, 2]]))[0]))
    write_image(files / "fine.nii.gz", Image(np.zeros(fine.shape, np.float32), fine))
    ok(
        "apply",
        files / "field.nii.gz",
        "--labels",
        files / "labels.nii.gz",
        *onto,
        "-o",
        files / "l.nii.gz",
    )
    found = read_image(files / "l.nii.gz")
    assert found.grid.close_to(fine)
    assert found.array.dtype == np.int16
    there = apply(LPS, fine.index_to_physical(fine.indices()).reshape(-1, 3))
    index = TARGET.physical_to_index(there)
    sure = (np.abs(index - np.rint(index)) < 0.49).all(axis=1)
    nearest = np.rint(index).astype(int)
    expected = labels[nearest[:, 0], nearest[:, 1], nearest[:, 2]]
    np.testing.assert_array_equal(found.array.ravel()[sure], expected[sure])
    assert run("apply", files / "field.nii.gz", "-o", "x.nii.gz").exit_code == 2


def test_points_in_voxels_need_their_image(files):
    (files / "voxels.csv").write_text("id,i,j,k\na,12,11,10\n")
    done = run(
        "apply", files / "field.nii.gz", "--points", files / "voxels.csv", "-o", files / "o.csv"
    )
    assert done.exit_code == 2
    assert "--moving" in done.stderr
    moving = ("--moving", files / "moving.nii.gz")
    ok(
        "apply",
        files / "field.nii.gz",
        "--points",
        files / "voxels.csv",
        *moving,
        "-o",
        files / "o.csv",
    )
    expected = apply(np.linalg.inv(LPS), world(TARGET, np.array([[12, 11, 10]])))
    np.testing.assert_allclose(read_points(files / "o.csv").values, expected, atol=1e-3)


def test_a_folder_stands_for_the_field_in_it(files):
    ok("jacobian", files)
    done = run("jacobian", files / "none")
    assert done.exit_code == 2


def test_invert_and_compose(files):
    moving = ("--moving", files / "moving.nii.gz")
    told = ok("invert", files / "field.nii.gz", *moving, "--json", "-o", files / "inverse.nii.gz")
    assert json.loads(told.stdout)["residual_largest_mm"] < 2e-3
    back = read_field(files / "inverse.nii.gz")
    assert back.grid.close_to(TARGET)
    ok("compose", files / "field.nii.gz", files / "inverse.nii.gz", "-o", files / "both.nii.gz")
    assert np.abs(read_field(files / "both.nii.gz").vectors).max() < 2e-3
    # An affine map has no grid: the image between need not be given.
    np.savetxt(files / "affine.txt", np.linalg.inv(RAS))
    ok(
        "compose",
        files / "field.nii.gz",
        files / "affine.txt",
        "--from",
        "itk",
        "--from",
        "niftyreg",
        "-o",
        files / "both.nii.gz",
    )
    assert np.abs(read_field(files / "both.nii.gz").vectors).max() < 2e-3


def folded() -> DisplacementField:
    field = DisplacementField.identity(FIXED)
    field.vectors[4, 5, 5] = np.reshape(FIXED.direction, (3, 3)) @ (5.0, 0.0, 0.0)
    return field


def test_jacobian(files):
    told = json.loads(ok("jacobian", files / "field.nii.gz", "--json").stdout)
    assert told["median"] == pytest.approx(np.linalg.det(LPS[:3, :3]), abs=1e-4)
    assert told["folds"] == 0
    assert told["sdlogj"] < 1e-4
    write_field(files / "folded.nii.gz", folded())
    done = run("jacobian", files / "folded.nii.gz", "--json", "--map", files / "j.nii.gz")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["folds"] >= 1
    image = read_image(files / "j.nii.gz")
    assert image.grid.close_to(FIXED)
    # Central differences of a step of 5 mm along x over two voxels of 0.8 mm.
    assert image.array[4, 5, 6] == pytest.approx(1 - 5 / 1.6, abs=1e-3)
    assert run("invert", files / "folded.nii.gz", "-o", files / "i.nii.gz").exit_code == 1


def test_evaluate(files):
    labels = np.zeros(TARGET.shape, np.uint8)
    labels[6:18, 6:18, 6:18] = 2
    write_image(files / "ml.nii.gz", Image(labels, TARGET))
    field = files / "field.nii.gz"
    ok("apply", field, "--labels", files / "ml.nii.gz", "-o", files / "fl.nii.gz")
    # The header of the labels differs in its last digits from that of the image.
    near = read_image(files / "fl.nii.gz")
    origin = tuple(np.add(near.grid.origin, 3e-3))
    write_image(
        files / "fl.nii.gz",
        Image(near.array, Grid(near.grid.shape, near.grid.spacing, origin, near.grid.direction)),
    )
    pair = ("--fixed", files / "fixed.nii.gz", "--moving", files / "moving.nii.gz")
    both = ("--fixed-labels", files / "fl.nii.gz", "--moving-labels", files / "ml.nii.gz")
    marks = ("--fixed-landmarks", files / "fixed.csv")
    partners = ("--moving-landmarks", files / "moving.mrk.json")
    told = json.loads(ok("evaluate", field, *pair, *both, *marks, *partners, "--json").stdout)
    values = {(row["metric"], row["label"]): row["value"] for row in told}
    assert values["dice", "2"] == 1
    assert values["folding_fraction", ""] == 0
    assert max(values["tre", f"p{k}"] for k in range(7)) < 1e-3
    table = ok("evaluate", field, *pair, *marks, *partners).output.splitlines()
    assert table[0].split() == ["metric", "mean", "unit", "n"]
    assert next(line.split() for line in table if line.startswith("tre "))[2:] == ["mm", "7"]
    assert "p3" in ok("evaluate", field, *pair, *marks, *partners, "--each").output

    done = run("evaluate", field, *pair, *marks)
    assert done.exit_code == 2
    assert "--moving-landmarks" in done.stderr
    (files / "other.csv").write_text("id,x,y,z\np0,1,2,3\nq,1,2,3\n")
    done = run("evaluate", field, *pair, *marks, "--moving-landmarks", files / "other.csv")
    assert done.exit_code == 2
    assert "7 landmarks have no partner" in done.stderr
    assert "q (only moving)" in done.stderr
    half = np.add(near.grid.origin, 0.5 * FIXED.spacing[2])
    write_image(
        files / "fl.nii.gz",
        Image(near.array, Grid(FIXED.shape, FIXED.spacing, tuple(half), FIXED.direction)),
    )
    done = run("evaluate", field, *pair, *both)
    assert done.exit_code == 2
    assert "does not lie where its image lies" in done.stderr


# --- inspect ------------------------------------------------------------------------------------


def inspected(path: Path, status=0) -> dict:
    done = run("inspect", path, "--json")
    assert done.exit_code == status, done.output
    return json.loads(done.stdout)[0]


@pytest.mark.parametrize(
    ("format", "name"),
    [
        ("itk", "a.nii.gz"),
        ("ants", "out_1Warp.nii.gz"),
        ("fsl", "a.nii.gz"),
        ("niftyreg", "a.nii.gz"),
        ("spm", "y_a.nii"),
        ("learn2reg", "disp_0001_0002.nii.gz"),
        ("learn2reg", "disp_0001_0002.npz"),
        ("voxelmorph", "a.npz"),
        ("slicer", "a.nrrd"),
        ("elastix", "TransformParameters.0.txt"),
    ],
)
def test_inspect_tells_what_each_program_writes(files, format, name):
    from warpline.fields.exchange import write_transform

    write_transform(files / name, smooth_field(FIXED), format, TARGET if "npz" in name else FIXED)
    told = inspected(files / name)
    assert told["seems"] == ("itk" if format == "slicer" else format)
    assert told["why"]
    if told["kind"] == "field":
        assert told["folds"] == 0
        length = np.linalg.norm(smooth_field(FIXED).vectors, axis=-1)
        assert (
            told["displacement_mm"] == f"{length.mean():.3g} (mean), {length.max():.3g} (largest)"
        )


def test_inspect_tells_affine_maps_and_points(files):
    sitk.WriteTransform(sitk.AffineTransform(3), os.fspath(files / "out_0GenericAffine.mat"))
    assert inspected(files / "out_0GenericAffine.mat")["seems"] == "ants"
    np.savetxt(files / "flirt.mat", RAS)
    told = inspected(files / "flirt.mat")
    assert (told["kind"], told["seems"]) == ("affine map", "fsl")
    np.testing.assert_allclose(told["matrix"], RAS, atol=1e-5)
    np.savetxt(files / "mirror.txt", np.diag([-1, 1, 1, 1]))
    assert "mirrors" in inspected(files / "mirror.txt", 1)["problems"][0]
    told = inspected(files / "moving.mrk.json")
    assert (told["kind"], told["points"], told["unit"]) == ("points", 7, "mm, LPS")


def nifti(path: Path, array: np.ndarray, sform=None, qform=None) -> Path:
    image = nibabel.Nifti1Image(array, None)
    image.set_qform(qform, 0 if qform is None else 1)
    image.set_sform(sform, 0 if sform is None else 1)
    nibabel.save(image, path)
    return path


def test_inspect_tells_what_looks_wrong(tmp_path):
    array = np.zeros((6, 7, 8), np.float32)
    straight = np.diag([-1.0, -1.2, 2.0, 1.0])
    assert inspected(nifti(tmp_path / "good.nii.gz", array, straight, straight))["problems"] == []

    def said(**header) -> str:
        path = nifti(tmp_path / "a.nii.gz", header.pop("array", array), **header)
        return " ".join(inspected(path, 1)["problems"])

    assert "Neither qform nor sform" in said()
    moved = straight.copy()
    moved[0, 3] = 3.0
    assert "up to 3 mm apart" in said(sform=moved, qform=straight)
    sheared = straight.copy()
    sheared[0, 1] = 0.01
    assert "by less than a degree" in said(sform=sheared)
    sheared[0, 1] = 0.5
    assert "by more than a degree" in said(sform=sheared)
    holes = array.copy()
    holes[1, 2, 3] = np.nan
    assert "1 values are no finite" in said(array=holes, sform=straight)
    assert "holds 2 volumes" in said(array=np.zeros((4, 4, 4, 2), np.float32), sform=straight)
    write_field(tmp_path / "folded.nii.gz", folded())
    told = inspected(tmp_path / "folded.nii.gz", 1)
    assert f"folds at {told['folds']} voxels" in told["problems"][0]
    left = straight @ np.diag([-1, 1, 1, 1])
    assert "left-handed" in inspected(nifti(tmp_path / "l.nii.gz", array, left, left))["handedness"]
    done = run("inspect", tmp_path / "good.nii.gz", tmp_path / "a.nii.gz")
    assert done.exit_code == 1
    assert "  ! " in done.output
    assert run("inspect", tmp_path / "none.nii").exit_code == 2
    (tmp_path / "torn.nii.gz").write_bytes((tmp_path / "good.nii.gz").read_bytes()[:60])
    assert run("inspect", tmp_path / "torn.nii.gz").exit_code == 2


def test_ambiguous_voxels_are_not_guessed(tmp_path):
    array = np.random.default_rng(0).normal(size=(6, 7, 8, 3)).astype(np.float32)
    told = inspected(nifti(tmp_path / "f.nii.gz", array, np.eye(4), np.eye(4)))
    assert told["seems"] is None
    assert "does not say" in told["why"]


def test_images_are_read_through_the_same_field_by_every_program(files):
    """A whole journey: a field goes through every program's file and warps as before."""
    image = smooth_image(TARGET, sigma=2)
    field = read_field(files / "field.nii.gz")
    before = field.warp_image(image).array
    for format in ("ants", "fsl", "niftyreg", "spm", "learn2reg", "voxelmorph", "slicer"):
        out = files / ("a.npz" if format == "voxelmorph" else "a.nii.gz")
        pair = ("--fixed", files / "fixed.nii.gz", "--moving", files / "moving.nii.gz")
        ok("convert", files / "field.nii.gz", "--to", format, *pair, "-o", out)
        back = read_transform(out, format, FIXED, TARGET)
        np.testing.assert_allclose(back.warp_image(image).array, before, atol=1e-3)


# --- documentation ------------------------------------------------------------------------------


def shown(text: str) -> list[list[str]]:
    """The command lines of a text, each as its words; what follows two spaces is said of it."""
    joined = re.sub(r"\s*\\\n\s*", " ", text)
    lines = (re.split(r"\s{2,}", line.strip())[0] for line in joined.splitlines())
    return [shlex.split(line) for line in lines if line.startswith("warpline ")]


def test_every_example_is_a_command_that_exists():
    page = (Path(__file__).parents[2] / "docs" / "exchange.md").read_text(encoding="utf-8")
    helps = [ok(name, "--help").output for name in main.list_commands(None)]
    lines = [words for text in (page, *helps) for words in shown(text)]
    assert len(lines) > 30
    for _, name, *arguments in lines:
        main.get_command(None, name).make_context(name, arguments)


def test_the_page_names_every_format():
    page = (Path(__file__).parents[2] / "docs" / "exchange.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(FORMATS)
