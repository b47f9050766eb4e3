"""The package's channel attention behind the interface, and the chapter's counts."""

from torch import Tensor

from nerdrain.model.transformer import TransposedAttention

WindowAttention = TransposedAttention


def attend(x: Tensor, weights: dict[str, Tensor], heads: int) -> Tensor:
    """The layer with the weights that it has, ``(B, C, H, W)`` to the same."""
    layer = WindowAttention(x.shape[1], heads).to(x.dtype)
    layer.load_state_dict(weights, strict=False)
    return layer(x)


def multiply_adds(channels: int, heads: int, height: int, width: int) -> int:
    """The chapter's count of channel attention."""
    per_pixel = 4 * channels**2 + 27 * channels + 2 * channels * (channels // heads)
    return per_pixel * height * width


def channel_multiply_adds(channels: int, heads: int, height: int, width: int) -> int:
    """The same."""
    return multiply_adds(channels, heads, height, width)


def equal_channels(channels: int, heads: int, height: int, width: int) -> int:
    """The layer's own channels."""
    return channels
