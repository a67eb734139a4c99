# Settings of a method, searched on pairs that no table reports, before it registers others.


rule tune:
    input:
        batches=ask(tune.search_batches),
        weights=ask(register.trained_weights),
        parameters=ask(register.parameter_files),
        initial=ask(arena.initial_files),
    output:
        layout.tuned("{dataset}", "{method}"),
    log:
        layout.log("tune/{dataset}/{method}"),
    benchmark:
        layout.benchmark("tune/{dataset}/{method}")
    conda:
        "../../envs/registration.yaml"
    threads: settings["threads"]
    resources:
        gpu=ask(register.method_gpus),
        mem_mb=growing(heavy),
        runtime=growing(240),
    params:
        search=ask(tune.search_settings),
        # Outside the output, so that what was tried stays when the job is stopped.
        state=layout.state("tune/{dataset}", "{method}", "search"),
    script:
        "../../scripts/tune.py"
