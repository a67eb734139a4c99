"""The environments agree with the lock, and hold what the scripts that use them import."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "warpline"
ENVS = sorted((ROOT / "envs").glob("*.yaml"))
CUDA = ROOT / "envs" / "torch-cuda.yaml"
CONTAINER = ROOT / "envs" / "warpline.def"
LINE = re.compile(r"([a-z0-9]+(?:-[a-z0-9]+)*)==([0-9][A-Za-z0-9.+!]*)(?: ; (.+))?")
# Modules that a script imports by a name in the configuration: all files of these packages.
REGISTRATION = "registration registration/baselines registration/embedding registration/rivals"
REGISTRATION += " networks"
CHOSEN = {
    "arena_cell": REGISTRATION,
    "figures": "figures",
    "phantom": "phantoms/providers",
    "describe": "acquire/formats cases cases/steps",
    "described_atlas": "acquire/formats cases cases/steps",
    "prepare": "acquire/formats cases cases/steps",
    "prepare_aligned": "acquire/formats cases cases/steps",
    "register": REGISTRATION,
    "register_and_evaluate": REGISTRATION,
    "train": "networks training",
    "tune": REGISTRATION,
}
# Where a distribution has another name than the module that it brings.
DISTRIBUTIONS = {"yaml": "pyyaml", "PIL": "pillow", "ants": "antspyx", "itk": "itk-elastix"}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


INSTALLED = {normal(found.name) for found in importlib.metadata.distributions()}


def lock() -> dict[str, set[str]]:
    """Locked versions by name: several where Python versions differ."""
    found: dict[str, set[str]] = {}
    torch = (ROOT / "envs" / "torch.lock").read_text(encoding="utf-8").splitlines()
    for line in [*hashes(), *(line for line in torch if not line.startswith("#"))]:
        match = LINE.fullmatch(line)
        assert match, f"the lock's line {line!r} is no plain pin"
        found.setdefault(match[1], set()).add(match[2])
    return found


def hashes() -> dict[str, set[str]]:
    """The hashes that a file may have, by the line of its pin."""
    text = (ROOT / "envs" / "requirements.lock").read_text(encoding="utf-8")
    found: dict[str, set[str]] = {}
    pin = ""
    for entry in text.replace(" \\\n", "\n").split("\n")[:-1]:
        if entry.startswith("    "):
            found[pin].add(entry)
        else:
            pin = entry
            found[pin] = set()
    return found


def wanted() -> list[str]:
    lines = (ROOT / "envs" / "requirements.in").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def pins(path: Path) -> dict[str, str]:
    """Pinned versions of an environment file, by name."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    (pip,) = [entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict)]
    matches = [LINE.fullmatch(line) for line in pip]
    assert all(matches), f"{path.name} has an entry that is no pin"
    return {match[1]: match[2] for match in matches}


def cuda_packages() -> dict[str, str]:
    """The pins of the CUDA environment that no other one and not the lock has."""
    return {name: version for name, version in pins(CUDA).items() if name not in lock()}


def test_the_lock_pins_versions_and_names_no_host():
    text = (ROOT / "envs" / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert set(re.findall(r"--[a-z-]*", text)) == {"--hash"}
    assert len(lock()) > 40


def test_every_locked_package_has_hashes_but_torch():
    """pip refuses with --require-hashes what has none, and what another hash comes out for."""
    assert len(hashes()) > 100
    for pin, known in hashes().items():
        assert known, f"{pin} has no hash"
        for entry in known:
            assert re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}", entry)
    unhashed = set(lock()) - {LINE.fullmatch(pin)[1] for pin in hashes()}
    assert unhashed == {"torch"}
    made = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "--require-hashes" in made.split("--requirement envs/requirements.lock")[0]


def test_what_torch_requires_is_locked():
    named = (ROOT / "envs" / "uv.toml").read_text(encoding="utf-8")
    required = re.search(r"requires-dist = \[(.*)\]", named)[1]
    assert {name.strip(' "') for name in required.split(",")} <= set(lock())


def test_all_that_is_wanted_is_locked():
    assert len(wanted()) > 15
    for line in wanted():
        name, _, version = line.partition("==")
        assert normal(name) in lock()
        if version:
            assert lock()[normal(name)] == {version}


def test_the_lock_is_what_runs_here():
    for name in map(normal, (line.partition("==")[0] for line in wanted())):
        installed = importlib.metadata.version(name).partition("+")[0]
        assert installed in lock()[name], f"{name} {installed} is installed"


@pytest.mark.parametrize("path", ENVS, ids=lambda path: path.stem)
def test_an_environment_has_the_locked_versions(path):
    for name, version in pins(path).items():
        if name in cuda_packages():
            continue
        assert version in lock()[name], f"{name} {version} is not what the lock has"
        assert len(lock()[name]) == 1


@pytest.mark.parametrize("path", ENVS, ids=lambda path: path.stem)
def test_an_environment_is_plain_conda_forge_with_a_python_we_support(path):
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert content["channels"] == ["conda-forge"]
    assert "python=3.11" in content["dependencies"]
    assert "pip" in content["dependencies"]


# What scripts import ----------------------------------------------------------------------------


def rules() -> list[tuple[str, str]]:
    """(script, environment) of every rule that runs a script."""
    found = []
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        for block in re.split(r"^ *rule\b", path.read_text(encoding="utf-8"), flags=re.M)[1:]:
            if "output:" not in block:  # a target
                continue
            script = re.search(r'script:\s+"\.\./\.\./scripts/(\w+)\.py"', block)
            environment = re.search(r'conda:\s+"\.\./\.\./envs/(\w+)\.yaml"', block)
            assert script, f"a rule in {path.name} runs no script: {block.splitlines()[0]}"
            assert environment, f"a rule in {path.name} has no environment"
            found.append((script[1], environment[1]))
    return found


def third_party(path: Path) -> set[str]:
    """Distributions that a file imports when it is imported itself."""
    names: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module)
        lazy = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if not lazy and "TYPE_CHECKING" not in ast.dump(getattr(node, "test", ast.Pass())):
            waiting += ast.iter_child_nodes(node)
    tops = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"warpline"}
    return {normal(DISTRIBUTIONS.get(name, name)) for name in tops}


def own_imports(path: Path) -> set[Path]:
    """Files of the package that a file imports anywhere, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)])
    parts = [name.split(".") for name in names if name.split(".")[0] == "warpline"]
    bases = {PACKAGE.joinpath(*own[1:depth]) for own in parts for depth in range(1, len(own) + 1)}
    files = {base / "__init__.py" for base in bases}
    files |= {base.with_suffix(".py") for base in bases if base != PACKAGE}
    return {file for file in files if file.is_file()}


def sources(script: str) -> set[Path]:
    """The script's file and those of all modules that it imports."""
    waiting = [ROOT / "scripts" / f"{script}.py"]
    for folder in CHOSEN.get(script, "").split():
        waiting += (PACKAGE / folder).glob("*.py")
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += own_imports(path)
    return found


def with_requirements(names: Iterable[str]) -> set[str]:
    """The distributions and all that they bring along."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found and name in lock() and name in INSTALLED:
            found.add(name)
            lines = importlib.metadata.requires(name) or []
            waiting += [normal(re.match(r"[\w.-]+", s)[0]) for s in lines if "extra" not in s]
    return found


def test_every_script_has_a_rule():
    scripts = {path.stem for path in (ROOT / "scripts").glob("*.py")}
    assert {script for script, _ in rules()} == scripts


@pytest.mark.parametrize(("script", "environment"), rules(), ids=lambda value: value)
def test_an_environment_holds_what_its_scripts_import(script, environment):
    needed = set().union(*map(third_party, sources(script)))
    missing = needed - with_requirements(pins(ROOT / "envs" / f"{environment}.yaml"))
    assert not missing


# CUDA -------------------------------------------------------------------------------------------


def test_the_cuda_environment_is_all_others_with_snakemake_and_cuda():
    others = [pins(path) for path in ENVS if path != CUDA]
    assert len(others) == 4
    expected = {name: version for found in others for name, version in found.items()}
    expected["snakemake"] = max(lock()["snakemake"])
    assert pins(CUDA) == expected | cuda_packages()


def test_all_scripts_find_what_they_import_in_the_cuda_environment():
    held = with_requirements(pins(CUDA))
    for script, _ in rules():
        assert set().union(*map(third_party, sources(script))) <= held, script


def test_no_other_package_than_cuda_s_is_outside_the_lock():
    assert len(cuda_packages()) > 3
    for name in cuda_packages():
        assert name.startswith(("cuda-", "nvidia-")) or name == "triton"


def test_the_cuda_packages_are_those_that_torch_asks_for():
    asked = dict(
        match.groups()
        for line in importlib.metadata.requires("torch") or []
        if (match := re.match(r"([\w-]+)(?:\[[\w,]+\])?==([\w.]+)", line))
    )
    if "triton" not in asked:
        pytest.skip("the torch that is installed here is a build without CUDA")
    assert cuda_packages() == asked


# The container ----------------------------------------------------------------------------------


def sections() -> dict[str, list[str]]:
    """Lines of the container's definition by section, the header's under an empty name."""
    found: dict[str, list[str]] = {"": []}
    name = ""
    for line in map(str.strip, CONTAINER.read_text(encoding="utf-8").splitlines()):
        if line.startswith("%"):
            name = line[1:]
            assert name not in found, f"the section {name} stands twice"
            found[name] = []
        elif line and not line.startswith("#"):
            found[name].append(line)
    return found


def test_the_container_has_the_parts_that_apptainer_knows():
    header = dict(line.split(": ", 1) for line in sections()[""])
    assert set(header) == {"Bootstrap", "From"}
    assert set(sections()) == {
        "", "files", "post", "environment", "runscript", "test", "labels"
    }  # fmt: skip
    assert all(sections().values())


def test_the_container_has_the_python_of_the_environments():
    assert any(line.startswith("From: python:3.11-") for line in sections()[""])


def test_the_container_installs_the_lock_that_it_copies():
    copied = dict(line.split() for line in sections()["files"])
    assert all((ROOT / source).is_file() for source in copied)
    installs = [line for line in sections()["post"] if "pip install" in line]
    assert [line.split("--requirement ")[1] for line in installs] == list(copied.values())
    assert list(copied) == ["envs/requirements.lock", "envs/torch.lock"]
    assert "--require-hashes" in installs[0]
    assert "==" not in "".join(installs)  # nothing beside the lock


def test_the_container_s_own_test_imports_what_is_locked():
    (line,) = sections()["test"]
    code = re.fullmatch(r'python -c "(.+)"', line).group(1)
    names = {name for node in ast.parse(code).body for name in (a.name for a in node.names)}
    assert {normal(DISTRIBUTIONS.get(name, name)) for name in names} <= set(lock())
    assert {"ants", "itk", "torch", "snakemake"} <= names


def test_shell_lines_of_the_container_are_valid():
    for name in ("post", "environment", "runscript", "test"):
        script = "\n".join(sections()[name])
        subprocess.run(["sh", "-n", "-c", script], check=True)


def test_the_page_says_which_of_it_was_not_run():
    page = (ROOT / "docs" / "environments.md").read_text(encoding="utf-8")
    for path in [*ENVS, CONTAINER]:
        assert path.name in page
    assert "not been run" in page
