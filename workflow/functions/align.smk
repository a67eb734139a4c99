# The reference of an alignment.


def reference_folder(wildcards):
    prealign = catalog.dataset(wildcards.dataset).spec["prealign"]
    dataset = catalog.dataset(prealign["dataset"] or wildcards.dataset)
    case = prealign["reference"]
    return batch_folder(dataset.name, "prepared", dataset.batches_of([case])[0])


def alignment_parameters(wildcards):
    files = catalog.dataset(wildcards.dataset).spec["prealign"]["parameter_files"]
    return [project_file(path) for path in files]
