"""Register a batch of pairs by one method; keep the fields and what each cost."""

from warpline.plan.pairs import ATLAS
from warpline.provenance.record import recorded_job
from warpline.registration.batch import register_batch
from warpline.registration.method import Method, registrar

if "snakemake" in globals():
    with recorded_job(snakemake, "method"):
        method = Method.of(
            snakemake.params.method,
            network=snakemake.params.network,
            weights=snakemake.input.get("weights") or None,
            embedding=snakemake.input.get("embedding") or None,
            parameter_files=snakemake.input.get("parameters") or [],
            atlas=snakemake.params.folders.get(ATLAS),
            aligned=bool(snakemake.params.initial),
            threads=snakemake.threads,
        )
        target = snakemake.output[0]
        with registrar(method, snakemake.params.device, job=target) as chosen:
            register_batch(
                chosen,
                [tuple(pair) for pair in snakemake.params.pairs],
                snakemake.params.folders,
                target,
                snakemake.params.initial,
            )
