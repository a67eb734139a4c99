"""``warpline models``: the models that come with the project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from warpline.cli import options
from warpline.plan.models import Models
from warpline.plan.places import Places, project_folder

# The first of these scores that a model has is told. Where there are landmarks, labels say little.
TOLD = ("tre", "dice", "mae", "cc_squared")


@click.command()
@click.argument("name", required=False)
@options.json_option
@click.option(
    "--project",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Another project's folder, which holds 'models'.",
)
@options.in_words
def models(name: str | None, machine: bool, project: Path | None) -> None:
    """The project's models and those of the working folder, or all that is known of one.

    A method uses one with "weights: {model: NAME}".
    """
    known = Models(project or Places.here(project_folder()))
    names = [name] if name else known.known()
    cards = {name: known.card(name) for name in names}
    if machine:
        click.echo(json.dumps(cards, indent=2, ensure_ascii=False))
    elif name:
        click.echo(_in_full(cards[name]))
    else:
        click.echo(_listed(known, cards))


def _listed(known: Models, cards: dict[str, dict[str, Any]]) -> str:
    if not cards:
        return f"There are no models in {known.folders[-1]}."
    rows = [("model", "network", "parameters", "kB", "trained on", "score on held-out cases")]
    for name, card in cards.items():
        size = known.file(name, "safetensors").stat().st_size
        rows.append(
            (
                name,
                card["recipe"]["network"]["name"],
                f"{card['parameters']:,}",
                f"{size / 1000:,.0f}",
                f"{card['cases']} cases of {card['dataset']['name']}",
                _score(card),
            )
        )
    return options.as_table(rows)


def _score(card: dict[str, Any]) -> str:
    for metric in TOLD:
        for score in card["scores"]:
            if score["metric"] == metric:
                return _in_words(score)
    return "–"


def _in_words(score: dict[str, Any]) -> str:
    interval = "" if score["low"] is None else f" [{score['low']:.3g}, {score['high']:.3g}]"
    unit = f" {score['unit']}" if score["unit"] else ""
    cases = f"n = {score['pairs']} ({score['cases']} cases)"
    return f"{score['metric']} {score['mean']:.3g}{unit}{interval}, {cases}"


def _in_full(card: dict[str, Any]) -> str:
    told = {
        "about": card["about"],
        "recipe": f"{card['recipe']['title']}, network {card['recipe']['network']['name']}, "
        f"{card['parameters']:,} parameters",
        "data": f"{card['cases']} cases of {card['dataset']['name']} ({card['dataset']['title']})"
        + (", generated" if "phantom" in card["dataset"] else ""),
        "training": f"{card['epochs']} epochs, {card['steps']} steps, seed {card['seed']}, "
        f"{card['training_seconds'] / 60:.0f} min on {card['machine']['device']}",
        "code": card["code"],
        "sha256": card["weights_sha256"],
        "scored by": f"{card['scored']['method']} on {card['scored']['split']}",
    }
    lines = [card["name"], *(f"  {key}: {value}" for key, value in told.items())]
    lines += [f"    {_in_words(score)}" for score in card["scores"]]
    return "\n".join(lines)
