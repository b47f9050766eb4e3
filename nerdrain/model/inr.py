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
from nerdrain.model.coordinates import PositionalEncoding, axis_neighbours
from nerdrain.model.modules import module_list
from nerdrain.model.unet import Encoder, Up

Size = tuple[int, int]


def mlp(sizes: Sequence[int]) -> Sequence[nn.Linear]:
    """Linear layers between the given sizes; the decoders below run them on whole images."""
    return module_list(nn.Linear(a, b) for a, b in pairwise(sizes))


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

    Four linear layers (three hidden) act on [9C unfolded features, relative coordinates and their
    encoding, 2 cell sizes]. The released code subtracts each pixel's coordinates from themselves,
    so every coordinate input is exactly 0, and measures the cell in its own units, so both cell
    inputs are exactly 2; and its four local-ensemble members are equal. All of that is a 3x3
    convolution and three 1x1 convolutions in one pass, with the same parameters: the columns that
    multiply zeros are kept (checkpoints hold them) and never read.

    Shape:
        features ``(B, C, H, W)`` to RGB ``(B, 3, H, W)``, on the same grid only.
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


class PaperDecoder(nn.Module):
    """The INR decoder as the paper describes it: equation 3 on any grid.

    A three-layer MLP f reads the code z_j, unfolded 3x3, and the encoded offset of the query from
    that code; the values of the four nearest codes are averaged by area. The first layer is linear,
    so its feature part is computed once per code, however many queries read it.

    Our choices, where the paper is silent: offsets are measured in cells of the feature grid, so
    that they lie in [-1, 1] for the four nearest codes; features are unfolded 3x3 as in LIIF and in
    the released code; beyond the outermost codes the nearest one repeats; without encoding the two
    plain offsets are read; without interpolation the single nearest code.

    Shape:
        features ``(B, C, h, w)`` and a size ``(H, W)`` to RGB ``(B, 3, H, W)``.
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
        own = tuple(codes.shape[-2:])
        if size is None or tuple(size) == own:  # each pixel centre is a code: weight 1, offset 0
            zero = codes.new_zeros(1, 1, 2)
            return self.tail(codes + self.offset_part(zero))
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

    def offset_part(self, offset: Float[Tensor, "h w 2"]) -> Float[Tensor, "hidden h w"]:
        """What the first layer adds for a query at this offset from its code."""
        encoded = self.encoding(offset) if self.encoding else offset
        weight = self.layers[0].weight[:, -encoded.shape[-1] :]
        return (encoded @ weight.T).movedim(-1, 0)

    def tail(self, x: Float[Tensor, "b hidden h w"]) -> Float[Tensor, "b 3 h w"]:
        """The layers after the first."""
        for layer in self.layers[1:]:
            x = pointwise(layer, x.relu())
        return x


class INRBranch(nn.Module):
    """One scale's INR: latent to feature map E, E to an image (E in equation 3 is the encoder's).

    Two Ups bring the latent ``(B, 4C, H/4, W/4)`` back to the scale's own resolution,
    E ``(B, C, H, W)``. With a shared encoder the latent is the branch's own; a separate one
    (Table 3 (g)) is made of the same embedding and levels, with weights of its own.
    """

    def __init__(self, config: NeRDRainConfig) -> None:
        super().__init__()
        c = config.width
        self.encoder: nn.Module | None = None
        if config.inr_encoder == "separate":
            self.encoder = nn.Sequential(nn.Conv2d(3, c, 3, padding=1, bias=False), Encoder(config))
        self.expand = nn.Sequential(Up(4 * c), Up(2 * c))
        self.decoder = (
            ReleasedDecoder(config) if config.fidelity == "released" else PaperDecoder(config)
        )

    def forward(
        self, image: Float[Tensor, "b 3 h w"], latent: Float[Tensor, "b 4*c h/4 w/4"] | None
    ) -> Float[Tensor, "b c h w"]:
        """The feature map E, from the branch's `latent`, or by a separate encoder from `image`."""
        if self.encoder is not None:
            latent = self.encoder(image).latent
        return self.expand(latent)
