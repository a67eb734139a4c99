# What a training reads and where its state lies.

import hashlib
import json


def training_inputs(wildcards):
    cases, pairs = catalog.training_cases(wildcards.dataset, wildcards.method)
    return batches_with(wildcards.dataset, [*cases, *cases_of(pairs)])


def pretrained_weights(wildcards):
    before = catalog.pretraining(wildcards.dataset, wildcards.method)
    return {"pretrained": weights_of(*before)} if before else {}


def training_folders(wildcards):
    cases, pairs = catalog.training_cases(wildcards.dataset, wildcards.method)
    return case_folders(wildcards.dataset, [*cases, *cases_of(pairs)])


def training_code(wildcards):
    recipe = catalog.method(wildcards.method)
    network, objective = recipe["network"]["name"], recipe["training"]["objective"]
    return code_of(
        "train.py", f"warpline.networks.{network}", f"warpline.training.{objective}"
    )


def state_folder(wildcards):
    """Keyed by all that the course of a training depends on, so that no other state is taken up."""
    before = catalog.pretraining(wildcards.dataset, wildcards.method)
    course = [
        catalog.recipe(wildcards.dataset, wildcards.method),
        catalog.dataset(wildcards.dataset).spec,
        training_folders(wildcards),
        before and [catalog.recipe(*before), catalog.dataset(before[0]).spec],
        training_code(wildcards),
        catalog.device,
    ]
    key = hashlib.sha256(
        json.dumps(course, sort_keys=True, default=str).encode()
    ).hexdigest()[:12]
    return f"{RESULTS}/state/{wildcards.dataset}/{wildcards.method}/{key}"
