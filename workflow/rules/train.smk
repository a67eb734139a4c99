# One training a recipe and dataset. Checkpoints live under state/, outside the declared outputs,
# so a training that was killed goes on where it was.


rule train:
    input:
        unpack(ask(train.pretrained_weights)),
        batches=ask(train.training_inputs),
        verdicts=ask(cases.verdicts),
    output:
        weights=layout.weights("{dataset}", "{method}"),
        history=layout.history("{dataset}", "{method}"),
        sidecar=layout.sidecar("{dataset}", "{method}"),
    log:
        layout.log("train/{dataset}/{method}"),
    benchmark:
        layout.benchmark("train/{dataset}/{method}")
    priority: TRAININGS_FIRST
    conda:
        "../../envs/torch.yaml"
    threads: ask(train.training_threads)
    resources:
        gpu=ask(train.training_gpus),
        workers=ask(train.training_workers),  # of these threads
        mem_mb=growing(ask(needs.training_mb), lambda: needs.largest_mb(run)),
        runtime=ask(needs.training_minutes),  # the next attempt goes on from the checkpoint
    params:
        recipe=ask(train.training_recipe),
        material=ask(train.training_material),
        state=ask(train.state_folder),
        cache=ask(train.data_cache),
        device=run.catalog.device,
        code=ask(train.training_code),
    script:
        "../../scripts/train.py"


# Weights that were trained elsewhere: fetched, verified, translated.
rule given_weights:
    output:
        weights=layout.given_weights("{method}"),
        sidecar=layout.given_sidecar("{method}"),
    log:
        layout.log("given_weights/{method}"),
    benchmark:
        layout.benchmark("given_weights/{method}")
    priority: TRAININGS_FIRST
    localrule: True  # nodes of a cluster often have no way out
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=2000,
        runtime=1440,
    params:
        recipe=ask(weights.given_recipe),
        folder=ask(weights.given_folder),
        code=ask(weights.given_code),
    script:
        "../../scripts/given_weights.py"


# Displacement maps of the training pairs → the dimensions in which they differ most.
rule embed:
    input:
        batches=ask(train.embedded_batches),
        weights=ask(register.trained_weights),
    output:
        embedding=layout.embedding("{dataset}", "{method}"),
        sidecar=layout.model("{dataset}", "{method}", "embedding.json"),
    log:
        layout.log("embed/{dataset}/{method}"),
    benchmark:
        layout.benchmark("embed/{dataset}/{method}")
    priority: TRAININGS_FIRST
    conda:
        "../../envs/torch.yaml"
    threads: settings["threads"]
    resources:
        gpu=run.gpus,
        mem_mb=growing(heavy),
        runtime=growing(240),
    params:
        settings=ask(train.embedding_search),
        seed=ask(train.seed),
        network=ask(register.network_recipe),
        folders=ask(train.embedded_folders),
        pairs=ask(train.embedded_pairs),
        device=run.catalog.device,
        code=ask(train.embedding_code),
    script:
        "../../scripts/embed.py"
