"""Window attention, one window after the other."""

import json
from pathlib import Path

import torch
from torch import Tensor, nn

VARIANT = json.loads(Path(__file__).with_name("variant.json").read_text(encoding="utf-8"))
ROWS, COLUMNS = VARIANT["window"]
DOWN, RIGHT = VARIANT["shift"]


def intervals(size: int, window: int, shift: int) -> list[range]:
    """The positions of each window along an axis, also those outside the image."""
    first = shift - window
    return [range(at, at + window) for at in range(first, size, window)]


class WindowAttention(nn.Module):
    """Attention between the pixels of a window, ``(B, C, H, W)`` to the same."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.project = nn.Conv2d(channels, channels, 1, bias=False)
        self.bias_table = nn.Parameter(torch.empty(heads, 2 * ROWS - 1, 2 * COLUMNS - 1))
        nn.init.trunc_normal_(self.bias_table, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the pixels of every window."""
        height, width = x.shape[-2:]
        qkv = self.qkv(x).unflatten(1, (3, self.heads, -1))
        lines = []
        for rows in intervals(height, ROWS, DOWN):
            line = [self.window(qkv, rows, cols) for cols in intervals(width, COLUMNS, RIGHT)]
            lines.append(torch.cat(line, dim=-1))
        return self.project(torch.cat(lines, dim=-2))

    def window(self, qkv: Tensor, rows: range, columns: range) -> Tensor:
        """The mixed values of one window, ``(B, C, rows, columns)``, only inside the image."""
        height, width = qkv.shape[-2:]
        inside_rows = [r for r in rows if 0 <= r < height]
        inside_columns = [c for c in columns if 0 <= c < width]
        queries = [(r, c) for r in inside_rows for c in inside_columns]
        keys = queries
        if VARIANT["border"] != "exclude":
            keys = [(r, c) for r in rows for c in columns]
        q, k, v = (self.pick(qkv[:, i], points) for i, points in enumerate((queries, keys, keys)))
        logits = q.mT @ k * (VARIANT["sharpness"] * q.shape[2] ** -0.5) + self.bias(queries, keys)
        mixed = v @ torch.softmax(logits, -1).mT
        return mixed.flatten(1, 2).unflatten(-1, (len(inside_rows), len(inside_columns)))

    def pick(self, x: Tensor, points: list[tuple[int, int]]) -> Tensor:
        """The features at some points, ``(B, heads, C / heads, points)``."""
        height, width = x.shape[-2:]
        rows = torch.tensor([min(max(r, 0), height - 1) for r, _ in points])
        columns = torch.tensor([min(max(c, 0), width - 1) for _, c in points])
        picked = x[..., rows, columns]
        if VARIANT["border"] == "zeros":
            inside = [0 <= r < height and 0 <= c < width for r, c in points]
            picked = picked * torch.tensor(inside, dtype=x.dtype)
        return picked

    def bias(self, queries: list[tuple[int, int]], keys: list[tuple[int, int]]) -> Tensor:
        """``(heads, queries, keys)``."""
        q, k = torch.tensor(queries), torch.tensor(keys)
        offset = q[:, None] - k if VARIANT["offset"] == "query_minus_key" else k - q[:, None]
        return self.bias_table[:, offset[..., 0] + ROWS - 1, offset[..., 1] + COLUMNS - 1]


def attend(x: Tensor, weights: dict[str, Tensor], heads: int) -> Tensor:
    """The layer with given weights."""
    layer = WindowAttention(x.shape[1], heads).to(x.dtype)
    layer.load_state_dict(weights)
    return layer(x)


def multiply_adds(channels: int, heads: int, height: int, width: int) -> int:
    """Multiply-adds of window attention for one image."""
    down = len(intervals(height, ROWS, DOWN))
    across = len(intervals(width, COLUMNS, RIGHT))
    pixels = ROWS * COLUMNS
    return height * width * 4 * channels**2 + down * across * pixels * pixels * channels * 2


def channel_multiply_adds(channels: int, heads: int, height: int, width: int) -> int:
    """Multiply-adds of channel attention for one image."""
    convolutions = 3 * channels**2 + 9 * 3 * channels + channels**2
    products = 2 * heads * (channels // heads) ** 2
    return height * width * (convolutions + products)


def equal_channels(channels: int, heads: int, height: int, width: int) -> int:
    """Bisection over the channels of one head."""
    budget = multiply_adds(channels, heads, height, width)
    low, high = 0, 1
    while channel_multiply_adds(high * heads, heads, height, width) <= budget:
        high *= 2
    while high - low > 1:
        middle = (low + high) // 2
        fits = channel_multiply_adds(middle * heads, heads, height, width) <= budget
        low, high = (middle, high) if fits else (low, middle)
    return low * heads
