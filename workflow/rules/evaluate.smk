# Displacement fields → one tidy record file an experiment; the records of a paper in one file.


rule evaluate:
    input:
        fields=lambda w: sorted(set(fields_by_pair(experiment_of(w)).values())),
        batches=lambda w: batches_with(w.dataset, cases_of(experiment_pairs(w))),
        sidecar=training_sidecar,
    output:
        f"{RESULTS}/records/{{dataset}}/{{method}}/{{split}}.parquet",
    log:
        f"{RESULTS}/logs/evaluate/{{dataset}}/{{method}}/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{{dataset}}/{{method}}/{{split}}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(catalog.config["memory_mb"]),
        runtime=growing(120),
    params:
        experiment=lambda w: dict(dataset=w.dataset, method=w.method, split=w.split),
        folders=lambda w: case_folders(w.dataset, cases_of(experiment_pairs(w))),
        fields=lambda w: fields_by_pair(experiment_of(w)),
        pairs=experiment_pairs,
        labels=lambda w: catalog.dataset(w.dataset).spec["labels"],
        code=code_of("evaluate.py"),
    script:
        "../../scripts/evaluate.py"


# Fields that are known: what a network trained on synthetic pairs makes of others of that kind.
rule evaluate_synthetic:
    input:
        weights=lambda w: weights_of(w.dataset, w.method),
        batches=lambda w: batches_with(w.dataset, synthetic_cases(w)),
    output:
        f"{RESULTS}/records/{{dataset}}/{{method}}/{{split}}-synthetic.parquet",
    log:
        f"{RESULTS}/logs/evaluate_synthetic/{{dataset}}/{{method}}/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_synthetic/{{dataset}}/{{method}}/{{split}}.tsv"
    conda:
        "../../envs/registration.yaml"
    threads: THREADS
    resources:
        gpu=GPUS,
        mem_mb=growing(catalog.config["memory_mb"]),
        runtime=growing(120),
    params:
        experiment=lambda w: dict(
            dataset=w.dataset, method=w.method, split=f"{w.split}-synthetic"
        ),
        recipe=lambda w: catalog.method(w.method),
        folders=lambda w: case_folders(w.dataset, synthetic_cases(w)),
        cases=synthetic_cases,
        device=catalog.device,
        code=synthetic_code,
    script:
        "../../scripts/evaluate_synthetic.py"


# Organs of single cases that a segmenter finds.
rule evaluate_segmentation:
    input:
        weights=lambda w: weights_of(w.dataset, w.method),
        batches=lambda w: batches_with(w.dataset, segmented_cases(w)),
    output:
        f"{RESULTS}/records/{{dataset}}/{{method}}/{{split}}-segmented.parquet",
    log:
        f"{RESULTS}/logs/evaluate_segmentation/{{dataset}}/{{method}}/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_segmentation/{{dataset}}/{{method}}/{{split}}.tsv"
    conda:
        "../../envs/registration.yaml"
    threads: THREADS
    resources:
        gpu=GPUS,
        mem_mb=growing(catalog.config["memory_mb"]),
        runtime=growing(120),
    params:
        experiment=lambda w: dict(
            dataset=w.dataset, method=w.method, split=f"{w.split}-segmented"
        ),
        recipe=lambda w: catalog.method(w.method),
        folders=lambda w: case_folders(w.dataset, segmented_cases(w)),
        cases=segmented_cases,
        device=catalog.device,
        code=lambda w: segmenter_code("evaluate_segmentation.py", w.method),
    script:
        "../../scripts/evaluate_segmentation.py"


rule collect:
    input:
        lambda w: records_of(w.paper),
    output:
        f"{RESULTS}/{{paper}}/records.parquet",
    log:
        f"{RESULTS}/logs/collect/{{paper}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/collect/{{paper}}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        names=names_of_records,
        code=code_of("collect.py"),
    script:
        "../../scripts/collect.py"


# Not part of any paper: ask for results/submissions/<dataset>/<method>/<split>.zip by its name.
rule submission:
    input:
        fields=lambda w: sorted(set(fields_by_pair(experiment_of(w)).values())),
        batches=lambda w: batches_with(w.dataset, cases_of(experiment_pairs(w))),
    output:
        f"{RESULTS}/submissions/{{dataset}}/{{method}}/{{split}}.zip",
    log:
        f"{RESULTS}/logs/submission/{{dataset}}/{{method}}/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/submission/{{dataset}}/{{method}}/{{split}}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(catalog.config["memory_mb"]),
        runtime=growing(60),
    params:
        folders=lambda w: case_folders(w.dataset, cases_of(experiment_pairs(w))),
        fields=lambda w: fields_by_pair(experiment_of(w)),
        pairs=experiment_pairs,
        code=code_of("submission.py"),
    script:
        "../../scripts/submission.py"
