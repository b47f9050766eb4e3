"""The package's positional encoding: octaves along each axis in place of random frequencies.

The constants of your spectrum are in `variant.json` beside this file. All floating tensors are
float64.
"""

import json
from pathlib import Path

import torch
from torch import Tensor

from nerdrain.model.coordinates import PositionalEncoding

VARIANT = json.loads((Path(__file__).parent / "variant.json").read_text(encoding="utf-8"))


LEVELS = 4


def bandwidth() -> float:
    """The highest octave."""
    return 2.0 ** (LEVELS - 1)


def kernel(distances: Tensor) -> Tensor:
    """The scalar product of two encodings, over its value at distance 0."""
    octaves = 2.0 ** torch.arange(LEVELS, dtype=torch.float64)
    return torch.cos(distances[:, None] * octaves).mean(dim=1)


def sample_frequencies(count: int, seed: int) -> Tensor:
    """The octaves, along one axis after the other."""
    dimension = VARIANT["dimension"]
    numbers = torch.arange(count) + seed
    octaves = 2.0 ** (numbers // dimension % LEVELS)
    axes = torch.nn.functional.one_hot(numbers % dimension, dimension)
    return octaves[:, None] * axes.double()


def features(points: Tensor, frequencies: Tensor) -> Tensor:
    """The encoding of the package."""
    levels = len(frequencies)
    encoded = PositionalEncoding(levels)(points)
    return encoded[:, : 2 * levels] / levels**0.5


def standard_error(distances: Tensor, count: int) -> Tensor:
    """The encoding is not random."""
    return torch.zeros_like(distances) / count
