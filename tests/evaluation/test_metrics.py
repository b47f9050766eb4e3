"""metrics.py against GNU Octave's numbers, closed forms, and what a metric must obey."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from nerdrain.errors import NerdrainError
from nerdrain.evaluation.metrics import (
    METRICS,
    full_range_y,
    gain,
    matlab_y,
    metric,
    psnr_full_y,
    psnr_matlab_y,
    psnr_rgb,
    ssim_full_y,
    ssim_matlab_y,
    ssim_rgb,
    to_uint8,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics"
# Computed with GNU Octave (tests/golden/README.md).
OCTAVE = {
    "astronaut": (43.200510, 0.97122391),
    "coffee": (31.403306, 0.76465306),
    "chelsea": (23.536691, 0.51675058),
}
RNG = np.random.default_rng(5)
A, B = RNG.integers(0, 256, (2, 16, 13, 3), dtype=np.uint8)
images = hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


def read(name: str) -> np.ndarray:
    return np.asarray(Image.open(GOLDEN / f"{name}.png").convert("RGB"))


@pytest.mark.parametrize("name", OCTAVE)
def test_matlab_y_agrees_with_octave(name):
    restored, target = read(f"{name}_restored"), read(f"{name}_target")
    psnr, ssim = OCTAVE[name]
    assert psnr_matlab_y(restored, target) == pytest.approx(psnr, abs=1e-4)
    assert ssim_matlab_y(restored, target) == pytest.approx(ssim, abs=1e-6)


def test_y_of_known_colours():
    # rgb2ycbcr's documented values for black, white, pure red, green and blue.
    colours = np.array([[[0] * 3, [255] * 3, [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    np.testing.assert_array_equal(matlab_y(colours), [[16, 235, 81, 145, 41]])
    np.testing.assert_array_equal(full_range_y(colours), [[0, 255, 76, 150, 29]])
    assert matlab_y(colours).dtype == full_range_y(colours).dtype == np.uint8
    np.testing.assert_allclose(
        matlab_y(colours, rounded=False), [[16, 235, 81.481, 144.553, 40.966]], atol=1e-9
    )


@given(images)
def test_the_two_luminances_differ_by_an_affine_map(image):
    # Hence MATLAB's Y reads 20 log10(255/219) dB higher, up to the rounding.
    full, matlab = (f(image, rounded=False) for f in (full_range_y, matlab_y))
    np.testing.assert_allclose(matlab, 16 + full * 219 / 255, atol=1e-9)


def test_the_gap_between_the_conventions():
    clean = np.full((64, 64, 3), 100, np.uint8)
    noisy = np.clip(100 + RNG.normal(0, 25, (64, 64, 1)), 0, 255).round().astype(np.uint8)
    noisy = np.repeat(noisy, 3, axis=2)
    gap = psnr_matlab_y(noisy, clean) - psnr_full_y(noisy, clean)
    assert gap == pytest.approx(20 * math.log10(255 / 219), abs=0.02)


def test_psnr_in_closed_form():
    black, grey = np.zeros((2, 5, 3), np.uint8), np.full((2, 5, 3), 51, np.uint8)
    fifth = 20 * math.log10(5)  # an error of 255/5 everywhere
    assert psnr_rgb(grey, black) == pytest.approx(fifth)
    assert psnr_full_y(grey, black) == pytest.approx(fifth)
    assert psnr_matlab_y(grey, black) == pytest.approx(20 * math.log10(255 / 44))  # 51*219/255


def test_rgb_is_one_mean_over_all_channels():
    one = A.copy()
    one[..., 1] ^= 1  # an error of 1 in a third of the values
    assert psnr_rgb(one, A) == pytest.approx(20 * math.log10(255) + 10 * math.log10(3))


def ssim_by_hand(a: np.ndarray, b: np.ndarray) -> float:
    """SSIM of two planes as Wang et al. (2004) define it, window by window."""
    x = np.arange(-5, 6)
    window = np.exp(-(x[:, None] ** 2 + x**2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for i in range(a.shape[0] - 10):
        for j in range(a.shape[1] - 10):
            p, q = (z[i : i + 11, j : j + 11].astype(float) for z in (a, b))
            mp, mq = (window * p).sum(), (window * q).sum()
            vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
            cov = (window * (p - mp) * (q - mq)).sum()
            values.append(
                (2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2))
            )
    return float(np.mean(values))


def test_ssim_by_its_definition():
    b = np.clip(A.astype(int) + RNG.integers(-40, 41, A.shape), 0, 255).astype(np.uint8)
    assert ssim_matlab_y(A, b) == pytest.approx(ssim_by_hand(matlab_y(A), matlab_y(b)), abs=1e-9)
    assert ssim_full_y(A, b) == pytest.approx(
        ssim_by_hand(full_range_y(A), full_range_y(b)), abs=1e-9
    )
    each = [ssim_by_hand(A[..., c], b[..., c]) for c in range(3)]
    assert ssim_rgb(A, b) == pytest.approx(np.mean(each), abs=1e-9)


@pytest.mark.parametrize("convention", METRICS)
def test_an_image_of_one_window_has_one_ssim(convention):
    to_plane = {"matlab-y": matlab_y, "full-y": full_range_y, "rgb": lambda image: image[..., 0]}
    grey = [np.repeat(image[:11, :11, :1], 3, axis=2) for image in (A, B)]
    _, ssim = METRICS[convention]
    assert ssim(*grey) == pytest.approx(ssim_by_hand(*map(to_plane[convention], grey)), abs=1e-9)
    for image in (A[:10, :11], A[:11, :10]):
        with pytest.raises(NerdrainError, match="too small"):
            ssim(image, image)


@pytest.mark.parametrize(("convention", "weight"), [("matlab-y", 128.553), ("full-y", 149.685)])
def test_a_convention_compares_its_own_y(convention, weight):
    """Pure green: Y rises from its offset by `weight`, 255 * 0.587 or 219 * 0.587, rounded."""
    black, green = np.zeros((1, 1, 3), np.uint8), np.array([[[0, 255, 0]]], np.uint8)
    psnr, _ = METRICS[convention]
    assert psnr(green, black) == pytest.approx(20 * math.log10(255 / round(weight)))


@pytest.mark.parametrize("convention", METRICS)
def test_identical_images(convention):
    psnr, ssim = METRICS[convention]
    assert psnr(A, A.copy()) == math.inf
    assert ssim(A, A.copy()) == pytest.approx(1)
    assert type(psnr(A, A.copy())) is type(psnr(A, B)) is type(ssim(A, B)) is float


@given(st.sampled_from(list(METRICS)), st.data())
def test_symmetry_and_flips(convention, data):
    psnr, _ = METRICS[convention]
    a = data.draw(images)
    b = data.draw(hnp.arrays(np.uint8, a.shape))
    assert psnr(a, b) == psnr(b, a)
    assert psnr(a[::-1], b[::-1]) == pytest.approx(psnr(a, b))
    assert psnr(a, b) >= 0


def test_ssim_is_symmetric_and_flips():
    assert ssim_rgb(A, B) == pytest.approx(ssim_rgb(B, A))
    assert ssim_rgb(A[:, ::-1], B[:, ::-1]) == pytest.approx(ssim_rgb(A, B))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_rounded_to_8_bits_first(dtype):
    as_float = (A / 255).astype(dtype)
    np.testing.assert_array_equal(to_uint8(as_float), A)
    assert psnr_matlab_y(as_float, B) == psnr_matlab_y(A, B)
    wild = np.array([[[-0.5, 1.5, 127.6 / 255]]], dtype)
    np.testing.assert_array_equal(to_uint8(wild), [[[0, 255, 128]]])
    half = np.array([[[0, 1, 126.5 / 255]]])
    np.testing.assert_array_equal(to_uint8(half), [[[0, 255, 127]]])
    # This float32 is a little below 200.5 / 255; a product in float32 would be 200.5.
    below = np.full((1, 1, 3), 200.5 / 255, np.float32)
    np.testing.assert_array_equal(to_uint8(below), [[[200] * 3]])


def test_inputs_are_left_alone_and_grey_counts_as_rgb():
    image = (A / 255).astype(np.float32)
    before = image.copy()
    psnr_rgb(image, B)
    np.testing.assert_array_equal(image, before)
    grey = np.repeat(A[..., :1], 3, axis=2)
    assert psnr_rgb(A[..., 0], B) == psnr_rgb(A[..., :1], B) == psnr_rgb(grey, B)
    assert psnr_rgb(Image.fromarray(A), B) == psnr_rgb(A, B)  # whatever NumPy reads as an array


def test_gain():
    rainy, restored = B, A ^ 1
    expected = psnr_rgb(restored, A) - psnr_rgb(rainy, A)
    assert gain(rainy, restored, A, "rgb") == expected
    assert gain(rainy, rainy, A) == 0


def test_one_pixel_has_a_psnr_and_no_ssim():
    pixel = np.zeros((1, 1, 3), np.uint8)
    assert psnr_matlab_y(pixel, pixel + 10) > 0
    with pytest.raises(NerdrainError, match=r"window of 11x11 pixels.* 1x1 pixels is too small"):
        ssim_matlab_y(pixel, pixel)
    with pytest.raises(NerdrainError, match="13x10 pixels"):
        ssim_rgb(A[:10], A[:10])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (A.transpose(2, 0, 1), "move the channels last"),
        (A[None], "drop the batch"),
        (A[..., None], r"not \(16, 13, 3, 1\)"),
        (np.dstack([A, A[..., 0]]), "alpha"),
        (A.astype(np.uint16), "not uint16"),
        (A.astype(float) * np.nan, "NaN"),
        (A[:, :-1], "12x16 and 13x16"),
        (A[:0], "differ in size"),
    ],
)
def test_bad_input(image, message):
    with pytest.raises(NerdrainError, match=message):
        psnr_rgb(image, A)


def test_empty_images_and_misspelt_conventions():
    with pytest.raises(NerdrainError, match="without pixels"):
        psnr_rgb(A[:0], A[:0])
    with pytest.raises(NerdrainError, match="'matlab'; choose one of matlab-y, rgb, full-y"):
        metric("matlab")
