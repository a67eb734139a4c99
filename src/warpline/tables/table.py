"""A built table: its numbers, its entry in the paper file, and what its caption may quote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from warpline.errors import WarplineError
from warpline.tables.entry import Column, TableEntry


@dataclass(frozen=True)
class Table:
    """A built table and what its renderers need to know.

    Attributes
    ----------
    frame
        From `warpline.tables.build.build`.
    entry
        What it was built by.
    values
        Parameters of this run that the caption may quote: ``scale``, ``seed``, ``device``, …
    """

    frame: pd.DataFrame
    entry: TableEntry
    values: Mapping[str, str]

    @property
    def title(self) -> str:
        """The table's title."""
        return self.entry.title

    @property
    def columns(self) -> dict[str, Column]:
        """Column id → its entry, of the columns that the frame has."""
        return {k: c for k, c in self.entry.columns.items() if k in self.frame.columns}

    @property
    def shown(self) -> dict[str, Column]:
        """The columns that stand for themselves: without those that are another's `spread`."""
        spreads = {c.spread for c in self.entry.columns.values()}
        return {k: c for k, c in self.columns.items() if k not in spreads}

    @property
    def caption(self) -> str:
        """The caption, with this run's values put in.

        ``{n}`` is always known: the numbers of pairs of the run's rows (``60`` or ``45–60``).

        Raises
        ------
        WarplineError
            If the caption asks for a value that this run does not have.
        """
        whole = [not row.single for row in self.entry.rows]
        counts = sorted({int(n) for n in self.frame["n"][whole] if n > 0})
        known = {"n": "–".join(map(str, dict.fromkeys([*counts[:1], *counts[-1:]]))), **self.values}
        try:
            return self.entry.caption.format(**known)
        except (KeyError, IndexError, ValueError) as error:
            raise WarplineError(
                f"The caption cannot be filled in ({error!s}).",
                where=self.title,
                do=f"Use the names {', '.join(sorted(known))}, and {{{{ }}}} for plain braces.",
            ) from error
