"""Convolutions with 3³ kernels on a CPU in a quarter of the products.

Winograd's minimal filtering, as Lavin & Gray 2016 (CVPR, page 4013) put it for networks: along an
axis four outputs cost six products instead of twelve. F(4, 3) is taken along z and along y; along
x, where neighbours follow each other in memory, the three taps are products of three shifted
matrices. Blocks of four planes go through one after the other, so that what is transformed stays
near the core.

The transforms evaluate polynomials at 0, ±a, ±1/a and ∞. With a = 2/3 the rounding errors of the
answer are two to three times those of the plain sum; at the usual points, 0, ±1, ±2 and ∞, they
are five times (why: Barabasz et al. 2020, ACM TOMS 46:37).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

NEAR = 2 / 3
FAR = 1 / NEAR
OUT, IN = 4, 6  # voxels of a tile along z and along y: of the output, and of the input
BLOCK = 8 * 2**20  # bytes that a block's transforms may take
# Voxels of a plane × inputs × outputs, and channels, from which fewer products pay for the
# transforms; oneDNN's gradient of the weights is half as fast as its other two products, but not on
# AVX-512.
FORTH = (2_000_000, 32)
WEIGHTS = FORTH if torch.backends.cpu.get_cpu_capability() == "AVX512" else (500_000, 16)


def pays(input: torch.Tensor, weight: torch.Tensor, least: tuple[int, int] = FORTH) -> bool:
    """Whether this is the quicker way, by measurement (docs/benchmarks.md).

    `least` is `FORTH` for the answer and for its gradient by the input, `WEIGHTS` for that by the
    weights.
    """
    outputs, inputs = weight.shape[:2]
    work = input.shape[3] * input.shape[4] * inputs * outputs
    return work >= least[0] and min(inputs, outputs) >= least[1]


def convolve(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    padding: int,
    rectified: bool = False,
) -> torch.Tensor:
    """What `torch.nn.functional.conv3d` gives, up to rounding; without a gradient.

    Fastest where channels are last in memory and the outputs a multiple of eight.

    Parameters
    ----------
    input
        (B, inputs, z, y, x), float32, on a CPU.
    weight
        (outputs, inputs, 3, 3, 3).
    padding
        Zeros on each side of the input.
    rectified
        Whether 0 takes the place of what is below it.

    Returns
    -------
    torch.Tensor
        (B, outputs, z, y, x), each axis longer by 2 · padding − 2; channels last in memory.
    """
    outputs = len(weight)
    input = input.contiguous(memory_format=torch.channels_last_3d)
    blocks = _Blocks(input, outputs, padding)
    matrices = _matrices(weight)
    # Not a view of something else: a layer may change it in place.
    result = torch.empty(
        (len(input), outputs, *blocks.shape),
        dtype=input.dtype,
        device=input.device,
        memory_format=torch.channels_last_3d,
    )
    volumes = result.permute(0, 2, 3, 4, 1)
    products, rows, spare, spare_rows = blocks.room(outputs, 4)
    beyond = input.new_empty(rows.shape[1:])
    matrix = products.view(IN * IN, blocks.length, outputs)
    for number, z, y in blocks:
        first, *further = blocks.values(number, z, y)
        torch.bmm(first, matrices[0], out=matrix)
        for values, kernels in zip(further, matrices[1:], strict=True):
            matrix.baddbmm_(values, kernels)
        _four(products.unbind(1), [rows[:, k::OUT] for k in range(OUT)], spare)
        there = volumes[number, z : z + OUT, y : y + rows.shape[1]]
        inside = slice(there.shape[1]), slice(there.shape[2])
        planes = [*there, *[beyond[inside]] * (OUT - len(there))]
        _four([plane[inside] for plane in rows], planes, [part[inside] for part in spare_rows])
        if bias is not None:
            there += bias
        if rectified:
            there.relu_()
    return result


def weight_gradient(input: torch.Tensor, gradient: torch.Tensor, padding: int) -> torch.Tensor:
    """The gradient (outputs, inputs, 3, 3, 3) of a loss by the weights of `convolve`.

    `gradient` (B, outputs, z, y, x) is that by what `convolve` gave of `input`.
    """
    inputs, outputs = input.shape[1], gradient.shape[1]
    input = input.contiguous(memory_format=torch.channels_last_3d)
    gradient = gradient.contiguous(memory_format=torch.channels_last_3d)
    blocks = _Blocks(input, outputs, padding)
    given = gradient.permute(0, 2, 3, 4, 1)
    products, rows, spare, spare_rows = blocks.room(outputs, 2)
    none = input.new_zeros(rows.shape[1:])
    matrix = products.view(IN * IN, blocks.length, outputs)
    sums = input.new_zeros(3, IN * IN, inputs, outputs)
    for number, z, y in blocks:
        taps = blocks.values(number, z, y)
        there = given[number, z : z + OUT, y : y + rows.shape[1]]
        inside = slice(there.shape[1]), slice(there.shape[2])
        rows[:, there.shape[1] :] = 0
        planes = [*there, *[none[inside]] * (OUT - len(there))]
        _six(planes, [plane[inside] for plane in rows], [part[inside] for part in spare_rows])
        _six([rows[:, k::OUT] for k in range(OUT)], products.unbind(1), spare)
        for sum, values in zip(sums, taps, strict=True):
            sum.baddbmm_(values.transpose(1, 2), matrix)
    points = _points(input)
    sums = sums.view(3, IN, IN, inputs, outputs)
    return torch.einsum("pz,qy,xpqio->oizyx", points, points, sums)


class _Blocks:
    """The pieces in which a volume goes through, and the transform of what each piece sees.

    A piece is four planes of the output and `tiles` times four rows of them. Its matrices have a
    row for each of `length` = `tiles` · `width` voxels. From the first, the second and the third
    row on they are the inputs of the three taps along x; what two voxels at the end of each line
    give means nothing.
    """

    def __init__(self, input: torch.Tensor, outputs: int, padding: int):
        self.volumes = input.permute(0, 2, 3, 4, 1)
        _, depth, height, width, inputs = self.volumes.shape
        self.padding = padding
        self.shape = [n + 2 * padding - 2 for n in (depth, height, width)]
        self.width = width + 2 * padding
        all = -(-self.shape[1] // OUT)
        size = 4 * IN * IN * self.width * (inputs + outputs)
        self.tiles = -(-all // -(-all * size // BLOCK))
        self.length = self.tiles * self.width
        self._rows = input.new_zeros(IN, OUT * self.tiles + 2, self.width, inputs)
        self._flat = input.new_zeros(IN * IN, self.length + 2, inputs)
        lines = (IN, IN, self.tiles, self.width, inputs)
        self._values = self._flat[:, : self.length].view(lines)
        self._spare = input.new_empty(2, *lines[1:])
        self._spare_rows = input.new_empty(2, self._rows.shape[1], width, inputs)
        self._none = input.new_zeros(height, width, inputs)

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """Number of the volume, first plane and first row of the output, piece by piece."""
        for number in range(len(self.volumes)):
            for z in range(0, self.shape[0], OUT):
                for y in range(0, self.shape[1], OUT * self.tiles):
                    yield number, z, y

    def room(self, outputs: int, spare: int) -> tuple[torch.Tensor, ...]:
        """For the output of a piece: its products, its rows, of zeros, and what both are made with.

        (6, 6, tiles, width, outputs) and (6, 4 · tiles, width, outputs); then `spare` of each less
        the first axis.
        """
        new = self.volumes.new_empty
        products = new(IN, IN, self.tiles, self.width, outputs)
        rows = self.volumes.new_zeros(IN, OUT * self.tiles, self.width, outputs)
        return products, rows, new(spare, *products.shape[1:]), new(spare, *rows.shape[1:])

    def values(self, number: int, z: int, y: int) -> list[torch.Tensor]:
        """The transformed input of a piece for each tap along x, (36, length, inputs)."""
        volume = self.volumes[number]
        z, y = z - self.padding, y - self.padding
        first, last = max(y, 0), min(y + self._rows.shape[1], volume.shape[1])
        planes = [
            (volume[k] if 0 <= k < len(volume) else self._none)[first:last]
            for k in range(z, z + IN)
        ]
        rows, lines = self._rows, slice(first - y, last - y)
        rows[:, : lines.start] = 0
        rows[:, lines.stop :] = 0
        columns = slice(self.padding, self.padding + volume.shape[2])
        _values(planes, [row[lines, columns] for row in rows], self._spare_rows[:, lines])
        reach = OUT * (self.tiles - 1) + 1
        windows = [rows[:, k : k + reach : OUT] for k in range(IN)]
        _values(windows, self._values.unbind(1), self._spare)
        return [self._flat[:, tap : tap + self.length] for tap in range(3)]


def _matrices(weight: torch.Tensor) -> torch.Tensor:
    """The kernels of a layer as matrices (3, 36, inputs, outputs): x, then z and y transformed."""
    points = _points(weight)
    matrices = torch.einsum("pz,qy,oizyx->xpqio", points, points, weight)
    return matrices.reshape(3, IN * IN, weight.shape[1], weight.shape[0])


def _points(like: torch.Tensor) -> torch.Tensor:
    """A kernel's polynomial at the six points, (6, 3), each times what the other two lack."""
    lines = [[1.0, 0.0, 0.0]]
    for point, other in ((NEAR, FAR), (FAR, NEAR)):
        scale = 1 / (2 * point * (point**2 - other**2))
        lines += [[scale, sign * scale * point, scale * point**2] for sign in (1, -1)]
    return like.new_tensor([*lines, [0.0, 0.0, 1.0]])


def _values(taken: Sequence, out: Sequence, spare: Sequence) -> None:
    """Six neighbouring voxels to their polynomial's values at the points."""
    even, odd = spare
    both = NEAR**2 + FAR**2
    torch.add(taken[0], taken[4], out=out[0]).sub_(taken[2], alpha=both)
    torch.add(taken[1], taken[5], out=out[5]).sub_(taken[3], alpha=both)
    for k, point, other in ((1, NEAR, FAR), (3, FAR, NEAR)):
        torch.sub(taken[4], taken[2], alpha=other**2, out=even)
        torch.sub(taken[3], taken[1], alpha=other**2, out=odd)
        torch.add(even, odd, alpha=point, out=out[k])
        torch.sub(even, odd, alpha=point, out=out[k + 1])


def _four(products: Sequence, out: Sequence, spare: Sequence) -> None:
    """The products at six points to four neighbouring voxels of the answer."""
    near, near_odd, far, far_odd = spare
    zero, plus, minus, far_plus, far_minus, infinite = products
    torch.add(plus, minus, out=near)
    torch.sub(plus, minus, out=near_odd)
    torch.add(far_plus, far_minus, out=far)
    torch.sub(far_plus, far_minus, out=far_odd)
    torch.add(zero, near, alpha=FAR, out=out[0]).add_(far, alpha=NEAR)
    torch.add(near_odd, far_odd, out=out[1])
    torch.mul(near, NEAR, out=out[2]).add_(far, alpha=FAR)
    torch.add(infinite, near_odd, alpha=NEAR**2, out=out[3]).add_(far_odd, alpha=FAR**2)


def _six(gradients: Sequence, out: Sequence, spare: Sequence) -> None:
    """The transpose of `_four`."""
    even, odd = spare
    out[0].copy_(gradients[0])
    out[5].copy_(gradients[3])
    for k, point, other in ((1, NEAR, FAR), (3, FAR, NEAR)):
        torch.mul(gradients[0], other, out=even).add_(gradients[2], alpha=point)
        torch.add(gradients[1], gradients[3], alpha=point**2, out=odd)
        torch.add(even, odd, out=out[k])
        torch.sub(even, odd, out=out[k + 1])
