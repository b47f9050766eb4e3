"""Window attention behind the interface of the Transformer block's attention, and its counts."""

import json
from pathlib import Path

from torch import Tensor, nn

VARIANT = json.loads(Path(__file__).with_name("variant.json").read_text(encoding="utf-8"))
WINDOW: tuple[int, int] = tuple(VARIANT["window"])
SHIFT: tuple[int, int] = tuple(VARIANT["shift"])
SHARPNESS: float = VARIANT["sharpness"]
OFFSET: str = VARIANT["offset"]
BORDER: str = VARIANT["border"]


class WindowAttention(nn.Module):
    """Attention between the pixels of a window, ``(B, C, H, W)`` to the same.

    Its parameters are `qkv.weight` (3C, C, 1, 1), `project.weight` (C, C, 1, 1) and `bias_table`
    (heads, 2 rows - 1, 2 columns - 1), and there are no others.

    Args:
        channels: C, a multiple of `heads`.
        heads: number of heads; each has C / heads neighbouring channels.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        raise NotImplementedError("make the parameters")

    def forward(self, x: Tensor) -> Tensor:
        """Mix the pixels of every window."""
        raise NotImplementedError("write the attention")


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
    raise NotImplementedError("count window attention")


def channel_multiply_adds(channels: int, heads: int, height: int, width: int) -> int:
    """Multiply-adds of channel attention for one image, as the chapter counts them."""
    raise NotImplementedError("count channel attention")


def equal_channels(channels: int, heads: int, height: int, width: int) -> int:
    """The most channels of channel attention that cost no more than this window attention.

    A multiple of `heads`; 0 if even `heads` channels cost more.
    """
    raise NotImplementedError("find the number of channels")
