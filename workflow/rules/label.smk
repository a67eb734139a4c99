# Scans that are annotated in part → labels of all organs that the rules let pass, and the reasons.


rule measure_organs:
    input:
        ask(cases.annotated_batches),
    output:
        layout.organs("{dataset}"),
    log:
        layout.log("measure_organs/{dataset}"),
    benchmark:
        layout.benchmark("measure_organs/{dataset}")
    priority: CASES_FIRST
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(heavy),
        runtime=growing(120),
    params:
        folders=ask(cases.annotated_folders),
        code=run.code("measure_organs.py"),
    script:
        "../../scripts/measure_organs.py"


rule noisy_labels:
    input:
        batches=ask(cases.unlabelled_batches),
        weights=ask(cases.segmenter_weights),
        organs=layout.organs("{dataset}"),
    output:
        directory(layout.batch("{dataset}", "labelled", "{batch}")),
    log:
        layout.log("noisy_labels/{dataset}/{batch}"),
    benchmark:
        layout.benchmark("noisy_labels/{dataset}/{batch}")
    priority: CASES_FIRST
    conda:
        "../../envs/registration.yaml"
    threads: settings["threads"]
    resources:
        gpu=run.gpus,
        mem_mb=growing(heavy),
        runtime=growing(240),
    params:
        recipe=ask(cases.segmenter_recipe),
        folders=ask(cases.unlabelled_folders),
        setting=ask(cases.label_setting),
        device=run.catalog.device,
        code=ask(cases.labelling_code),
    script:
        "../../scripts/noisy_labels.py"


rule judge_labels:
    input:
        ask(cases.labelled_batches),
    output:
        organs=layout.noisy_labels("{dataset}"),
        verdicts=layout.verdicts("{dataset}"),
    log:
        layout.log("judge_labels/{dataset}"),
    benchmark:
        layout.benchmark("judge_labels/{dataset}")
    priority: CASES_FIRST
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        limits=ask(cases.label_limits),
        code=run.code("judge_labels.py"),
    script:
        "../../scripts/judge_labels.py"
