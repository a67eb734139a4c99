"""Write a phantom's archives, in its provider's format, into a mirror; fetch and unpack them."""

from collections.abc import Mapping, Sequence
from typing import Any

from warpline import phantoms
from warpline.acquire.archive import Archive
from warpline.acquire.arrival import arrive
from warpline.files import atomic_folder
from warpline.provenance.record import recorded_job


def main(phantom: Mapping[str, Any], cases: Sequence[Mapping[str, str]], target: str) -> None:
    with atomic_folder(target) as folder:
        phantoms.write(phantom["kind"], phantom, cases, folder)


if "snakemake" in globals():
    with recorded_job(snakemake, "phantom") as entries:
        params, output = snakemake.params, snakemake.output
        main(params.phantom, params.cases, output.mirror)
        with atomic_folder(output.unpacked) as unpacked:
            entries["archives"] = [
                arrive(Archive.from_spec(name, spec), params.folder, unpacked / name)
                for name, spec in params.archives.items()
            ]
