"""Window attention behind the interface of the Transformer block's attention, and its counts."""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

VARIANT = json.loads(Path(__file__).with_name("variant.json").read_text(encoding="utf-8"))
WINDOW: tuple[int, int] = tuple(VARIANT["window"])
SHIFT: tuple[int, int] = tuple(VARIANT["shift"])
SHARPNESS: float = VARIANT["sharpness"]
OFFSET: str = VARIANT["offset"]
BORDER: str = VARIANT["border"]


def number_of_windows(size: int, window: int, shift: int) -> int:
    """Windows that touch an axis of `size` pixels. The first begins before the image."""
    return -(-(size + window - shift) // window)


class WindowAttention(nn.Module):
    """Attention between the pixels of a window, ``(B, C, H, W)`` to the same.

    Args:
        channels: C, a multiple of `heads`.
        heads: number of heads; each has C / heads neighbouring channels.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        rows, columns = WINDOW
        self.heads = heads
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.project = nn.Conv2d(channels, channels, 1, bias=False)
        self.bias_table = nn.Parameter(torch.zeros(heads, 2 * rows - 1, 2 * columns - 1))

    def forward(self, x: Tensor) -> Tensor:
        """Mix the pixels of every window."""
        _, channels, height, width = x.shape
        q, k, v = (self.split(part) for part in self.qkv(x).chunk(3, dim=1))
        factor = SHARPNESS / (channels // self.heads) ** 0.5
        logits = factor * (q.mT @ k) + self.bias()
        if BORDER == "exclude":
            inside = self.split(x.new_ones(1, self.heads, height, width))
            logits = logits.masked_fill(inside == 0, -torch.inf)
        mixed = self.join(v @ logits.softmax(dim=-1).mT, height, width)
        return self.project(mixed)

    def split(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to windows ``(B, rows, columns, heads, C / heads, pixels)``."""
        (a, b), (s, t) = WINDOW, SHIFT
        height, width = x.shape[2:]
        down, across = number_of_windows(height, a, s), number_of_windows(width, b, t)
        top, left = a - s, b - t
        padding = (left, across * b - left - width, top, down * a - top - height)
        x = F.pad(x, padding, mode="replicate" if BORDER == "replicate" else "constant")
        x = x.reshape(len(x), self.heads, -1, down, a, across, b)
        return x.permute(0, 3, 5, 1, 2, 4, 6).flatten(-2)

    def join(self, windows: Tensor, height: int, width: int) -> Tensor:
        """The inverse of `split`, without the padding."""
        (a, b), (s, t) = WINDOW, SHIFT
        x = windows.unflatten(-1, (a, b)).permute(0, 3, 4, 1, 5, 2, 6)
        x = x.flatten(5, 6).flatten(3, 4).flatten(1, 2)
        return x[..., a - s :, b - t :][..., :height, :width]

    def bias(self) -> Tensor:
        """The bias of each pair of pixels, ``(heads, pixels, pixels)``: query, then key."""
        a, b = WINDOW
        grid = torch.meshgrid(torch.arange(a), torch.arange(b), indexing="ij")
        row, column = (g.flatten() for g in grid)
        sign = 1 if OFFSET == "query_minus_key" else -1
        rows = sign * (row[:, None] - row) + a - 1
        columns = sign * (column[:, None] - column) + b - 1
        return self.bias_table[:, rows, columns]


def attend(x: Tensor, weights: dict[str, Tensor], heads: int) -> Tensor:
    """The layer with given weights, ``(B, C, H, W)`` to the same. The grader calls this function.

    Args:
        x: features, float32 or float64.
        weights: `qkv.weight`, `project.weight` and `bias_table`, of the same dtype.
        heads: number of heads.
    """
    layer = WindowAttention(x.shape[1], heads).to(x.dtype)
    layer.load_state_dict(weights)
    return layer(x)


def multiply_adds(channels: int, heads: int, height: int, width: int) -> int:
    """Multiply-adds of window attention for one image, as the handout defines them."""
    rows, columns = WINDOW
    windows = height * width / (rows * columns)
    products = 2 * channels * (rows * columns) ** 2 * windows
    return int(4 * channels**2 * height * width + products)


def channel_multiply_adds(channels: int, heads: int, height: int, width: int) -> int:
    """Multiply-adds of channel attention for one image, as the chapter counts them."""
    per_pixel = 4 * channels**2 + 27 * channels + 2 * channels * (channels // heads)
    return per_pixel * height * width


def equal_channels(channels: int, heads: int, height: int, width: int) -> int:
    """The most channels of channel attention that cost no more than this window attention.

    A multiple of `heads`; 0 if even `heads` channels cost more.
    """
    budget = multiply_adds(channels, heads, height, width)
    most = 0
    while channel_multiply_adds(most + heads, heads, height, width) <= budget:
        most += heads
    return most
