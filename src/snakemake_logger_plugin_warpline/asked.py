"""What a run was asked for: the command line before configuration files, these before a profile.

Snakemake takes a profile's ``config`` for words of the command line: they win over
``--configfile``, and one ``--config`` of the user's own drops them all. Here the one asked for last
and most explicitly holds, key by key.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from snakemake import cli
from snakemake.common import dict_to_key_value_args
from snakemake.common.configfile import load_configfile
from snakemake.profiles import ProfileConfigFileParser
from snakemake.utils import update_config


class Asked(NamedTuple):
    """The targets of a run, what names its scale, and who says what.

    `sources`: how one names a place of the configuration, and what it says, the most explicit last.
    """

    targets: list[str]
    origin: str
    sources: dict[str, Mapping[str, Any]]


# As JSON and as Python, by which Snakemake tells its jobs, write them.
WORDS = {"True": True, "False": False, "None": None}


def read_words(words: Any) -> Any:
    """What ``--config`` says, with the numbers and truth values that Snakemake leaves as text.

    It reads a value that is a number; within ``key={a: 1}`` and of ``key=true`` all is text to it.
    """
    if isinstance(words, Mapping):
        return {key: read_words(value) for key, value in words.items()}
    if isinstance(words, list):
        return [read_words(value) for value in words]
    if not isinstance(words, str):
        return words
    try:
        value = json.loads(words)
    except ValueError:
        return WORDS.get(words, words)
    number = isinstance(value, int | float) and math.isfinite(value)
    return value if number or value is None else words


def settle(workflow: Any, config: dict[str, Any], arguments: Sequence[str], begun: Path) -> Asked:
    """Lay profile, configuration files and command line over `config`, in this order.

    Jobs are told the same.

    Parameters
    ----------
    workflow
        Snakemake's.
    config
        As Snakemake has merged it; is changed.
    arguments
        Of the command line, the program's name not included.
    begun
        Where the command was given.
    """
    settings = workflow.config_settings
    (own,) = _short([Path(workflow.configfiles[-1])])
    named = {str(_short([file])[0]): load_configfile(file) for file in settings.configfiles}
    files: dict[str, Any] = {}
    for words in named.values():
        update_config(files, words)
    given, _ = cli.get_argument_parser().parse_known_args(list(arguments))
    typed = read_words(cli.parse_config(given.config))
    profile, place = _of_profiles(profiles_of(given, workflow, begun))
    said = typed or (read_words(settings.config) if not profile else {})
    sources = {
        str(own): load_configfile(workflow.configfiles[-1]),
        **({f"the profile {place}": profile} if profile else {}),
        **named,
        "--config": said,
    }
    told = set(settings.config)
    if profile and told <= {*profile, *typed}:  # else another program than snakemake asks
        for words in (profile, files, typed):
            update_config(config, words)
        passed = {key: config[key] for key in (*profile, *typed)}
        settings.config_args = dict_to_key_value_args(passed, repr_obj=True)
    for words, origin in (
        (said, "the command line"),
        (files, " and ".join(named)),
        (profile, f"the profile {place}"),
    ):
        if "scale" in words:
            return Asked(list(given.targets), origin, sources)
    return Asked(list(given.targets), str(own), sources)


def profiles_of(given: Any, workflow: Any, begun: Path) -> list[str | Path]:
    """The profiles that a command line takes its options from, as Snakemake finds them.

    Parameters
    ----------
    given
        The command line, as its parser leaves it.
    workflow
        Snakemake's.
    begun
        Where the command was given: paths are those of there, also with ``--directory``.
    """
    named = [begun / name if (begun / name).exists() else name for name in given.profile or []]
    own = _workflow_profile(given, begun, Path(workflow.main_snakefile).parent)
    return [*named, *filter(None, [own])]


def _of_profiles(profiles: Sequence[str | Path]) -> tuple[Mapping[str, Any], Path | None]:
    """The configuration of the profiles alone, and the one that it is of."""
    words: dict[str, Any] = {}
    place = None
    for profile in profiles:
        folder, options = options_of(profile)
        if options.get("config"):  # of several profiles the last one's, as everywhere in Snakemake
            words = read_words(cli.parse_config(options["config"]))
            place = _short([folder])[0]
    return words, place


def options_of(profile: str | Path) -> tuple[Path, Mapping[str, Any]]:
    """The folder of a profile and the options that it gives; none where it is not there."""
    found = cli.get_profile_dir(str(profile))
    if found is None:
        return Path(profile), {}
    with found[1].open(encoding="utf-8") as stream:
        return Path(found[0]), ProfileConfigFileParser().parse(stream)


def _workflow_profile(given: Any, begun: Path, project: Path) -> Path | None:
    """Where Snakemake looks for ``--workflow-profile``, in its order."""
    if given.workflow_profile == "none":
        return None
    name = given.workflow_profile or "default"
    asked = begun / name
    if given.workflow_profile and asked.is_file():
        return asked
    places = (asked, begun / "profiles" / name, project / "profiles" / name)
    return next((place for place in places if place.exists()), None)


def _short(paths: Sequence[Path]) -> list[Path]:
    here = Path.cwd()
    return [path.relative_to(here) if path.is_relative_to(here) else path for path in paths]
