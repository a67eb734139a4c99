# Pairs → displacement fields. Networks take all pairs of an experiment in one job; iterative
# methods as many as their file says.


rule register:
    input:
        batches=ask(register.registration_inputs),
        weights=ask(register.trained_weights),
        embedding=ask(register.learned_embedding),
        parameters=ask(register.parameter_files),
        initial=ask(register.initial_folders),
    output:
        directory(layout.fields("{dataset}", "{method}", "{split}", "{batch}")),
    log:
        layout.log("register/{dataset}/{method}/{split}/{batch}"),
    benchmark:
        layout.benchmark("register/{dataset}/{method}/{split}/{batch}")
    conda:
        "../../envs/registration.yaml"
    threads: settings["threads"]
    resources:
        gpu=ask(register.method_gpus),
        mem_mb=growing(settings["memory_mb"]),
        runtime=growing(240),
    params:
        method=ask(register.method_spec),
        network=ask(register.network_recipe),
        initial=ask(register.initial_registrations),
        folders=ask(register.registration_folders),
        pairs=ask(register.pairs_in_batch),
        device=ask(register.method_device),
        code=ask(register.registration_code),
    script:
        "../../scripts/register.py"
