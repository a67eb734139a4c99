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
        mem_mb=growing(heavy),
        runtime=growing(120),
    params:
        cases=ask(cases.batch_cases),
        prealign=ask(cases.alignment),
        code=run.code("align.py"),
    script:
        "../../scripts/align.py"


# To a case of another dataset: what is prepared has no other use, so that one job does both.
rule prepare_aligned:
    input:
        sources=ask(acquire.case_sources),
        reference=ask(cases.alignment_reference),
        parameters=ask(cases.alignment_parameters),
    output:
        directory(layout.batch("{dataset}", "prealigned", "{batch}")),
    log:
        layout.log("prepare_aligned/{dataset}/{batch}"),
    benchmark:
        layout.benchmark("prepare_aligned/{dataset}/{batch}")
    priority: CASES_FIRST
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(heavy),
        runtime=growing(240),
    params:
        source=ask(acquire.source_folder),
        dataset=ask(acquire.source_spec),
        cases=ask(acquire.case_rows),
        steps=ask(cases.preparation_steps),
        prealign=ask(cases.alignment),
        code=ask(cases.aligned_preparation_code),
    script:
        "../../scripts/prepare_aligned.py"
