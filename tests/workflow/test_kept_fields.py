"""Fields that do not stay: they go when all that asked for them is made, and are made again."""

import zipfile

FIELDS = "results/fields/tiny-abdomen/identity/val/whole"
SUBMISSION = "results/submissions/tiny-abdomen/identity/val.zip"


def test_fields_go_once_used_and_come_back_for_who_asks_for_them(project):
    run = ("--configfile", "tiny.yaml", "--config", "keep_fields=none", "halve_fields=true", "--")
    for _ in range(2):
        project.snakemake(*run, SUBMISSION)
        with zipfile.ZipFile(project.folder / SUBMISSION) as archive:
            assert len(archive.namelist()) == 1
        assert (
            project.folder / "results/records/tiny-abdomen/identity/val/whole.parquet"
        ).is_file()
        assert not (project.folder / FIELDS).exists()
        (project.folder / SUBMISSION).unlink()
