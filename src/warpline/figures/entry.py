"""A figure's entry of a paper file, as the schema leaves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shown:
    """One experiment of a figure: a row, a box or a colour of it."""

    dataset: str
    method: str
    split: str
    title: str

    @classmethod
    def of(cls, experiment: Mapping[str, str]) -> Shown:
        """From one of a figure's ``experiments``."""
        return cls(*(experiment[key] for key in ("dataset", "method", "split", "title")))


@dataclass(frozen=True)
class FigureEntry:
    """How a figure is drawn; None is what its kind is not asked for, or not given.

    Attributes
    ----------
    experiments
        All of one dataset and split; none where a dataset alone is shown.
    metric, metrics
        Of a boxplot; of distributions, metric to the title of its panel.
    axis, by
        Of a boxplot: the title of its axis, and what its groups are, ``label`` or ``pair``.
    pair, pairs
        The rules by which a pair, or several, are chosen, see `warpline.figures.pairs`.
    plane
        ``sagittal``, ``coronal`` or ``axial``.
    before, capture_range
        The method that others start from; mm.
    seed
        Of synthetic fields.
    plot
        What an exploration shows.
    """

    experiments: tuple[Shown, ...]
    metric: str | None
    metrics: Mapping[str, str] | None
    axis: str | None
    by: str | None
    pair: str | None
    pairs: Sequence[str] | None
    plane: str | None
    before: str | None
    capture_range: float | None
    seed: int | None
    plot: str | None

    @classmethod
    def of(cls, figure: Mapping[str, Any]) -> FigureEntry:
        """From one of a paper's ``figures``; of learning curves, which have no entry, nothing."""
        keys = ("metric", "metrics", "axis", "by", "pair", "pairs", "plane", "before")
        keys += ("capture_range", "seed", "plot")
        experiments = tuple(map(Shown.of, figure.get("experiments", ())))
        return cls(experiments, **{key: figure.get(key) for key in keys})

    @property
    def place(self) -> tuple[str, str]:
        """The dataset and split that are shown."""
        return self.experiments[0].dataset, self.experiments[0].split

    @property
    def titles(self) -> dict[str, str]:
        """Method id → title, in the order of drawing."""
        return {shown.method: shown.title for shown in self.experiments}

    @property
    def last(self) -> str:
        """The method of the last experiment, which chooses the pair."""
        return self.experiments[-1].method
