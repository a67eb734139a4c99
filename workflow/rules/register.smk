# Pairs → displacement fields. Networks take all pairs of an experiment in one job; iterative
# methods as many as their file says.


rule register:
    input:
        batches=registration_inputs,
        weights=trained_weights,
        embedding=learned_embedding,
        parameters=lambda w: parameter_files(catalog.method(w.method)),
        initial=lambda w: sorted(set(initial_registrations(w).values())),
    output:
        directory(f"{RESULTS}/fields/{{dataset}}/{{method}}/{{split}}/{{batch}}"),
    log:
        f"{RESULTS}/logs/register/{{dataset}}/{{method}}/{{split}}/{{batch}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/register/{{dataset}}/{{method}}/{{split}}/{{batch}}.tsv"
    conda:
        "../../envs/registration.yaml"
    threads: THREADS
    resources:
        gpu=lambda w: GPUS if network_of(w) else 0,
        mem_mb=growing(catalog.config["memory_mb"]),
        runtime=growing(240),
    params:
        method=lambda w: catalog.method(w.method),
        network=network_of,
        initial=initial_registrations,
        folders=registration_folders,
        pairs=pairs_in_batch,
        device=lambda w: catalog.device if network_of(w) else "cpu",
        code=registration_code,
    script:
        "../../scripts/register.py"
