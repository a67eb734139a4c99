# The atlas of a dataset, for methods that register every case to one: a copy of one of its cases.


rule atlas:
    input:
        ask(cases.atlas_batches),
    output:
        directory(layout.atlas("{dataset}")),
    log:
        layout.log("atlas/{dataset}"),
    benchmark:
        layout.benchmark("atlas/{dataset}")
    priority: CASES_FIRST
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(heavy),
        runtime=growing(60),
    params:
        folders=ask(cases.atlas_folders),
        code=run.code("atlas.py"),
    script:
        "../../scripts/atlas.py"
