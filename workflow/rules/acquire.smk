# Archives → unpacked files. A phantom writes its archives into a mirror of its own, in the
# provider's format; from there they take the same road as real ones, in the same job: they are
# small.


rule phantom:
    output:
        mirror=directory(layout.mirror("{dataset}")),
        unpacked=directory(layout.phantom_unpacked("{dataset}")),
    log:
        layout.log("phantom/{dataset}"),
    benchmark:
        layout.benchmark("phantom/{dataset}")
    priority: CASES_FIRST
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        phantom=ask(acquire.phantom_spec),
        cases=ask(acquire.phantom_cases),
        archives=ask(acquire.archive_specs),
        folder=ask(acquire.archive_folder),
        code=ask(acquire.phantom_code),
    script:
        "../../scripts/phantom.py"


rule fetch:
    output:
        passing(
            directory(layout.unpacked("{dataset}", "{archive}")),
            stays=settings["keep_downloads"] in ("all", "unpacked"),
        ),
    log:
        layout.log("fetch/{dataset}/{archive}"),
    benchmark:
        layout.benchmark("fetch/{dataset}/{archive}")
    priority: CASES_FIRST
    localrule: True  # nodes of a cluster often have no way out
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=1000,
        runtime=1440,
    params:
        archive=ask(acquire.archive_to_fetch),
        folder=ask(acquire.archive_folder),
        format=ask(acquire.source_format),
        cases=ask(acquire.cases_to_unpack),
        code=run.code("fetch.py"),
    script:
        "../../scripts/fetch.py"


rule fetch_cases:
    input:
        ask(acquire.phantom_mirror),
    output:
        layout.fetched("{dataset}", "{batch}"),
    log:
        layout.log("fetch_cases/{dataset}/{batch}"),
    benchmark:
        layout.benchmark("fetch_cases/{dataset}/{batch}")
    priority: CASES_FIRST
    localrule: True  # nodes of a cluster often have no way out
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=500,
        runtime=1440,
    params:
        files=ask(acquire.per_case_files),
        folder=ask(acquire.per_case_folder),
        code=run.code("fetch_cases.py"),
    script:
        "../../scripts/fetch_cases.py"
