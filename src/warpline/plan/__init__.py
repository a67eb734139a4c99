"""What a run consists of. Imported while the Snakefile is parsed: nothing heavy here."""
