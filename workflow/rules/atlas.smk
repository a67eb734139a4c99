# The atlas of a dataset, for methods that register every case to one: a copy of one of its cases.


rule atlas:
    input:
        lambda w: batches_with(w.dataset, catalog.dataset(w.dataset).atlas_candidates()),
    output:
        directory(f"{RESULTS}/data/{{dataset}}/atlas"),
    log:
        f"{RESULTS}/logs/atlas/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/atlas/{{dataset}}.tsv"
    priority: CASES_FIRST
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(catalog.config["memory_mb"]),
        runtime=growing(60),
    params:
        folders=lambda w: case_folders(
            w.dataset, catalog.dataset(w.dataset).atlas_candidates()
        ),
        code=code_of("atlas.py"),
    script:
        "../../scripts/atlas.py"
