"""A Gaussian of random precision, and the kernel by a recursion over nu.

The constants of your spectrum are in `variant.json` beside this file. All floating tensors are
float64.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

VARIANT = json.loads((Path(__file__).parent / "variant.json").read_text(encoding="utf-8"))


DIMENSION, DECAY = VARIANT["dimension"], VARIANT["decay"]
DEGREES = DECAY - DIMENSION
AMPLITUDE = math.sqrt(VARIANT["variance"])
TURN = math.tau if VARIANT["unit"] == "cycles" else 1.0
SCALE = TURN * VARIANT["half_power"] / math.sqrt(DEGREES * math.expm1(2 * math.log(2) / DECAY))


def bandwidth() -> float:
    """The scale."""
    return SCALE


def polynomial(z: Tensor, degrees: int) -> Tensor:
    """The reverse Bessel polynomials, by their recursion."""
    if degrees == -1:
        return 1 / z.clamp(min=1e-300)
    if degrees == 1:
        return torch.ones_like(z)
    n = (degrees - 1) // 2
    return (2 * n - 1) * polynomial(z, degrees - 2) + z * z * polynomial(z, degrees - 4)


def shape(distances: Tensor) -> Tensor:
    """The kernel with the value 1 at distance 0."""
    z = math.sqrt(DEGREES) * SCALE * distances
    start = polynomial(torch.zeros(1, dtype=torch.float64), DEGREES)
    return torch.exp(-z) * polynomial(z, DEGREES) / start


def kernel(distances: Tensor) -> Tensor:
    """The kernel."""
    return AMPLITUDE**2 * shape(distances)


def sample_frequencies(count: int, seed: int) -> Tensor:
    """Frequencies."""
    rng = np.random.default_rng([seed, 7])
    precision = rng.gamma(DEGREES / 2, 2 / (DEGREES * SCALE**2), size=count)
    return torch.from_numpy((rng.standard_normal((DIMENSION, count)) / precision**0.5).T.copy())


def features(points: Tensor, frequencies: Tensor) -> Tensor:
    """All cosines, then all cosines a quarter of a wave later."""
    phase = points @ frequencies.T
    both = torch.cos(torch.cat([phase, phase - math.pi / 2], dim=-1))
    return AMPLITUDE / frequencies.shape[0] ** 0.5 * both


def standard_error(distances: Tensor, count: int) -> Tensor:
    """The standard error."""
    inner = 1 + shape(2 * distances) - 2 * shape(distances).square()
    return AMPLITUDE**2 * torch.sqrt(inner.clamp_min(0) / (2 * count))
