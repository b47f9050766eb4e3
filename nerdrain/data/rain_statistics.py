"""Measure a rain layer: how much rain it has, and how bright, thin and long its streaks are."""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import map_coordinates

from nerdrain.errors import NerdrainError

Floats = NDArray[np.floating[Any]]
THRESHOLDS = (0.02, 0.1, 0.3)
STEP = 0.25  # pixels between the lags at which the autocorrelation is sampled
LAG = 30.0  # the direction of the streaks has the highest mean correlation over so many pixels


def autocorrelation(layer: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "2*h-1 2*w-1"]:
    """Compute the correlation of a layer with shifted copies of itself, over the common pixels.

    The shift (dy, dx) is at [H-1+dy, W-1+dx] of the float64 result. Shift 0 has the value 1. All
    values are 0 if the layer is constant.
    """
    height, width = layer.shape
    size = (next_fast_len(2 * height, real=True), next_fast_len(2 * width, real=True))
    centred = layer.astype(np.float64) - layer.mean(dtype=np.float64)
    if not centred.any():
        return np.zeros((2 * height - 1, 2 * width - 1))
    summed = irfft2(np.abs(rfft2(centred, size)) ** 2, size)
    summed = np.roll(summed, (height - 1, width - 1), (0, 1))[: 2 * height - 1, : 2 * width - 1]
    dy, dx = np.ogrid[1 - height : height, 1 - width : width]
    covariance: Floats = summed / ((height - np.abs(dy)) * (width - np.abs(dx)))
    return covariance / covariance[height - 1, width - 1]


def _half_width(curve: Floats) -> float:
    """Return the lag, in pixels, at which a curve that starts at 1 first falls to 1/2."""
    below = np.flatnonzero(curve < 0.5)
    if below.size == 0 or below[0] == 0:
        return float("nan")
    after = int(below[0])
    fraction = (curve[after - 1] - 0.5) / (curve[after - 1] - curve[after])
    return float((after - 1 + fraction) * STEP)


def layer_statistics(layer: Float[np.ndarray, "h w"]) -> dict[str, float]:
    """Compute the statistics by which rain layers are compared.

    A half-width is the shift, in pixels, at which the normalised autocorrelation first falls to
    1/2. (The mean is subtracted, and each shift is divided by its overlap.) It is sampled
    bilinearly in two directions. "Along" is the direction, in steps of one degree, with the highest
    mean correlation over the first 30 pixels; "across" is perpendicular to it.

    Returns:
        `mean`, `std`; `share_over_0.02`, `share_over_0.1`, `share_over_0.3` (of the pixels);
        `percentile_99`; `half_width_across`, `half_width_along` (in pixels); `angle` (in degrees
        from vertical, positive if streaks go down to the right). The last three are NaN if the
        layer is constant or too small.

    Raises:
        NerdrainError: The layer is not two-dimensional or has no pixels.
    """
    if layer.ndim != 2 or layer.size == 0:
        raise NerdrainError(f"a rain layer must be (H, W) with pixels, not shape {layer.shape}.")
    statistics = {"mean": float(layer.mean()), "std": float(layer.std())}
    statistics |= {f"share_over_{level}": float((layer > level).mean()) for level in THRESHOLDS}
    statistics["percentile_99"] = float(np.quantile(layer, 0.99))

    correlation = autocorrelation(layer)
    lags = np.arange(0, min(layer.shape), STEP)
    degrees = np.arange(-90, 90)
    angles = np.deg2rad(degrees)[:, None]
    rows = layer.shape[0] - 1 + lags * np.cos(angles)
    columns = layer.shape[1] - 1 + lags * np.sin(angles)
    curves = map_coordinates(correlation, [rows, columns], order=1)  # (180, lags)
    along = int(curves[:, lags <= LAG].mean(axis=1).argmax())
    statistics["half_width_across"] = _half_width(curves[(along + 90) % 180])
    statistics["half_width_along"] = _half_width(curves[along])
    known = np.isfinite(statistics["half_width_along"])
    return statistics | {"angle": float(degrees[along]) if known else float("nan")}
