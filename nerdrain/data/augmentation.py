"""Random crops and augmentations, the same for both images of a pair, as in the authors' training.

First a random crop. Then one of nine equally likely rotations and flips: the identity counts twice,
so all eight symmetries of a square occur. Then, with probability 1/3, a change of saturation.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

SATURATION_RANGE = (0.8, 1.2)
SATURATION_PROBABILITY = 1 / 3
LUMA_WEIGHTS = (0.299, 0.587, 0.114)  # ITU-R BT.601; saturation 0 gives this grey

SYMMETRIES: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda x: x,
    lambda x: x,  # the identity is twice as likely as any other symmetry
    lambda x: x.flip(-2),
    lambda x: x.flip(-1),
    lambda x: x.rot90(1, (-2, -1)),
    lambda x: x.rot90(2, (-2, -1)),
    lambda x: x.rot90(3, (-2, -1)),
    lambda x: x.flip(-2).rot90(1, (-2, -1)),
    lambda x: x.flip(-1).rot90(1, (-2, -1)),
)


def reflect_indices(length: int, size: int) -> Int64[Tensor, " size"]:
    """Fold the indices 0..size-1 into 0..length-1 by reflection that does not repeat the border."""
    period = max(2 * length - 2, 1)
    folded = torch.arange(size) % period
    return torch.where(folded < length, folded, period - folded)


def random_crop(
    images: Shaped[Tensor, "n c h w"], patch_size: int, rng: np.random.Generator
) -> Shaped[Tensor, "n c patch patch"]:
    """Crop the same random square from every image.

    Images smaller than the square are first extended down and to the right by reflection.

    Args:
        images: (N, C, H, W), any size from 1 pixel, any dtype.
        patch_size: side of the square, in pixels.
        rng: generator that chooses the position.
    """
    height, width = images.shape[-2:]
    if height < patch_size:
        images = images[..., reflect_indices(height, patch_size), :]
    if width < patch_size:
        images = images[..., reflect_indices(width, patch_size)]
    top = int(rng.integers(images.shape[-2] - patch_size + 1))
    left = int(rng.integers(images.shape[-1] - patch_size + 1))
    return images[..., top : top + patch_size, left : left + patch_size]


def adjust_saturation(images: Float[Tensor, "n 3 h w"], factor: float) -> Float[Tensor, "n 3 h w"]:
    """Scale the distance of every colour from the grey of the same luma.

    Args:
        images: (N, 3, H, W) RGB in [0, 1].
        factor: 0 gives grey images, 1 changes nothing, more than 1 makes colours stronger.

    Returns:
        The same shape, clamped to [0, 1].
    """
    weights = images.new_tensor(LUMA_WEIGHTS)[:, None, None]
    grey = (images * weights).sum(1, keepdim=True)  # (N, 1, H, W)
    return torch.lerp(grey.expand_as(images), images, factor).clamp(0, 1)


def augment(
    images: Float[Tensor, "n 3 h w"], rng: np.random.Generator
) -> Float[Tensor, "n 3 h2 w2"]:
    """Apply one random symmetry and, with probability 1/3, one saturation factor to all images.

    The released code also applies a gamma curve. Its exponent is always 1, so it changes nothing
    and is left out here.

    Args:
        images: (N, 3, H, W) RGB in [0, 1]; a rotation by 90 degrees swaps H and W.
        rng: generator that chooses the symmetry and the factor.
    """
    images = SYMMETRIES[int(rng.integers(len(SYMMETRIES)))](images)
    if rng.uniform() < SATURATION_PROBABILITY:
        images = adjust_saturation(images, float(rng.uniform(*SATURATION_RANGE)))
    return images
