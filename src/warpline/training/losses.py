"""Terms of training losses. Images are (B, C, z, y, x); every function returns a scalar."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from warpline.fields.arrays import jacobian_determinant
from warpline.fields.filters import box_sum
from warpline.fields.sampling import sample
from warpline.training.distributed import summed


def mean_squared_error(
    warped: torch.Tensor, fixed: torch.Tensor, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean over all voxels of the squared difference; a mask (B, 1, z, y, x) sets the rest to 0."""
    difference = warped - fixed
    if mask is not None:
        difference = difference * mask
    return difference.square().mean()


def local_ncc(
    warped: torch.Tensor,
    fixed: torch.Tensor,
    mask: torch.Tensor | None = None,
    window: int = 9,
    epsilon: float = 1e-5,
) -> torch.Tensor:
    """Negative local squared normalised cross-correlation, in [−1, 0].

    At every voxel the squared correlation of both images within a cube of `window` voxels; the
    mean over all voxels is returned with a minus sign. Sums are taken in single precision and the
    variances (never the covariance) are clamped from below, so that flat patches give 0 with a
    finite gradient. Outside the grid both images count as 0.

    Source: Avants et al. 2008, as used by Estienne et al. 2020, section 2.1.

    Parameters
    ----------
    warped
        (k·B, C, z, y, x): k deformed versions of each image, version by version.
    fixed
        (B, C, z, y, x).
    mask
        (B, 1, z, y, x); both images are multiplied by it.
    window
        Odd side of the cube, in voxels.
    epsilon
        Added to the product of the sums of squares; images are expected in [0, 1].
    """
    with torch.autocast(warped.device.type, enabled=False):
        a, b = warped.float(), fixed.float()
        repeats = len(a) // len(b)
        if mask is not None:
            a, b = a * mask.repeat(repeats, 1, 1, 1, 1), b * mask
        sum_b, sum_bb = box_sum(torch.stack([b, b * b]), window).repeat(1, repeats, 1, 1, 1, 1)
        b = b.repeat(repeats, 1, 1, 1, 1)
        sum_a, sum_aa, sum_ab = box_sum(torch.stack([a, a * a, a * b]), window)
        count = window**3
        covariance = sum_ab - sum_a * sum_b / count
        variance_a = (sum_aa - sum_a.square() / count).clamp_min(0.0)
        variance_b = (sum_bb - sum_b.square() / count).clamp_min(0.0)
        return -(covariance.square() / (variance_a * variance_b + epsilon)).mean()


def correlation(
    warped: torch.Tensor,
    fixed: torch.Tensor,
    mask: torch.Tensor | None = None,
    epsilon: float = 1e-5,
) -> torch.Tensor:
    """Negative squared correlation of whole images, in [−1, 0], the mean over the batch.

    Source: Bouabid et al. 2019, table 2 (CC), squared as in its authors' practice. A mask
    (B, 1, z, y, x) sets the rest of both images to 0.
    """
    with torch.autocast(warped.device.type, enabled=False):
        a, b = warped.float(), fixed.float()
        if mask is not None:
            a, b = a * mask, b * mask
        axes = (1, 2, 3, 4)
        a, b = a - a.mean(axes, keepdim=True), b - b.mean(axes, keepdim=True)
        covariance = (a * b).mean(axes)
        variances = a.square().mean(axes) * b.square().mean(axes)
        return -(covariance.square() / (variances + epsilon)).mean()


def soft_dice(
    warped: torch.Tensor, fixed: torch.Tensor, smooth: float = 1.0, squared: bool = True
) -> torch.Tensor:
    """One minus the mean Dice overlap over channels.

    Parameters
    ----------
    warped, fixed
        One-hot or probability maps of the foreground labels, (B, labels, z, y, x). Sums run over
        the batch too, as in the practice of Estienne et al. 2020.
    squared
        Sum the squares of the maps in the denominator, or the maps themselves, as in
        Bouabid et al. 2019, eq. 5.
    """
    axes = (0, 2, 3, 4)
    intersection = summed((warped * fixed).sum(axes))
    size = summed(sum((m.square() if squared else m).sum(axes) for m in (warped, fixed)))
    return 1.0 - ((2.0 * intersection + smooth) / (size + smooth)).mean()


def partial_dice(
    predicted: torch.Tensor, target: torch.Tensor, annotated: torch.Tensor, smooth: float = 1.0
) -> torch.Tensor:
    """One minus the mean Dice overlap of the organs that each case has annotated.

    The Dice of every organ is averaged over the cases in which it is annotated, then over organs;
    one that no case has annotated does not count. Squares in the denominator, each case by itself:
    the practice of Estienne et al. 2020 for section 2, "Pretraining and Noisy Labels".

    Parameters
    ----------
    predicted, target
        Probability and one-hot maps of the organs, (B, organs, z, y, x). Where an organ is not
        annotated, what `target` says of it is of no effect.
    annotated
        (B, organs) bool.
    """
    axes = (2, 3, 4)
    intersection = (predicted * target).sum(axes)
    size = predicted.square().sum(axes) + target.square().sum(axes)
    dice = (2.0 * intersection + smooth) / (size + smooth)
    cases = summed(annotated.sum(0))
    # Chosen, not multiplied: what is not annotated may be anything.
    total = summed(torch.where(annotated, 1.0 - dice, 0.0).sum(0))
    return (total / cases.clamp_min(1)).sum() / (cases > 0).sum().clamp_min(1)


def identity_gradients(gradients: torch.Tensor, unit: float = 0.5) -> torch.Tensor:
    """Mean absolute distance of predicted gradients from the identity.

    Parameters
    ----------
    gradients
        (B, 3, z, y, x) in [0, 1], 0.5 at the identity.
    unit
        The identity's value in the paper's own units: 0.5 in L_smo of Estienne et al. 2020, 1 in
        eq. 4 of Bouabid et al. 2019 (a voxel a voxel).
    """
    return (gradients - 0.5).abs().mean() * (unit / 0.5)


def displacement_gradient(displacement: torch.Tensor, order: int = 2) -> torch.Tensor:
    """Mean of |∂u|^order over axes and components, forward differences, in voxels.

    Source: Balakrishnan et al. 2019 (VoxelMorph), L_smooth. `displacement`: (B, 3, z, y, x).
    """
    terms = [torch.diff(displacement, dim=axis).abs().pow(order).mean() for axis in (2, 3, 4)]
    return sum(terms) / 3.0


def folding(displacement: torch.Tensor, margin: float = 0.0) -> torch.Tensor:
    """Mean of ``max(margin − J, 0)`` over the interior of the grid: 0 where nothing folds.

    `displacement`: (B, 3, z, y, x) in voxels; J is its Jacobian determinant by central
    differences, as the evaluation counts folds. Source: the hinge of Mok & Chung 2020 (SYMNet),
    L_Jdet, with `margin` 0.
    """
    return torch.relu(margin - jacobian_determinant(displacement)).mean()


def velocity_prior(
    mean: torch.Tensor, log_variance: torch.Tensor, precision: float = 10.0
) -> torch.Tensor:
    """How far a normal distribution of velocities is from a smooth prior, in nats.

    The Kullback-Leibler divergence of ``N(μ, Σ)``, Σ diagonal, from ``N(0, (λL)⁻¹)`` is
    ``½ [tr(λLΣ) − log det Σ + λ μᵀLμ − n − log det(λL)]`` for n numbers. L = D − N is the Laplacian
    of the grid: N has no diagonal, so that ``tr(LΣ) = tr(DΣ)``, and ``μᵀLμ`` is the sum of squared
    differences over pairs of neighbours. The last two terms are constants and left out (L is
    singular, the second one infinite): eq. 7 of Hu et al. 2020, after Dalca et al. 2019.

    Parameters
    ----------
    mean, log_variance
        (B, 3, z, y, x): μ in voxels, log of Σ's diagonal.
    precision
        λ, in 1 / voxel².

    Returns
    -------
    torch.Tensor
        The sum over voxels and components, the mean over the batch.
    """
    neighbours = _neighbours(mean.shape[2:], mean.device)
    spread = (precision * neighbours * log_variance.exp() - log_variance).sum()
    steps = sum(torch.diff(mean, dim=axis).square().sum() for axis in (2, 3, 4))
    return 0.5 * (spread + precision * steps) / len(mean)


def _neighbours(shape: Sequence[int], device: torch.device) -> torch.Tensor:
    """Number of face neighbours of every voxel (z, y, x): 6, fewer at the border."""
    count = torch.zeros(*shape, device=device)
    for axis, size in enumerate(shape):
        ends = torch.full((size,), 2.0, device=device)
        ends[0] -= 1
        ends[-1] -= 1
        count += ends.view(-1, *[1] * (2 - axis))
    return count


def landmark_distance(
    displacement: torch.Tensor, fixed: torch.Tensor, moving: torch.Tensor
) -> torch.Tensor:
    """Mean over landmarks of ``‖l_m − l_f − u(l_f)‖²``, in voxels².

    Source: the last term of eq. 7 of Hu et al. 2020, with eq. 10; there it is the sum.

    Parameters
    ----------
    displacement
        (1, 3, z, y, x) in voxels, read linearly at the fixed landmarks.
    fixed, moving
        (landmarks, 3), indices (z, y, x).
    """
    places = fixed.T.reshape(1, 3, -1, 1, 1)
    mapped = fixed + sample(displacement, places).reshape(3, -1).T
    return (mapped - moving).square().sum(1).mean()
