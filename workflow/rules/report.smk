# Records → tables and figures → one page. Nothing here needs a GPU; tables need records alone.


rule table:
    input:
        f"{RESULTS}/{{paper}}/records.parquet",
    output:
        csv=report(
            f"{RESULTS}/{{paper}}/tables/{{table}}.csv",
            caption="../report/table.rst",
            category="{paper}",
            subcategory="Tables",
            labels={"table": "{table}", "format": "CSV"},
        ),
        md=f"{RESULTS}/{{paper}}/tables/{{table}}.md",
        tex=f"{RESULTS}/{{paper}}/tables/{{table}}.tex",
        html=report(
            f"{RESULTS}/{{paper}}/tables/{{table}}.html",
            caption="../report/table.rst",
            category="{paper}",
            subcategory="Tables",
            labels={"table": "{table}", "format": "HTML"},
        ),
    log:
        f"{RESULTS}/logs/table/{{paper}}/{{table}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/table/{{paper}}/{{table}}.tsv"
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        table=lambda w: catalog.paper(w.paper)["tables"][w.table],
        values=lambda w: run_values(w.paper),
        code=code_of("table.py"),
    script:
        "../../scripts/table.py"


rule figure:
    input:
        figure_inputs,
    output:
        png=report(
            f"{RESULTS}/{{paper}}/figures/{{figure}}.png",
            caption="../report/figure.rst",
            category="{paper}",
            subcategory="Figures",
            labels={"figure": "{figure}"},
        ),
        svg=f"{RESULTS}/{{paper}}/figures/{{figure}}.svg",
    log:
        f"{RESULTS}/logs/figure/{{paper}}/{{figure}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure/{{paper}}/{{figure}}.tsv"
    wildcard_constraints:
        figure=r"(?!learning_curves)[A-Za-z0-9_-]+",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        figure=figure_spec,
        sources=figure_sources,
        values=lambda w: run_values(w.paper),
        code=lambda w: code_of("figure.py", figure_module(w)),
    script:
        "../../scripts/figure.py"


rule learning_curves:
    input:
        lambda w: [model_file(*pair, "history.csv") for pair in trainings_of(w.paper)],
    output:
        png=report(
            f"{RESULTS}/{{paper}}/figures/learning_curves.png",
            caption="../report/learning_curves.rst",
            category="{paper}",
            subcategory="Training",
            labels={"figure": "learning curves"},
        ),
        svg=f"{RESULTS}/{{paper}}/figures/learning_curves.svg",
    log:
        f"{RESULTS}/logs/learning_curves/{{paper}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/learning_curves/{{paper}}.tsv"
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        logs=lambda w: histories_of(w.paper),
        values=lambda w: run_values(w.paper),
        code=code_of("curves.py"),
    script:
        "../../scripts/curves.py"


rule report_page:
    input:
        tables=lambda w: [t for paper in catalog.papers for t in tables_of(paper)],
        figures=lambda w: [f for paper in catalog.papers for f in figures_of(paper)],
        sidecars=lambda w: [
            model_file(*pair, "model.json")
            for paper in catalog.papers
            for pair in trainings_of(paper)
        ],
        template=project_file("workflow/report/report.html.j2"),
        style=project_file("workflow/report/report.css"),
    output:
        f"{RESULTS}/report.html",
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.tsv"
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        papers=lambda w: {paper: catalog.paper(paper) for paper in catalog.papers},
        trainings=lambda w: {paper: trainings_of(paper) for paper in catalog.papers},
        values=lambda w: {paper: run_values(paper) for paper in catalog.papers},
        results=lambda w, output: str(Path(output[0]).parent),
        code=code_of("report.py"),
    script:
        "../../scripts/report.py"
