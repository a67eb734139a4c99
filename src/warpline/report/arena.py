"""The arena as a whole: tables, ranks, figures, and what others need to go on from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from warpline.evaluation.records import COLUMNS, SEED, read_records, write_records
from warpline.files import atomic_path, write_text
from warpline.plan.marks import unmarked
from warpline.report.dictionary import citations, data_dictionary
from warpline.tables import arena, ranking
from warpline.tables.arena import NAMES, Ring
from warpline.tables.claims import signed
from warpline.tables.ranking import Scores
from warpline.tables.render import write_all

ALWAYS_CITED = ("demsar2006", "hering2023")


@dataclass(frozen=True)
class Comparison:
    """What was measured in the arena, read once.

    Attributes
    ----------
    records
        Of all cells, with the failures.
    contest
        From `warpline.plan.inputs.arena.contest`.
    rings
        The datasets.
    """

    records: pd.DataFrame
    contest: Mapping[str, Any]
    rings: Sequence[Ring]

    @classmethod
    def of(cls, sources: Sequence[str], contest: Mapping[str, Any]) -> Comparison:
        """From the files of all cells, of which some are other seeds of the same method."""
        seeds = contest["seeds"]
        frames = []
        for frame, seed in zip(map(read_records, sources), seeds, strict=True):
            rows = frame.assign(method=[unmarked(method)[0] for method in frame["method"]])
            frames.append(rows.assign(**{SEED: seed}) if any(seeds) else rows)
        records = pd.concat(frames, ignore_index=True)
        found = arena.rings(records, contest)
        return cls(arena.with_failures(records, found), contest, found)

    @property
    def time(self) -> str:
        """What methods' time is told by: of the CPU where all compute there."""
        return "cpu_seconds" if self.contest["device"] == "cpu" else "seconds"

    @cached_property
    def scores(self) -> dict[str, Scores]:
        """Of each dataset."""
        return {ring.dataset: arena.scores(self.records, ring) for ring in self.rings}

    def write_tables(self, folder: Path) -> dict[str, pd.DataFrame]:
        """Write all tables, and give back those that figures show."""
        folder.mkdir(parents=True, exist_ok=True)
        values = {key: self.contest[key] for key in ("scale", "device")}
        made = {r.dataset: (r, arena.table(self.records, r, values)) for r in self.rings}
        for name, (_, table) in made.items():
            write_all(table, folder, f"dataset-{name}")
        metric, most = (self.contest["regularity"][key] for key in ("metric", "most"))
        wins = {name: ranking.wins(each) for name, each in self.scores.items()}
        points = arena.curve_points(self.records, self.rings, metric)
        apart = {name: ranking.told_apart(each) for name, each in self.scores.items()}
        frames = {
            "arena": arena.overview(made, self.time),
            "failures": arena.failures(self.records, self.rings),
            "worst": arena.worst_pairs(self.records, self.rings),
            "parts": arena.by_part(self.records, self.rings),
            "ranks": ranking.rank_intervals(self.scores, resamples=self.contest["resamples"]),
            "stability": ranking.without_each(self.scores).rename_axis("method").reset_index(),
            "wins": _stacked(wins),
            "score": ranking.overall_score(wins).rename_axis("method").reset_index(),
            "decided": self._decided(apart),
            "curves": points,
            "areas": arena.areas(points, self.rings, most),
        }
        for name, frame in frames.items():
            with atomic_path(folder / f"{name}.csv") as path:
                frame.to_csv(path, index=False)
        return frames

    def _decided(self, apart: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """Every two methods, and in a sentence what the data say of them."""
        frames = []
        for ring in self.rings:
            found = apart[ring.dataset]
            decimals, unit = NAMES[ring.metric][1:]
            titles = {each.method: each.title for each in ring.own}
            sentences = [
                f"{titles[row.first]} {'is' if row.p_holm < ranking.ALPHA else 'may be'} ahead of "
                f"{titles[row.second]} by {_interval(row, decimals, unit)}"
                + ("." if row.p_holm < ranking.ALPHA else ": these data do not decide.")
                for row in found.itertuples()
            ]
            frames.append(found.assign(dataset=ring.dataset, sentence=sentences))
        return pd.concat(frames, ignore_index=True)

    def draw(self, tables: Mapping[str, pd.DataFrame], folder: Path) -> None:
        """Draw all figures, and the worst pair of each dataset's first method."""
        from warpline.figures import arena as figures

        folder.mkdir(parents=True, exist_ok=True)
        names = {ring.dataset: ring.title for ring in self.rings}
        methods = self.contest["methods"]
        titles = {name: method["title"] for name, method in methods.items()}
        looks = figures.looks(titles, {name: each["colour"] for name, each in methods.items()})
        panels = {}
        for ring in self.rings:
            axis, _, unit = NAMES[ring.metric]
            axis = f"{axis} ({unit})" if unit else axis
            panels[ring.dataset] = figures.Panel(ring.title, axis, ring.better)
        points, most = tables["curves"], self.contest["regularity"]["most"]
        lines = arena.curve_lines(points, self.rings)
        figures.draw_curves(points, lines, looks, panels, most, folder / "curves")
        figures.draw_time(tables["arena"], self.time, looks, panels, folder / "time")
        parts = tables["parts"]
        deep = set(parts.loc[parts["by"] == "depth", "dataset"])
        if deep:
            errors = {
                ring.dataset: figures.Panel(
                    ring.title,
                    "TRE (mm)" if ring.metric == "tre" else "share of wrong labels",
                    "lower",
                )
                for ring in self.rings
                if ring.dataset in deep
            }
            figures.draw_depths(parts, looks, errors, folder / "depths")
        figures.draw_ranks(tables["ranks"], looks, names, folder / "ranks")
        diagrams = []
        for ring in self.rings:
            found = ranking.critical_difference(self.scores[ring.dataset])
            heading = f"{ring.title}: critical difference {found.critical:.2f} "
            heading += f"({found.independent} independent observations)"
            diagrams.append(figures.Diagram(heading, dict(found.ranks), found.groups))
        figures.draw_differences(diagrams, titles, folder / "differences")
        for ring in self.rings:
            ranks = tables["ranks"]
            first = ranks[ranks["dataset"] == ring.dataset].iloc[0]["method"]
            worst = tables["worst"]
            pair = worst[(worst["dataset"] == ring.dataset) & (worst["method"] == first)].iloc[0]
            self._picture(ring.dataset, first, pair["fixed"], pair["moving"], folder)

    def _picture(self, dataset: str, method: str, fixed: str, moving: str, folder: Path) -> None:
        """A pair before and after, where its field was kept."""
        from warpline.cases.case import read_case
        from warpline.fields.io import read_field
        from warpline.fields.physical import DisplacementField
        from warpline.figures.pair import draw_row
        from warpline.plan.pairs import pair_name

        kept = self.contest["fields"].get(f"{dataset}/{method}")
        file = kept and Path(kept) / f"{pair_name((fixed, moving))}.nii.gz"
        if not file or not file.is_file():
            return
        cases = [read_case(self.contest["folders"][dataset][case]) for case in (fixed, moving)]
        field = read_field(file)
        before = DisplacementField.identity(field.grid).warp_image(cases[1].image)
        determinant = np.pad(field.jacobian_determinant(), 1, mode="edge")
        images = (cases[0].image, before, field.warp_image(cases[1].image))
        draw_row(*images, field, determinant, folder / f"worst-{dataset}-{method}.png")

    def export(self, outputs: Mapping[str, str], references: str) -> None:
        """Write the records twice, what is in them, whom to cite, and submissions.

        Parameters
        ----------
        outputs
            Paths by ``records``, ``tidy``, ``dictionary``, ``references``, ``submissions``.
        references
            The file of BibTeX entries.
        """
        write_records(self.records[list(COLUMNS)], outputs["records"])
        for name, frame in (
            ("tidy", self.records),
            ("dictionary", data_dictionary(self.records)),
        ):
            with atomic_path(outputs[name]) as path:
                frame.to_csv(path, index=False)
        ran = {each.name for ring in self.rings for each in ring.contestants}
        methods = self.contest["methods"]
        keys = [*ALWAYS_CITED, *(key for name in sorted(ran) for key in methods[name]["cite"])]
        parts = self.contest["datasets"].items()
        listed = [(name, part["citation"], part["licence"]) for name, part in parts]
        text = Path(references).read_text(encoding="utf-8")
        write_text(outputs["references"], citations(text, keys, listed))
        self._submissions(Path(outputs["submissions"]))

    def _submissions(self, folder: Path) -> None:
        """A zip of each method's fields where the dataset is a challenge's."""
        from warpline.evaluation.submission import write_submissions
        from warpline.plan.pairs import pair_name

        folder.mkdir(parents=True, exist_ok=True)
        for ring in self.rings:
            if not self.contest["datasets"][ring.dataset]["challenge"]:
                continue
            for each in ring.own:
                kept = self.contest["fields"].get(f"{ring.dataset}/{each.method}")
                if kept is None:
                    continue
                pairs = list(ring.means(self.records, each, ring.metric).index)
                fields = {pair_name(pair): kept for pair in pairs}
                target = folder / f"{ring.dataset}-{each.method}.zip"
                write_submissions(self.contest["folders"][ring.dataset], fields, pairs, target)


def _stacked(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(
        [f.rename_axis("method").reset_index().assign(dataset=name) for name, f in frames.items()],
        ignore_index=True,
    )


def _interval(row: Any, decimals: int, unit: str) -> str:
    found, low, high = (signed(value, decimals) for value in (row.difference, row.low, row.high))
    bounds = f" [{low}, {high}]" if np.isfinite(row.low) else ""
    return f"{found}{bounds} {unit}".strip()
