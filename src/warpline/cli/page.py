"""The page of all commands, made of what their ``--help`` says.

python -m warpline.cli.page > docs/commands.md
"""

from __future__ import annotations

import click

from warpline.cli.main import main

WIDTH = 96
HEAD = (
    "# The commands\n\nWhat `warpline COMMAND --help` says, command by command; `python -m "
    "warpline.cli.page > docs/commands.md` writes this page anew. What a transform means, and "
    "which files of other programs are read, stands in [exchange.md](exchange.md).\n"
)


def page() -> str:
    """The page as Markdown."""
    parts = [HEAD]
    for name in main.list_commands(None):
        command = main.get_command(None, name)
        context = click.Context(
            command,
            info_name=f"warpline {name}",
            terminal_width=WIDTH,
            max_content_width=WIDTH,
            **main.context_settings,
        )
        parts.append(f"## {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    click.echo(page(), nl=False)
