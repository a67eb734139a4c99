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


def learned_embedding(wildcards):
    """The embedding of displacements that a method registers in, if any."""
    if catalog.method(wildcards.method)["kind"] != "embedding":
        return []
    method = catalog.embedding_method(wildcards.method)
    return model_file(wildcards.dataset, method, "embedding.safetensors")


def initial_registrations(wildcards):
    """Folder of the field before a method's own of each pair, by the pair's name."""
    experiment = catalog.initial_experiment(experiment_of(wildcards))
    if experiment is None:
        return {}
    fields = fields_by_pair(experiment)
    return {
        pair_name(pair): fields[pair_name(pair)] for pair in pairs_in_batch(wildcards)
    }


def parameter_files(method):
    return [project_file(path) for path in method["parameter_files"]] if method else []


def registration_code(wildcards):
    network, kind = network_of(wildcards), catalog.method(wildcards.method)["kind"]
    if network:
        registrar = "embedding.registrar" if kind == "embedding" else kind
        modules = [f"warpline.networks.{network['network']['name']}"]
    else:
        registrar, modules = f"baselines.{kind}", []
    return code_of("register.py", f"warpline.registration.{registrar}", *modules)
