"""Assignment 0: fill in the three functions."""

import json
from pathlib import Path

import torch

VARIANT = json.loads(Path(__file__).with_name("variant.json").read_text(encoding="utf-8"))


def versions() -> dict[str, str]:
    """The versions that run this function, such as "3.11.4".

    Returns:
        A text for each of the keys "python", "torch" and "nerdrain".
    """
    raise NotImplementedError


def positions(size: int) -> torch.Tensor:
    """Centres of `size` pixels of equal width that tile the interval from `low` to `high`.

    Args:
        size: the number of pixels, at least 1.

    Returns:
        Shape (size,), dtype float64.
    """
    raise NotImplementedError


def encoding(x: torch.Tensor, levels: int) -> torch.Tensor:
    """Sines and cosines of positions, with the frequencies omega, 2 omega, 4 omega, and so on.

    Args:
        x: positions, shape (n,), dtype float64.
        levels: the number of frequencies, at least 1.

    Returns:
        Shape (n, 2 * levels), dtype float64; sine and cosine of one frequency are neighbours.
    """
    raise NotImplementedError
