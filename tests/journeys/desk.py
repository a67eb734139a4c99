"""From an empty folder to a result as a user would go: by the commands of a page, as they stand."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from warpline.images.files import write_image
from warpline.images.grid import Grid, Image

ROOT = Path(__file__).parents[2]
# A fenced block: what stands before it, its language, its text.
BLOCK = re.compile(r"([^\n]*)\n*\n```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`([\w/.-]+\.(?:py|yaml|tsv))`")


@dataclass(frozen=True)
class Block:
    """A block of a page: commands, or the text of a file that the sentence before it names."""

    language: str
    text: str
    file: str | None


def blocks(page: str) -> list[Block]:
    """The blocks of a page of docs, in order."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found = []
    for before, language, content in BLOCK.findall(text):
        named = FILE.findall(before)
        found.append(Block(language, content, named[-1] if named else None))
    return found


@dataclass
class Desk:
    """A folder in which a user works, with the commands ``warpline`` and ``snakemake`` at hand.

    `source` is the library's folder: that of a clone of one's own, or the one that is tested.
    """

    folder: Path
    source: Path = ROOT / "src"
    plugins: tuple[Path, ...] = ()  # folders with further modules

    def run(self, commands: str, ok: bool = True) -> str:
        """Run lines of a shell; their whole output. `ok` says whether they must succeed."""
        programs = self.folder.parent / "bin"
        if not programs.exists():
            programs.mkdir()
            for name, module in (("warpline", "warpline.cli"), ("snakemake", "snakemake")):
                command = programs / name
                command.write_text(
                    f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m {module} "$@"\n'
                )
                command.chmod(0o755)
        done = subprocess.run(
            ["bash", "-euc", commands],
            cwd=self.folder,
            env={
                **os.environ,
                "PATH": f"{programs}:{os.environ['PATH']}",
                "PYTHONPATH": os.pathsep.join(map(str, (self.source, *self.plugins))),
                "PYTHONUTF8": "1",
            },
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        output = done.stdout + done.stderr
        assert (done.returncode == 0) is ok, output[-6000:]
        return output

    def write(self, name: str, text: str) -> None:
        """Write a file, as an editor would."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def follow(self, page: list[Block]) -> str:
        """Write the files and run the commands of blocks, in order; the output of all commands."""
        output = ""
        for block in page:
            if block.language == "sh":
                output += self.run(block.text)
            else:
                assert block.file, f"no file is named before:\n{block.text}"
                self.write(block.file, block.text)
        return output


def scans(folder: Path, *patients: str) -> None:
    """Two scans of each patient: a bright ellipsoid with a core, that moves by some mm."""
    grid = Grid((20, 22, 24), (2.0, 2.0, 2.5), (-20.0, 5.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    z, y, x = np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(7)
    for patient in patients:
        for number, shift in ((1, 0.0), (2, 2.5)):
            r = np.sqrt(((z - 10) / 6) ** 2 + ((y - 10 - shift) / 5) ** 2 + ((x - 12) / 7) ** 2)
            labels = (r < 1).astype(np.uint8) + (r < 0.5)
            image = 60.0 * labels + random.normal(0, 2, grid.shape)
            write_image(
                folder / f"{patient}_{number}.nii.gz", Image(image.astype(np.float32), grid)
            )
            write_image(folder / f"{patient}_{number}_seg.nii.gz", Image(labels, grid))
