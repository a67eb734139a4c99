# Prepared cases → what a dataset looks like, in one table and a few slices. The cases were described
# by the job that prepared them, so that no volume is read again.


rule explore:
    input:
        lambda w: [
            batch_folder(w.dataset, "prepared", batch)
            for batch in catalog.dataset(w.dataset).batches()
        ],
    output:
        records=f"{RESULTS}/data/{{dataset}}/exploration.parquet",
        slices=f"{RESULTS}/data/{{dataset}}/slices.npz",
    log:
        f"{RESULTS}/logs/explore/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/explore/{{dataset}}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(30),
    params:
        folders=lambda w: case_folders(
            w.dataset, catalog.dataset(w.dataset).ids, "prepared"
        ),
        code=code_of("explore.py"),
    script:
        "../../scripts/explore.py"
