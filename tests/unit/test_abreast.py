"""Pieces side by side: the same answers in the same order, by threads of their own."""

import threading

import pytest
import torch
from test_network_sokooti2017 import DESIGNS, shrink, used_network

from warpline.devices.abreast import abreast, workers
from warpline.registration.embedding.keypoints import PLANES, foerstner, keypoints
from warpline.registration.embedding.search import displacement_maps

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    assert torch.get_num_threads() == 4, "the threads are not those of before"
    torch.set_num_threads(before)


def seen(piece: int) -> tuple:
    modes = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
    return piece, threading.get_ident(), torch.get_num_threads(), *modes


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_each_piece_has_its_share_of_the_threads_and_the_mode_of_the_caller(mode):
    together = threading.Barrier(2, timeout=60)

    def piece(number: int) -> tuple:
        together.wait()  # passed only by two at once
        return seen(number)

    with mode():
        found = abreast(piece, range(2), CPU)
    assert [row[0] for row in found] == [0, 1]
    assert len({row[1] for row in found} | {threading.get_ident()}) == 3
    assert {row[2:] for row in found} == {(2, mode is torch.inference_mode, False)}


def test_with_gradients_autocast_or_a_card_one_after_the_other():
    here = threading.get_ident()
    assert {row[1] for row in abreast(seen, range(5), CPU)} == {here}
    with torch.no_grad():
        assert {row[1] for row in abreast(seen, range(5), torch.device("cuda"))} == {here}
        with torch.autocast("cpu", torch.bfloat16):
            assert {row[1] for row in abreast(seen, range(5), CPU)} == {here}
        assert (workers(2, CPU), workers(9, CPU), workers(0, CPU)) == (2, 4, 1)
        assert abreast(seen, [], CPU) == []


def test_an_error_of_a_piece_comes_through():
    def piece(number: int) -> None:
        raise ValueError(f"piece {number}")

    with torch.no_grad(), pytest.raises(ValueError, match="piece 0"):
        abreast(piece, range(3), CPU)


@pytest.mark.parametrize("design", DESIGNS)
@torch.no_grad()
def test_the_dense_field_by_several_threads(design):
    network = used_network(design)
    moving, fixed = torch.randn(2, 1, 1, 40, 22, 25, generator=torch.Generator().manual_seed(3))
    torch.set_num_threads(1)
    alone = network(moving, fixed).displacement
    torch.set_num_threads(4)
    shrink(network, (24, 22, 26))
    assert network.tile((40, 22, 25))[0] < 24, "four at once take no more than one"
    found = network(moving, fixed).displacement
    torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_keypoints_and_their_maps_by_several_threads():
    generator = torch.Generator().manual_seed(4)
    image = torch.randn(1, 1, 2 * PLANES + 7, 20, 24, generator=generator)
    mask = torch.ones(image.shape[2:])
    points = keypoints(image, mask, 60, erosion=3)
    features = torch.rand(2, 1, 4, 44, 10, 12, generator=generator)
    maps = displacement_maps(*features, points // 2, radius=3, memory_mb=0.1)
    torch.set_num_threads(1)
    assert torch.equal(keypoints(image, mask, 60, erosion=3), points)
    again = displacement_maps(*features, points // 2, radius=3, memory_mb=0.1)
    torch.testing.assert_close(again, maps)
    torch.set_num_threads(4)
    # By slabs the scores are those of the whole image: the strongest keypoint is its maximum.
    score = foerstner(image)[0, 0]
    strongest = torch.stack(torch.unravel_index(score.argmax(), score.shape))
    assert torch.equal(points[0], strongest)
