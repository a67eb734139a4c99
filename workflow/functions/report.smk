# What tables, figures and captions need.


def run_values(paper):
    """What captions may quote of this run."""
    seeds = {catalog.method(method)["seed"] for _, method in trainings_of(paper)}
    return {
        "scale": catalog.scale,
        "device": catalog.device,
        "seed": ", ".join(map(str, sorted(seeds))) or "–",
        "weights": weights_in_words(paper),
    }


def weights_in_words(paper):
    """The weights of the losses at this run's scale, which may differ from the published ones."""
    parts = []
    for _, name in trainings_of(paper):
        method = catalog.method(name)
        if "regularisation" not in method["loss"]:
            continue
        weights = [f"{method['loss']['regularisation']['weight']:g}"]
        dice = method["loss"].get("dice", {}).get("weight", 0)
        weights += [f"{dice:g}"] if dice else []
        parts.append(f"{method['title']}: {' and '.join(weights)}")
    return (
        f"Weights of regularity (and Dice) in this run: {'; '.join(dict.fromkeys(parts))}."
        if parts
        else ""
    )


def figure_spec(wildcards):
    return catalog.paper(wildcards.paper)["figures"][wildcards.figure]


def figure_module(wildcards):
    return FIGURE_KINDS[figure_spec(wildcards)["kind"]].partition(":")[0]


def figure_sources(wildcards):
    """What the kind of figure draws from, as its `draw` takes it."""
    return FIGURE_SOURCES[figure_spec(wildcards)["kind"]](wildcards)


def figure_inputs(wildcards):
    """The files that a figure has to wait for."""
    sources = figure_sources(wildcards)
    files = [
        sources[key] for key in ("records", "exploration", "slices") if key in sources
    ] + sources.get("tables", [])
    for folders in sources.get("fields", {}).values():
        files += folders.values()
    if "folders" in sources:
        files += batches_with(*figure_cases(wildcards))
    if "folder" in sources:
        files += batches_with(*first_training_case(wildcards))
    return sorted(set(files))


def boxplot_sources(wildcards):
    return {
        "records": f"{RESULTS}/{wildcards.paper}/records.parquet",
        "published": published_means(wildcards, figure_spec(wildcards)["metric"]),
    }


def registration_sources(wildcards):
    dataset, cases = figure_cases(wildcards)
    return {
        "records": f"{RESULTS}/{wildcards.paper}/records.parquet",
        "folders": case_folders(dataset, cases),
        "fields": {
            row["method"]: fields_of_row(row)
            for row in figure_spec(wildcards)["experiments"]
        },
        "labels": catalog.dataset(dataset).spec["labels"],
        "unit": (
            "voxels"
            if {"unit_frame": {}} in catalog.dataset(dataset).spec["prepare"]
            else "mm"
        ),
    }


def exploration_sources(wildcards):
    folder = f"{RESULTS}/data/{figure_spec(wildcards)['dataset']}"
    return {
        "exploration": f"{folder}/exploration.parquet",
        "slices": f"{folder}/slices.npz",
    }


def noisy_labels_sources(wildcards):
    dataset, cases = figure_cases(wildcards)
    return {
        "folders": case_folders(dataset, cases),
        "tables": [f"{RESULTS}/data/{dataset}/noisy_labels.csv"],
        "limits": catalog.dataset(dataset).spec["noisy_labels"]["limits"],
    }


def distributions_sources(wildcards):
    return {
        "records": f"{RESULTS}/{wildcards.paper}/records.parquet",
        "published": {
            metric: published_means(wildcards, metric)
            for metric in figure_spec(wildcards)["metrics"]
        },
    }


def differences_sources(wildcards):
    sources = registration_sources(wildcards)
    return {key: sources[key] for key in ("records", "folders", "fields", "unit")}


def residuals_sources(wildcards):
    return {
        "records": f"{RESULTS}/{wildcards.paper}/records.parquet",
        "published": {"tre": published_means(wildcards, "tre")},
    }


def axis_scatter_sources(wildcards):
    return {
        "records": f"{RESULTS}/{wildcards.paper}/records.parquet",
        "published": {
            metric: published_means(wildcards, metric, within=True)
            for metric in ("tre", "tre_x", "tre_y", "tre_z")
        },
    }


def synthetic_sources(wildcards):
    folders = case_folders(*first_training_case(wildcards))
    return {"folder": next(iter(folders.values()))}


def first_training_case(wildcards):
    """(dataset, [case id]) that synthetic fields are shown on; of folds, each case trains."""
    dataset = catalog.dataset(figure_spec(wildcards)["dataset"])
    splits = ["train"] if "train" in dataset.splits else dataset.splits
    return dataset.name, dataset.split(*splits)[:1]


def architecture_sources(wildcards):
    spec = figure_spec(wildcards)
    steps = catalog.dataset(spec["dataset"]).spec["prepare"]
    shapes = [
        v["shape"] for step in steps for v in step.values() if "shape" in (v or {})
    ]
    return {"network": catalog.method(spec["method"])["network"], "shape": shapes[-1]}


FIGURE_SOURCES = {
    "architecture": architecture_sources,
    "axis_scatter": axis_scatter_sources,
    "boxplot": boxplot_sources,
    "differences": differences_sources,
    "distributions": distributions_sources,
    "embedding": differences_sources,
    "exploration": exploration_sources,
    "landmarks": differences_sources,
    "noisy_labels": noisy_labels_sources,
    "registration": registration_sources,
    "residuals": residuals_sources,
    "synthetic": synthetic_sources,
}


def figure_cases(wildcards):
    """(dataset, case ids) that a figure of images may draw."""
    if figure_spec(wildcards)["kind"] == "noisy_labels":
        dataset = catalog.dataset(figure_spec(wildcards)["dataset"])
        return dataset.name, dataset.ids
    first = figure_spec(wildcards)["experiments"][0]
    return first["dataset"], cases_of(
        catalog.dataset(first["dataset"]).pairs(first["split"])
    )


def published_means(wildcards, metric, within=False):
    """Method to the published mean of a metric on the figure's dataset and split.

    From the table that the figure names, else from all of the paper's; from columns of all labels,
    or of those within a range.
    """
    spec = figure_spec(wildcards)
    first = spec["experiments"][0]
    tables = catalog.paper(wildcards.paper)["tables"]
    return {
        row["method"]: row["published"][name]
        for table in ([tables[spec["table"]]] if "table" in spec else tables.values())
        for name, column in table["columns"].items()
        if column["metric"] == metric
        and column["statistic"] == "mean"
        and ("within" in column) == within
        for row in table["rows"]
        if all(row.get(key) == first[key] for key in ("dataset", "split"))
        and "fixed" not in row
        and name in row["published"]
    }


def histories_of(paper):
    """Logs of the trainings by the recipe's title, and the dataset's where there are several."""
    trainings = trainings_of(paper)
    several = len({dataset for dataset, _ in trainings}) > 1
    found = {}
    for dataset, method in trainings:
        place = f", {catalog.dataset(dataset).spec['title']}" if several else ""
        title = f"{catalog.method(method)['title']}{place}"
        found.setdefault(title, []).append(model_file(dataset, method, "history.csv"))
    return found
