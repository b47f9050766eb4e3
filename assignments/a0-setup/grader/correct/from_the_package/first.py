"""Assignment 0: the package's centres, moved to the interval."""

import json
import platform
from pathlib import Path

import torch

import nerdrain
from nerdrain.model.coordinates import pixel_centres

VARIANT = json.loads(Path(__file__).with_name("variant.json").read_text(encoding="utf-8"))


def versions() -> dict[str, str]:
    """The versions of "python", "torch" and "nerdrain"."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "nerdrain": nerdrain.__version__,
    }


def positions(size: int) -> torch.Tensor:
    """Centres of `size` pixels that tile the interval from `low` to `high`."""
    low, high = VARIANT["low"], VARIANT["high"]
    centres = pixel_centres(size, dtype=torch.float64)
    return (low + high) / 2 + (high - low) / 2 * centres


def encoding(x: torch.Tensor, levels: int) -> torch.Tensor:
    """Sines and cosines of positions, with the frequencies omega, 2 omega, 4 omega, and so on."""
    result = torch.empty(len(x), 2 * levels, dtype=torch.float64)
    for level in range(levels):
        angle = x * (VARIANT["omega"] * 2**level)
        result[:, 2 * level] = angle.sin()
        result[:, 2 * level + 1] = angle.cos()
    return result
