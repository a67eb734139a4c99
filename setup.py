"""A wheel brings what is not the library as well: the workflow, its settings and the models.

They lie in the package's folder ``project`` (`warpline.files.project_folder`). All else about
the package stands in pyproject.toml.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PARTS = ("Snakefile", "config", "envs", "models", "profiles", "scripts", "workflow")
UNWANTED = shutil.ignore_patterns("__pycache__", ".*")


class WithWorkflow(build_py):
    """Builds the package, and copies the parts of the project into it."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # the checkout is there
            return
        target = Path(self.build_lib) / "warpline" / "project"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for part in PARTS:
            if Path(part).is_dir():
                shutil.copytree(part, target / part, ignore=UNWANTED)
            else:
                shutil.copy2(part, target)


setup(cmdclass={"build_py": WithWorkflow})
