# Affine alignment of every case to a dataset's reference case; only where the dataset asks for it.


rule align:
    input:
        batch=layout.batch("{dataset}", "prepared", "{batch}"),
        reference=ask(cases.alignment_reference),
        parameters=ask(cases.alignment_parameters),
    output:
        directory(layout.batch("{dataset}", "aligned", "{batch}")),
    log:
        layout.log("align/{dataset}/{batch}"),
    benchmark:
        layout.benchmark("align/{dataset}/{batch}")
    priority: CASES_FIRST
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(settings["memory_mb"]),
        runtime=growing(120),
    params:
        cases=ask(cases.batch_cases),
        prealign=ask(cases.alignment),
        code=run.code("align.py"),
    script:
        "../../scripts/align.py"
