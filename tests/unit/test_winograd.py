"""Convolutions in fewer products are torch's own, forth and back, up to rounding."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from warpline.networks import quick, winograd
from warpline.networks.layers import Conv3d

torch.set_num_threads(1)


def exact(image, weight, bias, gradient, padding):
    """Answer and gradients by torch in double precision."""
    given = [t.double().requires_grad_() for t in (image, weight, bias)]
    out = F.conv3d(*given, padding=padding)
    out.backward(gradient.double())
    return [out.detach(), *(t.grad for t in given)]


def close(found, expected, share=5e-6):
    """Equal up to a share of the largest value: sums of thousands of products of size 1."""
    assert (found - expected).abs().max() <= share * expected.abs().max()


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 2), st.sampled_from([1, 3, 8]), st.sampled_from([2, 8]), st.integers(0, 2),
    st.tuples(*[st.integers(3, 11)] * 3), st.sampled_from([0, 20_000]),
)  # fmt: skip
def test_all_three_products_are_torch_s(batch, inputs, outputs, padding, shape, block):
    torch.manual_seed(0)
    image, weight = torch.randn(batch, inputs, *shape), torch.randn(outputs, inputs, 3, 3, 3)
    bias = torch.randn(outputs)
    gradient = torch.randn(batch, outputs, *(n + 2 * padding - 2 for n in shape))
    out, by_image, by_weight, _ = exact(image, weight, bias, gradient, padding)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "BLOCK", block or winograd.BLOCK)
        close(winograd.convolve(image, weight, bias, padding), out)
        turned = weight.flip(2, 3, 4).transpose(0, 1)
        close(winograd.convolve(gradient, turned, None, 2 - padding), by_image)
        close(winograd.weight_gradient(image, gradient, padding), by_weight)
        rectified = winograd.convolve(image, weight, bias, padding, rectified=True)
        close(rectified, out.clamp_min(0))


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("forth", [True, False])
def test_a_layer_takes_it_where_it_pays(monkeypatch, forth, wide):
    """A layer large enough for the rule, in a batch of two: answer and gradients as torch's."""
    taken = []
    # The rules of a processor with AVX-512 and of one without, whichever this one is.
    monkeypatch.setattr(winograd, "WEIGHTS", winograd.FORTH if wide else (500_000, 16))
    for name in ("convolve", "weight_gradient"):
        own = getattr(winograd, name)
        monkeypatch.setattr(
            winograd, name, lambda *a, own=own, name=name: taken.append(name) or own(*a)
        )
    channels, plane = (32, (5, 48, 44)) if forth else (16, (5, 48, 44))
    layer = Conv3d(channels, channels, 3, padding=1).to(memory_format=torch.channels_last_3d)
    image, gradient = torch.randn(2, 2, channels, *plane)
    source = image.clone().requires_grad_()
    out = layer(source)
    out.backward(gradient)
    by_weight = ["weight_gradient"] if forth or not wide else []
    assert taken == (["convolve"] * 2 if forth else []) + by_weight
    if not taken:
        return  # all of it was torch's own
    expected = exact(image, layer.weight.detach(), layer.bias.detach(), gradient, 1)
    for a, b in zip([out, source.grad, layer.weight.grad, layer.bias.grad], expected, strict=True):
        close(a, b)


@pytest.mark.parametrize("inputs", [1, 2, 5, 32])
@pytest.mark.parametrize("given", [0, 3])
@torch.no_grad()
def test_what_does_not_learn_gives_channels_in_eights(inputs, given):
    """By copies, by oneDNN and in fewer products; further inputs are zeros."""
    torch.manual_seed(0)
    weight, bias = torch.randn(30, inputs, 3, 3, 3), torch.randn(30)
    image = torch.randn(2, inputs, 4, 50, 45)
    out = quick.convolve(F.pad(image, (0, 0, 0, 0, 0, 0, 0, given)), weight, bias)
    assert out.shape[1] == 32
    assert (out[:, 30:] == 0).all()
    close(out[:, :30], F.relu(F.conv3d(image.double(), weight.double(), bias.double())))


@torch.no_grad()
def test_fully_connected_layers_and_the_pooling_are_torch_s(monkeypatch):
    monkeypatch.setattr(quick, "ROWS", 50)
    image = torch.randn(2, 6, 4, 5, 7)
    a, b = (
        (torch.randn(9, 6, 1, 1, 1), torch.randn(9)),
        (torch.randn(3, 9, 1, 1, 1), torch.randn(3)),
    )
    expected = F.conv3d(F.relu(F.conv3d(image, *a)), *b)
    found = quick.connect(F.pad(image, (0, 0, 0, 0, 0, 0, 0, 2)), a, b)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(quick.pool(image), F.max_pool3d(image, 2, stride=1))
