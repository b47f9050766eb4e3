"""The implicit neural representation between the scales (section 3.1, equations 1 to 3)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nerdrain.errors import NerdrainError
from nerdrain.model.config import NeRDRainConfig
from nerdrain.model.coordinates import PositionalEncoding, Size, axis_neighbours, size_of
from nerdrain.model.unet import Encoder, Up, conv3x3


def mlp(sizes: Sequence[int]) -> Sequence[nn.Linear]:
    """Linear layers between the given sizes; the decoders apply them to whole images."""
    return nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))  # type: ignore[return-value]


def pointwise(layer: nn.Linear, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
    """A linear layer at every pixel, as a 1x1 convolution."""
    return F.conv2d(x, layer.weight[:, :, None, None], layer.bias)


def neighbourhood_layer(
    features: Float[Tensor, "b c h w"], weight: Float[Tensor, "d 9*c"], bias: Tensor | None
) -> Float[Tensor, "b d h w"]:
    """A linear layer on unfolded 3x3 neighbourhoods (zeros outside), as one 3x3 convolution.

    `torch.nn.Unfold` orders its 9C numbers by channel, then by tap, and so does a kernel's shape.
    """
    channels = weight.shape[1] // 9
    if features.shape[1] != channels:
        raise NerdrainError(
            f"The INR reads features of {channels} channels, and was given {features.shape[1]}."
        )
    return F.conv2d(features, weight.unflatten(1, (channels, 3, 3)), bias, padding=1)


class ReleasedDecoder(nn.Module):
    """The INR decoder as the authors' code computes it.

    Features ``(B, C, H, W)`` to RGB ``(B, 3, H, W)``, on the same grid only. Four linear layers
    read [9C unfolded features, relative coordinates and their encoding, 2 cell sizes]. The released
    code subtracts each pixel's coordinates and encoding from themselves, so all of these are 0. It
    measures the cell in its own units, so both cell inputs are 2. Its four local-ensemble members
    are equal. So one 3x3 and three 1x1 convolutions compute the same with the same parameters. The
    columns that multiply zeros are kept, because checkpoints hold them, and never read.
    """

    def __init__(self, config: NeRDRainConfig) -> None:
        super().__init__()
        encoding = PositionalEncoding(levels=4, include_pi=True)
        coordinates = 2 + (encoding.features(2) if config.inr_encoding else 0)
        self.width = config.width
        hidden = config.inr_hidden
        self.layers = mlp([9 * config.width + coordinates + 2, hidden, hidden, hidden, 3])

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 h w"]:
        """Decode features to an image."""
        first, *rest = self.layers
        on_features = first.weight[:, : 9 * self.width]
        bias = first.bias + 2 * first.weight[:, -2:].sum(dim=1)  # both cell inputs are 2
        x = neighbourhood_layer(features, on_features, bias)
        for layer in rest:
            x = pointwise(layer, x.relu())
        return x


def double(values: Sequence[Float[Tensor, "b c h w"]], dim: int) -> Tensor:
    """Interpolate to twice the pixels along `dim`, weighting by length as equation 3 does.

    `values` are four images, predicted at the offsets -3/4, -1/4, 1/4 and 3/4 from every code. An
    even pixel lies 1/4 before its code and 3/4 after the previous one, an odd pixel 1/4 after its
    code and 3/4 before the next one. At the border, a pixel's only code is used twice.
    """
    far_before, before, after, far_after = values
    last = before.shape[dim] - 1
    previous = torch.cat([before.narrow(dim, 0, 1), far_after.narrow(dim, 0, last)], dim)
    following = torch.cat([far_before.narrow(dim, 1, last), after.narrow(dim, last, 1)], dim)
    pixels = 0.75 * before + 0.25 * previous, 0.75 * after + 0.25 * following
    return torch.stack(pixels, dim + 1).flatten(dim, dim + 1)


class PaperDecoder(nn.Module):
    """The INR decoder as the paper describes it: equation 3 on any grid.

    Features ``(B, C, h, w)`` and a size ``(H, W)`` to RGB ``(B, 3, H, W)``. A three-layer MLP f
    reads the code z_j, unfolded 3x3, and the encoded offset of the query from that code. The values
    of the four nearest codes are averaged by area. The first layer is linear, so its feature part
    is computed once per code.

    Where the paper is silent, these are our choices: offsets are measured in cells of the feature
    grid, so they lie in [-1, 1] for the four nearest codes; features are unfolded 3x3 as in LIIF
    and in the released code; outside the grid the border code is used; without encoding f reads the
    two plain offsets; without interpolation it reads the nearest code alone.
    """

    def __init__(self, config: NeRDRainConfig) -> None:
        super().__init__()
        self.encoding = PositionalEncoding(levels=4) if config.inr_encoding else None
        self.interpolation = config.inr_interpolation
        coordinates = self.encoding.features(2) if self.encoding else 2
        self.width = config.width
        hidden = config.inr_hidden
        self.layers = mlp([9 * config.width + coordinates, hidden, hidden, 3])

    def forward(
        self, features: Float[Tensor, "b c h w"], size: Size | None = None
    ) -> Float[Tensor, "b 3 H W"]:
        """Evaluate at the pixel centres of a grid of `size` (by default the features' own)."""
        first = self.layers[0]
        codes = neighbourhood_layer(features, first.weight[:, : 9 * self.width], first.bias)
        own = size_of(codes)
        if size is None or tuple(size) == own:  # each pixel centre is a code: weight 1, offset 0
            return self.tail(codes + self.offset_part(codes.new_zeros(1, 1, 2)))
        if self.interpolation and tuple(size) == (2 * own[0], 2 * own[1]):
            return self.on_twice_the_grid(codes)
        rows, columns = (
            axis_neighbours(n, m, device=codes.device, dtype=codes.dtype)
            for n, m in zip(size, own, strict=True)
        )
        if not self.interpolation:
            rows, columns = rows.nearest(), columns.nearest()
        value = codes.new_zeros(codes.shape[0], 3, *size)
        for iy, dy, wy in zip(*rows, strict=True):
            for ix, dx, wx in zip(*columns, strict=True):
                z = codes.index_select(-2, iy).index_select(-1, ix)  # (B, hidden, H, W)
                offset = torch.stack(torch.meshgrid(dy, dx, indexing="ij"), dim=-1)  # (H, W, 2)
                value = value + wy[:, None] * wx * self.tail(z + self.offset_part(offset))
        return value

    def on_twice_the_grid(self, codes: Float[Tensor, "b d h w"]) -> Float[Tensor, "b 3 2*h 2*w"]:
        """Equation 3 on a grid twice as fine, without a copy of each pixel's four codes.

        Along each axis the offset from a code is -3/4, -1/4, 1/4 or 3/4. The MLP is evaluated at
        all codes for each of the 16 pairs of offsets. Then each pixel averages its four values.
        """
        axis = torch.arange(-3, 4, 2, device=codes.device).to(codes.dtype) / 4
        parts = self.offset_part(torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1))
        columns = [
            double([self.tail(codes + part[:, None, None]) for part in row.unbind(-1)], dim=3)
            for row in parts.unbind(1)
        ]
        return double(columns, dim=2)

    def offset_part(self, offset: Float[Tensor, "h w 2"]) -> Float[Tensor, "hidden h w"]:
        """The first layer's output for the encoded offset of a query from its code."""
        encoded = self.encoding(offset) if self.encoding else offset
        weight = self.layers[0].weight[:, -encoded.shape[-1] :]
        return (encoded @ weight.T).movedim(-1, 0)

    def tail(self, x: Float[Tensor, "b hidden h w"]) -> Float[Tensor, "b 3 h w"]:
        """The layers after the first."""
        for layer in self.layers[1:]:
            x = pointwise(layer, x.relu())
        return x


class INRBranch(nn.Module):
    """One scale's INR: from the latent to the feature map E of equation 3, which `decoder` decodes.

    Two Ups bring the latent ``(B, 4C, H/4, W/4)`` to the scale's own resolution. A shared encoder's
    latent is the scale's own; a separate one (Table 3 (g)) has the same layers and its own weights.
    """

    def __init__(self, config: NeRDRainConfig) -> None:
        super().__init__()
        c = config.width
        self.encoder: nn.Module | None = None
        if config.inr_encoder == "separate":
            self.encoder = nn.Sequential(conv3x3(3, c), Encoder(config))
        self.expand = nn.Sequential(Up(4 * c), Up(2 * c))
        self.decoder = (
            ReleasedDecoder(config) if config.fidelity == "released" else PaperDecoder(config)
        )

    def forward(
        self, image: Float[Tensor, "b 3 h w"], latent: Float[Tensor, "b 4*c h/4 w/4"] | None
    ) -> Float[Tensor, "b c h w"]:
        """The feature map E, from the scale's `latent`, or by a separate encoder from `image`."""
        if self.encoder is not None:
            latent = self.encoder(image).latent
        return self.expand(latent)
