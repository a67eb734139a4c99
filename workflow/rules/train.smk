# One training a recipe and dataset. Checkpoints live under state/, outside the declared outputs,
# so a training that was killed goes on where it was.


rule train:
    input:
        unpack(pretrained_weights),
        batches=training_inputs,
        verdicts=lambda w: verdicts_of(w.dataset),
    output:
        weights=f"{RESULTS}/models/{{dataset}}/{{method}}/weights.safetensors",
        history=f"{RESULTS}/models/{{dataset}}/{{method}}/history.csv",
        sidecar=f"{RESULTS}/models/{{dataset}}/{{method}}/model.json",
    log:
        f"{RESULTS}/logs/train/{{dataset}}/{{method}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{dataset}}/{{method}}.tsv"
    priority: TRAININGS_FIRST
    conda:
        "../../envs/torch.yaml"
    threads: THREADS
    resources:
        gpu=GPUS,
        mem_mb=growing(catalog.config["memory_mb"]),
        runtime=1440,  # the next attempt goes on from the last checkpoint
    params:
        recipe=lambda w: catalog.recipe(w.dataset, w.method),
        folders=training_folders,
        cases=lambda w: catalog.training_cases(w.dataset, w.method)[0],
        pairs=lambda w: catalog.training_cases(w.dataset, w.method)[1],
        labels=lambda w: catalog.dataset(w.dataset).spec["labels"],
        state=state_folder,
        device=catalog.device,
        code=training_code,
    script:
        "../../scripts/train.py"


# Displacement maps of the training pairs → the dimensions in which they differ most.
rule embed:
    input:
        batches=lambda w: batches_with(w.dataset, cases_of(embedding_pairs(w))),
        weights=trained_weights,
    output:
        embedding=f"{RESULTS}/models/{{dataset}}/{{method}}/embedding.safetensors",
        sidecar=f"{RESULTS}/models/{{dataset}}/{{method}}/embedding.json",
    log:
        f"{RESULTS}/logs/embed/{{dataset}}/{{method}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/embed/{{dataset}}/{{method}}.tsv"
    priority: TRAININGS_FIRST
    conda:
        "../../envs/torch.yaml"
    threads: THREADS
    resources:
        gpu=GPUS,
        mem_mb=growing(catalog.config["memory_mb"]),
        runtime=growing(240),
    params:
        settings=lambda w: catalog.embedding_settings(w.method),
        seed=lambda w: catalog.method(w.method)["seed"],
        network=network_of,
        folders=lambda w: case_folders(w.dataset, cases_of(embedding_pairs(w))),
        pairs=embedding_pairs,
        device=catalog.device,
        code=embedding_code,
    script:
        "../../scripts/embed.py"
