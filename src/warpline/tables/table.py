"""A built table: its numbers, its specification, and what its caption may quote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from warpline.errors import WarplineError


@dataclass(frozen=True)
class Table:
    """A built table and what its renderers need to know.

    Attributes
    ----------
    frame
        From `warpline.tables.build.build`.
    spec
        The table's mapping in ``config/papers/<paper>.yaml``.
    values
        Parameters of this run that the caption may quote: ``scale``, ``seed``, ``device``, …
    """

    frame: pd.DataFrame
    spec: Mapping[str, Any]
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The table's title."""
        return str(self.spec["title"])

    @property
    def columns(self) -> Mapping[str, Mapping[str, Any]]:
        """Column id → its specification, of the columns that the frame has."""
        return {k: c for k, c in self.spec["columns"].items() if k in self.frame.columns}

    @property
    def shown(self) -> Mapping[str, Mapping[str, Any]]:
        """The columns that stand for themselves: without those that are another's `spread`."""
        spreads = {c.get("spread") for c in self.spec["columns"].values()}
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
        whole = ["fixed" not in row for row in self.spec["rows"]]
        counts = sorted({int(n) for n in self.frame["n"][whole] if n > 0})
        known = {"n": "–".join(map(str, dict.fromkeys([*counts[:1], *counts[-1:]]))), **self.values}
        try:
            return str(self.spec.get("caption", "")).format(**known)
        except (KeyError, IndexError, ValueError) as error:
            raise WarplineError(
                f"The caption cannot be filled in ({error!s}).",
                where=self.title,
                do=f"Use the names {', '.join(sorted(known))}, and {{{{ }}}} for plain braces.",
            ) from error
