"""Vary photographs, rain and camera, so that training sees more than the photographs on disk.

The photograph changes before the rain is added: its zoom and its gamma. The rain changes: its
blur, its colour and its haze. Then the camera changes: sensor noise and JPEG compression, the same
for the rainy and the clean image, so a network learns to remove rain, and not noise.
"""

import io

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image
from scipy.ndimage import gaussian_filter

ZOOM = (0.4, 1.6)
"""Factor of a photograph's size; below 1 it is scaled down, so the crop shows more of it."""
GAMMA = (0.7, 1.4)
RAIN_BLUR = (0.0, 0.8)
"""Standard deviation of the Gaussian blur of a rain layer, in pixels."""
RAIN_COLOUR = 0.05
"""Standard deviation of the factors of the three channels of the rain."""
NOISE = (0.0, 0.012)
"""Standard deviation of the sensor noise, in 0..1."""
QUALITY = (70, 98)
"""JPEG quality."""


def crop_at_zoom(
    photo: UInt8[np.ndarray, "h w 3"], patch_size: int, rng: np.random.Generator
) -> UInt8[np.ndarray, "patch patch 3"]:
    """Cut a random square of the photograph at a random zoom, resized to `patch_size` pixels.

    The zoom is drawn log-uniformly from `ZOOM`; the square never exceeds the photograph.
    """
    zoom = np.exp(rng.uniform(*np.log(ZOOM)))
    side = min(patch_size / zoom, *photo.shape[:2])
    top, left = (rng.uniform(0, n - side) for n in photo.shape[:2])
    box = (left, top, left + side, top + side)
    picture = Image.fromarray(photo)
    return np.asarray(picture.resize((patch_size, patch_size), Image.Resampling.BICUBIC, box=box))


def change_gamma(
    clean: Float32[np.ndarray, "h w 3"], rng: np.random.Generator
) -> Float32[np.ndarray, "h w 3"]:
    """Make a photograph in [0, 1] darker or brighter: the power that is drawn from `GAMMA`."""
    return clean ** np.float32(np.exp(rng.uniform(*np.log(GAMMA))))


def vary_rain(
    layer: Float32[np.ndarray, "h w"], rng: np.random.Generator
) -> Float32[np.ndarray, "h w 3"]:
    """Blur a rain layer, and give it a slight colour."""
    blurred = gaussian_filter(layer, rng.uniform(*RAIN_BLUR))
    colour = 1 + RAIN_COLOUR * rng.standard_normal(3)
    return (blurred[:, :, None] * colour).clip(0, 1).astype(np.float32)


def depth_veil(
    height: int, width: int, veil: float, rng: np.random.Generator
) -> Float32[np.ndarray, "h w 1"]:
    """The share of haze, growing in a random direction from 0 to 2 `veil`, at most 0.8.

    Haze grows with the distance. A plane is the simplest scene whose distance changes.
    """
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    plane = y * np.cos(angle) + x * np.sin(angle)
    plane = (plane - plane.min()) / max(np.ptp(plane), 1e-6)
    return np.minimum(2 * veil * plane, 0.8).astype(np.float32)[:, :, None]


def photograph(
    rainy: Float32[np.ndarray, "h w 3"],
    clean: Float32[np.ndarray, "h w 3"],
    rng: np.random.Generator,
) -> tuple[Float32[np.ndarray, "h w 3"], Float32[np.ndarray, "h w 3"]]:
    """Give both images the same sensor noise, and compress both as JPEG with the same quality."""
    noise = rng.uniform(*NOISE) * rng.standard_normal(rainy.shape)
    quality = int(rng.integers(QUALITY[0], QUALITY[1] + 1))
    results: list[Float32[np.ndarray, "h w 3"]] = []
    for image in (rainy, clean):
        stream = io.BytesIO()
        pixels = np.rint((image + noise).clip(0, 1) * 255).astype(np.uint8)
        Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
        results.append(np.asarray(Image.open(stream), np.float32) / 255)
    return results[0], results[1]
