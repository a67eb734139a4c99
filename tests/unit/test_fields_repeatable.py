"""The gradient of sampling that is added up in one order: torch's own, to its last digits."""

from __future__ import annotations

import pytest
import torch

from warpline.fields import repeatable
from warpline.fields.sampling import warp


@pytest.mark.parametrize("needed", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("shape", [(5, 6, 7), (1, 4, 3)])
def test_the_repeatable_gradient_is_that_of_torch(shape, needed):
    """Within, at voxels, at the border and outside; in double precision, to its last digits."""
    draw = torch.Generator().manual_seed(0)
    volume = torch.randn(2, 3, *shape, dtype=torch.float64, generator=draw)
    grid = torch.rand(2, 4, 5, 6, 3, dtype=torch.float64, generator=draw) * 2.6 - 1.3
    grid[0, 0, 0] = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    gradient = torch.randn(2, 3, 4, 5, 6, dtype=torch.float64, generator=draw)
    own = repeatable.backward(gradient, volume, grid, needed)
    expected = torch.ops.aten.grid_sampler_3d_backward(gradient, volume, grid, 0, 1, True, needed)
    for found, value, asked in zip(own, expected, needed, strict=True):
        if asked:
            torch.testing.assert_close(found, value, rtol=1e-12, atol=1e-12)
        else:
            assert found is None


def test_a_warp_takes_the_repeatable_gradient_where_it_must(monkeypatch):
    draw = torch.Generator().manual_seed(0)
    volume = torch.randn(1, 1, 5, 6, 7, dtype=torch.float64, generator=draw, requires_grad=True)
    field = torch.randn(1, 3, 5, 6, 7, dtype=torch.float64, generator=draw, requires_grad=True)

    def gradients() -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(warp(volume, field).square().sum(), (volume, field))

    plain, calls, own = gradients(), [], repeatable.backward
    monkeypatch.setattr(
        "warpline.fields.repeatable.backward", lambda *given: calls.append(1) or own(*given)
    )
    monkeypatch.setattr("warpline.fields.sampling._must_repeat", lambda volume: True)
    for found, expected in zip(gradients(), plain, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert calls == [1]
