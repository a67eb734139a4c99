"""A researcher who reads a paper and wants its table again; who then changes one thing of it.

The paper is the one at the smallest scale (tests/workflow/tiny), whose run other tests share.
"""

from __future__ import annotations

import csv
import re
import shutil

from desk import Desk

from project import Project

TABLE = "results/tiny/tables/pairs.csv"


def rows(desk: Desk) -> dict[tuple[str, str], dict[str, str]]:
    with (desk.folder / TABLE).open(encoding="utf-8", newline="") as stream:
        return {(row["set"], row["row"]): row for row in csv.DictReader(stream)}


def test_a_papers_table_and_where_its_numbers_come_from(finished: Project, capsys, timed):
    """`snakemake --cores 2` in a clone made it: what the researcher then finds and asks."""
    desk = Desk(finished.folder, finished.folder / "src")
    table = rows(desk)
    row = table["chest", "network"]
    assert float(row["dice_published"]) == 0.93
    assert 0 < float(row["dice"]) < 1
    assert row["n"] == "2"
    report = (desk.folder / "results/report.html").read_text(encoding="utf-8")
    assert "generated images only" in report  # and so no repetition of the paper
    # Both commands find all of it there.
    for words in ("warpline run tiny", "snakemake --cores 2 tiny"):
        assert "Nothing to be done" in desk.run(f"{words} --configfile tiny.yaml --dry-run")
    told = desk.run(f"warpline provenance {TABLE}")
    assert "tiny-network" in told
    assert re.search(r"seed", told)
    with capsys.disabled():
        print(f" (its run: {finished.seconds:.0f} s)", end="")


def test_who_changes_one_thing_has_only_what_depends_on_it_made_anew(
    finished: Project, tmp_path, timed
):
    shutil.copytree(finished.folder, tmp_path / "warpline", symlinks=True)
    desk = Desk(tmp_path / "warpline", tmp_path / "warpline/src")
    field = next((desk.folder / "results/fields/tiny-chest").rglob("*__*.nii.gz"))
    before = field.stat().st_mtime_ns
    paper = desk.folder / "config/papers/tiny.yaml"
    text = paper.read_text(encoding="utf-8")
    assert text.count("dice: 0.83,") == 1
    paper.write_text(text.replace("dice: 0.83,", "dice: 0.831,"), encoding="utf-8")
    told = desk.run(f"warpline run {TABLE} --configfile tiny.yaml")
    begun = re.findall(r"^(?:local)?rule (\w+):", told, re.MULTILINE)
    assert set(begun) == {"tiny_tables"}
    assert "0.831" in {row["dice_published"] for row in rows(desk).values()}
    assert field.stat().st_mtime_ns == before
