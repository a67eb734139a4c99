# Archives → unpacked files → canonical cases. A phantom writes its archives into a mirror of its
# own, in the provider's format; from there they take the same road as real ones.


rule phantom:
    output:
        directory(layout.mirror("{dataset}")),
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
        code=ask(acquire.phantom_code),
    script:
        "../../scripts/phantom.py"


rule download:
    input:
        ask(acquire.phantom_mirror),
    output:
        layout.verified("{dataset}", "{archive}"),
    log:
        layout.log("download/{dataset}/{archive}"),
    benchmark:
        layout.benchmark("download/{dataset}/{archive}")
    priority: CASES_FIRST
    localrule: True  # nodes of a cluster often have no way out
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=500,
        runtime=1440,
    params:
        archive=ask(acquire.archive_spec),
        folder=ask(acquire.archive_folder),
        code=run.code("download.py"),
    script:
        "../../scripts/download.py"


rule download_cases:
    input:
        ask(acquire.phantom_mirror),
    output:
        touch(layout.fetched("{dataset}", "{batch}")),
    log:
        layout.log("download_cases/{dataset}/{batch}"),
    benchmark:
        layout.benchmark("download_cases/{dataset}/{batch}")
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
        code=run.code("download_cases.py"),
    script:
        "../../scripts/download_cases.py"


rule unpack:
    input:
        layout.verified("{dataset}", "{archive}"),
    output:
        directory(layout.unpacked("{dataset}", "{archive}")),
    log:
        layout.log("unpack/{dataset}/{archive}"),
    benchmark:
        layout.benchmark("unpack/{dataset}/{archive}")
    priority: CASES_FIRST
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(240),
    params:
        archive=ask(acquire.archive_path),
        code=run.code("unpack.py"),
    script:
        "../../scripts/unpack.py"


rule canonicalise:
    input:
        ask(acquire.case_sources),
    output:
        directory(layout.batch("{dataset}", "canonical", "{batch}")),
    log:
        layout.log("canonicalise/{dataset}/{batch}"),
    benchmark:
        layout.benchmark("canonicalise/{dataset}/{batch}")
    priority: CASES_FIRST
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(settings["memory_mb"]),
        runtime=growing(120),
    params:
        source=ask(acquire.source_folder),
        dataset=ask(acquire.source_spec),
        cases=ask(acquire.case_rows),
        code=ask(acquire.import_code),
    script:
        "../../scripts/canonicalise.py"
