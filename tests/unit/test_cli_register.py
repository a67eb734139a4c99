"""``warpline register``: what it writes is what other programs read."""

import base64
import gzip
import json
import os
import re
import threading
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from click.testing import CliRunner
from fieldtools import smooth_image

from warpline.cases.lungs import segment_lungs
from warpline.cli.main import main
from warpline.cli.view import pages_of
from warpline.explorer.serve import server
from warpline.fields.exchange.points import write_points
from warpline.fields.io import read_field
from warpline.images.files import read_image, write_image
from warpline.images.grid import Grid, Image
from warpline.phantoms.anatomy import chest

SHIFT = np.array([3.0, -2.0, 1.5])  # mm, fixed to moving points
TURN = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
FIXED = Grid((24, 26, 28), (1.0, 1.2, 1.5), (5.0, -20.0, 40.0), TURN)
MOVING = Grid(FIXED.shape, FIXED.spacing, tuple(np.array(FIXED.origin) + SHIFT), TURN)


def run(*arguments: object):
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def registered(tmp_path_factory) -> Path:
    """An image and itself moved by `SHIFT`, registered into the folder ``out``."""
    folder = tmp_path_factory.mktemp("pair")
    array = smooth_image(FIXED, seed=3).array
    write_image(folder / "fixed.nii.gz", Image(array, FIXED))
    write_image(folder / "moving.nii.gz", Image(array, MOVING))
    done = run(
        "register",
        folder / "fixed.nii.gz",
        folder / "moving.nii.gz",
        "-o",
        folder / "out",
        "--quality",
        "fast",
    )
    assert done.exit_code == 0, done.output
    assert "0 folds" in done.output
    return folder


def test_the_fields_are_those_that_simpleitk_applies(registered):
    middle = np.array(FIXED.index_to_physical((np.array(FIXED.shape) - 1) / 2))
    for name, shift, point in (("field", SHIFT, middle), ("inverse", -SHIFT, middle + SHIFT)):
        field = sitk.ReadImage(str(registered / f"out/{name}.nii.gz"), sitk.sitkVectorFloat64)
        moved = sitk.DisplacementFieldTransform(field).TransformPoint(point.tolist())
        np.testing.assert_allclose(np.array(moved) - point, shift, atol=0.3)


def test_the_affine_map_is_the_shift_and_the_warped_image_the_fixed_one(registered):
    affine = sitk.ReadTransform(str(registered / "out/affine.tfm"))
    middle = FIXED.index_to_physical((np.array(FIXED.shape) - 1) / 2)
    moved = affine.TransformPoint([float(x) for x in middle])
    np.testing.assert_allclose(np.array(moved) - middle, SHIFT, atol=0.6)
    warped = read_image(registered / "out/warped.nii.gz")
    fixed = read_image(registered / "fixed.nii.gz")
    assert warped.grid == fixed.grid
    inner = (slice(5, -5),) * 3
    assert np.corrcoef(warped.array[inner].ravel(), fixed.array[inner].ravel())[0, 1] > 0.98


def test_the_result_can_be_looked_at_and_only_from_this_machine(registered):
    pages = pages_of(registered / "out")
    text = (pages / "registration" / "paper.js").read_text(encoding="utf-8")
    content = json.loads(text.split(",", 2)[2].removesuffix(");\n"))
    place = content["places"]["scans/pair"]
    before, after = (place["scores"][m]["cc"]["pairs"][0] for m in place["methods"])
    assert before < 0.9 < after
    assert place["pairs"] == [["fixed.nii.gz", "moving.nii.gz"]]
    shown = (pages / "registration" / "pair-0-1.js").read_text(encoding="utf-8")
    inverse = json.loads(shown.split(",", 2)[2].removesuffix(");\n"))["inverse"]
    assert inverse["by"] == "inverse.nii.gz"
    levels = gzip.decompress(base64.b64decode(inverse["levels"]))
    assert max(levels) <= 254  # known everywhere
    assert inverse["largest"] < 1e-3  # mm: a shift is undone by its inverse
    assert pages_of(registered / "out") == pages  # they are there now
    with server(pages) as found:
        address, port = found.server_address[:2]
        assert address == "127.0.0.1"
        threading.Thread(target=found.serve_forever, daemon=True).start()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/index.html", timeout=10) as seen:
            assert b"warpline explorer" in seen.read()
        found.shutdown()


def test_a_folder_without_pages_is_told(tmp_path):
    done = run("view", tmp_path)
    assert done.exit_code == 2
    assert "snakemake --cores 2 explorer" in done.output


def test_it_tells_what_was_done_and_how_sure_it_is(registered):
    told = json.loads((registered / "out/registration.json").read_text())
    assert told["settings"]["quality"] == "fast"
    assert 0.5 <= told["confidence"] <= 1
    assert told["folds"] == 0


def test_the_page_holds_all_that_it_shows(registered):
    page = (registered / "out/report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 3 * (7 + 2)  # and the fixed one under two
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    told = json.loads((registered / "out/registration.json").read_text())
    assert f"Confidence {told['confidence']:.2f}" in page
    assert told["correlation_after"] > 0.98 > told["correlation_before"]
    for word in ("smoothness", "moving.nii.gz", "deformed grid", "SD log J", "How sure"):
        assert word in page


def test_apply_takes_the_folder(registered):
    done = run(
        "apply", registered / "out", "--fixed", registered / "fixed.nii.gz",
        "--image", registered / "moving.nii.gz", "-o", registered / "applied.nii.gz",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    applied, warped = (
        read_image(registered / name) for name in ("applied.nii.gz", "out/warped.nii.gz")
    )
    inner = (slice(5, -5),) * 3
    np.testing.assert_allclose(applied.array[inner], warped.array[inner], atol=1e-2)


def test_landmarks_of_one_image_alone_or_without_a_common_name_are_refused(registered):
    pair = [registered / "fixed.nii.gz", registered / "moving.nii.gz", "-o", registered / "no"]
    write_points(registered / "a.csv", ["p"], np.zeros((1, 3)))
    write_points(registered / "b.csv", ["q"], np.zeros((1, 3)))
    done = run("register", *pair, "--fixed-landmarks", registered / "a.csv")
    assert done.exit_code == 2
    assert "Landmarks of one image alone" in done.output
    both = ("--fixed-landmarks", registered / "a.csv", "--moving-landmarks", registered / "b.csv")
    done = run("register", *pair, *both)
    assert done.exit_code == 2
    assert "no name in common" in done.output
    assert not (registered / "no").exists()


def test_a_file_that_is_not_there_is_named(tmp_path):
    done = run("register", tmp_path / "none.nii.gz", tmp_path / "none.nii.gz")
    assert done.exit_code == 2
    assert "none.nii.gz" in done.output


def test_landmarks_count_and_those_without_a_partner_or_outside_are_told(registered):
    inside = FIXED.index_to_physical(np.array([[10.0, 12, 14], [8, 16, 12], [-9, 3, 3]]))
    write_points(registered / "f.csv", ["a", "b", "far"], inside)
    write_points(registered / "m.csv", ["a", "b", "far", "c"], np.r_[inside, inside[:1]] + SHIFT)
    done = run(
        "register", registered / "fixed.nii.gz", registered / "moving.nii.gz",
        "-o", registered / "marked", "--quality", "fast", "--threads", "1",
        "--fixed-landmarks", registered / "f.csv", "--moving-landmarks", registered / "m.csv",
    )  # fmt: skip
    assert "1 landmarks have no partner of their name and are left out: c" in done.output
    assert "1 landmarks lie outside their image: far" in done.output
    told = json.loads((registered / "marked/registration.json").read_text())
    assert told["landmarks"] == 3
    assert told["tre_before_mm"] == pytest.approx(np.linalg.norm(SHIFT), abs=1e-3)
    assert told["tre_after_mm"] < 1


@pytest.mark.parametrize("method", ["identity", "abdomen-generated-sym"])
def test_other_methods_and_models_write_the_same_files(registered, method):
    pair = registered / "fixed.nii.gz", registered / "moving.nii.gz"
    out = registered / method
    done = run("register", *pair, "--method", method, "-o", out, "--threads", "1")
    assert done.exit_code == 0, done.output
    told = json.loads((out / "registration.json").read_text())
    assert told["method"] == method
    assert "confidence" not in told
    assert "tells nothing of how sure" in (out / "report.html").read_text(encoding="utf-8")
    field = read_field(out / "field.nii.gz")
    assert field.grid.close_to(FIXED)
    if method == "identity":
        assert not field.vectors.any()
    else:
        assert 0 < np.abs(field.vectors).max() < 200
    assert not (out / "affine.tfm").exists()


def test_what_a_method_does_not_take_or_nobody_has_is_said(registered):
    pair = registered / "fixed.nii.gz", registered / "moving.nii.gz", "-o", registered / "no"
    done = run("register", *pair, "--method", "identity", "--quality", "fast")
    assert (done.exit_code, "does not take: quality" in done.output) == (2, True)
    done = run("register", *pair, "--method", "sin")
    assert (done.exit_code, "Did you mean 'syn'" in done.output) == (2, True)
    done = run("register", *pair, "--method", "hansen2020-256")
    assert (done.exit_code, "has to be trained first" in done.output) == (2, True)


def test_with_masks_the_numbers_are_those_within_them(tmp_path):
    """Without and with a mask about the left half; the right half is noise in both images."""
    rng = np.random.default_rng(5)
    array = smooth_image(FIXED, seed=3).array
    half = np.arange(FIXED.shape[2]) < FIXED.shape[2] // 2
    for name, grid in (("fixed", FIXED), ("moving", MOVING)):
        seen = np.where(half, array, 5 * rng.normal(size=array.shape)).astype(np.float32)
        write_image(tmp_path / f"{name}.nii.gz", Image(seen, grid))
        mask = np.broadcast_to(half, grid.shape).astype(np.uint8)
        write_image(tmp_path / f"{name}_mask.nii.gz", Image(mask, grid))
    pair = [tmp_path / "fixed.nii.gz", tmp_path / "moving.nii.gz", "--quality", "fast"]
    masks = {
        side: [f"--{side}-mask", tmp_path / f"{side}_mask.nii.gz"] for side in ("fixed", "moving")
    }
    told = {}
    for name, more in (
        ("none", []),
        ("moving", masks["moving"]),
        ("both", [*masks["fixed"], *masks["moving"]]),
    ):
        done = run("register", *pair, *more, "-o", tmp_path / name)
        assert done.exit_code in (0, 1), done.output  # noise may make it unsure
        told[name] = json.loads((tmp_path / name / "registration.json").read_text())
        page = (tmp_path / name / "report.html").read_text(encoding="utf-8")
        assert ("are those within" in page) == (name != "none")
        assert name == "none" or told[name]["measured_within"] in page
    assert told["none"]["measured_within"] == "the whole images"
    assert told["both"]["measured_within"] == "the mask of the fixed image"
    assert "as the field brings it" in told["moving"]["measured_within"]
    # By hand, of the files.
    fixed, warped = (read_image(tmp_path / n).array for n in ("fixed.nii.gz", "both/warped.nii.gz"))
    within = np.broadcast_to(half, fixed.shape)
    by_hand = np.corrcoef(fixed[within], warped[within])[0, 1]
    assert told["both"]["correlation_after"] == pytest.approx(by_hand, abs=1e-5)
    assert told["both"]["correlation_after"] > 0.9 > told["none"]["correlation_after"]
    field = read_field(tmp_path / "both/field.nii.gz")
    length = np.linalg.norm(field.vectors, axis=-1)[within]
    assert told["both"]["displacement_mean_mm"] == pytest.approx(length.mean(), rel=1e-5)
    inner = np.log(field.jacobian_determinant()[1:-1, 1:-1, 1:-1])[within[2:-2, 2:-2, 2:-2]]
    assert told["both"]["sdlogj"] == pytest.approx(inner.std(), rel=1e-4)


def test_label_maps_and_images_that_change_places_are_told(registered):
    """An image is no label map, a label map no image, points neither; names of files count."""
    array = read_image(registered / "fixed.nii.gz").array
    labels = (array > np.median(array)).astype(np.uint8)
    write_image(registered / "labels.nii.gz", Image(labels, MOVING))
    fractions = labels * np.float32(1.00001)
    write_image(registered / "fractions.nii.gz", Image(fractions, MOVING))
    out = registered / "brought.nii.gz"

    def brought(*arguments: object, to: Path = out):
        return run("apply", registered / "out", *arguments, "-o", to)

    done = brought("--image", registered / "labels.nii.gz")
    assert (done.exit_code, "--labels would bring it over" in done.output) == (0, True)
    for name in ("labels", "fractions"):
        done = brought("--labels", registered / f"{name}.nii.gz")
        assert (done.exit_code, "label map" in done.output) == (0, False)
    done = brought("--labels", registered / "moving.nii.gz")
    assert (done.exit_code, "This is no label map" in done.output) == (2, True)
    done = brought("--points", registered / "moving.nii.gz", to=registered / "p.csv")
    assert (done.exit_code, "it is no text" in done.output) == (2, True)
    done = brought("--image", registered / "moving.nii.gz", to=registered / "brought.png")
    assert (done.exit_code, "end in .nii.gz" in done.output) == (2, True)
    words = ("--method", "identity", "-o", registered / "identity")
    done = run("register", registered / "fixed.nii.gz", registered / "labels.nii.gz", *words)
    assert done.exit_code == 0, done.output
    assert "labels.nii.gz: holds few whole numbers" in done.output
    assert "fixed.nii.gz: holds few" not in done.output


def test_a_mistyped_command_and_a_file_of_no_kind_are_told(tmp_path):
    done = run("regster", "a", "b")
    assert (done.exit_code, "Did you mean 'register'?" in done.output) == (2, True)
    assert "Examples" in run("register", "-h").output
    (tmp_path / "notes.txt").write_text("some notes", encoding="utf-8")
    done = run("inspect", tmp_path / "notes.txt")
    assert (done.exit_code, "none of the files that are known" in done.output) == (2, True)


def test_threads_sleep_while_they_wait_unless_one_says_otherwise(monkeypatch):
    from warpline.cli.register import wait_asleep

    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    wait_asleep()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    monkeypatch.delenv("OMP_WAIT_POLICY")
    wait_asleep()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


def test_lungs_are_found_and_looked_into_alone(tmp_path):
    """As with masks of the same lungs, to the bit; what shows none is named."""
    scan = chest.subject(3, shape=(40, 44, 52), spacing=(7, 6, 6), threads=1).image
    moved = Image(np.roll(scan.array, 2, axis=0), scan.grid)
    for name, image in (("fixed", scan), ("moving", moved)):
        write_image(tmp_path / f"{name}.nii.gz", image)
        write_image(tmp_path / f"{name}_mask.nii.gz", segment_lungs(image))
    pair = [tmp_path / "fixed.nii.gz", tmp_path / "moving.nii.gz", "--quality", "fast"]
    masks = [f for s in ("fixed", "moving") for f in (f"--{s}-mask", tmp_path / f"{s}_mask.nii.gz")]
    fields, said = {}, {}
    for name, more in (("lungs", ["--lungs"]), ("masks", masks), ("none", [])):
        done = run("register", *pair, *more, "-o", tmp_path / name)
        assert done.exit_code in (0, 1), done.output
        fields[name] = read_field(tmp_path / name / "field.nii.gz").vectors
        said[name] = json.loads((tmp_path / name / "registration.json").read_text())
    assert np.array_equal(fields["lungs"], fields["masks"])
    assert not np.array_equal(fields["lungs"], fields["none"])
    assert said["lungs"]["measured_within"] == "the mask of the fixed image"
    assert [line for line in said["lungs"]["said"] if "lungs of" in line]
    assert [line for line in said["none"]["said"] if "--lungs" in line]
    assert not [line for line in said["masks"]["said"] if "lungs" in line]

    done = run("register", *pair, *masks[:2], "--lungs", "-o", tmp_path / "both")
    assert (done.exit_code, "A mask is given" in done.output) == (2, True)
    write_image(tmp_path / "empty.nii.gz", Image(np.zeros_like(scan.array), scan.grid))
    done = run("register", pair[0], tmp_path / "empty.nii.gz", "--lungs", "-o", tmp_path / "no")
    assert done.exit_code == 2
    assert "No lung is found" in done.output
    assert "the moving image" in done.output
