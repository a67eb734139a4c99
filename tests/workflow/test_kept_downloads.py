"""Downloads that do not stay: the scans of some cases alone, and nothing once they are prepared."""

import io
import json
import tarfile

import SimpleITK as sitk

from warpline.images.itk import to_sitk
from warpline.phantoms.anatomy.hippocampus import subject

NAME = "Task04_Hippocampus.tar"
UNPACKED = f"results/data/hippocampus/unpacked/{NAME}"
PREPARED = "results/data/hippocampus/prepared/b000"


def write_mirror(folder, scratch, count=4):
    """A Decathlon's archive of generated scans."""
    entries, files = [], {}
    for i in range(count):
        person = subject(i)
        for kind, image in (("imagesTr", person.image), ("labelsTr", person.labels)):
            sitk.WriteImage(to_sitk(image), str(scratch))
            files[f"Task04_Hippocampus/{kind}/hippocampus_{i:03}.nii.gz"] = scratch.read_bytes()
        name = f"hippocampus_{i:03}.nii.gz"
        entries.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    told = {"labels": {"0": "background", "1": "head", "2": "tail"}, "training": entries}
    files["Task04_Hippocampus/dataset.json"] = json.dumps({**told, "test": []}).encode()
    folder.mkdir()
    with tarfile.open(folder / NAME, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def test_downloads_go_once_their_cases_are_prepared(project):
    folder = project.folder
    write_mirror(folder / "mirror", folder / "one.nii.gz")
    (folder / "some.tsv").write_text("case\tsplit\n000\ttrain\n002\tval\n003\tval\n")
    archive = {"sources": ["folder:by-hand"], "checksums": []}
    hippocampus = {"case_sheet": "some.tsv", "archives": {NAME: archive}}
    project.write(
        "some.yaml",
        {
            "papers": ["estienne2020"],
            "scale": "cpu",
            "mirror": "file:mirror",
            "unpack": "cases",
            "override": {"datasets": {"hippocampus": hippocampus}},
        },
    )
    run = ("--configfile", "some.yaml", "--config")
    told = project.snakemake(*run, "keep_downloads=unpacked", "--", UNPACKED)
    assert "hippocampus (1 file" in told
    scans = (folder / UNPACKED).rglob("*.nii.gz")
    assert sorted(p.name for p in scans) == sorted(
        2 * [f"hippocampus_{i}.nii.gz" for i in ("000", "002", "003")]
    )
    assert not (folder / "resources" / NAME).exists()
    # What is here is taken as it is, also by a run that keeps nothing.
    project.snakemake(*run, "keep_downloads=none", "--", PREPARED)
    assert not (folder / UNPACKED).exists()
    assert {"000", "002", "003"} == {p.name for p in (folder / PREPARED).iterdir() if p.is_dir()}
    (folder / "mirror" / NAME).unlink()
    # Nobody needs it again.
    told = project.snakemake(*run, "keep_downloads=none", "--", PREPARED)
    assert "Nothing to be done" in told
    assert "hippocampus (" not in told
