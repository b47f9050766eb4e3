"""The metrics of the package, and the convention of the paper.

The table and its images are in `variant.json` beside this file. The handout defines the options.
"""

import base64
import json
from pathlib import Path

import torch
from torch import Tensor

from nerdrain.evaluation.metrics import psnr_matlab_y, ssim_matlab_y

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


def convention() -> dict[str, str | int]:
    """The convention "matlab-y" of the package."""
    return {
        "colour": "matlab-y",
        "rounding": "round",
        "crop": 0,
        "peak": "255",
        "window": "gaussian",
        "average": "images",
    }


def metric(image: Tensor, reference: Tensor) -> dict[str, float]:
    """PSNR and SSIM on MATLAB's Y."""
    a, b = image.numpy(), reference.numpy()
    return {"psnr": psnr_matlab_y(a, b), "ssim": ssim_matlab_y(a, b)}


def table(images: list[Tensor], references: list[Tensor]) -> dict[str, float]:
    """The means over the images."""
    rows = [metric(*pair) for pair in zip(images, references, strict=True)]
    return {name: sum(row[name] for row in rows) / len(rows) for name in ("psnr", "ssim")}
