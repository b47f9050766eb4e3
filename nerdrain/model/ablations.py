"""Parts of the ablations: Table 3 (a), (b) and (d), Table 5 "Concat", Table 6's CNN block."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nerdrain.model.config import NeRDRainConfig
from nerdrain.model.coordinates import size_of

Features = Float[Tensor, "b c h w"]
# The result of `NeRDRain.encode`: encodings and INR images, each by scale.
Encodings = tuple[dict[str, Any], dict[str, Tensor]]


def encode_as_in_table_3(
    config: NeRDRainConfig,
) -> Callable[[Any, dict[str, Tensor]], Encodings] | None:
    """The function that replaces `NeRDRain.encode` in Table 3 (a), (b) and (d); otherwise None."""
    if config.inr == "none":
        return encode_without_inr
    if config.inr == "within":
        return encode_with_inr_within
    return encode_on_fixed_grid if config.inr_grid == "fixed" else None


def encode_without_inr(network: Any, images: dict[str, Tensor]) -> Encodings:
    """Table 3 (a): every scale reads its own rainy image."""
    return {name: network.scales[name].encode_first(x) for name, x in images.items()}, {}


def encode_with_inr_within(network: Any, images: dict[str, Tensor]) -> Encodings:
    """Table 3 (b): an INR adds its image to the input of its own scale, before the first UNet."""
    started: dict[str, Any] = {}
    rendered: dict[str, Tensor] = {}
    for name, x in images.items():
        entry = x
        if name in network.inrs:
            features = network.inrs[name](x, None)
            rendered[name] = network.render(name, features, x, size_of(x))
            entry = x + rendered[name]
        started[name] = network.scales[name].encode_first(entry)
    return started, rendered


def encode_on_fixed_grid(network: Any, images: dict[str, Tensor]) -> Encodings:
    """Table 3 (d): the coarsest scale's INR is queried on the grids of all scales."""
    coarsest = next(iter(images))
    source = entry = images[coarsest]
    started = {coarsest: network.scales[coarsest].encode_first(source)}
    rendered: dict[str, Tensor] = {}
    for name, finer in pairwise(images):
        features = network.inrs[coarsest](source, started[coarsest].latent)
        x = images[finer]
        passed = network.render(coarsest, features, source, size_of(x))
        rendered[name] = network.resize(passed, size_of(entry))
        entry = x + passed
        started[finer] = network.scales[finer].encode_first(entry)
    return started, rendered


class ConcatFeedback(nn.Module):
    """Table 5's "Concat": both latents side by side, and a 1x1 convolution back (our choice).

    Shape:
        two latents ``(B, C, H, W)`` to one.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.merge = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, a: Features, b: Features) -> Features:
        """Merge the latents into one message."""
        return self.merge(torch.cat([a, b], dim=1))


class SumFeedback(nn.Module):
    """The released file for Table 5's "Concat" computes a sum.

    Shape:
        two latents ``(B, C, H, W)`` to one.
    """

    def forward(self, a: Features, b: Features) -> Features:
        """Add the latents."""
        return a + b


class ChannelAttentionBlock(nn.Module):
    """Two convolutions and a gate per channel, after MPRNet [61]: the block of Table 6's CNN.

    Shape:
        ``(B, C, H, W)`` to the same.
    """

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        squeezed = max(channels // reduction, 1)
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.PReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        )
        self.gate = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(squeezed, channels, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Features) -> Features:
        """Refine features, keeping their shape."""
        y = self.body(x)
        return x + y * self.gate(y.mean(dim=(-2, -1), keepdim=True))
