"""Random crops and augmentations, the same for both images of a pair, as in the authors' training.

First a random crop. Then one of nine equally likely rotations and flips: the identity counts twice,
so all eight symmetries of a square occur. Then, with probability 1/3, a change of saturation.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Shaped
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


def random_crop(
    images: Shaped[Tensor, "n c h w"], patch_size: int, rng: np.random.Generator
) -> Shaped[Tensor, "n c patch patch"]:
    """Crop the same random square, `patch_size` pixels a side, from every image.

    Images smaller than the square are first extended down and to the right by reflection, which
    does not repeat the border.
    """
    for axis in (-2, -1):
        missing = patch_size - images.shape[axis]
        if missing > 0:
            indices = np.pad(np.arange(images.shape[axis]), (0, missing), mode="reflect")
            images = images.index_select(axis, torch.from_numpy(indices).to(images.device))
        first = int(rng.integers(images.shape[axis] - patch_size + 1))
        images = images.narrow(axis, first, patch_size)
    return images


def adjust_saturation(images: Float[Tensor, "n 3 h w"], factor: float) -> Float[Tensor, "n 3 h w"]:
    """Scale the distance of every RGB colour in [0, 1] from the grey of the same luma, and clamp.

    Factor 0 gives grey images, 1 changes nothing, and more than 1 makes colours stronger.
    """
    weights = images.new_tensor(LUMA_WEIGHTS)[:, None, None]
    grey = (images * weights).sum(1, keepdim=True)  # (N, 1, H, W)
    return torch.lerp(grey.expand_as(images), images, factor).clamp(0, 1)


def augment(
    images: Float[Tensor, "n 3 h w"], rng: np.random.Generator
) -> Float[Tensor, "n 3 h2 w2"]:
    """Apply one random symmetry and, with probability 1/3, one saturation factor to all images.

    The images are RGB in [0, 1]; a rotation by 90 degrees swaps H and W. The released code also
    applies a gamma curve. Its exponent is always 1, so it changes nothing and is left out here.
    """
    images = SYMMETRIES[int(rng.integers(len(SYMMETRIES)))](images)
    if rng.uniform() < SATURATION_PROBABILITY:
        images = adjust_saturation(images, float(rng.uniform(*SATURATION_RANGE)))
    return images
