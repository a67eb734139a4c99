# What a registration job handles.


def pairs_in_batch(wildcards):
    return catalog.registration_batches(experiment_of(wildcards))[wildcards.batch]


def registration_inputs(wildcards):
    return batches_with(wildcards.dataset, cases_of(pairs_in_batch(wildcards)))


def registration_folders(wildcards):
    return case_folders(wildcards.dataset, cases_of(pairs_in_batch(wildcards)))


def is_network(wildcards):
    return catalog.method(wildcards.method)["kind"] == "network"


def registration_code(wildcards):
    method = catalog.method(wildcards.method)
    if method["kind"] == "network":
        return code_of("register.py", f"warpline.networks.{method['network']['name']}")
    return code_of("register.py", f"warpline.baselines.{method['kind']}")
