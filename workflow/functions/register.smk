# What a registration job handles.


def pairs_in_batch(wildcards):
    return catalog.registration_batches(experiment_of(wildcards))[wildcards.batch]


def cases_to_register(wildcards):
    cases = cases_of(pairs_in_batch(wildcards))
    through = catalog.method(wildcards.method)["kind"] == "through_atlas"
    return [*cases, ATLAS] if through else cases


def registration_inputs(wildcards):
    return batches_with(wildcards.dataset, cases_to_register(wildcards))


def registration_folders(wildcards):
    return case_folders(wildcards.dataset, cases_to_register(wildcards))


def network_of(wildcards):
    """The recipe whose network a method runs, if any."""
    name = catalog.network_method(wildcards.method)
    return catalog.method(name) if name else None


def trained_weights(wildcards):
    """The weights that a method runs with, if any."""
    name = catalog.network_method(wildcards.method)
    return weights_of(wildcards.dataset, name) if name else []


def registration_code(wildcards):
    network = network_of(wildcards)
    if network:
        return code_of("register.py", f"warpline.networks.{network['network']['name']}")
    kind = catalog.method(wildcards.method)["kind"]
    return code_of("register.py", f"warpline.baselines.{kind}")
