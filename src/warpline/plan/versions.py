"""Fingerprints of code, remembered from one start of the workflow to the next."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from warpline.files import write_json
from warpline.plan import fingerprint
from warpline.registry import network_folders

# With what the workflow keeps of the folder that is worked in, so for all results made there.
MEMORY = ".snakemake/versions-of-code.json"


class Versions:
    """What `code_version` says, asked of it only where a source has changed since.

    Parameters
    ----------
    scripts
        The folder of scripts.
    memory
        Where the answers are kept. It is written beneath folders that are there: to ask what a run
        would do makes none. Where it cannot be written, or read, everything is asked anew.
    """

    def __init__(self, scripts: Path, memory: str | os.PathLike = MEMORY):
        self.scripts, self.memory = scripts, Path(memory)

    def of(self, script: str | None, *definitions: str) -> str:
        """The fingerprint of a script, or of what is chosen alone."""
        key = " ".join([script or "", *definitions])
        if key not in self._known:
            path = script and self.scripts / script
            self._known[key] = fingerprint.code_version(path, *definitions)
            if self.memory.parent.is_dir():
                with suppress(OSError):
                    write_json(self.memory, {"sources": self._sources, "versions": self._known})
        return self._known[key]

    @cached_property
    def _known(self) -> dict[str, str]:
        with suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(self.memory.read_text(encoding="utf-8"))
            if kept["sources"] == self._sources:
                return dict(kept["versions"])
        return {}

    @cached_property
    def _sources(self) -> str:
        """Of all that a fingerprint could depend on: names and contents of files, and Python."""
        digest = hashlib.sha256(sys.version.encode())
        for folder in [fingerprint.PACKAGE, *map(Path, network_folders()), self.scripts]:
            for path in sorted(folder.rglob("*.py")):
                content = path.read_bytes()
                digest.update(f"\n{folder}/{path.relative_to(folder)} {len(content)}\n".encode())
                digest.update(content)
        return digest.hexdigest()
