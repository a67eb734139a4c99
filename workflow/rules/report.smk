# Records → tables and figures → one papers. Nothing here needs a GPU; tables need records alone.


rule table:
    input:
        layout.paper_records("{paper}"),
    output:
        csv=report(
            layout.table("{paper}", "{table}", "csv"),
            caption="../report/table.rst",
            category="{paper}",
            subcategory="Tables",
            labels={"table": "{table}", "format": "CSV"},
        ),
        md=layout.table("{paper}", "{table}", "md"),
        tex=layout.table("{paper}", "{table}", "tex"),
        html=report(
            layout.table("{paper}", "{table}", "html"),
            caption="../report/table.rst",
            category="{paper}",
            subcategory="Tables",
            labels={"table": "{table}", "format": "HTML"},
        ),
    log:
        layout.log("table/{paper}/{table}"),
    benchmark:
        layout.benchmark("table/{paper}/{table}")
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        table=ask(papers.table_spec),
        values=ask(papers.run_values),
        code=run.code("table.py"),
    script:
        "../../scripts/table.py"


rule figure:
    input:
        ask(figures.figure_inputs),
    output:
        png=report(
            layout.figure("{paper}", "{figure}", "png"),
            caption="../report/figure.rst",
            category="{paper}",
            subcategory="Figures",
            labels={"figure": "{figure}"},
        ),
        svg=layout.figure("{paper}", "{figure}", "svg"),
    log:
        layout.log("figure/{paper}/{figure}"),
    benchmark:
        layout.benchmark("figure/{paper}/{figure}")
    wildcard_constraints:
        figure=r"(?!learning_curves)[A-Za-z0-9_-]+",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        figure=ask(figures.figure_spec),
        sources=ask(figures.figure_sources),
        values=ask(papers.run_values),
        code=ask(figures.figure_code),
    script:
        "../../scripts/figure.py"


rule learning_curves:
    input:
        ask(papers.histories),
    output:
        png=report(
            layout.figure("{paper}", "learning_curves", "png"),
            caption="../report/learning_curves.rst",
            category="{paper}",
            subcategory="Training",
            labels={"figure": "learning curves"},
        ),
        svg=layout.figure("{paper}", "learning_curves", "svg"),
    log:
        layout.log("learning_curves/{paper}"),
    benchmark:
        layout.benchmark("learning_curves/{paper}")
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        logs=ask(papers.learning_curve_logs),
        values=ask(papers.run_values),
        code=run.code("curves.py"),
    script:
        "../../scripts/curves.py"


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
        results=settings["results"],
        code=run.code("report.py"),
    script:
        "../../scripts/report.py"
