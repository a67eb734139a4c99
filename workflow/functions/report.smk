# What tables, figures and captions need.


def run_values(paper):
    """What captions may quote of this run."""
    seeds = {catalog.method(method)["seed"] for _, method in trainings_of(paper)}
    return {
        "scale": catalog.scale,
        "device": catalog.device,
        "seed": ", ".join(map(str, sorted(seeds))) or "–",
    }


def figure_spec(wildcards):
    return catalog.paper(wildcards.paper)["figures"][wildcards.figure]


def figure_sources(wildcards):
    """For every method of a figure of images: pair name to its field's folder."""
    spec = figure_spec(wildcards)
    if spec["kind"] != "registration":
        return {}
    return {
        e["method"]: fields_by_pair(Experiment(e["dataset"], e["method"], e["split"]))
        for e in spec["experiments"]
    }


def figure_fields(wildcards):
    """Folders of all the fields that such a figure may draw from."""
    sources = figure_sources(wildcards).values()
    return sorted({folder for source in sources for folder in source.values()})


def figure_pairs(wildcards):
    """(dataset, case ids) that such a figure may draw."""
    first = figure_spec(wildcards)["experiments"][0]
    return first["dataset"], cases_of(
        catalog.dataset(first["dataset"]).pairs(first["split"])
    )


def figure_batches(wildcards):
    if figure_spec(wildcards)["kind"] != "registration":
        return []
    return batches_with(*figure_pairs(wildcards))


def figure_folders(wildcards):
    if figure_spec(wildcards)["kind"] != "registration":
        return {}
    return case_folders(*figure_pairs(wildcards))


def published_means(wildcards):
    """Method to the published mean of a figure's metric, from the table that it names."""
    spec = figure_spec(wildcards)
    if "table" not in spec:
        return {}
    table = catalog.paper(wildcards.paper)["tables"][spec["table"]]
    means = [
        name
        for name, column in table["columns"].items()
        if column["metric"] == spec["metric"] and column["statistic"] == "mean"
    ]
    return {
        row["method"]: row["published"][name]
        for name in means
        for row in table["rows"]
        if "method" in row and name in row["published"]
    }


def titles_of_methods(paper):
    return {
        method: catalog.method(method)["title"] for _, method in trainings_of(paper)
    }
