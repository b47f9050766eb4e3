"""The hybrid loss (section 3.3, equations 5 and 6) and the targets of the coarse scales."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from nerdrain.errors import NerdrainError, Settings
from nerdrain.model.network import Derained

Image = Float[Tensor, "b c h w"]

BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
"""The pyramid's 5-tap blur."""
BURT_ADELSON = (0.05, 0.25, 0.4, 0.25, 0.05)
"""The edge loss's 5-tap blur."""


def blur(x: Image, taps: tuple[float, ...], mode: str) -> Image:
    """Blur each channel with the outer product of `taps`, after padding by `mode`."""
    channels, half = x.shape[1], len(taps) // 2
    kernel = torch.tensor(taps, device=x.device, dtype=x.dtype)
    kernel = torch.outer(kernel, kernel).expand(channels, 1, -1, -1)
    return F.conv2d(F.pad(x, [half] * 4, mode=mode), kernel, groups=channels)


def gaussian_pyramid(image: Image, levels: int = 3) -> list[Image]:
    """The targets: the image, then `levels - 1` times blurred and halved, as kornia's pyramid.

    The paper does not say what the coarse scales are compared with; the released code uses this: a
    5x5 binomial blur (reflected border; repeated where the image is too small to reflect), then
    bilinear halving about the centre of each 2x2 block. Odd sizes are made even by repeating the
    last row or column, so they round up, like the network's outputs.

    Returns:
        `levels` images, ``(B, C, H, W)`` first.
    """
    pyramid = [image]
    for _ in range(levels - 1):
        x = pyramid[-1]
        x = F.pad(x, (0, x.shape[-1] % 2, 0, x.shape[-2] % 2), mode="replicate")
        x = blur(x, BINOMIAL, "reflect" if min(x.shape[-2:]) > 2 else "replicate")
        pyramid.append(F.avg_pool2d(x, 2))  # bilinear halving of an even size is a mean of four
    return pyramid


def charbonnier(image: Image, target: Image, epsilon: float = 1e-3) -> Float[Tensor, ""]:
    """Charbonnier loss: mean sqrt(d^2 + epsilon^2), an L1 norm smooth at 0 (MPRNet [61])."""
    return ((image - target).square() + epsilon**2).sqrt().mean()


def frequency(image: Image, target: Image) -> Float[Tensor, ""]:
    """Frequency loss: mean modulus of the difference of the unnormalised 2-D Fourier transforms.

    The paper cites the focal frequency loss [23]; the released code computes this plain mean. For
    noise it grows with the square root of the number of pixels. Half precision is computed in
    float32.
    """
    difference = image - target
    if difference.dtype in (torch.float16, torch.bfloat16):
        difference = difference.float()
    return torch.fft.fft2(difference).abs().mean()


def laplacian(image: Image) -> Image:
    """Image minus a coarse copy of itself: the detail that is lost by halving and doubling it.

    The image is blurred. The pixels of even rows and columns are multiplied by 4, the others are
    set to 0, and the result is blurred again. Both blurs repeat the border. So the Laplacian of a
    positive constant is 0, except within two pixels of the border, where copies of kept pixels make
    it negative, and copies of zeros make it positive. The released code does the same.
    """
    low = blur(image, BURT_ADELSON, "replicate")
    kept = torch.zeros_like(low)
    kept[..., ::2, ::2] = 4 * low[..., ::2, ::2]
    return image - blur(kept, BURT_ADELSON, "replicate")


def edge(image: Image, target: Image) -> Float[Tensor, ""]:
    """Edge loss: Charbonnier loss between the Laplacians (MSPFN [22], MPRNet [61])."""
    return charbonnier(laplacian(image), laplacian(target))


def inr_loss(image: Image, target: Image) -> Float[Tensor, ""]:
    """L1 loss of one INR image, a term of equation 5 (as a mean, as released)."""
    return (image - target).abs().mean()


class LossTerms(NamedTuple):
    """Each scalar; `total` is equation 6, the others are before weighting."""

    total: Tensor
    char: Tensor
    freq: Tensor
    edge: Tensor
    inr: Tensor


Weight = Annotated[float, Field(ge=0, le=1e6)]


class LossWeights(Settings):
    """The alphas of equation 6."""

    freq: Weight = 0.01
    """Weight of the frequency loss."""
    edge: Weight = 0.05
    """Weight of the edge loss."""
    inr: Weight = 0.1
    """Weight of the INR loss."""


class HybridLoss(nn.Module):
    """Equation 6: L_char + 0.01 L_freq + 0.05 L_edge + 0.1 L_inr.

    The first three are sums over the scales that the network returns, against the target's Gaussian
    pyramid. The last is a sum over its INR images, and 0 if there are none. An image that is None
    is left out.
    """

    def __init__(self, weights: LossWeights | None = None) -> None:
        super().__init__()
        self.weights = weights or LossWeights()

    def forward(self, output: Derained, target: Image) -> LossTerms:
        """Compare all outputs with a clean image ``(B, 3, H, W)`` of the size of `output.full`.

        Raises:
            NerdrainError: The target and `output.full` differ in shape.
        """
        if output.full.shape != target.shape:
            raise NerdrainError(
                f"The target has the shape {tuple(target.shape)} and the output "
                f"{tuple(output.full.shape)}: compare images of one size."
            )
        full, half, quarter = gaussian_pyramid(target)
        scales = [(output.full, full), (output.half, half), (output.quarter, quarter)]
        main = [(image, t) for image, t in scales if image is not None]
        rendered = [(output.inr_half, half), (output.inr_quarter, quarter)]
        inr = [(image, t) for image, t in rendered if image is not None]

        zero = target.new_zeros(())
        char = sum((charbonnier(*pair) for pair in main), zero)
        freq = sum((frequency(*pair) for pair in main), zero)
        edges = sum((edge(*pair) for pair in main), zero)
        inrs = sum((inr_loss(*pair) for pair in inr), zero)
        w = self.weights
        total = char + w.freq * freq + w.edge * edges + w.inr * inrs
        return LossTerms(total, char, freq, edges, inrs)
