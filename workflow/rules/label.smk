# Scans that are annotated in part → labels of all organs that the rules let pass, and the reasons.


rule measure_organs:
    input:
        lambda w: batches_with(
            catalog.labelled_by(w.dataset)[0], annotated_cases(w.dataset)
        ),
    output:
        f"{RESULTS}/data/{{dataset}}/organs.csv",
    log:
        f"{RESULTS}/logs/measure_organs/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/measure_organs/{{dataset}}.tsv"
    priority: CASES_FIRST
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(catalog.config["memory_mb"]),
        runtime=growing(120),
    params:
        folders=lambda w: case_folders(
            catalog.labelled_by(w.dataset)[0], annotated_cases(w.dataset)
        ),
        code=code_of("measure_organs.py"),
    script:
        "../../scripts/measure_organs.py"


rule noisy_labels:
    input:
        batches=lambda w: member_batches(
            w.dataset, catalog.dataset(w.dataset).batches()[w.batch]
        ),
        weights=lambda w: weights_of(*catalog.labelled_by(w.dataset)),
        organs=f"{RESULTS}/data/{{dataset}}/organs.csv",
    output:
        directory(f"{RESULTS}/data/{{dataset}}/labelled/{{batch}}"),
    log:
        f"{RESULTS}/logs/noisy_labels/{{dataset}}/{{batch}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/noisy_labels/{{dataset}}/{{batch}}.tsv"
    priority: CASES_FIRST
    conda:
        "../../envs/registration.yaml"
    threads: THREADS
    resources:
        gpu=GPUS,
        mem_mb=growing(catalog.config["memory_mb"]),
        runtime=growing(240),
    params:
        recipe=lambda w: catalog.method(catalog.labelled_by(w.dataset)[1]),
        folders=lambda w: member_folders(
            w.dataset, catalog.dataset(w.dataset).batches()[w.batch]
        ),
        setting=label_spec,
        device=catalog.device,
        code=lambda w: segmenter_code(
            "noisy_labels.py", catalog.labelled_by(w.dataset)[1]
        ),
    script:
        "../../scripts/noisy_labels.py"


rule judge_labels:
    input:
        lambda w: [
            batch_folder(w.dataset, "labelled", batch)
            for batch in catalog.dataset(w.dataset).batches()
        ],
    output:
        organs=f"{RESULTS}/data/{{dataset}}/noisy_labels.csv",
        verdicts=f"{RESULTS}/data/{{dataset}}/verdicts.csv",
    log:
        f"{RESULTS}/logs/judge_labels/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/judge_labels/{{dataset}}.tsv"
    priority: CASES_FIRST
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        limits=lambda w: label_spec(w)["limits"],
        code=code_of("judge_labels.py"),
    script:
        "../../scripts/judge_labels.py"
