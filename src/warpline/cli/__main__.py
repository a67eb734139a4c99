"""``python -m warpline.cli``, where the command ``warpline`` is not installed."""

from warpline.cli.main import main

main(prog_name="warpline")
