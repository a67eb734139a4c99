# Archives → unpacked files → canonical cases. A phantom writes its archives into a mirror of its
# own, in the provider's format; from there they take the same road as real ones.


rule phantom:
    output:
        directory(f"{RESULTS}/phantom/{{dataset}}/mirror"),
    log:
        f"{RESULTS}/logs/phantom/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/phantom/{{dataset}}.tsv"
    priority: CASES_FIRST
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        phantom=phantom_spec,
        cases=lambda w: list(catalog.dataset(w.dataset).cases),
        code=phantom_code,
    script:
        "../../scripts/phantom.py"


rule download:
    input:
        phantom_mirror,
    output:
        f"{RESULTS}/data/{{dataset}}/verified/{{archive}}",
    log:
        f"{RESULTS}/logs/download/{{dataset}}/{{archive}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/download/{{dataset}}/{{archive}}.tsv"
    priority: CASES_FIRST
    localrule: True  # nodes of a cluster often have no way out
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=500,
        runtime=1440,
    params:
        archive=archive_spec,
        folder=lambda w: archive_folder(w.dataset),
        code=code_of("download.py"),
    script:
        "../../scripts/download.py"


rule download_cases:
    input:
        phantom_mirror,
    output:
        touch(f"{RESULTS}/data/{{dataset}}/fetched/{{batch}}"),
    log:
        f"{RESULTS}/logs/download_cases/{{dataset}}/{{batch}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/download_cases/{{dataset}}/{{batch}}.tsv"
    priority: CASES_FIRST
    localrule: True  # nodes of a cluster often have no way out
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=500,
        runtime=1440,
    params:
        files=per_case_files,
        folder=lambda w: per_case_folder(w.dataset),
        code=code_of("download_cases.py"),
    script:
        "../../scripts/download_cases.py"


rule unpack:
    input:
        f"{RESULTS}/data/{{dataset}}/verified/{{archive}}",
    output:
        directory(f"{RESULTS}/data/{{dataset}}/unpacked/{{archive}}"),
    log:
        f"{RESULTS}/logs/unpack/{{dataset}}/{{archive}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/unpack/{{dataset}}/{{archive}}.tsv"
    priority: CASES_FIRST
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(240),
    params:
        archive=lambda w: f"{archive_folder(w.dataset)}/{w.archive}",
        code=code_of("unpack.py"),
    script:
        "../../scripts/unpack.py"


rule canonicalise:
    input:
        case_sources,
    output:
        directory(f"{RESULTS}/data/{{dataset}}/canonical/{{batch}}"),
    log:
        f"{RESULTS}/logs/canonicalise/{{dataset}}/{{batch}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/canonicalise/{{dataset}}/{{batch}}.tsv"
    priority: CASES_FIRST
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(catalog.config["memory_mb"]),
        runtime=growing(120),
    params:
        source=lambda w: catalog.dataset(w.dataset).spec["folder"]
        or f"{RESULTS}/data/{w.dataset}/unpacked",
        dataset=lambda w: source_of(w.dataset)
        | {
            "patients": catalog.dataset(w.dataset).patients_of(
                catalog.dataset(w.dataset).batches()[w.batch]
            )
        },
        cases=lambda w: [
            catalog.dataset(w.dataset).row(case)
            for case in catalog.dataset(w.dataset).batches()[w.batch]
        ],
        code=lambda w: code_of(
            "canonicalise.py",
            f"warpline.acquire.formats.{catalog.dataset(w.dataset).spec['format']}",
        ),
    script:
        "../../scripts/canonicalise.py"
