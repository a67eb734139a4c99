# Unpacked files → canonical cases → the grid and the intensities that methods work on.


rule prepare:
    input:
        ask(acquire.case_sources),
    output:
        directory(layout.batch("{dataset}", "prepared", "{batch}")),
    log:
        layout.log("prepare/{dataset}/{batch}"),
    benchmark:
        layout.benchmark("prepare/{dataset}/{batch}")
    priority: CASES_FIRST
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(ask(needs.preparation_mb)),
        runtime=growing(ask(needs.preparation_minutes)),
        disk_mb=growing(ask(disk.cases_mb)),
    params:
        source=ask(acquire.source_folder),
        dataset=ask(acquire.source_spec),
        cases=ask(acquire.case_rows),
        steps=ask(cases.preparation_steps),
        explore=ask(cases.is_explored),
        code=ask(cases.preparation_code),
    script:
        "../../scripts/prepare.py"
