"""Where the files of a run are: the project's, and beside them those of a folder of one's own.

Imported while the Snakefile is parsed: nothing heavy here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from warpline.errors import WarplineError
from warpline.files import project_folder

CONFIG = "config.yaml"


def library() -> Path:
    """The folder from which Python imports this library."""
    return Path(__file__).parents[2]


def installed(folder: str | os.PathLike) -> Path:
    """The project's folder on this machine, as the workflow finds it.

    Parameters
    ----------
    folder
        Where the Snakefile lies. Of one that Snakemake takes from a server it is no folder; the
        project is then the one that this library belongs to.
    """
    given = Path(folder)
    return given if given.is_dir() else project_folder()


@dataclass(frozen=True)
class Places:
    """The folders that a run's files are looked for in.

    Attributes
    ----------
    root
        The project's folder.
    own
        The folder of one's own, absolute: there lie ``config.yaml``, ``datasets``, ``methods``,
        ``studies`` and ``models``, themselves or under ``config``. None where Snakemake runs in the
        project.
    """

    root: Path
    own: Path | None = None

    @classmethod
    def here(cls, root: str | os.PathLike, directory: str | os.PathLike = ".") -> Places:
        """The places of a run in a folder, the working directory by itself."""
        root, here = Path(root), Path(directory).absolute()
        return cls(root, None if root.resolve() == here.resolve() else here)

    @property
    def owns(self) -> tuple[Path, ...]:
        """The folders of one's own that may hold a kind of file: none, or two."""
        return (self.own, self.own / "config") if self.own else ()

    @property
    def config_file(self) -> Path:
        """The configuration: one's own, or else the project's."""
        known = [folder / CONFIG for folder in (*self.owns, self.root / "config")]
        return next((path for path in known if path.is_file()), known[-1])

    def folders(self, kind: str) -> list[Path]:
        """The folders of a kind of file (``datasets``, ``methods``, ``papers``), the first wins."""
        return [folder / kind for folder in (*self.owns, self.root / "config")]

    def models(self) -> list[Path]:
        """The folders of models, the first wins and is where new ones go."""
        return [folder / "models" for folder in (self.own, self.root) if folder]

    def networks(self) -> list[Path]:
        """The folders of one's own that hold networks, one Python file each beside its recipe.

        Raises
        ------
        WarplineError
            If a file there has the name of one of the library's networks, which would be taken.
        """
        folders = [path for folder in self.owns if (path := folder / "methods").is_dir()]
        for path in (path for folder in folders for path in folder.glob("*.py")):
            if (Path(__file__).parents[1] / "networks" / path.name).exists():
                raise WarplineError(
                    f"The project itself has a network '{path.stem}'.",
                    where=self.told(path),
                    do="Give the file another name, and its recipe's 'network.name'.",
                )
        return folders

    def find(self, path: str | os.PathLike, kind: str) -> Path:
        """A file that a configuration file names.

        It is looked for from one's own folder, from the folder of its kind there, and from the
        project; of one that is nowhere the first of these places is given.
        """
        bases = [base for folder in self.owns for base in (folder, folder / kind)]
        known = [base / path for base in (*bases, self.root)]
        return next((place for place in known if place.exists()), known[0])

    def told(self, path: Path) -> str:
        """A file as errors name it: as seen from one's own folder, or from the project."""
        for folder in filter(None, (self.own, self.root)):
            if path.is_relative_to(folder):
                return path.relative_to(folder).as_posix()
        return str(path)

    def as_input(self, path: Path) -> str:
        """A file as an input of a job: relative where it lies with what is run, which may move."""
        home = self.own or self.root
        return os.path.relpath(path) if path.is_relative_to(home) else str(path)
