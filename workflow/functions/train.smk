# What a training reads and where its state lies.

import hashlib
import json


def training_inputs(wildcards):
    cases, pairs = catalog.training_cases(wildcards.dataset, wildcards.method)
    batches = batches_with(wildcards.dataset, [*cases, *cases_of(pairs)])
    return batches + sorted(set(initial_fields(wildcards).values()))


def pretrained_weights(wildcards):
    before = catalog.pretraining(wildcards.dataset, wildcards.method)
    return {"pretrained": weights_of(*before)} if before else {}


def training_folders(wildcards):
    cases, pairs = catalog.training_cases(wildcards.dataset, wildcards.method)
    folders = case_folders(wildcards.dataset, [*cases, *cases_of(pairs)])
    return folders | initial_fields(wildcards)


def initial_fields(wildcards):
    """Folder of the initial registration of each pair that a training uses, by the pair's name."""
    experiments = catalog.initial_experiments(wildcards.dataset, wildcards.method)
    if not experiments:
        return {}
    recipe = catalog.recipe(wildcards.dataset, wildcards.method)
    watched = catalog.training_cases(wildcards.dataset, wildcards.method)[1]
    fields = {k: v for e in experiments for k, v in fields_by_pair(e).items()}
    return {
        pair_name(pair): fields[pair_name(pair)]
        for pair in [*recipe["training"]["pairs"], *watched]
    }


def training_code(wildcards):
    recipe = catalog.method(wildcards.method)
    network, objective = recipe["network"]["name"], recipe["training"]["objective"]
    return code_of(
        "train.py", f"warpline.networks.{network}", f"warpline.training.{objective}"
    )


def embedding_pairs(wildcards):
    return catalog.embedding_pairs(wildcards.dataset, wildcards.method)


def embedding_code(wildcards):
    network = network_of(wildcards)["network"]["name"]
    return code_of("embed.py", f"warpline.networks.{network}")


def state_folder(wildcards):
    """Keyed by all that the course of a training depends on, so that no other state is taken up."""
    before = catalog.pretraining(wildcards.dataset, wildcards.method)
    course = [
        catalog.recipe(wildcards.dataset, wildcards.method),
        cases_in_full(wildcards.dataset),
        training_folders(wildcards),
        before and [catalog.recipe(*before), cases_in_full(before[0])],
        training_code(wildcards),
        catalog.device,
    ]
    key = hashlib.sha256(
        json.dumps(course, sort_keys=True, default=str).encode()
    ).hexdigest()[:12]
    return f"{RESULTS}/state/{wildcards.dataset}/{wildcards.method}/{key}"


def cases_in_full(dataset):
    """All that a dataset's cases depend on: its file, those of its members, its segmenter."""
    spec = catalog.dataset(dataset).spec
    members = [catalog.dataset(member).spec for member in spec.get("members", {})]
    labelled = catalog.labelled_by(dataset)
    segmenter = (
        [catalog.recipe(*labelled), cases_in_full(labelled[0])] if labelled else []
    )
    return [spec, members, segmenter]
