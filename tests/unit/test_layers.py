"""The convolution of small volumes is torch's own, forth and back."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from warpline.networks import layers
from warpline.networks.layers import Conv3d

torch.set_num_threads(1)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 2), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(1, 2),
    st.integers(0, 2), st.tuples(*[st.integers(3, 7)] * 3), st.booleans(),
)  # fmt: skip
def test_it_is_torch_s_convolution(batch, inputs, outputs, kernel, stride, padding, shape, bias):
    torch.manual_seed(0)
    arguments = {"stride": stride, "padding": padding, "bias": bias}
    own = Conv3d(inputs, outputs, kernel, **arguments)
    reference = nn.Conv3d(inputs, outputs, kernel, **arguments)
    reference.load_state_dict(own.state_dict())
    image = torch.randn(batch, inputs, *shape)
    results = []
    for layer in (own, reference):
        source = image.clone().requires_grad_()
        out = layer(source)
        out.square().sum().backward()
        results.append([out.detach(), source.grad, *(p.grad for p in layer.parameters())])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "arguments", [{"groups": 2}, {"dilation": 2}, {"padding": "same"}, {"padding_mode": "reflect"}]
)
def test_what_it_does_not_know_is_left_to_torch(arguments):
    own = Conv3d(4, 4, 3, **{"padding": 1, **arguments})
    image = torch.randn(1, 4, 6, 6, 6)
    torch.testing.assert_close(own(image), nn.Conv3d.forward(own, image))


def test_where_torch_takes_onednn_it_does_all(monkeypatch):
    monkeypatch.setattr(layers, "UNAIDED", 100)
    monkeypatch.setattr(layers, "TINY", 0)
    monkeypatch.setattr(nn.Conv3d, "forward", lambda self, image: "torch")
    layer = Conv3d(4, 1, 3, padding=1)
    assert layer(torch.zeros(1, 4, 6, 5, 5)) == "torch"
    assert layer(torch.zeros(2, 4, 5, 5, 5)) == "torch"
    assert layer(torch.zeros(1, 4, 5, 5, 5)) != "torch"
