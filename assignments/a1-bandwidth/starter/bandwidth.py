"""Random Fourier features for a given power spectrum.

The constants of your spectrum are in `variant.json` beside this file. All floating tensors are
float64.
"""

import json
from pathlib import Path

from torch import Tensor

VARIANT = json.loads((Path(__file__).parent / "variant.json").read_text(encoding="utf-8"))


def bandwidth() -> float:
    """The scale s of the spectrum, in radians per unit of length.

    Returns:
        s > 0, such that the spectrum falls to half of S(0) at your half-power frequency.
    """
    raise NotImplementedError


def kernel(distances: Tensor) -> Tensor:
    """The limit of the kernel for infinitely many features.

    Args:
        distances: (N,), float64, r from 0 on.

    Returns:
        (N,), float64: k(r). k(0) is the variance.
    """
    raise NotImplementedError


def sample_frequencies(count: int, seed: int) -> Tensor:
    """Independent random frequencies with a density proportional to the spectrum.

    Args:
        count: m, at least 1.
        seed: equal seeds give equal frequencies, other seeds give others.

    Returns:
        (m, d), float64, in radians per unit of length.
    """
    raise NotImplementedError


def features(points: Tensor, frequencies: Tensor) -> Tensor:
    """Fourier features whose scalar products estimate the kernel.

    Args:
        points: (N, d), float64.
        frequencies: (m, d), float64, in radians per unit of length.

    Returns:
        (N, 2m), float64: one sine and one cosine for each frequency, in any order.
    """
    raise NotImplementedError


def standard_error(distances: Tensor, count: int) -> Tensor:
    """The standard deviation of the estimate of k(r) from m random frequencies.

    Args:
        distances: (N,), float64, r from 0 on.
        count: m.

    Returns:
        (N,), float64.
    """
    raise NotImplementedError
