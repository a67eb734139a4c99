"""The command ``warpline``: pairs of scans, fields, results and models; and the workflow."""

from __future__ import annotations

import click

from warpline.cli.apply import apply
from warpline.cli.budget import budget
from warpline.cli.compose import compose
from warpline.cli.convert import convert
from warpline.cli.datasets import datasets
from warpline.cli.doctor import doctor
from warpline.cli.evaluate import evaluate
from warpline.cli.init import init
from warpline.cli.inspect import inspect
from warpline.cli.invert import invert
from warpline.cli.jacobian import jacobian
from warpline.cli.methods import methods
from warpline.cli.models import models
from warpline.cli.provenance import provenance
from warpline.cli.register import register
from warpline.cli.run import run
from warpline.cli.status import status
from warpline.cli.train import train
from warpline.cli.view import view


@click.group()
@click.version_option(package_name="warpline")
def main() -> None:
    """Registration of scans: pairs and cohorts, the fields and results that come of them."""


for command in (
    apply,
    budget,
    compose,
    convert,
    datasets,
    doctor,
    evaluate,
    init,
    inspect,
    invert,
    jacobian,
    methods,
    models,
    provenance,
    register,
    run,
    status,
    train,
    view,
):
    main.add_command(command)
