"""A random direction times a random radius, whose square has an F distribution.

The constants of your spectrum are in `variant.json` beside this file. All floating tensors are
float64.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
from scipy.special import gamma, kv
from torch import Tensor

VARIANT = json.loads((Path(__file__).parent / "variant.json").read_text(encoding="utf-8"))


D = VARIANT["dimension"]
NU = VARIANT["decay"] - D


def bandwidth() -> float:
    """The scale."""
    radians = VARIANT["half_power"] * {"cycles": 2 * math.pi, "radians": 1}[VARIANT["unit"]]
    return radians / (NU * (4 ** (1 / VARIANT["decay"]) - 1)) ** 0.5


def rho(r: np.ndarray) -> np.ndarray:
    """The correlation, with a Bessel function."""
    z = np.sqrt(NU) * bandwidth() * np.where(r > 0, r, 1)
    values = 2 / gamma(NU / 2) * (z / 2) ** (NU / 2) * kv(NU / 2, z)
    return np.where(r > 0, values, 1.0)


def kernel(distances: Tensor) -> Tensor:
    """The kernel."""
    return torch.from_numpy(VARIANT["variance"] * rho(distances.numpy()))


def sample_frequencies(count: int, seed: int) -> Tensor:
    """Frequencies."""
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=(count, D))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    radius = np.sqrt(D * rng.f(D, NU, size=(count, 1)))
    return torch.from_numpy(bandwidth() * radius * direction)


def features(points: Tensor, frequencies: Tensor) -> Tensor:
    """A sine beside each cosine."""
    angles = torch.einsum("nd,md->nm", points, frequencies)
    pairs = torch.stack([angles.cos(), angles.sin()], dim=-1).flatten(1)
    return pairs * (VARIANT["variance"] / angles.shape[1]) ** 0.5


def standard_error(distances: Tensor, count: int) -> Tensor:
    """The standard error."""
    r = distances.numpy()
    spread = np.maximum(0.5 * (1 + rho(2 * r)) - rho(r) ** 2, 0)
    return torch.from_numpy(VARIANT["variance"] * np.sqrt(spread / count))
