"""Assignment 0: all sines before all cosines."""

import json
import platform
from pathlib import Path

import torch

import nerdrain

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
    return low + (high - low) * (torch.arange(size, dtype=torch.float64) + 0.5) / size


def encoding(x: torch.Tensor, levels: int) -> torch.Tensor:
    """Sines and cosines of positions, with the frequencies omega, 2 omega, 4 omega, and so on."""
    frequencies = VARIANT["omega"] * 2.0 ** torch.arange(levels, dtype=torch.float64)
    phases = x[:, None] * frequencies
    return torch.cat([phases.sin(), phases.cos()], dim=1)
