"""Start a Triton kernel, and settings that all kernels share."""

from typing import Any

import torch
from torch import Tensor

LARGEST = 256
"""Most channels of a norm, and hidden units of a decoder: blocks of more do not fit on the chip."""


def launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
    """Run `grid` programs of a kernel on the device of its first argument, a tensor.

    Triton starts kernels on the current device, which need not be the tensor's.
    """
    with torch.cuda.device_of(arguments[0]):
        kernel[grid](*arguments, **constants)


def power_of_two(n: int) -> int:
    """The smallest power of two that is at least `n` and at least 16.

    Triton's blocks have sides that are powers of two, and its matrix products sides from 16 on.
    """
    return max(16, 1 << (n - 1).bit_length())


def float_precision() -> str:
    """How a kernel multiplies float32 matrices: "tf32" or "ieee", by torch's own switch.

    The switch is that of convolutions, because the kernels replace convolutions.
    """
    convolutions = getattr(torch.backends.cudnn, "conv", None)  # since torch 2.9
    if convolutions is None:
        return "tf32" if torch.backends.cudnn.allow_tf32 else "ieee"
    return "tf32" if convolutions.fp32_precision == "tf32" else "ieee"


def compute_dtype(x: Tensor) -> torch.dtype:
    """The dtype that PyTorch's convolutions would use for `x`: autocast's, or that of `x`."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
