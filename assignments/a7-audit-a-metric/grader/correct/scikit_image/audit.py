"""Functions of scikit-image for both figures, on planes in 0..1.

The table and its images are in `variant.json` beside this file. The handout defines the options.
"""

import base64
import json
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import torch
from skimage.metrics import mean_squared_error, structural_similarity
from skimage.util import crop as crop_sides
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


CHOICES = {
    "colour": ["rgb", "channels", "matlab-y", "full-y"],
    "rounding": ["none", "round", "truncate"],
    "crop": [0, 1, 2, 4, 8],
    "peak": ["255", "max"],
    "window": ["gaussian", "uniform"],
    "average": ["images", "pooled"],
}


def to_planes(rgb: np.ndarray, colour: str, crop: int) -> list[np.ndarray]:
    """The planes in 0..1."""
    rgb = crop_sides(rgb, ((crop, crop), (crop, crop), (0, 0)))
    if colour == "full-y":
        return [np.tensordot(rgb, [0.299, 0.587, 0.114], 1)]
    if colour == "matlab-y":
        return [(np.tensordot(rgb, [65.481, 128.553, 24.966], 1) + 16) / 255]
    return list(rgb.transpose(2, 0, 1))


def measure(image: Tensor, reference: Tensor, c: dict) -> tuple[np.ndarray, float]:
    """Relative errors of one image, and its SSIM."""
    x = image.numpy().clip(0, 1)
    if c["rounding"] != "none":
        x = np.trunc(255 * x + (0.5 if c["rounding"] == "round" else 0)) / 255
    a = to_planes(x, c["colour"], c["crop"])
    b = to_planes(reference.numpy() / 255, c["colour"], c["crop"])
    span = 1.0 if c["peak"] == "255" else float(np.max(b))
    errors = [mean_squared_error(p, q) / span**2 for p, q in zip(a, b, strict=True)]
    uniform = {"win_size": 7, "gaussian_weights": False, "use_sample_covariance": True}
    gaussian = {"win_size": 11, "gaussian_weights": True, "use_sample_covariance": False}
    window = uniform if c["window"] == "uniform" else gaussian
    values = [
        structural_similarity(p, q, data_range=span, **window) for p, q in zip(a, b, strict=True)
    ]
    return np.array(errors), float(np.mean(values))


def decibels(errors: np.ndarray, c: dict) -> float:
    """PSNR of the errors (channels,) of an image or a set."""
    with np.errstate(divide="ignore"):
        if c["colour"] == "channels":
            return float(np.mean(10 * np.log10(1 / errors)))
        return float(10 * np.log10(1 / np.mean(errors)))


def figures(images: list[Tensor], references: list[Tensor], c: dict) -> dict[str, float]:
    """PSNR and SSIM of a set."""
    parts = [measure(*pair, c) for pair in zip(images, references, strict=True)]
    errors = [part[0] for part in parts]
    if c["average"] == "pooled":
        psnr = decibels(np.mean(errors, axis=0), c)
    else:
        psnr = float(np.mean([decibels(error, c) for error in errors]))
    return {"psnr": psnr, "ssim": float(np.mean([part[1] for part in parts]))}


@cache
def found() -> dict[str, str | int]:
    """The only convention that gives the first image's figures and the set's."""
    images, references = published()
    for values in product(*CHOICES.values()):
        c = dict(zip(CHOICES, values, strict=True))
        psnr = decibels(measure(images[0], references[0], c)[0], c)
        if abs(psnr - TABLE[0][1]) < 6e-4:
            ours = figures(images, references, c)
            off = abs(ours["psnr"] - TABLE[-1][1]), abs(ours["ssim"] - TABLE[-1][2])
            if off[0] < 6e-4 and off[1] < 6e-6:
                return c
    raise ValueError("no convention was found")


def convention() -> dict[str, str | int]:
    """The settings."""
    return found()


def metric(image: Tensor, reference: Tensor) -> dict[str, float]:
    """PSNR and SSIM of an image."""
    return figures([image], [reference], found())


def table(images: list[Tensor], references: list[Tensor]) -> dict[str, float]:
    """PSNR and SSIM of a set."""
    return figures(images, references, found())
