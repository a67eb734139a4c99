"""Which colour a method has: one, in every figure of all papers, studies and the arena of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from warpline.plan.arena import methods
from warpline.plan.catalog import Catalog, remembered
from warpline.plan.experiments import networks_of
from warpline.plan.kinds import UNREGISTERED
from warpline.plan.marks import unmarked
from warpline.plan.rows import rows_shown


@remembered
def colours(catalog: Catalog) -> dict[str, int]:
    """Each method's place among the colours of methods (`warpline.figures.style.METHODS`).

    Methods that a paper or study shows on one dataset have different places, the first to come the
    lower ones; those that never meet may share one. Unregistered pairs are place -1, which is grey.
    """
    groups = [group for paper in catalog.papers for group in _shown(catalog, paper)]
    return _placed(groups, {UNREGISTERED: -1})


@remembered
def arena_colours(catalog: Catalog) -> dict[str, int]:
    """The places of the arena's methods: of papers and studies, or one that no other there has.

    They are more than colours, and some of papers have met nowhere: markers tell these apart.
    """
    found = _placed([list(methods(catalog))], colours(catalog))
    return {method: found[method] for method in methods(catalog)}


def _placed(groups: list[list[str]], known: Mapping[str, int]) -> dict[str, int]:
    """A place for each method of groups that has none, apart from those beside it."""
    found = dict(known)
    for group in groups:
        for method in group:
            if method not in found:
                beside = {other for own in groups if method in own for other in own}
                taken = {found[other] for other in beside if other in found}
                found[method] = next(k for k in range(len(found)) if k not in taken)
    return found


def _shown(catalog: Catalog, paper: str) -> Iterable[list[str]]:
    """The methods of a paper, of its rows and then the networks behind them, by dataset."""
    names = [(row["dataset"], row["method"]) for row in rows_shown(catalog.paper(paper))]
    found: dict[str, dict[str, None]] = {}
    for dataset, name in (*names, *networks_of(catalog, paper)):
        found.setdefault(dataset, {})[unmarked(name)[0]] = None
    return map(list, found.values())
