"""Window attention with unfold, fold and PyTorch's fused attention."""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONSTANTS = json.loads(Path(__file__).with_name("variant.json").read_text(encoding="utf-8"))
WINDOW, SHIFT = tuple(CONSTANTS["window"]), tuple(CONSTANTS["shift"])
PIXELS = WINDOW[0] * WINDOW[1]


def padding(size: int, axis: int) -> tuple[int, int]:
    """Pixels to add before and after an axis, so that windows fill it."""
    before = (-SHIFT[axis]) % WINDOW[axis]
    return before, -(size + before) % WINDOW[axis]


def pair_index() -> Tensor:
    """Index into the flat bias table for each pair of query and key."""
    (a, b), index = WINDOW, torch.arange(PIXELS)
    rows = index[:, None] // b - index[None] // b
    columns = index[:, None] % b - index[None] % b
    flat = (rows + a - 1) * (2 * b - 1) + columns + b - 1
    return flat if CONSTANTS["offset"] == "query_minus_key" else flat.T


class WindowAttention(nn.Module):
    """Attention between the pixels of a window, ``(B, C, H, W)`` to the same."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads, self.channels = heads, channels
        self.qkv = nn.Conv2d(channels, channels * 3, 1, bias=False)
        self.project = nn.Conv2d(channels, channels, 1, bias=False)
        shape = heads, *(2 * n - 1 for n in WINDOW)
        self.bias_table = nn.Parameter(torch.zeros(shape))
        self.register_buffer("index", pair_index(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Pad, attend, crop."""
        height, width = x.shape[-2:]
        (top, bottom), (left, right) = padding(height, 0), padding(width, 1)
        pad = (left, right, top, bottom)
        mode = "replicate" if CONSTANTS["border"] == "replicate" else "constant"
        padded = F.pad(x, pad, mode=mode)
        size = padded.shape[-2:]
        q, k, v = (self.windows(part) for part in self.qkv(padded).chunk(3, 1))
        mask = self.bias_table.flatten(1)[:, self.index]
        if CONSTANTS["border"] == "exclude":
            image = F.pad(x.new_zeros(1, 1, height, width), pad, value=-math.inf)
            hidden = F.unfold(image, WINDOW, stride=WINDOW)[0].T  # windows, pixels
            mask = mask + hidden[:, None, None]
            mask = mask.repeat(len(x), 1, 1, 1)
        scale = CONSTANTS["sharpness"] / math.sqrt(self.channels / self.heads)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
        columns = mixed.permute(0, 1, 3, 2).reshape(len(x), -1, self.channels * PIXELS).mT
        image = F.fold(columns, size, WINDOW, stride=WINDOW)
        return self.project(image[..., top : top + height, left : left + width])

    def windows(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B windows, heads, pixels, C / heads)``."""
        columns = F.unfold(x, WINDOW, stride=WINDOW).mT.flatten(0, 1)
        return columns.reshape(len(columns), self.heads, -1, PIXELS).mT


def attend(x: Tensor, weights: dict[str, Tensor], heads: int) -> Tensor:
    """The layer with given weights."""
    layer = WindowAttention(x.shape[1], heads).to(x.dtype)
    layer.load_state_dict(weights)
    return layer(x)


def multiply_adds(channels: int, heads: int, height: int, width: int) -> int:
    """Multiply-adds of window attention for one image."""
    padded = math.prod(n + sum(padding(n, axis)) for axis, n in enumerate((height, width)))
    return 4 * channels * channels * height * width + 2 * channels * PIXELS * padded


def channel_multiply_adds(channels: int, heads: int, height: int, width: int) -> int:
    """Multiply-adds of channel attention for one image."""
    return height * width * channels * (4 * channels + 27 + 2 * channels // heads)


def equal_channels(channels: int, heads: int, height: int, width: int) -> int:
    """Solve (4 k^2 + 2 k) d^2 + 27 k d <= budget per pixel for d, the channels of a head."""
    budget = multiply_adds(channels, heads, height, width) // (height * width)
    square, linear = 4 * heads**2 + 2 * heads, 27 * heads
    return heads * ((math.isqrt(linear**2 + 4 * square * budget) - linear) // (2 * square))
