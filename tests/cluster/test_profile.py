"""The profile fits the rules that there are, and keeps to what it says."""

import re

import pytest
import yaml

from conftest import ROOT

PROFILE = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text(encoding="utf-8"))
RULES = {
    block.partition(":")[0].strip() or re.search(r'name:\s+f?"(.+)"', block)[1]: block
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk"))
    for block in re.split(r"^ *rule\b", path.read_text(encoding="utf-8"), flags=re.M)[1:]
}
GROUPS = dict(entry.split("=") for entry in PROFILE["groups"])


def test_groups_are_of_rules_that_exist_and_need_no_gpu():
    assert set(GROUPS) <= set(RULES)
    assert not [rule for rule in GROUPS if "gpu=" in RULES[rule]]
    assert {entry.split("=")[0] for entry in PROFILE["group-components"]} <= set(GROUPS.values())


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_rule_asks_for_more_at_each_attempt_and_leaves_retries_to_the_profile(rule):
    assert "retries:" not in RULES[rule]
    if "localrule: True" in RULES[rule] or "script:" not in RULES[rule]:
        return  # what only asks for others' outputs is no job
    assert "mem_mb=growing(" in RULES[rule]
    # A training goes on from its checkpoint: it needs no more time.
    assert ("runtime=growing(" in RULES[rule]) is (rule != "train")


def test_the_queue_remembers_jobs_for_long_enough():
    # SLURM's own default of MinJobAge is 300 s; the plugin asks for three times its interval.
    assert PROFILE["slurm-status-command"] == "squeue"
    assert 3 * PROFILE["slurm-init-seconds-before-status-checks"] <= 300


def test_a_gpu_model_is_not_asked_for_by_default():
    # The plugin would then give every job a GPU.
    assert "gpu_model" not in PROFILE["default-resources"]
