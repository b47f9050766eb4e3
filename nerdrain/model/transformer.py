"""The Transformer block of Restormer [62], of which the UNets are made (section 3.1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from nerdrain.model import ablations
from nerdrain.model.config import NeRDRainConfig


class ChannelLayerNorm(nn.Module):
    """Layer normalisation over the channels of each pixel, ``(B, C, H, W)`` to the same.

    Args:
        channels: C.
        bias: Subtract the mean and add a learned bias. Without it, only divide by the standard
            deviation (Restormer's "BiasFree" form).
    """

    def __init__(self, channels: int, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Normalise; the variance divides by C and has 1e-5 added inside the root."""
        pixels = x.movedim(1, -1)  # (B, H, W, C)
        if self.bias is not None:
            shape = self.weight.shape
            return F.layer_norm(pixels, shape, self.weight, self.bias, 1e-5).movedim(-1, 1)
        variance = (pixels - pixels.mean(-1, keepdim=True)).square().mean(-1, keepdim=True)
        deviation = torch.sqrt(variance + 1e-5)
        return (pixels / deviation * self.weight).movedim(-1, 1)


def widen(
    x: Float[Tensor, "b c h w"], pointwise: nn.Conv2d, depthwise: nn.Conv2d, parts: int
) -> list[Float[Tensor, "b d h w"]]:
    """`depthwise(pointwise(x)).chunk(parts, dim=1)`, with each part contiguous in memory.

    Each has its part of the weights. The next step reads contiguous tensors faster than slices.
    """
    weights = zip(pointwise.weight.chunk(parts), depthwise.weight.chunk(parts), strict=True)
    return [F.conv2d(F.conv2d(x, w), taps, padding=1, groups=len(taps)) for w, taps in weights]


class TransposedAttention(nn.Module):
    """Attention between channels, not pixels (MDTA: multi-Dconv head transposed attention).

    ``(B, C, H, W)`` to the same. Each head compares its channels as whole images. Its matrix is
    (C/heads x C/heads), so the cost grows linearly with the number of pixels. Queries and keys have
    unit length over the pixels, so a learned `temperature` per head sets the softmax's sharpness.
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
        """Attention matrices of k heads over n pixels; each row sums to 1.

        Products are divided by lengths, so no normalised copies of queries and keys are needed.
        """
        if q.dtype == torch.float16:  # sums over many pixels overflow
            q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        # Faster than `norm` where pixels are not the last axis in memory.
        lengths_q, lengths_k = (z.square().sum(-1).clamp(min=1e-24).sqrt() for z in (q, k))
        similarity = q @ k.mT / (lengths_q[..., :, None] * lengths_k[..., None, :])
        return (similarity * self.temperature).softmax(dim=-1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Mix the channels of `x` by their similarity."""
        return self.attend(*widen(x, self.qkv, self.qkv_depthwise, parts=3))

    def attend(self, *qkv: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Attention from queries, keys and values; with the projection, one matrix per image."""
        q, k, v = (rearrange(part, "b (k c) h w -> b k c (h w)", k=self.heads) for part in qkv)
        project = rearrange(self.project.weight, "out (k c) 1 1 -> k c out", k=self.heads)
        mix = (self.weights(q, k).mT @ project).flatten(1, 2)  # (B, C, C), from v to the output
        return rearrange(v.flatten(1, 2).mT @ mix, "b (h w) c -> b c h w", h=qkv[0].shape[-2])


class GatedFeedForward(nn.Module):
    """Gated feed-forward layer with depth-wise convolutions (GDFN): gelu(a) * b.

    ``(B, C, H, W)`` to the same; a and b have ``int(expansion * C)`` hidden channels each.
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
        """Multiply half of the hidden channels by the gate, the gelu of the other half."""
        gate, value = widen(x, self.expand, self.depthwise, parts=2)
        return self.project(F.gelu(gate) * value)


class TransformerBlock(nn.Module):
    """x + attention(norm(x)), then x + feed_forward(norm(x)), ``(B, C, H, W)`` to the same."""

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


def make_block(level: int, config: NeRDRainConfig) -> nn.Module:
    """One block of a UNet's level (1, 2 or 3), which has C, 2C or 4C channels."""
    channels, heads = config.width << (level - 1), config.heads[level - 1]
    if config.backbone == "cnn":
        return ablations.ChannelAttentionBlock(channels)
    return TransformerBlock(channels, heads, config)


def make_blocks(level: int, config: NeRDRainConfig) -> nn.Sequential:
    """The blocks of one level (1, 2 or 3) of a UNet."""
    return nn.Sequential(*(make_block(level, config) for _ in range(config.blocks[level - 1])))
