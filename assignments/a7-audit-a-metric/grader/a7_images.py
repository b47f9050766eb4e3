"""Synthetic pairs of images for assignment a7, in which every convention gives other figures."""

import numpy as np


def waves(rng: np.random.Generator, height: int, width: int, count: int) -> np.ndarray:
    """A sum (h, w) of random slow waves, between about -1 and 1."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    total = np.zeros((height, width))
    for _ in range(count):
        fy, fx = rng.uniform(-4, 4, size=2)
        total += np.sin(2 * np.pi * (fy * y + fx * x + rng.uniform()))
    return total / np.sqrt(2 * count)


def pair(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A restored image, float64 and partly outside [0, 1], and its uint8 reference.

    The image holds float32 numbers, as a network writes them.
    """
    grey = waves(rng, height, width, 6)[..., None]
    scene = np.stack([waves(rng, height, width, 4) for _ in range(3)], axis=-1)
    low, high = rng.uniform(0.02, 0.12), rng.uniform(0.8, 0.97)
    scene = np.clip(low + (high - low) * (0.5 + 0.35 * grey + 0.2 * scene), low, high)
    reference = np.floor(scene * 255 + 0.5).astype(np.uint8)
    # The three channels err differently, and more near the border.
    y, x = np.mgrid[:height, :width]
    distance = np.minimum.reduce([y, x, height - 1 - y, width - 1 - x])
    size = rng.uniform(0.005, 0.02) * (1 + 3 * np.exp(-distance / 3))
    error = size[..., None] * rng.normal(size=(height, width, 3)) * rng.uniform(0.4, 1.6, size=3)
    error += 0.01 * waves(rng, height, width, 3)[..., None]
    glare = rng.uniform(size=(height, width, 1)) > 0.97
    image = reference / 255 + error + 0.1 * glare
    return image.astype(np.float32).astype(np.float64), reference
