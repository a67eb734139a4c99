# warpline: five papers on deformable medical image registration, from raw scans to their tables.
#
#   snakemake --cores 2                     everything that config/config.yaml names
#   snakemake --cores 2 tables              the tables alone;  figures: the figures alone;
#   snakemake --cores 2 exploration         what the datasets hold; nothing is trained
#   snakemake --cores 2 models              trainings as models of the project (config: models)
#   snakemake --cores 2 estienne2020        one paper;  any paper or study is a target by its name
#   snakemake --cores 2 --config scale=cpu -- estienne2020   another scale: demo, cpu or paper

from snakemake.utils import min_version

min_version("9.0")


configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/acquire.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/explore.smk"
include: "workflow/rules/align.smk"
include: "workflow/rules/atlas.smk"
include: "workflow/rules/label.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/register.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        layout.report,


rule tables:
    input:
        papers.everything(run)["tables"],


rule figures:
    input:
        papers.everything(run)["figures"],


rule exploration:
    input:
        papers.everything(run)["explorations"],


for paper in run.catalog.papers:

    rule:
        name:
            paper
        input:
            papers.tables_of(run, paper),
            papers.figures_of(run, paper),
