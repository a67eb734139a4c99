"""The files of the explorer: those of a paper, and the page itself."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warpline.files import atomic_folder, write_text
from warpline.plan.pairs import Pair, pair_name

if TYPE_CHECKING:
    import pandas as pd

    from warpline.explorer.pair import Looked, WayBack
    from warpline.fields.physical import DisplacementField
    from warpline.images.grid import Grid

WEB = Path(__file__).parent / "web"
START = "start.js"


def write_paper(
    name: str,
    about: Mapping[str, Any],
    sources: Mapping[str, Mapping[str, Any]],
    results: str | os.PathLike,
    rule: str,
    values: Mapping[str, str],
) -> None:
    """Write ``paper.js`` of a paper and the images of the pairs that are kept.

    Parameters
    ----------
    name, about
        The paper's id and its file, as the schema leaves it.
    sources
        Of each dataset and split of its tables: ``title``, ``labels``, ``outside``, ``unit``,
        ``pairs``, ``folders`` (of every case) and ``fields`` (method → pair's name → folder).
    results
        The folder with the paper's records and tables.
    rule
        Which pairs' images are kept, see `warpline.explorer.choose`.
    values
        What captions may quote of the run.
    """
    from warpline.evaluation.records import read_records
    from warpline.explorer.tables import read_table, table_content
    from warpline.explorer.volumes import script
    from warpline.tables.cells import SETS

    folder = Path(results) / name
    records = read_records(folder / "records.parquet")
    pairs = {place: _measured(records, place) for place in _places(about)}
    target = Path(results) / "explorer" / name
    with atomic_folder(target) as temporary:
        scores = _scores(records, pairs)
        kept = {
            place: _write_pairs(temporary, place, source, records, pairs[place], rule)
            for place, source in sources.items()
        }
        content = {
            "title": about["title"],
            "citation": about["citation"],
            "url": about["url"],
            "notes": about["notes"],
            "values": dict(values),
            "claims": [
                {key: claim[key] for key in ("text", "verdict", "sentence")}
                for claim in json.loads((folder / "claims.json").read_text(encoding="utf-8"))
            ],
            "tables": {
                table: table_content(
                    read_table(folder / "tables" / f"{table}.csv", spec, values), records, pairs
                )
                for table, spec in about["tables"].items()
            },
            "places": {
                place: {
                    "title": sources[place]["title"] if place in sources else place,
                    "split": SETS.get(place.split("/")[1], place.split("/")[1]),
                    "unit": sources[place]["unit"] if place in sources else "mm",
                    "pairs": listed,
                    "kept": kept.get(place, {}),
                    "methods": list(sources[place]["fields"]) if place in sources else [],
                    "scores": scores[place],
                }
                for place, listed in pairs.items()
            },
        }
        write_text(temporary / "paper.js", script("paper", name, content))


def write_page(target: str | os.PathLike, about: Mapping[str, Any]) -> None:
    """Write the page and its parts, and what it starts from.

    Parameters
    ----------
    target
        Path of ``index.html``.
    about
        ``papers`` (in their order), ``run``: scale, date, code, machine.
    """
    from warpline.explorer.volumes import script

    folder = Path(target).parent
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(WEB.iterdir()):
        if path.name != "index.html":
            shutil.copyfile(path, folder / path.name)
    write_text(folder / START, script("start", "", about))
    write_text(target, (WEB / "index.html").read_text(encoding="utf-8"))


def _places(about: Mapping[str, Any]) -> list[str]:
    rows = [row for table in about["tables"].values() for row in table["rows"] if "method" in row]
    return list(dict.fromkeys(f"{row['dataset']}/{row['split']}" for row in rows))


def _of_place(records: pd.DataFrame, place: str) -> pd.DataFrame:
    dataset, split = place.split("/")
    return records[(records["dataset"] == dataset) & (records["split"] == split)]


def _measured(records: pd.DataFrame, place: str) -> list[Pair]:
    """The pairs of a dataset's split, in the order of the records."""
    own = _of_place(records, place)[["fixed", "moving"]].drop_duplicates()
    return list(own.itertuples(index=False, name=None))


def _scores(
    records: pd.DataFrame, pairs: Mapping[str, list[Pair]]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Dataset and split → method → metric → unit, the mean of each pair, and of Dice each label's.

    Landmarks are not told one by one here: the pair's own file has them.
    """
    from warpline.explorer.tables import finite

    index = {
        (*place.split("/"), *pair): number
        for place, listed in pairs.items()
        for number, pair in enumerate(listed)
    }
    found: dict[str, dict[str, dict[str, Any]]] = {place: {} for place in pairs}

    def fill(rows: pd.DataFrame, labelled: bool) -> None:
        keys = ["dataset", "split", "method", "metric", "unit", "fixed", "moving"]
        keys += ["label"] if labelled else []
        means = rows.groupby(keys, sort=False, observed=True)["value"].mean()
        for (dataset, split, method, metric, unit, fixed, moving, *label), value in means.items():
            place = f"{dataset}/{split}"
            number = index.get((dataset, split, fixed, moving))
            if number is None:
                continue
            empty = [None] * len(pairs[place])
            metrics = found[place].setdefault(method, {})
            entry = metrics.setdefault(metric, {"unit": unit, "pairs": list(empty)})
            if label:
                entry.setdefault("labels", {}).setdefault(label[0], list(empty))
                entry["labels"][label[0]][number] = finite(value, 4)
            else:
                entry["pairs"][number] = finite(value)

    fill(records, labelled=False)
    fill(records[records["metric"] == "dice"], labelled=True)
    return found


def write_looked(
    folder: Path, stem: str, looked: Looked, fields: Iterable[tuple[DisplacementField, WayBack]]
) -> None:
    """Write ``<stem>.js`` of a pair and ``<stem>-<number>.js`` of what each field makes of it."""
    from warpline.explorer.volumes import script

    write_text(folder / f"{stem}.js", script("pair", stem, looked.content()))
    for number, both in enumerate(fields):
        own = f"{stem}-{number}"
        write_text(folder / f"{own}.js", script("method", own, looked.of_method(*both)))


def _write_pairs(
    folder: Path,
    place: str,
    source: Mapping[str, Any],
    records: pd.DataFrame,
    pairs: list[Pair],
    rule: str,
) -> dict[str, str]:
    """Write the images of a place's chosen pairs: index of the pair → stem of its files."""
    from warpline.cases.case import read_case
    from warpline.explorer.pair import Looked

    kept = {}
    for pair in _chosen(records, place, list(source["fields"]), rule):
        fixed, moving = (read_case(source["folders"][case]) for case in pair)
        looked = Looked(fixed, moving, source["labels"], source["outside"])
        number = pairs.index(pair)
        fields = (
            _there_and_back(of, pair, (fixed.grid, moving.grid)) for of in source["fields"].values()
        )
        kept[str(number)] = f"{place.replace('/', '-')}-{number}"
        write_looked(folder, kept[str(number)], looked, fields)
    return kept


def _there_and_back(
    folders: Mapping[str, str], pair: Pair, grids: tuple[Grid, Grid]
) -> tuple[DisplacementField, WayBack]:
    """A method's field of a pair, and that of the other direction where it was registered too.

    `grids`: of the fixed and the moving case.
    """
    from warpline.explorer.pair import OWN_INVERSE, WayBack
    from warpline.fields.halved import read_kept

    def read(pair: Pair, grid: Grid) -> DisplacementField:
        name = pair_name(pair)
        return read_kept(Path(folders[name]) / f"{name}.nii.gz", grid)

    there = read(pair, grids[0])
    if pair_name(pair[::-1]) not in folders:
        return there, OWN_INVERSE
    back = read(pair[::-1], grids[1])
    return there, WayBack(back, "this method's field of the other direction")


def _chosen(records: pd.DataFrame, place: str, methods: Sequence[str], rule: str) -> list[Pair]:
    """The pairs that the rule names for any method; of doing nothing only where nothing is done."""
    from warpline.evaluation.records import first_seed
    from warpline.explorer.choose import SCORES, choose_for_all, from_worst_to_best
    from warpline.plan.kinds import UNREGISTERED

    own = first_seed(_of_place(records, place))
    metric = next((m for m in SCORES if (own["metric"] == m).any()), None)
    done = [m for m in methods if m != UNREGISTERED] or methods
    if metric is None:
        return []
    orders = []
    for method in done:
        mine = own[(own["method"] == method) & (own["metric"] == metric)]
        means = mine.groupby(["fixed", "moving"])["value"].mean().to_dict()
        orders.append(from_worst_to_best(means, SCORES[metric]))
    return choose_for_all(orders, rule)
