"""``warpline init``: a folder of one's own for the scans that are there."""

from __future__ import annotations

from pathlib import Path

import click

from warpline.cli import options
from warpline.errors import WarplineError


@click.command()
@click.argument("data", type=click.Path(path_type=Path), default=".")
@options.directory_option
@click.option("--name", help="The dataset's name; that of the folder where it is not given.")
@click.option("--force", is_flag=True, help="Write over files that are there.")
@options.in_words
def init(data: Path, directory: Path, name: str | None, force: bool) -> None:
    """Look at the scans in DATA and write what a study of them needs, to be looked over.

    Understood are BIDS, tasks of the Decathlon, nnU-Net and Learn2Reg, folders of DICOM series,
    and files that belong together by name, such as anna_1.nii.gz, anna_1_seg.nii.gz. DATA is the
    working folder where it is not given, and stays as it is but for what is written:

    \b
      config.yaml            what is run here
      datasets/NAME.yaml     the scans, their labels and pairs, with the case sheet NAME.tsv
      studies/compare-NAME.yaml    every method on every pair

    \b
      warpline init ~/scans         writes these files here
      warpline run compare-scans    makes results/compare-scans/tables/table.html
    """
    from warpline.acquire.discover import discover
    from warpline.acquire.discover.words import as_id
    from warpline.acquire.discover.written import CONFIG, study_name, texts

    found = discover(data)
    name = as_id(name or data.absolute().name).replace(".", "-")
    files = texts(found, name, directory)
    there = [path for path in files if (directory / path).exists()]
    if there and not force:
        raise WarplineError(
            f"There is already {', '.join(there)}.",
            where=directory.absolute(),
            do="Give another --name, or --force to write over it.",
        )
    if not (directory / "config.yaml").exists():
        files = {"config.yaml": CONFIG, **files}
    for path, text in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text, encoding="utf-8")
    scans, patients = len(found.scans), len(found.patients)
    click.echo(f"Understood as {found.layout}: {scans} scans of {patients} patients.")
    labels = ", ".join(f"{value} {label}" for value, label in found.labels.items())
    with_landmarks = sum(bool(scan.landmarks) for scan in found.scans)
    click.echo(f"Labels: {labels or 'none'}. Scans with landmarks: {with_landmarks or 'none'}.")
    pairs = f"{len(found.sheet)} pairs that the layout names" if found.sheet else found.pairing()[1]
    assumed = [f"Pairs: {pairs}.", *found.assumed]
    click.echo("Assumed:\n" + "\n".join(f"  {line}" for line in assumed))
    options.wrote([directory / path for path in files])
    click.echo(f"Look them over; then: warpline run {study_name(name)}")
