# Canonical cases → the grid and the intensities that methods work on.


rule prepare:
    input:
        f"{RESULTS}/data/{{dataset}}/canonical/{{batch}}",
    output:
        directory(f"{RESULTS}/data/{{dataset}}/prepared/{{batch}}"),
    log:
        f"{RESULTS}/logs/prepare/{{dataset}}/{{batch}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/prepare/{{dataset}}/{{batch}}.tsv"
    priority: CASES_FIRST
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(catalog.config["memory_mb"]),
        runtime=growing(60),
    params:
        cases=lambda w: catalog.dataset(w.dataset).batches()[w.batch],
        steps=lambda w: catalog.dataset(w.dataset).spec["prepare"],
        explore=lambda w: catalog.dataset(w.dataset).spec["explore"],
        code=lambda w: code_of(
            "prepare.py",
            *["warpline.cases.exploration"] * catalog.dataset(w.dataset).spec["explore"],
        ),
    script:
        "../../scripts/prepare.py"
