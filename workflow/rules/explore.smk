# Prepared cases → what a dataset looks like, in one table and a few slices. The cases were described
# by the job that prepared them, so that no volume is read again; those that nothing registers are
# described alone, and their prepared images are not kept.


rule describe:
    input:
        ask(acquire.case_sources),
    output:
        directory(layout.batch("{dataset}", described.STAGE, "{batch}")),
    log:
        layout.log("describe/{dataset}/{batch}"),
    benchmark:
        layout.benchmark("describe/{dataset}/{batch}")
    priority: CASES_FIRST
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(ask(needs.preparation_mb)),
        runtime=growing(ask(needs.preparation_minutes)),
        disk_mb=growing(2000),
    params:
        source=ask(acquire.source_folder),
        dataset=ask(acquire.source_spec),
        cases=ask(acquire.case_rows),
        steps=ask(cases.preparation_steps),
        code=ask(described.described_code, script="describe.py"),
    script:
        "../../scripts/describe.py"


rule explore:
    input:
        ask(described.explored_batches),
    output:
        records=layout.exploration("{dataset}"),
        slices=layout.slices("{dataset}"),
    log:
        layout.log("explore/{dataset}"),
    benchmark:
        layout.benchmark("explore/{dataset}")
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(30),
    params:
        folders=ask(described.explored_folders),
        code=run.code("explore.py"),
    script:
        "../../scripts/explore.py"
