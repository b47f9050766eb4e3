"""Window attention with einops and einsum: the queries, keys and values are padded."""

import json
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor, einsum, nn

GIVEN = json.loads(Path(__file__).with_name("variant.json").read_text(encoding="utf-8"))
A, B = GIVEN["window"]
S, T = GIVEN["shift"]


def source(size: int, window: int, shift: int) -> Tensor:
    """For each position of the padded axis, its position in the image, also outside."""
    end = shift + -((shift - size) // window) * window
    return torch.arange(shift - window, max(end, shift))


class WindowAttention(nn.Module):
    """Attention between the pixels of a window, ``(B, C, H, W)`` to the same."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (GIVEN["sharpness"] / (channels / heads) ** 0.5) ** 0.5
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.project = nn.Conv2d(channels, channels, 1, bias=False)
        self.bias_table = nn.Parameter(torch.zeros(heads, 2 * A - 1, 2 * B - 1))

    def forward(self, x: Tensor) -> Tensor:
        """Gather the padded windows, attend, and scatter the image's pixels."""
        height, width = x.shape[2:]
        rows, columns = source(height, A, S), source(width, B, T)
        inside = ((rows >= 0) & (rows < height))[:, None] & (columns >= 0) & (columns < width)
        qkv = self.qkv(x)[:, :, rows.clamp(0, height - 1)][..., columns.clamp(0, width - 1)]
        if GIVEN["border"] == "zeros":
            qkv = qkv * inside
        split = "b (three k d) (i a) (j w) -> three b i j k (a w) d"
        q, k, v = rearrange(qkv, split, three=3, k=self.heads, a=A, w=B)
        logits = einsum("bijkqd,bijkpd->bijkqp", q * self.scale, k * self.scale)
        logits = logits + self.bias()
        if GIVEN["border"] == "exclude":
            keys = rearrange(inside, "(i a) (j w) -> i j 1 1 (a w)", a=A, w=B)
            logits = torch.where(keys, logits, torch.tensor(-1e30, dtype=x.dtype))
        mixed = einsum("bijkqp,bijkpd->bijkqd", logits.softmax(-1), v)
        mixed = rearrange(mixed, "b i j k (a w) d -> b (k d) (i a) (j w)", a=A)
        return self.project(mixed[:, :, inside.any(1)][..., inside.any(0)])

    def bias(self) -> Tensor:
        """``(heads, queries, keys)``, made line by line from the table."""
        table = self.bias_table
        if GIVEN["offset"] == "key_minus_query":
            table = table.flip(1, 2)
        lines = [
            table[:, r : r + A, c : c + B].flip(1, 2).flatten(1)  # offsets fall as keys grow
            for r in range(A)
            for c in range(B)
        ]
        return torch.stack(lines, dim=1)


def attend(x: Tensor, weights: dict[str, Tensor], heads: int) -> Tensor:
    """The layer with given weights."""
    layer = WindowAttention(x.shape[1], heads).to(x.dtype)
    layer.load_state_dict(weights)
    return layer(x)


def multiply_adds(channels: int, heads: int, height: int, width: int) -> int:
    """Multiply-adds of window attention for one image."""
    padded = len(source(height, A, S)) * len(source(width, B, T))
    return channels * (4 * channels * height * width + 2 * A * B * padded)


def channel_multiply_adds(channels: int, heads: int, height: int, width: int) -> int:
    """Multiply-adds of channel attention for one image."""
    head = channels // heads
    return (4 * channels**2 + 27 * channels + 2 * heads * head**2) * height * width


def equal_channels(channels: int, heads: int, height: int, width: int) -> int:
    """Go down from more channels than can fit."""
    budget = multiply_adds(channels, heads, height, width)
    most = heads * (budget // (27 * heads * height * width) + 1)
    most = min(most, heads * (int((budget / (4 * height * width)) ** 0.5) // heads + 1))
    while channel_multiply_adds(most, heads, height, width) > budget:
        most -= heads
    return most
