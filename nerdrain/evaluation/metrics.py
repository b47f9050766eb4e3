"""PSNR and SSIM in the three conventions of deraining papers, each with its own name.

* ``matlab-y``: the Y of MATLAB's ``rgb2ycbcr`` (16..235), rounded to 8 bits. All tables of the
  paper (section 4.1) use it.
* ``full-y``: the full-range Y (0..255) of JPEG, also rounded. Its PSNR is about
  20 log10(255 / 219) = 1.322 dB lower for the same two images.
* ``rgb``: one mean squared error over all three channels, and the mean SSIM of the three channels.

Every function takes (height, width, 3) arrays, uint8 or float in [0, 1]. Floats are first clamped
and rounded to 8 bits, because benchmarks compare PNG files.
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Num, UInt8
from skimage.metrics import structural_similarity

from nerdrain.errors import NerdrainError

Image = Num[np.ndarray, "h w 3"]
Plane = Num[np.ndarray, "h w"]

#: Converts an image to the 8-bit values that a convention compares.
Convert = Callable[[Image], np.ndarray]

#: ITU-R BT.601 weights of R, G, B in 0..1 for MATLAB's Y in 16..235.
_MATLAB_WEIGHTS = np.array([65.481, 128.553, 24.966])
#: The same weights divided by their sum, 219: exactly 0.299, 0.587, 0.114.
_FULL_WEIGHTS = _MATLAB_WEIGHTS / 219
_WINDOW = 11


def _round_half_up(values: np.ndarray) -> np.ndarray:
    """Round halves away from zero as MATLAB's ``uint8()`` does; NumPy rounds them to even."""
    return np.floor(np.clip(values, 0, 255) + 0.5).astype(np.uint8)


def to_uint8(image: Image) -> UInt8[np.ndarray, "h w 3"]:
    """Clamp and round an image to 8 bits, as benchmarks store it; also grey (h, w) or (h, w, 1).

    Raises:
        NerdrainError: The shape or dtype is different, or some values are not finite.
    """
    image = np.asarray(image)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 3):
        raise NerdrainError(
            f"an image must have the shape (height, width, 3), not {image.shape}; "
            "move the channels last, drop the batch dimension and the alpha channel."
        )
    if np.issubdtype(image.dtype, np.floating):
        if not np.isfinite(image).all():
            raise NerdrainError(
                "the image cannot be measured because it holds NaN or infinite values; replace "
                "them first."
            )
        image = _round_half_up(image.astype(np.float64) * 255)
    elif image.dtype != np.uint8:
        raise NerdrainError(f"an image must be uint8 or float in [0, 1], not {image.dtype}.")
    return np.broadcast_to(image, (*image.shape[:2], 3))


def _luma(image: Image, offset: float, weights: np.ndarray, rounded: bool) -> Plane:
    y = offset + to_uint8(image) @ (weights / 255)  # (h, w)
    return _round_half_up(y) if rounded else y


def matlab_y(image: Image, *, rounded: bool = True) -> Plane:
    """The Y of MATLAB's ``rgb2ycbcr``: 16 + (65.481 R + 128.553 G + 24.966 B), R, G, B in 0..1.

    The values are between 16 and 235, rounded to uint8 as MATLAB does for 8-bit input, or float64.
    """
    return _luma(image, 16.0, _MATLAB_WEIGHTS, rounded)


def full_range_y(image: Image, *, rounded: bool = True) -> Plane:
    """The Y of JPEG: 255 (0.299 R + 0.587 G + 0.114 B), R, G, B in 0..1.

    The values are between 0 and 255, rounded to uint8 as image libraries do, or float64.
    """
    return _luma(image, 0.0, 255 * _FULL_WEIGHTS, rounded)


def _pair(image: Image, target: Image, convert: Convert) -> tuple[np.ndarray, np.ndarray]:
    """Convert both images to the 8-bit values of a convention, as float64."""
    a, b = convert(image), convert(target)
    if a.shape != b.shape:
        raise NerdrainError(
            f"the two images differ in size ({a.shape[1]}x{a.shape[0]} and "
            f"{b.shape[1]}x{b.shape[0]} pixels); give two images of the same scene and size."
        )
    if a.size == 0:
        raise NerdrainError("an image without pixels cannot be measured; give at least one pixel.")
    return a.astype(np.float64), b.astype(np.float64)


def _psnr(image: Image, target: Image, convert: Convert) -> float:
    a, b = _pair(image, target, convert)
    error = float(np.mean(np.square(a - b)))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def _ssim(image: Image, target: Image, convert: Convert) -> float:
    a, b = _pair(image, target, convert)
    if min(a.shape[:2]) < _WINDOW:
        raise NerdrainError(
            f"SSIM needs a window of {_WINDOW}x{_WINDOW} pixels, so an image of "
            f"{a.shape[1]}x{a.shape[0]} pixels is too small; give a larger image."
        )
    # scikit-image cuts this Gaussian off at 5 pixels (11x11) and averages over the valid region.
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    channels = 2 if a.ndim == 3 else None
    return float(structural_similarity(a, b, data_range=255, channel_axis=channels, **window))


def psnr_matlab_y(image: Image, target: Image) -> float:
    """PSNR in dB on MATLAB's Y, peak 255, as in the paper. Identical images give ``inf``."""
    return _psnr(image, target, matlab_y)


def psnr_rgb(image: Image, target: Image) -> float:
    """PSNR in dB over the three channels together, peak 255. Identical images give ``inf``."""
    return _psnr(image, target, to_uint8)


def psnr_full_y(image: Image, target: Image) -> float:
    """PSNR in dB on the full-range Y, peak 255. Identical images give ``inf``."""
    return _psnr(image, target, full_range_y)


def ssim_matlab_y(image: Image, target: Image) -> float:
    """SSIM on MATLAB's Y, as in the paper: 11x11 Gaussian, sigma 1.5, valid region, L = 255."""
    return _ssim(image, target, matlab_y)


def ssim_rgb(image: Image, target: Image) -> float:
    """Mean of the three channels' SSIM: 11x11 Gaussian, sigma 1.5, valid region, L = 255."""
    return _ssim(image, target, to_uint8)


def ssim_full_y(image: Image, target: Image) -> float:
    """SSIM on the full-range Y: 11x11 Gaussian window, sigma 1.5, valid region, L = 255."""
    return _ssim(image, target, full_range_y)


Metric = Callable[[Image, Image], float]

#: Convention -> (PSNR in dB, SSIM).
METRICS: dict[str, tuple[Metric, Metric]] = {
    "matlab-y": (psnr_matlab_y, ssim_matlab_y),
    "rgb": (psnr_rgb, ssim_rgb),
    "full-y": (psnr_full_y, ssim_full_y),
}


def metric(convention: str) -> tuple[Metric, Metric]:
    """Return the PSNR and SSIM functions of a convention, which must be a key of `METRICS`."""
    if convention not in METRICS:
        raise NerdrainError(
            f"there is no metric convention '{convention}'; choose one of {', '.join(METRICS)}."
        )
    return METRICS[convention]


def gain(rainy: Image, restored: Image, target: Image, convention: str = "matlab-y") -> float:
    """Return the gain in dB: PSNR of the restored image minus PSNR of the rainy image."""
    psnr, _ = metric(convention)
    return psnr(restored, target) - psnr(rainy, target)
