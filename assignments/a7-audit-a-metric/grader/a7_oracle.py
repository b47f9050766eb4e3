"""The conventions of assignment a7, written with NumPy only."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

OPTIONS: dict[str, tuple] = {
    "colour": ("rgb", "channels", "matlab-y", "full-y"),
    "rounding": ("none", "round", "truncate"),
    "crop": (0, 1, 2, 4, 8),
    "peak": ("255", "max"),
    "window": ("gaussian", "uniform"),
    "average": ("images", "pooled"),
}
Convention = Mapping[str, Any]


def planes(image: np.ndarray, reference: np.ndarray, c: Convention) -> tuple[np.ndarray, ...]:
    """The values (channels, h, w) that are compared, in 0..255."""
    image = np.clip(image, 0, 1) * 255
    image = {"none": image, "round": np.floor(image + 0.5), "truncate": np.floor(image)}[
        c["rounding"]
    ]
    return colour(image, c), colour(reference.astype(np.float64), c)


def colour(values: np.ndarray, c: Convention) -> np.ndarray:
    """Convert RGB values (h, w, 3) to planes, and crop them."""
    red, green, blue = np.moveaxis(values, 2, 0)
    if c["colour"] == "matlab-y":
        result = (16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255)[None]
    elif c["colour"] == "full-y":
        result = (0.299 * red + 0.587 * green + 0.114 * blue)[None]
    else:
        result = np.stack([red, green, blue])
    n, (_, height, width) = c["crop"], result.shape
    return result[:, n : height - n, n : width - n]


def peak(b: np.ndarray, c: Convention) -> float:
    """The peak that a reference's planes give."""
    return 255.0 if c["peak"] == "255" else float(b.max())


def errors(image: np.ndarray, reference: np.ndarray, c: Convention) -> np.ndarray:
    """The mean squared error over the squared peak: for all channels together, or for each."""
    a, b = planes(image, reference, c)
    squares = ((a - b) / peak(b, c)) ** 2
    return squares.mean(axis=(1, 2)) if c["colour"] == "channels" else squares.mean(keepdims=True)


def decibels(error: np.ndarray) -> float:
    """The PSNR of errors, averaged over channels."""
    return float(np.mean([math.inf if e == 0 else -10 * math.log10(e) for e in error.flat]))


def window(c: Convention) -> np.ndarray:
    """The weights along one axis of the window of SSIM; they sum to 1."""
    if c["window"] == "uniform":
        return np.full(7, 1 / 7)
    weights = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    return weights / weights.sum()


def smooth(plane: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted means of all windows that lie inside the plane."""
    for axis in (0, 1):
        windows = np.lib.stride_tricks.sliding_window_view(plane, len(weights), axis=axis)
        plane = windows @ weights
    return plane


def ssim(image: np.ndarray, reference: np.ndarray, c: Convention) -> float:
    """The mean SSIM of the channels."""
    a, b = planes(image, reference, c)
    span, weights = peak(b, c), window(c)
    factor = 49 / 48 if c["window"] == "uniform" else 1.0
    values = []
    for x, y in zip(a, b, strict=True):
        mx, my = smooth(x, weights), smooth(y, weights)
        vx, vy = smooth(x * x, weights) - mx * mx, smooth(y * y, weights) - my * my
        cov = smooth(x * y, weights) - mx * my
        c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
        upper = (2 * mx * my + c1) * (2 * factor * cov + c2)
        values.append(upper / ((mx**2 + my**2 + c1) * (factor * (vx + vy) + c2)))
    return float(np.mean(values))


def metric(image: np.ndarray, reference: np.ndarray, c: Convention) -> dict[str, float]:
    """PSNR and SSIM of one image."""
    return {"psnr": decibels(errors(image, reference, c)), "ssim": ssim(image, reference, c)}


def table(
    images: Sequence[np.ndarray], references: Sequence[np.ndarray], c: Convention
) -> dict[str, float]:
    """PSNR and SSIM of a set."""
    all_errors = [errors(*pair, c) for pair in zip(images, references, strict=True)]
    if c["average"] == "pooled":
        psnr = decibels(np.mean(all_errors, axis=0))
    else:
        psnr = float(np.mean([decibels(error) for error in all_errors]))
    similarities = [ssim(*pair, c) for pair in zip(images, references, strict=True)]
    return {"psnr": psnr, "ssim": float(np.mean(similarities))}
