"""SciPy filters; each setting is found in turn, from a closed list of figures.

The table and its images are in `variant.json` beside this file. The handout defines the options.
"""

import base64
import itertools
import json
import math
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import correlate1d
from torch import Tensor

VARIANT = json.loads((Path(__file__).parent / "variant.json").read_text(encoding="utf-8"))
TABLE: list[tuple[str, float, float]] = VARIANT["table"]
"""Rows of the published table: name, PSNR in dB, SSIM. The last row is the set of all images."""


def published() -> tuple[list[Tensor], list[Tensor]]:
    """The images and the references of the table; this function is given.

    Returns:
        images: (h, w, 3) each, float64, RGB.
        references: (h, w, 3) each, uint8, RGB.
    """
    images, references = [], []
    for pair in VARIANT["pairs"]:
        image, reference = (bytearray(base64.b64decode(pair[k])) for k in ("image", "reference"))
        image = torch.frombuffer(image, dtype=torch.float32).double()
        images.append(image.reshape(pair["shape"]))
        references.append(torch.frombuffer(reference, dtype=torch.uint8).reshape(pair["shape"]))
    return images, references


def luma(rgb: np.ndarray, name: str) -> np.ndarray:
    """Planes (channels, h, w)."""
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    full = 0.299 * r + 0.587 * g + 0.114 * b
    if name == "full-y":
        return full[None]
    if name == "matlab-y":
        return (16 + full * 219 / 255)[None]
    return np.stack([r, g, b])


def prepared(image: Tensor, reference: Tensor, colour: str, rounding: str, crop: int) -> list:
    """The two planes."""
    restored = np.minimum(np.maximum(image.numpy(), 0), 1) * 255
    if rounding == "round":
        restored = (restored + 0.5).astype(np.uint8).astype(float)
    if rounding == "truncate":
        restored = restored.astype(np.uint8).astype(float)
    both = [luma(restored, colour), luma(reference.numpy().astype(float), colour)]
    height, width = both[0].shape[1:]
    return [plane[:, crop : height - crop, crop : width - crop] for plane in both]


def span(b: np.ndarray, peak: str) -> float:
    """The peak."""
    return 255.0 if peak == "255" else b.max()


def relative(a: np.ndarray, b: np.ndarray, colour: str, peak: str) -> list[float]:
    """Mean squared errors over the squared peak."""
    groups = zip(a, b, strict=True) if colour == "channels" else [(a, b)]
    return [float(np.mean((x - y) ** 2)) / span(b, peak) ** 2 for x, y in groups]


def decibels(errors: list[float]) -> float:
    """PSNR."""
    if 0 in errors:
        return math.inf
    return sum(-10 * math.log10(error) for error in errors) / len(errors)


def local_mean(x: np.ndarray, window: str) -> np.ndarray:
    """Means over the windows inside."""
    r = 5 if window == "gaussian" else 3
    t = np.arange(-r, r + 1)
    taps = np.exp(-t * t / (2 * 1.5**2)) if window == "gaussian" else np.ones(7)
    taps = taps / taps.sum()
    return correlate1d(correlate1d(x, taps, 1), taps, 2)[:, r:-r, r:-r]


def similarity(a: np.ndarray, b: np.ndarray, peak: str, window: str) -> float:
    """SSIM."""
    u, v = local_mean(a, window), local_mean(b, window)
    s = 1 if window == "gaussian" else 49 / 48
    c1, c2 = (0.01 * span(b, peak)) ** 2, (0.03 * span(b, peak)) ** 2
    both = s * (local_mean(a * b, window) - u * v)
    each = s * (local_mean(a**2 + b**2, window) - u**2 - v**2)
    return float(((2 * u * v + c1) * (2 * both + c2) / ((u**2 + v**2 + c1) * (each + c2))).mean())


def find() -> dict[str, str | int]:
    """The settings."""
    pairs = list(zip(*published(), strict=True))
    colours, roundings = ("rgb", "channels", "matlab-y", "full-y"), ("none", "round", "truncate")
    left = []
    for setting in itertools.product(colours, roundings, (0, 1, 2, 4, 8), ("255", "max")):
        planes = [prepared(*pair, *setting[:3]) for pair in pairs]
        figures = [decibels(relative(*p, setting[0], setting[3])) for p in planes]
        if max(abs(f - row[1]) for f, row in zip(figures, TABLE, strict=False)) < 6e-4:
            left.append((setting, planes[0]))
    # SSIM decides if several settings are left.
    best: tuple = (math.inf,)
    for (setting, planes), window in itertools.product(left, ("gaussian", "uniform")):
        off = abs(similarity(*planes, setting[3], window) - TABLE[0][2])
        best = min(best, (off, *setting, window), key=lambda candidate: candidate[0])
    c = dict(zip(("colour", "rounding", "crop", "peak", "window"), best[1:], strict=True))
    mean = sum(row[1] for row in TABLE[:-1]) / len(pairs)
    c["average"] = "images" if abs(mean - TABLE[-1][1]) < 1.5e-3 else "pooled"
    return c


FOUND = find()


def convention() -> dict[str, str | int]:
    """The settings."""
    return FOUND


def parts(image: Tensor, reference: Tensor) -> tuple[list[float], float]:
    """Relative errors and SSIM."""
    planes = prepared(image, reference, FOUND["colour"], FOUND["rounding"], FOUND["crop"])
    errors = relative(*planes, FOUND["colour"], FOUND["peak"])
    return errors, similarity(*planes, FOUND["peak"], FOUND["window"])


def metric(image: Tensor, reference: Tensor) -> dict[str, float]:
    """PSNR and SSIM of an image."""
    errors, ssim = parts(image, reference)
    return {"psnr": decibels(errors), "ssim": ssim}


def table(images: list[Tensor], references: list[Tensor]) -> dict[str, float]:
    """PSNR and SSIM of a set."""
    all_parts = [parts(*pair) for pair in zip(images, references, strict=True)]
    count = len(all_parts)
    if FOUND["average"] == "pooled":
        channels = zip(*(errors for errors, _ in all_parts), strict=True)
        psnr = decibels([sum(channel) / count for channel in channels])
    else:
        psnr = sum(decibels(errors) for errors, _ in all_parts) / count
    return {"psnr": psnr, "ssim": sum(ssim for _, ssim in all_parts) / count}
