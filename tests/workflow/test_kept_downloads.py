"""Downloads that do not stay: the scans of some cases alone, and nothing once they are prepared."""

from warpline.phantoms.anatomy.hippocampus import subject
from warpline.phantoms.providers.msd_hippocampus import write_msd_archive

NAME = "Task04_Hippocampus.tar"
UNPACKED = f"results/data/hippocampus/unpacked/{NAME}"
PREPARED = "results/data/hippocampus/prepared/b000"


def test_downloads_go_once_their_cases_are_prepared(project):
    folder = project.folder
    (folder / "mirror").mkdir()
    cases = ["000", "001", "002", "003"]
    write_msd_archive(folder / "mirror" / NAME, cases, lambda case: subject(int(case)))
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
