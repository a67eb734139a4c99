"""Train a recipe's network on a dataset."""

from pathlib import Path

from warpline.provenance.record import recorded_job
from warpline.training.checkpoints import StateFolder
from warpline.training.material import Material
from warpline.training.run import train_recipe

if "snakemake" in globals():
    with recorded_job(snakemake, "recipe"):
        train_recipe(
            snakemake.params.recipe,
            Material.of(snakemake.params.material),
            dict(snakemake.output.items()),
            state=snakemake.params.state,
            device=snakemake.params.device,
            threads=max(1, snakemake.threads - snakemake.resources.workers),
            workers=min(snakemake.resources.workers, snakemake.threads - 1),
            memory_mb=snakemake.resources.mem_mb,
            cache=snakemake.params.cache,
            pretrained=snakemake.input.get("pretrained"),
            verdicts=snakemake.input.verdicts or None,
            label=Path(snakemake.output.weights).parent.as_posix(),
        )
    # Last: until the record is written, whatever fails here can be had again from the state.
    StateFolder(snakemake.params.state).remove()
