# What archives and case files a dataset has.


def archive_folder(dataset):
    """Real archives are kept when results are deleted; a phantom's are part of the results."""
    if catalog.dataset(dataset).spec["phantom"]:
        return f"{RESULTS}/phantom/{dataset}/archives"
    return catalog.config["data"]


def archive_spec(wildcards):
    """An archive's entry in the dataset file, with the run's mirror as its first source."""
    spec = dict(catalog.dataset(wildcards.dataset).spec["archives"][wildcards.archive])
    if catalog.dataset(wildcards.dataset).spec["phantom"]:
        mirror = f"{RESULTS}/phantom/{wildcards.dataset}/mirror/{wildcards.archive}"
        return {**spec, "sources": [f"file:{mirror}"], "checksums": [], "size": None}
    if catalog.config["mirror"]:
        first = f"{catalog.config['mirror'].rstrip('/')}/{wildcards.archive}"
        spec["sources"] = [first, *spec["sources"]]
    return spec


def archives_of(dataset, stage):
    return [
        f"{RESULTS}/data/{dataset}/{stage}/{archive}"
        for archive in catalog.dataset(dataset).spec["archives"]
    ]


def phantom_mirror(wildcards):
    """A phantom's mirror, which the download has to wait for."""
    if catalog.dataset(wildcards.dataset).spec["phantom"]:
        return f"{RESULTS}/phantom/{wildcards.dataset}/mirror"
    return []


def case_sources(wildcards):
    """Unpacked archives, or own files: those that exist, since the job names the missing ones."""
    dataset = catalog.dataset(wildcards.dataset)
    if not dataset.spec["folder"]:
        extra = dataset.spec["landmark_folder"]
        landmarks = sorted(Path(extra).rglob("*.csv")) if extra else []
        return [*archives_of(dataset.name, "unpacked"), *landmarks]
    rows = [dataset.row(case) for case in dataset.batches()[wildcards.batch]]
    paths = [
        Path(dataset.spec["folder"]) / row[kind]
        for row in rows
        for kind in ("image", "labels", "mask", "landmarks")
        if row[kind]
    ]
    return [path for path in paths if path.exists()]


def phantom_spec(wildcards):
    """What a phantom is made from; raw volumes have the sizes that they will be read with."""
    spec = catalog.dataset(wildcards.dataset).spec
    return {**spec["phantom"], "scans": spec["scans"]}


def phantom_code(wildcards):
    kind = catalog.dataset(wildcards.dataset).spec["phantom"]["kind"]
    return code_of("phantom.py", PHANTOMS.get(kind, "").partition(":")[0])
