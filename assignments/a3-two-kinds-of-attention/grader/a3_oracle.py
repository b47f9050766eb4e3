"""Window attention in NumPy, one window after the other, and closed forms of the counts."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np


class Convention(NamedTuple):
    """The student's constants.

    Attributes:
        window: rows and columns of a window.
        shift: row and column at which a window begins.
        sharpness: factor on the products of queries and keys, beside 1 / sqrt(C / heads).
        offset: "query_minus_key" or "key_minus_query".
        border: "exclude", "zeros" or "replicate".
    """

    window: tuple[int, int]
    shift: tuple[int, int]
    sharpness: float
    offset: str
    border: str


def starts(size: int, window: int, shift: int) -> range:
    """First positions of the windows that touch an axis of `size` pixels."""
    return range(shift - window, size, window)


def attend(
    x: np.ndarray, weights: Mapping[str, np.ndarray], heads: int, convention: Convention
) -> np.ndarray:
    """Window attention, ``(B, C, H, W)`` to the same, computed in float64."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    qkv = np.einsum("oc,bchw->bohw", w["qkv.weight"][:, :, 0, 0], x.astype(np.float64))
    out = np.zeros(x.shape)
    (a, b), (s, t) = convention.window, convention.shift
    for top in starts(x.shape[2], a, s):
        for left in starts(x.shape[3], b, t):
            fill_window(out, qkv, w["bias_table"], heads, convention, (top, left))
    return np.einsum("oc,bchw->bohw", w["project.weight"][:, :, 0, 0], out).astype(x.dtype)


def fill_window(
    out: np.ndarray,
    qkv: np.ndarray,
    table: np.ndarray,
    heads: int,
    convention: Convention,
    corner: tuple[int, int],
) -> None:
    """Write the mixed values of one window into `out`, ``(B, C, H, W)``."""
    (a, b), (height, width) = convention.window, out.shape[2:]
    rows, columns = (
        grid.ravel() for grid in np.mgrid[corner[0] : corner[0] + a, corner[1] : corner[1] + b]
    )
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    nearest = qkv[:, :, rows.clip(0, height - 1), columns.clip(0, width - 1)]
    if convention.border == "zeros":
        nearest = nearest * inside
    q, k, v = nearest.reshape(len(qkv), 3, heads, -1, a * b).swapaxes(0, 1)
    sign = 1 if convention.offset == "query_minus_key" else -1
    drow = sign * (rows[:, None] - rows) + a - 1
    dcolumn = sign * (columns[:, None] - columns) + b - 1
    factor = convention.sharpness / np.sqrt(q.shape[2])
    logits = factor * np.einsum("bkdi,bkdj->bkij", q, k) + table[:, drow, dcolumn]
    if convention.border == "exclude":
        logits = np.where(inside, logits, -np.inf)
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    mixed = np.einsum("bkij,bkdj->bkdi", shares, v).reshape(len(qkv), -1, a * b)
    out[:, :, rows[inside], columns[inside]] = mixed[:, :, inside]


def complete(height: int, width: int, convention: Convention) -> np.ndarray:
    """Which pixels lie in windows that lie in the image, ``(H, W)``."""
    lines = []
    for size, window, shift in zip((height, width), *convention[:2], strict=True):
        position = np.arange(size)
        start = (position - shift) // window * window + shift
        lines.append((start >= 0) & (start + window <= size))
    return lines[0][:, None] & lines[1]


def own_window(pixel: tuple[int, int], size: tuple[int, int], convention: Convention) -> np.ndarray:
    """Which pixels of an image share a window with a pixel, ``(H, W)``."""
    lines = [
        (np.arange(n) - shift) // window == (at - shift) // window
        for n, at, window, shift in zip(size, pixel, *convention[:2], strict=True)
    ]
    return lines[0][:, None] & lines[1]


def window_cost(channels: int, height: int, width: int, convention: Convention) -> int:
    """Multiply-adds of window attention: 1x1 convolutions, and two products a window."""
    (a, b), (s, t) = convention.window, convention.shift
    windows = len(starts(height, a, s)) * len(starts(width, b, t))
    return 4 * channels**2 * height * width + 2 * channels * (a * b) ** 2 * windows


def channel_cost(channels: int, heads: int, pixels: int) -> int:
    """Multiply-adds of channel attention, as the chapter counts them."""
    return pixels * (4 * channels**2 + 27 * channels + 2 * channels * (channels // heads))


def equal_channels(
    channels: int, heads: int, height: int, width: int, convention: Convention
) -> int:
    """The most channels with which channel attention costs at most as much; 0 if there are none."""
    budget = window_cost(channels, height, width, convention)
    found = 0
    while channel_cost(found + heads, heads, height * width) <= budget:
        found += heads
    return found
