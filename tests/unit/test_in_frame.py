"""A method that sees scans moved to another frame: its field is one of the scans as they lie."""

import json
from pathlib import Path

import numpy as np
import pytest
from fieldtools import oblique, smooth_image

import warpline
from warpline.cases.case import Case
from warpline.cases.steps import prepare
from warpline.errors import WarplineError
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Image
from warpline.plan.models import Models
from warpline.plan.places import Places, project_folder
from warpline.registration.chosen import choose, known_methods
from warpline.registration.in_frame import register_in_frame

FIXED = oblique((8, 10, 9), seed=1)
MOVING = oblique((8, 10, 9), seed=4, spacing=(1.1, 0.7, 1.6))


def case(name: str, grid) -> Case:
    return Case(name, Image(np.zeros(grid.shape, np.float32), grid))


@pytest.mark.parametrize("step", ["centre_frame", "unit_frame"])
def test_a_field_found_in_a_frame_is_brought_back(step):
    """Frames keep voxels' order: where the network moves nothing but one voxel along x, fixed
    voxel (z, y, x) goes to the moving place that its frame has at that distance."""
    fixed, moving = case("f", FIXED), case("m", MOVING)
    steps = [{"pad_crop": {"shape": [10, 10, 8], "fill": 0}}, {step: {}}, {"clip": {"high": 1}}]
    along = np.array([1.5, -0.5, 0.25])  # mm of the frame

    def shifted(a: Case, b: Case) -> DisplacementField:
        assert a.grid.shape == b.grid.shape == (10, 10, 8)
        return DisplacementField(np.full((*a.grid.shape, 3), along, np.float32), a.grid)

    field = register_in_frame(shifted, fixed, moving, steps)
    assert field.grid == FIXED
    index = np.array([[2.0, 3, 1], [5, 7, 6], [4, 4, 4]])
    pad = np.array([1, 0, 0])  # of 10 voxels from 8; along x one of 9 is cut, at the end
    seen_f, seen_m = (prepare(one, steps).grid for one in (fixed, moving))
    places = seen_f.index_to_physical(index + pad) + along
    ends = MOVING.index_to_physical(seen_m.physical_to_index(places) - pad)
    found = field.transform_points(FIXED.index_to_physical(index), order=1)
    np.testing.assert_allclose(found, ends, atol=1e-3)


def test_a_model_of_the_house_that_sees_centred_scans_registers_them_where_they_lie():
    name = "hippocampus-generated-sym"
    assert name in known_methods()
    grid = oblique((20, 28, 20), seed=2, spacing=(2.0, 2.0, 2.0))
    image, other = (smooth_image(grid, seed=seed) for seed in (3, 4))
    far = type(grid)(grid.shape, grid.spacing, (100.0, 50.0, -70.0), grid.direction)
    near, there = (
        warpline.register(image, (other.array, place), method=name, threads=1).forward.vectors
        for place in (grid, far)
    )
    # Where the scanner saw the moving image counts, and to the network it does not.
    shift = np.array(far.origin) - grid.origin
    assert near.any()
    np.testing.assert_allclose(there - near, np.broadcast_to(shift, near.shape), atol=1e-3)


def weights(folder: Path, steps: list, note: bool = True) -> Path:
    """A checkpoint as a training in a folder leaves it, with the notes of its run."""
    model = Models(Places.here(project_folder()))
    path = folder / "results/models/knees/mine/weights.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(model.file("hippocampus-generated-sym", "safetensors").read_bytes())
    recipe = model.card("hippocampus-generated-sym")["recipe"]
    full = {"parameters": {}, "seed": 0, **recipe}
    (path.parent / "model.json").write_text(json.dumps({"recipe": full}))
    if note:
        noted = folder / "results/provenance/data/knees/prepared/b000.json"
        noted.parent.mkdir(parents=True)
        noted.write_text(json.dumps({"settings": {"steps": steps}}))
    return path


def test_a_checkpoint_is_used_as_the_notes_of_its_run_say(tmp_path):
    steps = [{"pad_crop": {"shape": [16, 16, 16], "fill": 0}}, {"centre_frame": {}}]
    assert choose(str(weights(tmp_path, steps)), threads=1).moved == tuple(steps)
    steps = [{"pad_crop": {"shape": [16, 16, 16], "fill": 0}}]
    chosen = choose(str(weights(tmp_path / "other", steps)), threads=1)
    assert (chosen.moved, chosen.method.network.steps) == ((), tuple(steps))


def test_a_checkpoint_whose_scans_are_not_known_or_were_aligned_is_refused(tmp_path):
    path = weights(tmp_path, [], note=False)
    with pytest.raises(WarplineError, match="How the scans were prepared"):
        choose(str(path), threads=1)
    (tmp_path / "results/provenance/data/knees/aligned").mkdir(parents=True)
    with pytest.raises(WarplineError, match="first aligned to a reference"):
        choose(str(path), threads=1)


def test_a_method_with_an_initial_registration_goes_on_from_it():
    """The affine stage finds the shift, the demons leave it; the field is both."""
    grid = oblique((24, 26, 28), seed=0, spacing=(1.5, 1.5, 2.0))
    image = smooth_image(grid, seed=7, sigma=3.0)
    shift = np.array([6.0, -4.0, 5.0])
    moved = type(grid)(
        grid.shape, grid.spacing, tuple(np.array(grid.origin) + shift), grid.direction
    )
    assert choose("demons", threads=1).initial.name == "affine"
    assert "elastix-bspline" in known_methods()
    found = warpline.register(image, (image.array, moved), method="demons", threads=1)
    inner = found.forward.vectors[6:-6, 6:-6, 6:-6]
    assert np.linalg.norm(inner - shift, axis=-1).mean() < 0.5
    assert found.diagnostics["title"] == "Affine (ANTs), then Demons, diffeomorphic (ITK)"
