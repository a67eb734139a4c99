# Prepared cases → what a dataset looks like, in one table and a few slices. The cases were described
# by the job that prepared them, so that no volume is read again.


rule explore:
    input:
        ask(cases.prepared_batches),
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
        folders=ask(cases.prepared_folders),
        code=run.code("explore.py"),
    script:
        "../../scripts/explore.py"
