# Displacement fields → one tidy record file an experiment.


rule evaluate:
    input:
        fields=ask(evaluate.field_folders),
        batches=ask(evaluate.pair_case_batches),
        sidecar=ask(evaluate.training_sidecar),
    output:
        layout.records("{dataset}", "{method}", "{split}"),
    log:
        layout.log("evaluate/{dataset}/{method}/{split}"),
    benchmark:
        layout.benchmark("evaluate/{dataset}/{method}/{split}")
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(heavy),
        runtime=growing(120),
    params:
        experiment=ask(evaluate.experiment_entry),
        folders=ask(evaluate.pair_folders),
        fields=ask(evaluate.experiment_fields),
        pairs=ask(evaluate.experiment_pairs),
        labels=ask(evaluate.labels),
        outside=ask(evaluate.labels_outside),
        code=run.code("evaluate.py"),
    script:
        "../../scripts/evaluate.py"


# Fields that are known: what a network trained on synthetic pairs makes of others of that kind.
rule evaluate_synthetic:
    input:
        weights=ask(evaluate.own_weights),
        batches=ask(evaluate.split_batches),
    output:
        layout.records("{dataset}", "{method}", "{split}-synthetic"),
    log:
        layout.log("evaluate_synthetic/{dataset}/{method}/{split}"),
    benchmark:
        layout.benchmark("evaluate_synthetic/{dataset}/{method}/{split}")
    conda:
        "../../envs/registration.yaml"
    threads: settings["threads"]
    resources:
        gpu=run.gpus,
        mem_mb=growing(heavy),
        runtime=growing(120),
    params:
        experiment=ask(evaluate.synthetic_entry),
        recipe=ask(register.method_spec),
        folders=ask(evaluate.split_folders),
        cases=ask(evaluate.split_cases),
        device=run.catalog.device,
        code=ask(evaluate.synthetic_code),
    script:
        "../../scripts/evaluate_synthetic.py"


# Organs of single cases that a segmenter finds.
rule evaluate_segmentation:
    input:
        weights=ask(evaluate.own_weights),
        batches=ask(evaluate.split_batches),
    output:
        layout.records("{dataset}", "{method}", "{split}-segmented"),
    log:
        layout.log("evaluate_segmentation/{dataset}/{method}/{split}"),
    benchmark:
        layout.benchmark("evaluate_segmentation/{dataset}/{method}/{split}")
    conda:
        "../../envs/registration.yaml"
    threads: settings["threads"]
    resources:
        gpu=run.gpus,
        mem_mb=growing(heavy),
        runtime=growing(120),
    params:
        experiment=ask(evaluate.segmentation_entry),
        recipe=ask(register.method_spec),
        folders=ask(evaluate.split_folders),
        cases=ask(evaluate.split_cases),
        device=run.catalog.device,
        code=ask(evaluate.segmentation_code),
    script:
        "../../scripts/evaluate_segmentation.py"


# Not part of any paper: ask for results/submissions/<dataset>/<method>/<split>.zip by its name.
rule submission:
    input:
        fields=ask(evaluate.field_folders),
        batches=ask(evaluate.pair_case_batches),
    output:
        layout.submission("{dataset}", "{method}", "{split}"),
    log:
        layout.log("submission/{dataset}/{method}/{split}"),
    benchmark:
        layout.benchmark("submission/{dataset}/{method}/{split}")
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(heavy),
        runtime=growing(60),
    params:
        folders=ask(evaluate.pair_folders),
        fields=ask(evaluate.experiment_fields),
        pairs=ask(evaluate.experiment_pairs),
        code=run.code("submission.py"),
    script:
        "../../scripts/submission.py"
