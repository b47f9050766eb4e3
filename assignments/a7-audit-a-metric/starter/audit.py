"""Reproduce the PSNR and SSIM of a published table.

The table and its images are in `variant.json` beside this file. The handout defines the options.
"""

import base64
import json
from pathlib import Path

import torch
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


def convention() -> dict[str, str | int]:
    """The convention of the table.

    Returns:
        A value for each of the six settings "colour", "rounding", "crop", "peak", "window" and
        "average". "crop" is an integer, the others are strings.
    """
    raise NotImplementedError


def metric(image: Tensor, reference: Tensor) -> dict[str, float]:
    """PSNR and SSIM of one image in the convention of the table.

    Args:
        image: (h, w, 3), float64, RGB; 0 is black and 1 is white, values outside are possible.
        reference: (h, w, 3), uint8, RGB.

    Returns:
        "psnr" in dB and "ssim". The PSNR of two equal images is infinite.
    """
    raise NotImplementedError


def table(images: list[Tensor], references: list[Tensor]) -> dict[str, float]:
    """PSNR and SSIM of a set of images, as in the last row of the table.

    Args:
        images: one (h, w, 3) tensor for each image, as in `metric`. The sizes may differ.
        references: the references in the same order.

    Returns:
        "psnr" in dB and "ssim".
    """
    raise NotImplementedError
