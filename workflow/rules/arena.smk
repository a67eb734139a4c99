# The arena: each method on each dataset, one job a cell. Failures are part of the result.


rule arena_cell:
    input:
        batches=ask(arena.cell_batches),
        weights=ask(arena.cell_weights),
        embedding=ask(register.learned_embedding),
        parameters=ask(register.parameter_files),
        tuned=ask(tune.tuned_file),
        initial=ask(arena.initial_files),
    output:
        records=layout.arena_cell("{dataset}", "{method}", "{split}"),
        fields=directory(layout.arena_fields("{dataset}", "{method}", "{split}")),
    log:
        layout.log("arena/{dataset}/{method}/{split}"),
    benchmark:
        layout.benchmark("arena/{dataset}/{method}/{split}")
    conda:
        "../../envs/registration.yaml"
    threads: settings["threads"]
    resources:
        gpu=ask(register.method_gpus),
        mem_mb=growing(heavy),
        runtime=growing(720),
    params:
        cell=ask(arena.cell_settings),
        # Outside the outputs, so that what is done of a cell stays when it is stopped.
        state=layout.state("arena/{dataset}", "{method}", "{split}"),
        results=lambda wildcards: settings["results"],
    script:
        "../../scripts/arena_cell.py"


rule arena_comparison:
    input:
        records=ask(arena.all_records),
        cases=ask(arena.case_batches),
        templates=papers.table_templates(run),
        references=run.project_file("config/references.bib"),
    output:
        records=layout.arena("records.parquet"),
        tidy=layout.arena("records.csv"),
        dictionary=layout.arena("data-dictionary.csv"),
        references=layout.arena("references.bib"),
        tables=directory(layout.arena("tables")),
        figures=directory(layout.arena("figures")),
        submissions=directory(layout.arena("submissions")),
    log:
        layout.log("arena/comparison"),
    benchmark:
        layout.benchmark("arena/comparison")
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        contest=ask(arena.contest),
        results=lambda wildcards: settings["results"],
        code=ask(arena.code),
    script:
        "../../scripts/arena.py"


rule arena:
    input:
        rules.arena_comparison.output,
