"""How pairs hang together through the cases that they share, and what that does to their mean.

Sixty pairs of thirty people, each in both directions, are thirty observations; forty-five pairs of
ten people are about ten. A variance that counts how pairs that share a case vary together is right
for both (Fafchamps and Gubert 2007; Aronow, Samii and Assenova 2015), and so are draws of cases
whose spread is set to it. What was chosen here by simulation is said where it stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

DYADS_OFF = 0.75
"""A pair shares two cases with itself, and would count twice beside pairs that share one. Taking
off all of the second time is unbiased but too short where noise of pairs prevails over that of
cases (93 %), none of it too long (98 %)."""


@dataclass(frozen=True, eq=False)
class Structure:
    """The cases of N pairs, by number.

    Attributes
    ----------
    pairs
        N (fixed, moving).
    dyads
        (N,): two pairs with the same two cases, in whatever order, have the same number.
    groups
        (N,): pairs that are linked by cases have the same number.
    membership
        (N, cases): how often a pair has a case. A case of all pairs, such as an atlas, has no
        column: what is said is said of this atlas.
    """

    pairs: tuple[tuple[str, str], ...]
    dyads: np.ndarray
    groups: np.ndarray
    membership: np.ndarray

    @cached_property
    def apart(self) -> bool:
        """Whether pairs of one group all share the same cases, so that groups are independent."""
        return len(np.unique(self.dyads)) == len(np.unique(self.groups))

    @cached_property
    def drawn(self) -> int:
        """Number of what is drawn: groups that are independent, else cases."""
        return int(self.groups.max()) + 1 if self.apart else self.membership.shape[1]

    @cached_property
    def _together(self) -> np.ndarray:
        """(N, N): the weight of two pairs' product of residuals."""
        shared = self.membership @ self.membership.T
        same = self.dyads[:, None] == self.dyads
        return (shared > 0) + (1 - DYADS_OFF) * (same & (shared > 1))

    @cached_property
    def _moments(self) -> tuple[float, float]:
        """(factor that makes the variance unbiased, its degrees of freedom), of effects of cases.

        Of the quadratic form of residuals about a mean, after Satterthwaite, as Bell and McCaffrey
        (2002) do for regressions.
        """
        if self.apart:
            return self.drawn / max(self.drawn - 1, 1), float(self.drawn - 1)
        n = len(self.pairs)
        centre = np.eye(n) - 1 / n
        effects = self.membership @ self.membership.T
        form = centre @ self._together @ centre @ effects
        trace = float(np.trace(form))
        return float(effects.sum()) / trace, trace**2 / float(np.sum(form * form.T))

    @property
    def freedom(self) -> float:
        """Degrees of freedom of `variance`; 0 where there is nothing to tell a spread from."""
        return self._moments[1]

    def variance(self, residuals: np.ndarray, total: float) -> float:
        """Variance of a weighted mean over cases like these.

        Parameters
        ----------
        residuals
            (N,): the sum of each pair's values, less the mean as often.
        total
            Number of values.
        """
        factor, _ = self._moments
        if self.apart:
            return factor * float(np.square(np.bincount(self.groups, residuals)).sum()) / total**2
        linked = factor * float(residuals @ self._together @ residuals)
        # Where cases have no effect the form above may fall below, even under zero.
        alone = np.bincount(self.dyads, residuals)
        alone = len(alone) / (len(alone) - 1) * float(np.square(alone).sum())
        return max(linked, alone) / total**2

    def draws(self, resamples: int, seed: int) -> np.ndarray:
        """(≤ resamples, N): how often each pair comes, if as many are drawn as there are.

        A pair comes as often as both of its cases together: the product. Draws without any pair
        are left out.
        """
        rng = np.random.default_rng(seed)
        counts = rng.multinomial(self.drawn, np.full(self.drawn, 1 / self.drawn), size=resamples)
        if self.apart:
            return counts[:, self.groups]
        weights = np.ones((resamples, len(self.pairs)), np.int64)
        for case, column in enumerate(self.membership.T):
            weights *= np.where(column > 0, counts[:, case, None], 1)
        return weights[weights.any(axis=1)]


def structure_of(fixed: Iterable[str], moving: Iterable[str]) -> Structure:
    """The structure of pairs, given the ids of their cases; of single things, give these twice."""
    return _structure(tuple(zip(map(str, fixed), map(str, moving), strict=True)))


@lru_cache(maxsize=64)
def _structure(pairs: tuple[tuple[str, str], ...]) -> Structure:
    sets = [frozenset(pair) for pair in pairs]
    everywhere = frozenset.intersection(*sets) if len(set(sets)) > 1 else frozenset()
    sets = [pair - everywhere for pair in sets]
    numbers = {case: k for k, case in enumerate(dict.fromkeys(c for p in sets for c in sorted(p)))}
    dyads = {pair: k for k, pair in enumerate(dict.fromkeys(sets))}
    membership = np.zeros((len(sets), len(numbers)))
    for position, pair in enumerate(sets):
        membership[position, [numbers[case] for case in pair]] = 1
    return Structure(
        pairs=pairs,
        dyads=np.array([dyads[pair] for pair in sets]),
        groups=_groups(sets, numbers),
        membership=membership,
    )


def _groups(pairs: list[frozenset[str]], numbers: dict[str, int]) -> np.ndarray:
    """The number of each pair's connected group; of one without own cases, that of the first."""
    root = list(range(max(len(numbers), 1)))

    def find(case: int) -> int:
        while root[case] != case:
            root[case] = root[root[case]]
            case = root[case]
        return case

    for pair in pairs:
        first, *others = [numbers[case] for case in pair] or [0]
        for other in others:
            root[find(other)] = find(first)
    found = [find(numbers[next(iter(pair))]) if pair else find(0) for pair in pairs]
    order = {group: k for k, group in enumerate(dict.fromkeys(found))}
    return np.array([order[group] for group in found])
