"""The command ``warpline``: pairs of scans, fields, results and models; and the workflow."""

from __future__ import annotations

import importlib

import click

# Each is a module of this room, with a command of its name.
COMMANDS = (
    "apply",
    "budget",
    "compose",
    "convert",
    "datasets",
    "doctor",
    "evaluate",
    "init",
    "inspect",
    "invert",
    "jacobian",
    "methods",
    "models",
    "provenance",
    "register",
    "run",
    "status",
    "train",
    "view",
)


class Commands(click.Group):
    """A group that imports a command when it is asked for: what others need costs it nothing."""

    def list_commands(self, context: click.Context | None) -> list[str]:
        """The names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, context: click.Context | None, name: str) -> click.Command | None:
        """The command of a name, or None."""
        if name not in COMMANDS:
            return None
        return getattr(importlib.import_module(f"warpline.cli.{name}"), name)

    def resolve_command(self, context: click.Context, args: list[str]) -> tuple:
        """As click does; of a name that is mistyped, say what is meant."""
        from warpline.registry import closest_word

        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = closest_word(name, COMMANDS)
            meant = f" Did you mean '{near}'?" if near else ""
            context.fail(f"There is no command '{name}'.{meant}")
        return super().resolve_command(context, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="warpline")
def main() -> None:
    """Registration of scans: pairs and cohorts, the fields and results that come of them."""
