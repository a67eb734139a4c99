# Where fields lie.


@cache
def fields_by_pair(experiment):
    """Folder of every pair's field, by the pair's name."""
    base = (
        f"{RESULTS}/fields/{experiment.dataset}/{experiment.method}/{experiment.split}"
    )
    return {
        pair_name(pair): f"{base}/{batch}"
        for batch, pairs in catalog.registration_batches(experiment).items()
        for pair in pairs
    }


def fields_of_row(row):
    """Folder of every pair's field of a row, which may be of several experiments."""
    return {
        pair: folder
        for experiment in catalog.experiments_of(row)
        for pair, folder in fields_by_pair(experiment).items()
    }


def names_of_records(wildcards):
    """The (method, split) of the rows that each file of records serves, in the files' order."""
    names = catalog.names(wildcards.paper)
    return [names[experiment] for experiment in measured(wildcards.paper)]


def experiment_pairs(wildcards):
    return catalog.dataset(wildcards.dataset).pairs(wildcards.split)


def training_sidecar(wildcards):
    """What is known of the training behind a method, if it has one."""
    name = catalog.network_method(wildcards.method)
    return model_file(wildcards.dataset, name, "model.json") if name else []


def synthetic_cases(wildcards):
    """The cases of a split; synthetic pairs are made of each."""
    return sorted(catalog.dataset(wildcards.dataset).split(wildcards.split))


def synthetic_code(wildcards):
    network = catalog.method(wildcards.method)["network"]["name"]
    return code_of("evaluate_synthetic.py", f"warpline.networks.{network}")
