"""Score distributions: what is drawn is what was measured."""

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from warpline.errors import WarplineError
from warpline.evaluation.records import records as tidy
from warpline.evaluation.records import row
from warpline.figures import distributions
from warpline.figures.distributions import score_distributions


def scores() -> pd.DataFrame:
    """Two methods on three pairs; Dice of two labels a pair."""
    frames = []
    for number, method in enumerate(("a", "b")):
        for pair in range(3):
            rows = [row("mse", number + pair / 10)]
            rows += [row("dice", 0.5 + pair / 10 + lung / 100, "", str(lung)) for lung in (0, 2)]
            frames.append(tidy(rows, "d", method, "test", "atlas", f"c{pair}"))
    return pd.concat(frames, ignore_index=True)


def test_every_pair_is_a_point_and_labels_are_averaged(tmp_path, monkeypatch):
    drawn, marks = [], []
    monkeypatch.setattr(
        distributions, "box_with_points", lambda axes, values, *_: drawn.append(values)
    )
    monkeypatch.setattr(distributions, "published_mark", lambda axes, *at: marks.append(at))
    paths = score_distributions(
        scores(),
        {"mse": "MSE", "dice": "Dice"},
        {"a": "A", "b": "B"},
        tmp_path / "f",
        published={"dice": {"b": 0.9}, "mse": {}},
    )
    np.testing.assert_allclose(drawn[0], [0.0, 0.1, 0.2])
    np.testing.assert_allclose(drawn[1], [1.0, 1.1, 1.2])
    np.testing.assert_allclose(drawn[3], [0.51, 0.61, 0.71])
    assert marks == [(1, 0.9)]
    assert matplotlib.image.imread(paths[0]).std() > 0


def test_a_metric_without_records_is_named(tmp_path):
    with pytest.raises(WarplineError, match="'tre' for a"):
        score_distributions(scores(), {"tre": "TRE"}, {"a": "A"}, tmp_path / "f")
