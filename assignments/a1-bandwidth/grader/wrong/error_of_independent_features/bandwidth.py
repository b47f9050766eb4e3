"""Random Fourier features for a given power spectrum.

The constants of your spectrum are in `variant.json` beside this file. All floating tensors are
float64.
"""

import json
import math
from pathlib import Path

import torch
from torch import Tensor

VARIANT = json.loads((Path(__file__).parent / "variant.json").read_text(encoding="utf-8"))
DIMENSION: int = VARIANT["dimension"]
DEGREES: int = VARIANT["decay"] - DIMENSION
"""nu, because the decay is nu + d."""
VARIANCE: float = VARIANT["variance"]


def bandwidth() -> float:
    """The scale s of the spectrum, in radians per unit of length.

    Returns:
        s > 0, such that the spectrum falls to half of S(0) at your half-power frequency.
    """
    half = VARIANT["half_power"] * (2 * math.pi if VARIANT["unit"] == "cycles" else 1)
    return half / math.sqrt(DEGREES * (2 ** (2 / (DEGREES + DIMENSION)) - 1))


def correlation(distances: Tensor) -> Tensor:
    """The kernel over its value at 0: a Matérn kernel of smoothness nu / 2."""
    z = math.sqrt(DEGREES) * bandwidth() * distances
    polynomial = {1: 1, 3: 1 + z, 5: 1 + z + z**2 / 3}[DEGREES]
    return polynomial * torch.exp(-z)


def kernel(distances: Tensor) -> Tensor:
    """The limit of the kernel for infinitely many features.

    Args:
        distances: (N,), float64, r from 0 on.

    Returns:
        (N,), float64: k(r). k(0) is the variance.
    """
    return VARIANCE * correlation(distances)


def sample_frequencies(count: int, seed: int) -> Tensor:
    """Independent random frequencies with a density proportional to the spectrum.

    Args:
        count: m, at least 1.
        seed: equal seeds give equal frequencies, other seeds give others.

    Returns:
        (m, d), float64, in radians per unit of length.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = (count, DIMENSION + DEGREES)
    normal = torch.randn(shape, generator=generator, dtype=torch.float64)
    direction, rest = normal.split([DIMENSION, DEGREES], dim=1)
    chi_square = rest.square().sum(dim=1, keepdim=True)
    return bandwidth() * direction / (chi_square / DEGREES).sqrt()


def features(points: Tensor, frequencies: Tensor) -> Tensor:
    """Fourier features whose scalar products estimate the kernel.

    Args:
        points: (N, d), float64.
        frequencies: (m, d), float64, in radians per unit of length.

    Returns:
        (N, 2m), float64: one sine and one cosine for each frequency, in any order.
    """
    angles = points @ frequencies.T
    return math.sqrt(VARIANCE / len(frequencies)) * torch.cat([angles.sin(), angles.cos()], dim=1)


def standard_error(distances: Tensor, count: int) -> Tensor:
    """The standard deviation of the estimate of k(r) from m random frequencies.

    Args:
        distances: (N,), float64, r from 0 on.
        count: m.

    Returns:
        (N,), float64.
    """
    variance = torch.full_like(distances, 0.5)
    return VARIANCE * (variance.clamp(min=0) / count).sqrt()
