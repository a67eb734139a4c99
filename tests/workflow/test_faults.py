"""Kills, bad archives, own data, a GPU that is not there: clear outcomes, nothing finished lost."""

import os
import shutil
import signal
import time

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from warpline.images.itk import to_sitk
from warpline.phantoms.anatomy.hippocampus import subject

MODEL = "results/models/tiny-chest/tiny-network"
WEIGHTS = f"{MODEL}/weights.safetensors"


@pytest.fixture
def untrained(copy):
    """The tiny paper's run without one of its models."""
    shutil.rmtree(copy.folder / MODEL)
    return copy


def test_a_killed_run_is_taken_up_and_trains_to_the_same_weights(finished, untrained):
    # Many short checkpoints, so that the kill falls between them.
    training = {"checkpoint_seconds": 0.01}
    untrained.write(
        "slow.yaml", {"override": {"methods": {"tiny-network": {"training": training}}}}
    )
    files = ["--configfile", "tiny.yaml", "slow.yaml"]
    weights = untrained.folder / WEIGHTS
    process = untrained.start(*files, "--", WEIGHTS, start_new_session=True)
    state = untrained.folder / "results/state"
    deadline = time.monotonic() + 120
    while not list(state.rglob("last.pt")) and not weights.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None or weights.exists()
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    untrained.snakemake("--unlock", *files)
    untrained.snakemake(*files, "--rerun-incomplete", "--", WEIGHTS)
    assert weights.read_bytes() == (finished.folder / WEIGHTS).read_bytes()


def test_copies_that_a_killed_run_left_are_no_hindrance(copy):
    whole = "results/fields/tiny-chest/tiny-network/test/whole"
    assert (copy.folder / whole).is_dir()
    left = copy.folder / ".snakemake/backups" / whole
    left.mkdir(parents=True)
    (left / "half").write_text("half")
    copy.snakemake("--configfile", "tiny.yaml", "--force", "--", whole)
    assert not (copy.folder / ".snakemake/backups").exists() or not left.exists()
    assert not (copy.folder / whole / "half").exists()


def test_a_wrong_checksum_stops_with_the_archive_and_its_sources(project):
    archive = project.folder / "mirror" / "Task04_Hippocampus.tar"
    archive.parent.mkdir()
    archive.write_bytes(b"this is no archive")
    project.write(
        "offline.yaml",
        {
            "papers": ["estienne2020"],
            "mirror": "file:mirror",
            "override": {
                "datasets": {
                    "hippocampus": {
                        "archives": {"Task04_Hippocampus.tar": {"sources": ["folder:by-hand"]}}
                    }
                }
            },
        },
    )
    output = project.snakemake(
        "--configfile",
        "offline.yaml",
        "--config",
        "scale=cpu",
        "--",
        "results/data/hippocampus/prepared/b000",
        ok=False,
    )
    assert "Task04_Hippocampus.tar" in output
    assert "checksum" in output
    assert "by-hand" in output
    assert "medicaldecathlon" in output


def write_own_data(folder, count=4):
    """Own scans: phantom subjects in an oblique scanner frame, as .nrrd, with a case sheet."""
    angle = np.deg2rad(12)
    direction = [np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle), 0, 0, 0, 1]
    rows = []
    folder.mkdir(parents=True)
    for i in range(count):
        person = subject(i)
        for kind, image in (("image", person.image), ("labels", person.labels)):
            volume = to_sitk(image)
            volume.SetDirection(direction)
            volume.SetOrigin((10.0 + i, -20.0, 30.0))
            sitk.WriteImage(volume, str(folder / f"{kind}{i}.nrrd"))
        split = "train" if i < count - 2 else "test"
        rows.append(
            {
                "case": f"c{i}",
                "split": split,
                "image": f"image{i}.nrrd",
                "labels": f"labels{i}.nrrd",
            }
        )
    pd.DataFrame(rows).to_csv(folder / "cases.tsv", sep="\t", index=False)


OWN = {
    "title": "Own data",
    "format": "folder",
    "folder": "mydata",
    "case_sheet": "mydata/cases.tsv",
    "labels": {1: "head", 2: "tail"},
    "pairs": {"test": {"from": "all"}},
    "prepare": [
        {"resample": {"spacing": [2.0, 2.0, 2.0]}},
        {"pad_crop": {"shape": [32, 32, 32], "fill": "minimum"}},
        {"rescale": {}},
    ],
    "prealign": {"reference": "c0", "transform": "Rigid"},
}


@pytest.mark.long
def test_own_data_get_every_method_with_prealignment_and_a_table(project):
    write_own_data(project.folder / "mydata")
    project.write("config/datasets/mydata.yaml", {**OWN, "cases_per_job": 4})
    methods = ["identity", "affine", "estienne2020-task4-sym"]
    training = {"epochs": 2, "validation": {"split": None}}
    project.write(
        "own.yaml",
        {
            "papers": [],
            "threads": 1,
            "studies": {"mystudy": {"datasets": ["mydata"], "methods": methods}},
            "override": {"methods": {methods[-1]: {"training": training}}},
        },
    )
    project.snakemake("--configfile", "own.yaml")
    table = pd.read_csv(project.folder / "results/mystudy/tables/table.csv").set_index("method")
    assert list(table.index) == methods
    assert (table["n"] == 1).all()
    assert table.loc["affine", "dice"] > 0.3
    assert "tre" not in table  # no landmarks, so no column
    aligned = project.folder / "results/data/mydata/aligned"
    grids = [sitk.ReadImage(str(p)) for p in sorted(aligned.rglob("image.nii.gz"))]
    assert len(grids) == 4
    assert all(np.allclose(g.GetOrigin(), grids[0].GetOrigin()) for g in grids)


def test_own_data_that_are_wrong_are_named_and_the_other_cases_finish(project):
    write_own_data(project.folder / "mydata")
    labels = sitk.ReadImage(str(project.folder / "mydata/labels1.nrrd"))
    labels.SetSpacing((1.1, 1.0, 1.0))
    sitk.WriteImage(labels, str(project.folder / "mydata/labels1.nrrd"))
    (project.folder / "mydata/image2.nrrd").unlink()
    project.write("config/datasets/mydata.yaml", {**OWN, "prealign": None})
    project.write(
        "own.yaml",
        {"papers": [], "studies": {"s": {"datasets": ["mydata"], "methods": ["identity"]}}},
    )
    output = project.snakemake(
        "--configfile", "own.yaml", "--keep-going", "--",
        *(f"results/data/mydata/prepared/c{i}" for i in range(4)), ok=False,
    )  # fmt: skip
    assert "of the case 'c1' does not lie on its image's grid" in output
    assert "image2.nrrd does not exist" in output
    prepared = project.folder / "results/data/mydata/prepared"
    assert sorted(p.name for p in prepared.iterdir()) == ["c0", "c3"]


def test_a_gpu_asked_for_where_there_is_none_says_what_to_set(untrained):
    output = untrained.snakemake(
        *("--configfile", "tiny.yaml", "--config", "device=cuda", "--", WEIGHTS),
        ok=False,
        CUDA_VISIBLE_DEVICES="",
    )
    assert "A GPU is asked for" in output
    assert "device: cpu" in output
    # Nothing finished is lost.
    assert (untrained.folder / "results/data/tiny-chest/prepared/b000/subject01").exists()
