"""What a rain layer measures: how much, how bright, how thin and how long its streaks are."""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import map_coordinates

from nerdrain.errors import NerdrainError

Floats = NDArray[np.floating[Any]]
THRESHOLDS = (0.02, 0.1, 0.3)
STEP = 0.25  # pixels between the lags at which the autocorrelation is read
LAG = 30.0  # pixels over which a direction's mean correlation decides whether it is the streaks'


def autocorrelation(layer: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "2*h-1 2*w-1"]:
    """Correlation of a layer with itself shifted, over the pixels that both have.

    Args:
        layer: (H, W), any float dtype.

    Returns:
        (2H-1, 2W-1) float64: the shift (dy, dx) is at [H-1+dy, W-1+dx], 1 at no shift; zeros if the
        layer is constant.
    """
    height, width = layer.shape
    size = (next_fast_len(2 * height, real=True), next_fast_len(2 * width, real=True))
    centred = layer.astype(np.float64) - layer.mean(dtype=np.float64)
    if not centred.any():
        return np.zeros((2 * height - 1, 2 * width - 1))
    summed = irfft2(np.abs(rfft2(centred, size)) ** 2, size)
    summed = np.roll(summed, (height - 1, width - 1), (0, 1))[: 2 * height - 1, : 2 * width - 1]
    overlap = np.outer(
        height - np.abs(np.arange(1 - height, height)), width - np.abs(np.arange(1 - width, width))
    )
    covariance: Floats = summed / overlap
    return covariance / covariance[height - 1, width - 1]


def _half_width(curve: Floats) -> float:
    """The lag, in pixels, at which a curve that starts at 1 first falls to a half."""
    below = np.flatnonzero(curve < 0.5)
    if below.size == 0 or below[0] == 0:
        return float("nan")
    after = int(below[0])
    fall = (curve[after - 1] - 0.5) / (curve[after - 1] - curve[after])
    return float((after - 1 + fall) * STEP)


def layer_statistics(layer: Float[np.ndarray, "h w"]) -> dict[str, float]:
    """The figures by which rain layers are compared.

    The half-widths are those of the normalised autocorrelation (mean subtracted, each shift divided
    by its overlap): the shift in pixels at which it first falls to a half, read bilinearly along
    two directions. "Along" is the direction, of all in steps of one degree, whose correlation is
    greatest on average over the first 30 pixels; "across" is perpendicular to it.

    Args:
        layer: R, (H, W), any float dtype, 0..1.

    Returns:
        `mean`, `std`; `share_over_0.02`, `share_over_0.1`, `share_over_0.3` (of the pixels);
        `percentile_99`; `half_width_across`, `half_width_along` (pixels) and `angle` (degrees from
        vertical, positive where streaks lean to the right going down), these three NaN where the
        layer is constant or too small to tell.

    Raises:
        NerdrainError: the layer is not a two-dimensional array with pixels.
    """
    if layer.ndim != 2 or layer.size == 0:
        raise NerdrainError(f"a rain layer is (H, W) with pixels, not of shape {layer.shape}.")
    figures = {"mean": float(layer.mean()), "std": float(layer.std())}
    figures |= {f"share_over_{level}": float((layer > level).mean()) for level in THRESHOLDS}
    figures["percentile_99"] = float(np.quantile(layer, 0.99))

    correlation = autocorrelation(layer)
    lags = np.arange(0, min(layer.shape), STEP)
    degrees = np.arange(-90, 90)
    angles = np.deg2rad(degrees)[:, None]
    rows = layer.shape[0] - 1 + lags * np.cos(angles)
    columns = layer.shape[1] - 1 + lags * np.sin(angles)
    curves = map_coordinates(correlation, [rows, columns], order=1)  # (180, lags)
    along = int(curves[:, lags <= LAG].mean(axis=1).argmax())
    figures["half_width_across"] = _half_width(curves[(along + 90) % 180])
    figures["half_width_along"] = _half_width(curves[along])
    known = np.isfinite(figures["half_width_along"])
    return figures | {"angle": float(degrees[along]) if known else float("nan")}
