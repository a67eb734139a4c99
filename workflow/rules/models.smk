# Trainings of this run → the models that come with the project (key 'models' of the configuration).
# No rule makes them otherwise: what uses a model takes the file that is there.

for name in settings["models"]:

    rule:
        name:
            f"model_{name.replace('-', '_')}"
        input:
            weights=ask(models.trained, model=name),
            history=ask(models.history, model=name),
            sidecar=ask(models.sidecar, model=name),
            records=ask(models.held_out_records, model=name),
        output:
            weights=weights.new_model_file(run, name, "safetensors"),
            card=weights.new_model_file(run, name, "json"),
            history=weights.new_model_file(run, name, "csv"),
        log:
            layout.log(f"models/{name}"),
        benchmark:
            layout.benchmark(f"models/{name}")
        conda:
            "../../envs/torch.yaml"
        resources:
            mem_mb=growing(2000),
            runtime=growing(10),
        params:
            about=ask(models.about, model=name),
            code=run.code("model.py"),
        script:
            "../../scripts/model.py"


rule models:
    input:
        models.all_files(run),
