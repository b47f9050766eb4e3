"""Random crops and changes that a pair of images takes together, as in the authors' training.

Crop, then one of nine equally likely turns and flips (identity twice, so each of the eight
symmetries of a square occurs), then, once in three, a change of saturation.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

SATURATION = (0.8, 1.2)
SATURATION_PROBABILITY = 1 / 3
GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601 luma, towards which saturation fades

SYMMETRIES: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda x: x,
    lambda x: x,  # identity is twice as likely as each other one
    lambda x: x.flip(-2),
    lambda x: x.flip(-1),
    lambda x: x.rot90(1, (-2, -1)),
    lambda x: x.rot90(2, (-2, -1)),
    lambda x: x.rot90(3, (-2, -1)),
    lambda x: x.flip(-2).rot90(1, (-2, -1)),
    lambda x: x.flip(-1).rot90(1, (-2, -1)),
)


def reflected(length: int, size: int) -> Int64[Tensor, " size"]:
    """Indices 0..size-1 folded back into 0..length-1: reflection without repeating the border."""
    period = max(2 * length - 2, 1)
    folded = torch.arange(size) % period
    return torch.where(folded < length, folded, period - folded)


def random_crop(
    images: Shaped[Tensor, "n c h w"], patch: int, rng: np.random.Generator
) -> Shaped[Tensor, "n c patch patch"]:
    """The same square of every image; images smaller than it are first reflected down and right.

    Args:
        images: (N, C, H, W), any size from 1 pixel, any dtype.
        patch: pixels a side.
        rng: where the square is.
    """
    height, width = images.shape[-2:]
    if height < patch:
        images = images[..., reflected(height, patch), :]
    if width < patch:
        images = images[..., reflected(width, patch)]
    top = int(rng.integers(images.shape[-2] - patch + 1))
    left = int(rng.integers(images.shape[-1] - patch + 1))
    return images[..., top : top + patch, left : left + patch]


def adjust_saturation(images: Float[Tensor, "n 3 h w"], factor: float) -> Float[Tensor, "n 3 h w"]:
    """Moves colours from (factor > 1) or towards (factor < 1) the grey of the same luma.

    Args:
        images: (N, 3, H, W) RGB in [0, 1].
        factor: 0 gives grey, 1 the images themselves.

    Returns:
        The same shape, clamped to [0, 1].
    """
    grey = (images * images.new_tensor(GREY)[:, None, None]).sum(1, keepdim=True)  # (N, 1, H, W)
    return torch.lerp(grey.expand_as(images), images, factor).clamp(0, 1)


def augment(
    images: Float[Tensor, "n 3 h w"], rng: np.random.Generator
) -> Float[Tensor, "n 3 h2 w2"]:
    """One random symmetry of the square and, once in three, one saturation, for all images alike.

    The released code has a third change, a gamma whose exponent is always 1: it does nothing, so
    it is left out.

    Args:
        images: (N, 3, H, W) RGB in [0, 1]; H and W change places under a quarter turn.
        rng: what is drawn.
    """
    images = SYMMETRIES[int(rng.integers(len(SYMMETRIES)))](images)
    if rng.uniform() < SATURATION_PROBABILITY:
        images = adjust_saturation(images, float(rng.uniform(*SATURATION)))
    return images
