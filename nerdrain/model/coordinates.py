"""Where a pixel is: pixel centres, their encoding (equation 2) and their neighbours."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from nerdrain.errors import NerdrainError

Size = tuple[int, int]


def size_of(x: Tensor) -> Size:
    """Height and width of a ``(..., H, W)`` tensor."""
    return x.shape[-2], x.shape[-1]


def pixel_centres(
    size: int, *, device: torch.device | None = None, dtype: torch.dtype | None = None
) -> Float[Tensor, " size"]:
    """Centres of `size` pixels that tile [-1, 1] (section 3.1): pixel i is at (2i + 1) / size - 1.

    The first and last centre lie half a pixel inside the interval, so grids of any two sizes cover
    the same picture.
    """
    numerators = 2 * torch.arange(size, device=device) + 1 - size  # whole numbers: exact
    return numerators.to(dtype or torch.float32) / size


def pixel_grid(
    height: int,
    width: int,
    *,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> Float[Tensor, "height width 2"]:
    """The set X of section 3.1: at each pixel its (row, column) centre, both in [-1, 1]."""
    rows = pixel_centres(height, device=device, dtype=dtype)
    columns = pixel_centres(width, device=device, dtype=dtype)
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1)


class PositionalEncoding(nn.Module):
    """Periodic encoding of coordinates, the paper's equation 2.

    gamma(x) = [sin x, cos x, ..., sin 2^(L-1) x, cos 2^(L-1) x], with L = `levels`. For a point of
    d coordinates each sine and each cosine stands for d numbers, so the encoding has 2 L d: 4 L for
    a pixel, where the paper writes 2 L.

    Args:
        levels: L, the number of octaves; the paper sets 4.
        include_pi: Multiply the frequencies by pi: the released code does, the paper does not.

    Raises:
        NerdrainError: `levels` is less than 1.

    Shape:
        ``(..., d)`` to ``(..., 2 * levels * d)``: for each octave d sines, then d cosines.
    """

    def __init__(self, levels: int = 4, *, include_pi: bool = False) -> None:
        super().__init__()
        if levels < 1:
            raise NerdrainError(f"levels={levels}: an encoding needs at least one octave.")
        self.levels = levels
        self.include_pi = include_pi

    def forward(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch 2*{self.levels}*d"]:
        """Encode coordinates; they should lie in [-1, 1]."""
        base = math.pi if self.include_pi else 1.0
        octaves = base * 2.0 ** torch.arange(self.levels, device=x.device, dtype=x.dtype)
        angles = octaves[:, None] * x[..., None, :]  # (..., L, d)
        return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)  # (..., 2 L d)

    def features(self, d: int) -> int:
        """Length of the encoding of a point with `d` coordinates."""
        return 2 * self.levels * d

    def extra_repr(self) -> str:
        """Shown by `print(model)`."""
        return f"levels={self.levels}, include_pi={self.include_pi}"


class Neighbours(NamedTuple):
    """The two grid points on either side of each query, along one axis.

    Attributes:
        code: Which grid points, lower then upper, clamped to the grid.
        offset: Query minus grid point, in cells. Inside the grid it lies in [0, 1] for the lower
            and in [-1, 0] for the upper point.
        weight: Share of each point, the length of the opposite part of the cell; sums to 1.
    """

    code: Int[Tensor, "2 queries"]
    offset: Float[Tensor, "2 queries"]
    weight: Float[Tensor, "2 queries"]

    def nearest(self) -> Neighbours:
        """Only the nearer point of each pair, with the whole weight: no interpolation.

        One row in place of two, shape ``(1, queries)``. Of two that are equally near, the lower.
        """
        upper = (self.weight[1] > self.weight[0]).long()[None]
        code, offset = self.code.gather(0, upper), self.offset.gather(0, upper)
        return Neighbours(code, offset, torch.ones_like(offset))


def axis_neighbours(
    queries: int,
    codes: int,
    *,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> Neighbours:
    """Neighbours of `queries` pixel centres among `codes` latent codes over the same interval.

    Two axes of these make the four nearest codes and the area weights of equation 3: the weight of
    a code is the product of its weights along rows and columns.
    """
    # The position (i + 1/2) codes / queries - 1/2 as a whole number of parts of 1 / (2 queries), so
    # that weights and offsets are exact in every dtype and on devices without float64.
    parts = 2 * queries
    position = (2 * torch.arange(queries, device=device) + 1) * codes - queries
    lower = position.div(parts, rounding_mode="floor")
    code = torch.stack([lower, lower + 1]).clamp(0, codes - 1)
    weight = torch.stack([(lower + 1) * parts - position, position - lower * parts])
    dtype = dtype or torch.float32
    return Neighbours(code, (position - code * parts).to(dtype) / parts, weight.to(dtype) / parts)
