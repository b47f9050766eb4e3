"""The Transformer block of Restormer [62], of which UNets are made, and Table 6's CNN block."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from nerdrain.model.config import NeRDRainConfig


class ChannelLayerNorm(nn.Module):
    """Layer normalisation over the channels of each pixel.

    Args:
        channels: Number of channels.
        bias: With it, subtract the mean and add a learned bias. Without, divide by the standard
            deviation only (Restormer's "BiasFree" form).

    Shape:
        ``(B, C, H, W)`` to the same.
    """

    def __init__(self, channels: int, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Normalise; the variance is the biased one, with 1e-5 inside the root."""
        pixels = x.movedim(1, -1)  # (B, H, W, C)
        if self.bias is not None:
            return F.layer_norm(pixels, self.weight.shape, self.weight, self.bias, 1e-5).movedim(
                -1, 1
            )
        variance = (pixels - pixels.mean(-1, keepdim=True)).square().mean(-1, keepdim=True)
        deviation = torch.sqrt(variance + 1e-5)
        return (pixels / deviation * self.weight).movedim(-1, 1)


class TransposedAttention(nn.Module):
    """Attention between channels instead of pixels (MDTA: multi-Dconv head transposed attention).

    Each head compares its channels as whole images: a (C/heads x C/heads) matrix, at a cost that
    grows linearly with the number of pixels. Queries and keys have unit length over the pixels, so
    a learned `temperature` per head sets the softmax's sharpness.

    Shape:
        ``(B, C, H, W)`` to the same.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.qkv_depthwise = nn.Conv2d(
            3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=False
        )
        self.project = nn.Conv2d(channels, channels, 1, bias=False)

    def weights(
        self, q: Float[Tensor, "b k c n"], k: Float[Tensor, "b k c n"]
    ) -> Float[Tensor, "b k c c"]:
        """Attention matrices of k heads over n pixels; each row sums to 1."""
        similarity = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
        return (similarity * self.temperature).softmax(dim=-1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Mix the channels of `x` by their similarity."""
        height = x.shape[-2]
        q, k, v = rearrange(
            self.qkv_depthwise(self.qkv(x)), "b (t k c) h w -> t b k c (h w)", t=3, k=self.heads
        )
        mixed = self.weights(q, k) @ v  # (B, heads, C/heads, H*W)
        return self.project(rearrange(mixed, "b k c (h w) -> b (k c) h w", h=height))


class GatedFeedForward(nn.Module):
    """Gated feed-forward layer with depth-wise convolutions (GDFN): gelu(a) * b.

    Shape:
        ``(B, C, H, W)`` to the same, through ``int(expansion * C)`` hidden channels, twice.
    """

    def __init__(self, channels: int, expansion: float = 2.66) -> None:
        super().__init__()
        hidden = int(channels * expansion)
        self.expand = nn.Conv2d(channels, 2 * hidden, 1, bias=False)
        self.depthwise = nn.Conv2d(
            2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False
        )
        self.project = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Pass what the gate opens for."""
        gate, value = self.depthwise(self.expand(x)).chunk(2, dim=1)
        return self.project(F.gelu(gate) * value)


class TransformerBlock(nn.Module):
    """x + attention(norm(x)), then x + feed_forward(norm(x)).

    Shape:
        ``(B, C, H, W)`` to the same.
    """

    def __init__(self, channels: int, heads: int, config: NeRDRainConfig) -> None:
        super().__init__()
        bias = config.norm == "with_bias"
        self.norm1 = ChannelLayerNorm(channels, bias=bias)
        self.attention = TransposedAttention(channels, heads)
        self.norm2 = ChannelLayerNorm(channels, bias=bias)
        self.feed_forward = GatedFeedForward(channels, config.expansion)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Refine features, keeping their shape."""
        x = x + self.attention(self.norm1(x))
        return x + self.feed_forward(self.norm2(x))


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

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Refine features, keeping their shape."""
        y = self.body(x)
        return x + y * self.gate(y.mean(dim=(-2, -1), keepdim=True))


def make_blocks(level: int, config: NeRDRainConfig) -> nn.Sequential:
    """The blocks of one level (1, 2 or 3) of a UNet: `config` says how many and of which kind."""
    channels, heads = config.width << (level - 1), config.heads[level - 1]

    def block() -> nn.Module:
        if config.backbone == "cnn":
            return ChannelAttentionBlock(channels)
        return TransformerBlock(channels, heads, config)

    return nn.Sequential(*(block() for _ in range(config.blocks[level - 1])))
