"""SciPy's multivariate t distribution, and a kernel for each decay by its own formula.

The constants of your spectrum are in `variant.json` beside this file. All floating tensors are
float64.
"""

import json
from math import pi, sqrt
from pathlib import Path

import numpy as np
import torch
from scipy.stats import multivariate_t
from torch import Tensor

VARIANT = json.loads((Path(__file__).parent / "variant.json").read_text(encoding="utf-8"))


def laplace(z: Tensor) -> Tensor:
    """The kernel of one degree of freedom."""
    return (-z).exp()


def once_smooth(z: Tensor) -> Tensor:
    """The kernel of three degrees of freedom."""
    return (1 + z) / z.exp()


def twice_smooth(z: Tensor) -> Tensor:
    """The kernel of five degrees of freedom."""
    return (3 + 3 * z + z * z) / (3 * z.exp())


SHAPES = {1: laplace, 3: once_smooth, 5: twice_smooth}
NU = VARIANT["decay"] - VARIANT["dimension"]


def bandwidth() -> float:
    """The scale: S(w) is half of S(0) if (1 + w^2 / (nu s^2))^(decay / 2) is 2."""
    w = VARIANT["half_power"]
    if VARIANT["unit"] == "cycles":
        w = 2 * pi * w
    excess = 2.0 ** (2 / VARIANT["decay"]) - 1
    return sqrt(w * w / (NU * excess))


def kernel(distances: Tensor) -> Tensor:
    """The kernel."""
    return VARIANT["variance"] * SHAPES[NU](distances * bandwidth() * sqrt(NU))


def sample_frequencies(count: int, seed: int) -> Tensor:
    """Frequencies."""
    shape = bandwidth() ** 2 * np.eye(VARIANT["dimension"])
    samples = multivariate_t.rvs(shape=shape, df=NU, size=count, random_state=seed)
    return torch.from_numpy(samples).reshape(count, -1)


def features(points: Tensor, frequencies: Tensor) -> Tensor:
    """The real and the imaginary part of waves."""
    waves = torch.exp(1j * (points @ frequencies.T)) * sqrt(VARIANT["variance"])
    return torch.view_as_real(waves / sqrt(len(frequencies))).flatten(1)


def standard_error(distances: Tensor, count: int) -> Tensor:
    """From the variances of the estimate: E[cos^2] - E[cos]^2."""
    square = VARIANT["variance"] * (VARIANT["variance"] + kernel(2 * distances)) / 2
    return torch.relu(square - kernel(distances) ** 2).sqrt() / sqrt(count)
