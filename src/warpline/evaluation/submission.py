"""An experiment's fields as Learn2Reg takes them: one zip, a file a pair."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from warpline.cases.case import read_case
from warpline.fields.halved import read_kept
from warpline.fields.learn2reg import write_submission
from warpline.files import atomic_path
from warpline.plan.pairs import Pair, pair_name


def write_submissions(
    folders: Mapping[str, str],
    fields: Mapping[str, str],
    pairs: Sequence[Pair],
    target: str | os.PathLike,
) -> None:
    """Write the fields of pairs into a zip.

    Parameters
    ----------
    folders
        Of every case.
    fields
        Folder of each pair's field, by the pair's name.

    Raises
    ------
    WarplineError
        If a field or case cannot be read.
    """
    with (
        tempfile.TemporaryDirectory() as scratch,
        atomic_path(target) as path,
        zipfile.ZipFile(path, "w") as archive,
    ):
        for fixed_id, moving_id in pairs:
            name = pair_name((fixed_id, moving_id))
            grid = read_case(folders[fixed_id]).grid
            field = read_kept(Path(fields[name]) / f"{name}.nii.gz", grid)
            file = Path(scratch) / f"disp_{fixed_id.zfill(4)}_{moving_id.zfill(4)}.npz"
            write_submission(file, field, read_case(folders[moving_id]).grid)
            archive.write(file, file.name)
            file.unlink()
            print(file.name, flush=True)
