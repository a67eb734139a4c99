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
    wildcard_constraints:
        dataset=described.whose_atlas_is_prepared(run),
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


# Of cases that are only described the chosen one is prepared.
rule described_atlas:
    input:
        ask(described.candidate_inputs),
    output:
        directory(layout.atlas("{dataset}")),
    log:
        layout.log("atlas/{dataset}"),
    benchmark:
        layout.benchmark("atlas/{dataset}")
    wildcard_constraints:
        dataset=described.whose_atlas_is_described(run),
    priority: CASES_FIRST
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(ask(needs.preparation_mb)),
        runtime=growing(60),
    params:
        folders=ask(described.candidate_folders),
        source=ask(acquire.source_folder),
        dataset=ask(described.candidate_spec),
        cases=ask(described.candidate_rows),
        steps=ask(cases.preparation_steps),
        code=ask(described.described_code, script="described_atlas.py"),
    script:
        "../../scripts/described_atlas.py"
