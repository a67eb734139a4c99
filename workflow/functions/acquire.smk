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


def per_case_folder(dataset):
    """Where files that come case by case are kept: a folder for each kind."""
    return f"{archive_folder(dataset)}/{dataset}"


def per_case_files(wildcards):
    """What a batch's cases have for themselves: case to kind to file, sources and ask."""
    dataset = catalog.dataset(wildcards.dataset)
    files = {
        case: dataset.files_of(case) for case in dataset.batches()[wildcards.batch]
    }
    for kinds in files.values():
        for kind, entry in kinds.items():
            if dataset.spec["phantom"]:
                mirror = f"{RESULTS}/phantom/{dataset.name}/mirror"
                entry["sources"] = [f"file:{mirror}/{kind}/{entry['file']}"]
            elif catalog.config["mirror"]:
                mirror = f"{catalog.config['mirror'].rstrip('/')}/{dataset.name}"
                entry["sources"].insert(0, f"{mirror}/{kind}/{entry['file']}")
    return files


def source_of(dataset):
    """What a format is told of a dataset: the keys that are about its files."""
    spec = catalog.dataset(dataset).spec
    keys = (
        "format",
        "labels",
        "case_sheet",
        "ask",
        "landmark_folder",
        "scans",
        "phantom",
    )
    told = {key: spec[key] for key in keys}
    if spec["per_case"] and not spec["folder"]:
        told["per_case"] = spec["per_case"]
        told["per_case_folder"] = per_case_folder(dataset)
    return told


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
        own = [f"{RESULTS}/data/{dataset.name}/fetched/{wildcards.batch}"]
        return [
            *archives_of(dataset.name, "unpacked"),
            *(own if dataset.spec["per_case"] else []),
            *landmarks,
        ]
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
