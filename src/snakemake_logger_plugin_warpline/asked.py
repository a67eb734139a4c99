"""What a run was asked for: the command line before configuration files, these before a profile.

Snakemake takes a profile's ``config`` for words of the command line: they win over
``--configfile``, and one ``--config`` of the user's own drops them all. Here the one asked for last
and most explicitly holds, key by key.
"""

from __future__ import annotations

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


def settle(workflow: Any, config: dict[str, Any], arguments: Sequence[str]) -> Asked:
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
    """
    settings = workflow.config_settings
    (own,) = _short([Path(workflow.configfiles[-1])])
    named = {str(_short([file])[0]): load_configfile(file) for file in settings.configfiles}
    files: dict[str, Any] = {}
    for words in named.values():
        update_config(files, words)
    given, _ = cli.get_argument_parser().parse_known_args(list(arguments))
    typed = cli.parse_config(given.config)
    begun = Path(workflow.workdir_init)  # paths are those of where one stood, not of --directory
    profile, place = _of_profiles(given, begun, Path(workflow.main_snakefile).parent)
    said = typed or (settings.config if not profile else {})
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


def _of_profiles(given: Any, begun: Path, project: Path) -> tuple[Mapping[str, Any], Path | None]:
    """The configuration of the profiles alone, and the one that it is of."""
    named = [begun / name if (begun / name).exists() else name for name in given.profile or []]
    profiles = [*named, *filter(None, [_workflow_profile(given, begun, project)])]
    words: dict[str, Any] = {}
    place = None
    for profile in profiles:
        found = cli.get_profile_dir(str(profile))
        if found is None:
            continue
        with found[1].open(encoding="utf-8") as stream:
            entries = ProfileConfigFileParser().parse(stream).get("config")
        if entries:  # of several profiles the last one's, as everywhere in Snakemake
            words, place = cli.parse_config(entries), _short([Path(found[0])])[0]
    return words, place


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
