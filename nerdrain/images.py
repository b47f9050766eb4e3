"""Image files to arrays, arrays to tensors."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from PIL import Image, ImageOps
from torch import Tensor

from nerdrain.errors import NerdrainError


def read_image(path: str | Path) -> UInt8[np.ndarray, "h w 3"]:
    """Reads any image file as 8-bit RGB: upright (EXIF), grey repeated, 16 bits scaled, alpha off.

    Returns:
        (H, W, 3) uint8.

    Raises:
        NerdrainError: no such file, or not a readable image.
    """
    path = Path(path)
    if not path.is_file():
        raise NerdrainError(f"no image {path}: check the path.")
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I"):  # 16-bit grey; convert("RGB") would clip it to white
                grey = (np.asarray(image).astype(np.int64) // 257).clip(0, 255).astype(np.uint8)
                return np.repeat(grey[:, :, None], 3, axis=2)
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise NerdrainError(
            f"{path} is not an image that can be read: replace or remove it."
        ) from error


def to_tensor(image: np.ndarray) -> Float32[Tensor, "3 h w"]:
    """(H, W, 3) uint8, or float in [0, 1], to (3, H, W) float32 in [0, 1]."""
    channels_first = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    if image.dtype == np.uint8:
        return channels_first.to(torch.float32).div_(255)
    return channels_first.to(torch.float32)
