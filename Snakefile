# `snakemake` in the project's folder, or `snakemake --snakefile` from any other, begins here; the
# workflow's table of contents is workflow/Snakefile, where workflows of others look for it.


include: "workflow/Snakefile"


# What an included file says of it does not count.
workflow.default_target = "all"
