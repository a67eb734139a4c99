# What noisy labels are made from: scans of other datasets, a segmenter and what it learned from.


def annotated_cases(dataset):
    """The cases whose annotations say what organs look like: those that train the segmenter."""
    return catalog.training_cases(*catalog.labelled_by(dataset))[0]


def label_spec(wildcards):
    return catalog.dataset(wildcards.dataset).spec["noisy_labels"]


def segmenter_code(script, method):
    network = catalog.method(method)["network"]["name"]
    return code_of(script, f"warpline.networks.{network}")


def verdicts_of(dataset):
    """Which cases are fit for training, of a dataset with noisy labels."""
    labelled = catalog.dataset(dataset).spec["noisy_labels"]
    return f"{RESULTS}/data/{dataset}/verdicts.csv" if labelled else []


def segmented_cases(wildcards):
    return catalog.dataset(wildcards.dataset).split(wildcards.split)
