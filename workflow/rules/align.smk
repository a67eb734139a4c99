# Affine alignment of every case to a dataset's reference case; only where the dataset asks for it.


rule align:
    input:
        batch=f"{RESULTS}/data/{{dataset}}/prepared/{{batch}}",
        reference=reference_folder,
        parameters=alignment_parameters,
    output:
        directory(f"{RESULTS}/data/{{dataset}}/aligned/{{batch}}"),
    log:
        f"{RESULTS}/logs/align/{{dataset}}/{{batch}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/align/{{dataset}}/{{batch}}.tsv"
    priority: CASES_FIRST
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(catalog.config["memory_mb"]),
        runtime=growing(120),
    params:
        cases=lambda w: catalog.dataset(w.dataset).batches()[w.batch],
        prealign=lambda w: catalog.dataset(w.dataset).spec["prealign"],
        code=code_of("align.py"),
    script:
        "../../scripts/align.py"
