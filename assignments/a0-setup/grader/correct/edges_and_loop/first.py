"""Assignment 0: centres between edges, and a loop over levels."""

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
    edges = torch.linspace(low, high, size + 1, dtype=torch.float64)
    return (edges[1:] + edges[:-1]) / 2


def encoding(x: torch.Tensor, levels: int) -> torch.Tensor:
    """Sines and cosines of positions, with the frequencies omega, 2 omega, 4 omega, and so on."""
    columns = []
    for level in range(levels):
        phase = VARIANT["omega"] * 2**level * x
        columns += [torch.sin(phase), torch.cos(phase)]
    return torch.stack(columns, dim=1)
