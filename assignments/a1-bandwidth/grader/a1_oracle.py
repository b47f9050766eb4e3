"""The spectrum of assignment a1 and its kernel, with SciPy's Bessel functions."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import gamma, kv

Constants = Mapping[str, Any]


def degrees(constants: Constants) -> int:
    """The number nu of degrees of freedom: the decay less the dimension."""
    return constants["decay"] - constants["dimension"]


def bandwidth(constants: Constants) -> float:
    """The scale s in radians per unit of length."""
    half = constants["half_power"] * (2 * math.pi if constants["unit"] == "cycles" else 1)
    return half / math.sqrt(degrees(constants) * (2 ** (2 / constants["decay"]) - 1))


def correlation(distances: np.ndarray, constants: Constants) -> np.ndarray:
    """The Matérn kernel of smoothness nu / 2 with the value 1 at distance 0."""
    order = degrees(constants) / 2
    z = math.sqrt(2 * order) * bandwidth(constants) * np.maximum(distances, 1e-12)
    values = 2 ** (1 - order) / gamma(order) * z**order * kv(order, z)
    return np.where(distances == 0, 1.0, values)


def kernel(distances: np.ndarray, constants: Constants) -> np.ndarray:
    """The limit of the kernel."""
    return constants["variance"] * correlation(distances, constants)


def standard_error(distances: np.ndarray, count: int, constants: Constants) -> np.ndarray:
    """The standard deviation of the mean of `count` values of variance * cos(w . r)."""
    once, twice = (correlation(k * distances, constants) for k in (1, 2))
    variance = np.maximum((1 + twice) / 2 - once**2, 0)
    return constants["variance"] * np.sqrt(variance / count)
