"""The whole road of a dataset in tests: a server on this machine → archives → canonical cases."""

from __future__ import annotations

import io
import os
import runpy
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from http_server import Server

from warpline.acquire.archive import Archive
from warpline.acquire.canonical import canonicalise
from warpline.acquire.dataset import DatasetFiles
from warpline.acquire.fetch import fetch
from warpline.acquire.formats import locate_all
from warpline.acquire.unpack import unpack
from warpline.files import write_json
from warpline.images.grid import Grid, Image
from warpline.images.itk import to_sitk
from warpline.plan.catalog import Catalog
from warpline.plan.dataset import Dataset
from warpline.plan.inputs.acquire import FORMAT_KEYS

ROOT = Path(__file__).parents[2]
UID = "1.3.6.1.4.1.14519.5.2.1.{}"  # of DICOM files that tests write
fetch_cases = runpy.run_path(str(ROOT / "scripts/fetch_cases.py"))["main"]


def nifti(array: np.ndarray, grid: Grid, scratch: Path) -> bytes:
    """The content of a ``.nii.gz`` file."""
    scratch.mkdir(parents=True, exist_ok=True)
    path = scratch / "one.nii.gz"
    sitk.WriteImage(to_sitk(Image(array, grid)), os.fspath(path))
    return path.read_bytes()


def packed(files: Mapping[str, bytes], kind: str) -> bytes:
    """The content of an archive: ``zip``, ``tar`` or ``gz`` (a compressed tar)."""
    stream = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(stream, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(fileobj=stream, mode="w:gz" if kind == "gz" else "w") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def dataset(name: str, **override) -> Dataset:
    """A dataset of the configuration at full size, with some keys given otherwise."""
    config = {"scale": "paper", "override": {"datasets": {name: override}}}
    return Catalog(config, ROOT).dataset(name)


def served(name: str, server: Server, contents: Mapping[str, bytes] = {}, /, **override) -> Dataset:
    """A dataset whose archives come from a server, each at its name, without checksums.

    Files case by case come from ``/<kind>/<file>`` there, unless they come of The Cancer Imaging
    Archive.
    """
    plain = dataset(name, **override)
    changed = dict(override)
    for archive, content in contents.items():
        server.add(f"/{archive}", content=content)
    changed["archives"] = override.get("archives", {}) | {
        archive: {"sources": [f"{server.url}/{archive}"], "checksums": [], "size": None}
        for archive in plain.spec["archives"]
    }
    changed["per_case"] = {
        kind: {"sources": [f"{server.url}/{kind}/{entry['file']}"]}
        for kind, entry in plain.spec["per_case"].items()
        if not any(source.startswith("tcia:") for source in entry["sources"])
    }
    return dataset(name, **changed)


def road(data: Dataset, cases: Iterable[str], folder: Path) -> Path:
    """Fetch, unpack and canonicalise some cases; the folder with a folder for each."""
    cases, spec = list(cases), data.spec
    for archive, entry in spec["archives"].items():
        path = fetch(Archive.from_spec(archive, entry), folder / "archives", progress=False)
        unpack(path, folder / "unpacked" / archive)
    (folder / "unpacked").mkdir(exist_ok=True, parents=True)
    digests = fetch_cases({case: data.files_of(case) for case in cases}, str(folder / "files"))[1]
    write_json(folder / "digests.json", digests)
    told = {key: spec[key] for key in FORMAT_KEYS} | {"own": bool(spec["folder"])}
    if spec["per_case"]:
        told |= {"per_case": spec["per_case"], "per_case_folder": str(folder / "files")}
        told |= {"per_case_digests": str(folder / "digests.json")}
    target = folder / "canonical"
    rows = [data.row(case) for case in cases]
    files = DatasetFiles.of({**told, "patients": data.patients_of(cases)})
    for case, found in locate_all(files.format, folder / "unpacked", files, rows).items():
        canonicalise(found, case, target / case, labels=files.labels)
    return target


def write_slices(
    folder: Path, array: np.ndarray, on: Grid, series: str = "1", **tags
) -> list[Path]:
    """Write one file a slice, under names in no order; the files in the order of the slices.

    `tags` has values of DICOM keys, such as ``t0008_0060``, or functions of the slice's number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    volume, paths = to_sitk(Image(array, on)), []
    names = np.random.default_rng(len(series)).permutation(len(array))
    for k in range(len(array)):
        one = volume[:, :, k]
        direction = np.array(on.direction).reshape(3, 3)
        place = on.index_to_physical(np.array([k, 0, 0]))
        values = {
            "t0008_0060": "CT",
            "t0010_0020": "PANCREAS_0001",
            "t0020_000d": UID.format(f"{series}.0"),
            "t0020_000e": UID.format(series),
            "t0008_0018": UID.format(f"{series}.0.{k + 1}"),
            "t0020_0032": "\\".join(f"{value:.10g}" for value in place),
            "t0020_0037": "\\".join(f"{value:.10g}" for value in direction[:, :2].T.ravel()),
        } | tags
        for key, value in values.items():
            text = value(k) if callable(value) else value
            if text is not None:
                one.SetMetaData(key[1:].replace("_", "|"), text)
        paths.append(folder / f"{series}-{names[k]:03d}.dcm")
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(os.fspath(paths[-1]))
        writer.Execute(one)
    return paths
