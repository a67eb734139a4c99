# Where fields lie.


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


def experiment_pairs(wildcards):
    return catalog.dataset(wildcards.dataset).pairs(wildcards.split)
