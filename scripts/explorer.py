"""Write the page to look through a run's results; each paper's part of it is there."""

from pathlib import Path

from warpline.provenance.record import recorded_job

if "snakemake" in globals():
    with recorded_job(snakemake, "papers"):
        from warpline.explorer.build import write_page
        from warpline.provenance.banner import banner

        params, page = snakemake.params, snakemake.output.page
        write_page(page, {"papers": params.papers, "run": banner(params.run)})
        print(f"open {Path(page).absolute()}", flush=True)
