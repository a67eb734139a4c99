# Records → tables and figures → one page. Nothing here needs a GPU; tables need records alone. All
# tables of a paper are one job, and all its figures: each makes anew only what has changed.

from warpline.plan.targets import check_targets

for paper in run.catalog.papers:

    rule:
        name:
            f"{paper}_tables"
        input:
            records=ask(evaluate.records_of, paper=paper),
            templates=papers.table_templates(run),
        output:
            in_report(papers.tables_of(run, paper), "table", paper, "Tables"),
            records=update(layout.paper_records(paper)),
            claims=update(layout.claims(paper)),
        log:
            layout.log(f"{paper}/tables"),
        benchmark:
            layout.benchmark(f"{paper}/tables")
        conda:
            "../../envs/report.yaml"
        resources:
            mem_mb=growing(1000),
            runtime=growing(10),
        params:
            names=ask(evaluate.names_of_records, paper=paper),
            tables=ask(papers.table_specs, paper=paper),
            numbers=ask(papers.table_numbers, paper=paper),
            files=ask(papers.table_files, paper=paper),
            title=run.catalog.paper(paper)["title"],
            values=ask(papers.run_values, paper=paper),
            memory=layout.memory(paper, "tables"),
            results=lambda wildcards: settings["results"],
            claims=ask(papers.claims_of, paper=paper),
            pool_code=run.code(None, "warpline.evaluation.pooling:pool_records"),
            table_code=run.code(None, "warpline.tables.paper:write_table"),
            claim_code=run.code(None, "warpline.tables.paper:write_claims"),
            code=run.code("tables.py"),
        script:
            "../../scripts/tables.py"

    # What datasets hold is a job of its own: it waits for no training.
    for explored, kind in ((False, "figures"), (True, "exploration")):
        if not figures.drawing_files(run, paper, explored):
            continue

        rule:
            name:
                f"{paper}_{kind}"
            input:
                ask(figures.figure_inputs, paper=paper, explored=explored),
            output:
                in_report(
                    figures.figure_files(run, paper, explored),
                    "figure",
                    paper,
                    "Figures",
                ),
                in_report(
                    figures.curve_files(run, paper, explored),
                    "learning_curves",
                    paper,
                    "Training",
                ),
            log:
                layout.log(f"{paper}/{kind}"),
            benchmark:
                layout.benchmark(f"{paper}/{kind}")
            conda:
                "../../envs/report.yaml"
            resources:
                mem_mb=growing(ask(needs.pictures_mb, paper=paper)),
                runtime=growing(30),
            params:
                figures=ask(figures.figure_pieces, paper=paper, explored=explored),
                values=ask(papers.run_values, paper=paper),
                memory=layout.memory(paper, kind),
                results=lambda wildcards: settings["results"],
                code=ask(figures.drawing_code, paper=paper, explored=explored),
            script:
                "../../scripts/figures.py"


rule report_page:
    input:
        unpack(ask(papers.everything)),
        template=run.project_file("workflow/report/report.html.j2"),
        style=run.project_file("workflow/report/report.css"),
    output:
        layout.report,
    log:
        layout.log("report"),
    benchmark:
        layout.benchmark("report")
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        papers=ask(papers.paper_specs),
        trainings=ask(papers.paper_trainings),
        values=ask(papers.paper_values),
        run=ask(papers.run_in_words),
        explorer=layout.explorer,
        results=lambda wildcards: settings["results"],
        code=run.code("report.py"),
    script:
        "../../scripts/report.py"


# What one looks through: a job a paper, none of which waits for another paper.
for paper in run.catalog.papers:

    rule:
        name:
            f"{paper}_explorer"
        input:
            ask(explorer.inputs_of, paper=paper),
        output:
            update(directory(layout.explored_paper(paper))),
        log:
            layout.log(f"{paper}/explorer"),
        benchmark:
            layout.benchmark(f"{paper}/explorer")
        conda:
            "../../envs/registration.yaml"
        resources:
            mem_mb=growing(ask(needs.pictures_mb, paper=paper)),
            runtime=growing(30),
        params:
            paper=paper,
            piece=ask(explorer.piece_of, paper=paper),
            chosen=settings["explorer"]["pairs"],
            memory=layout.memory(paper, "explorer"),
            results=lambda wildcards: settings["results"],
            code=run.code("explorer_paper.py"),
        script:
            "../../scripts/explorer_paper.py"


rule explorer:
    input:
        papers=explorer.folders(run),
        web=explorer.web_files(run),
    output:
        page=layout.explorer,
    log:
        layout.log("explorer"),
    benchmark:
        layout.benchmark("explorer")
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        papers=list(run.catalog.papers),
        run=ask(papers.run_in_words),
        code=run.code("explorer.py"),
    script:
        "../../scripts/explorer.py"


# As a module, which is a second modifier, the targets are those of the workflow that uses it.
if workflow.is_main_process and len(workflow.modifier_stack) == 1:
    try:
        check_targets(run, asked.targets, [rule.name for rule in workflow.rules])
    except WarplineError as error:
        raise WorkflowError(str(error)) from None
