"""``warpline methods``, ``datasets``, ``doctor`` and ``train``: what they say of this project."""

import json

from click.testing import CliRunner

from warpline.cli import train as train_module
from warpline.cli.main import main


def run(*arguments: str):
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def test_methods_says_which_are_ready():
    known = {row["method"]: row for row in json.loads(run("methods", "--json").output)}
    for name in ("syn", "elastix-bspline", "affine", "identity", "warpline"):
        assert known[name]["ready"]
    assert not known["hansen2020-256"]["ready"]
    assert known["abdomen-generated-sym"]["kind"] == "model"
    assert known["abdomen-generated-sym"]["ready"]
    assert not known["abdomen-generated-segmenter"]["ready"]
    lines = run("methods").output.splitlines()
    assert lines[0].split()[:3] == ["method", "kind", "ready"]


def test_datasets_says_where_each_comes_from():
    known = {row["dataset"]: row for row in json.loads(run("datasets", "--json").output)}
    assert known["abdomen-noisy"]["from"] == "other datasets"
    assert known["hippocampus"]["file"] == "config/datasets/hippocampus.yaml"
    assert "hippocampus" in run("datasets").output


def test_doctor_tests_itself():
    done = run("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.output)}
    assert checks["self-test"]["well"], checks["self-test"]["value"]
    assert checks["SimpleITK"]["well"]
    assert {"cores", "memory", "disk free here", "GPU"} <= set(checks)
    assert done.exit_code == (1 if any(c["well"] is False for c in checks.values()) else 0)
    assert "self-test" not in run("doctor", "--no-test").output


def test_train_asks_the_workflow_for_the_weights(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(train_module.os, "execv", lambda program, words: asked.append(words))
    name = "estienne2020-task4-baseline"
    done = run("train", name, "--data", "hippocampus", "-d", str(tmp_path), "--dry-run")
    assert done.exit_code == 0, done.output
    assert asked[0][-2:] == [f"results/models/hippocampus/{name}/weights.safetensors", "--dry-run"]
    done = run("train", "syn", "--data", "hippocampus")
    assert (done.exit_code, "has nothing to train" in done.output) == (2, True)
    done = run("train", name, "--data", "hipocampus")
    assert (done.exit_code, "Did you mean 'hippocampus'" in done.output) == (2, True)
    assert len(asked) == 1
