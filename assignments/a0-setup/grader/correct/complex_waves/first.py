"""Assignment 0: one complex wave whose square is the next."""

import json
import sys
from pathlib import Path

import torch

import nerdrain

VARIANT = json.loads(Path(__file__).with_name("variant.json").read_text(encoding="utf-8"))


def versions() -> dict[str, str]:
    """The versions of "python", "torch" and "nerdrain"."""
    return {
        "python": ".".join(str(part) for part in sys.version_info[:3]),
        "torch": torch.__version__.partition("+")[0],
        "nerdrain": nerdrain.__version__,
    }


def positions(size: int) -> torch.Tensor:
    """Centres of `size` pixels that tile the interval from `low` to `high`."""
    low, high = VARIANT["low"], VARIANT["high"]
    width = (high - low) / size
    return torch.tensor([low + width * (i + 0.5) for i in range(size)], dtype=torch.float64)


def encoding(x: torch.Tensor, levels: int) -> torch.Tensor:
    """Sines and cosines of positions, with the frequencies omega, 2 omega, 4 omega, and so on."""
    waves = [torch.polar(torch.ones_like(x), VARIANT["omega"] * x)]
    for _ in range(levels - 1):
        waves.append(waves[-1] ** 2)
    pairs = [part for wave in waves for part in (wave.imag, wave.real)]
    return torch.stack(pairs, dim=1)
