# Pairs → displacement fields. Networks take all pairs of an experiment in one job, which measures
# them too where they are few; iterative methods as many as their file says.


rule register:
    input:
        batches=ask(register.registration_inputs),
        weights=ask(register.trained_weights),
        embedding=ask(register.learned_embedding),
        parameters=ask(register.parameter_files),
        tuned=ask(tune.tuned_file),
        initial=ask(register.initial_folders),
    output:
        directory(layout.fields("{dataset}", "{method}", "{split}", "{batch}")),
    log:
        layout.log("register/{dataset}/{method}/{split}/{batch}"),
    benchmark:
        layout.benchmark("register/{dataset}/{method}/{split}/{batch}")
    wildcard_constraints:
        dataset=fields.that_stay(run),
        batch=r"(?!whole$)[A-Za-z0-9_.-]+",
    conda:
        "../../envs/registration.yaml"
    threads: settings["threads"]
    resources:
        gpu=ask(register.method_gpus),
        mem_mb=growing(ask(needs.registration_mb)),
        runtime=growing(ask(needs.registration_minutes)),
        disk_mb=growing(ask(disk.fields_mb)),
    params:
        method=ask(register.method_spec),
        registration=ask(register.registration_settings),
    script:
        "../../scripts/register.py"


# Fields that are there stay where only what is measured has changed.
rule register_and_evaluate:
    input:
        batches=ask(register.registration_inputs, batch="whole"),
        weights=ask(register.trained_weights),
        embedding=ask(register.learned_embedding),
        parameters=ask(register.parameter_files),
        tuned=ask(tune.tuned_file),
        initial=ask(register.initial_folders, batch="whole"),
        sidecar=ask(evaluate.training_sidecar),
    output:
        fields=update(
            directory(layout.fields("{dataset}", "{method}", "{split}", "whole"))
        ),
        records=layout.whole_records("{dataset}", "{method}", "{split}"),
    log:
        layout.log("register/{dataset}/{method}/{split}/whole"),
    benchmark:
        layout.benchmark("register/{dataset}/{method}/{split}/whole")
    wildcard_constraints:
        dataset=fields.that_stay(run),
    conda:
        "../../envs/registration.yaml"
    threads: settings["threads"]
    resources:
        gpu=ask(register.method_gpus),
        mem_mb=growing(ask(needs.registration_mb)),
        runtime=growing(ask(needs.registration_minutes, batch="whole")),
        disk_mb=growing(ask(disk.fields_mb, batch="whole")),
    params:
        method=ask(register.method_spec),
        registration=ask(register.registration_settings, batch="whole"),
        evaluation=ask(evaluate.evaluation_settings),
        results=lambda wildcards: settings["results"],
        code=run.code("evaluate.py"),
    script:
        "../../scripts/register_and_evaluate.py"


# The same where fields do not stay (keep_fields): they go when all that asked for them is made.
if settings["keep_fields"] != "all":

    use rule register as register_for_now with:
        output:
            temp(
                directory(layout.fields("{dataset}", "{method}", "{split}", "{batch}"))
            ),
        wildcard_constraints:
            dataset=fields.that_go(run),
            batch=r"(?!whole$)[A-Za-z0-9_.-]+",

    use rule register_and_evaluate as register_and_evaluate_for_now with:
        output:
            fields=temp(
                directory(layout.fields("{dataset}", "{method}", "{split}", "whole"))
            ),
            records=layout.whole_records("{dataset}", "{method}", "{split}"),
        wildcard_constraints:
            dataset=fields.that_go(run),
