"""losses.py against closed forms and independent implementations in numpy and scipy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import correlate1d
from torch import Tensor

from nerdrain.errors import NerdrainError
from nerdrain.model.network import Derained
from nerdrain.training.losses import (
    HybridLoss,
    LossWeights,
    charbonnier,
    edge,
    frequency,
    gaussian_pyramid,
    inr_loss,
    laplacian,
)

TERMS = [charbonnier, frequency, edge, inr_loss]
DTYPES = [torch.float32, torch.bfloat16, torch.float64]
sizes = st.integers(1, 17)


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def derained(height: int, width: int, dtype: torch.dtype = torch.float64) -> Derained:
    def image(halvings: int, seed: int) -> Tensor:
        size = (-(-height >> halvings), -(-width >> halvings))
        return random(2, 3, *size, seed=seed, dtype=dtype).requires_grad_()

    return Derained(image(0, 0), image(1, 1), image(2, 2), image(1, 3), image(2, 4))


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (2, 3, 5, 8), (1, 1, 2, 3)])
def test_each_term_is_a_finite_scalar(term, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    image = random(*shape, dtype=dtype).requires_grad_()
    loss = term(image, random(*shape, seed=1, dtype=dtype))
    assert loss.shape == () and loss.isfinite() and loss > 0
    half = term is frequency and dtype is torch.bfloat16
    assert loss.dtype == (torch.float32 if half else dtype)
    loss.backward()
    assert image.grad is not None and image.grad.isfinite().all()


@pytest.mark.parametrize("term", TERMS)
def test_equal_images_cost_what_charbonnier_costs_at_zero(term) -> None:
    x = random(1, 3, 6, 7)
    assert float(term(x, x)) == pytest.approx(1e-3 if term in (charbonnier, edge) else 0)


@pytest.mark.parametrize("term", TERMS)
@given(st.integers(0, 10**6), sizes, sizes)
def test_terms_are_symmetric(term, seed: int, height: int, width: int) -> None:
    x, y = random(1, 3, height, width, seed=seed), random(1, 3, height, width, seed=seed + 1)
    torch.testing.assert_close(term(x, y), term(y, x))


@given(st.floats(-3, 3))
def test_of_a_constant_difference(d: float) -> None:
    x = random(2, 3, 5, 4)
    assert float(charbonnier(x + d, x)) == pytest.approx(math.sqrt(d * d + 1e-6))
    assert float(inr_loss(x + d, x)) == pytest.approx(abs(d), abs=1e-12)
    # All of it is in the zero frequency: d H W of one coefficient among H W.
    assert float(frequency(x + d, x)) == pytest.approx(abs(d), abs=1e-12)


@given(st.integers(1, 7), st.integers(1, 7), st.floats(0.01, 2), st.floats(0, 6))
def test_frequency_of_one_wave(rows: int, columns: int, amplitude: float, phase: float) -> None:
    """A cosine is two coefficients of amplitude / 2 each, over the number of pixels."""
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(24.0), indexing="ij")
    angle = 2 * math.pi * (rows * y.double() / 16 + columns * x.double() / 24) + phase
    wave = (amplitude * angle.cos()).expand(1, 3, 16, 24)
    assert float(frequency(wave, torch.zeros_like(wave))) == pytest.approx(amplitude)


def test_frequency_of_noise_grows_with_the_root_of_the_pixels() -> None:
    """Parseval: the mean squared modulus is sigma^2 N; a Rayleigh mean is sqrt(pi/4) its root."""
    sigma = 0.1
    for size in (32, 128):
        noise = sigma * torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(size))
        spectrum = torch.fft.fft2(noise.double())
        power = float(spectrum.abs().square().mean())
        assert power == pytest.approx(float(noise.double().square().mean()) * size**2)
        expected = sigma * size * math.sqrt(math.pi / 4)
        assert float(frequency(noise, torch.zeros_like(noise))) == pytest.approx(expected, rel=0.02)


def test_frequency_is_the_written_out_transform() -> None:
    d = random(1, 1, 3, 4)[0, 0].numpy() - 0.5
    total = 0.0
    for u in range(3):
        for v in range(4):
            terms = [
                d[y, x] * np.exp(-2j * np.pi * (u * y / 3 + v * x / 4))
                for y in range(3)
                for x in range(4)
            ]
            total += abs(sum(terms))
    ours = frequency(torch.from_numpy(d)[None, None], torch.zeros(1, 1, 3, 4, dtype=torch.float64))
    assert float(ours) == pytest.approx(total / 12)


def blurred(image: np.ndarray, taps: list[float], mode: str) -> np.ndarray:
    for axis in (-2, -1):
        image = correlate1d(image, taps, axis=axis, mode=mode)
    return image


def test_laplacian_is_scipys() -> None:
    """Each blur by scipy; "nearest" repeats the border."""
    taps = [0.05, 0.25, 0.4, 0.25, 0.05]
    for height, width in ((8, 8), (7, 10), (1, 5), (3, 3)):
        image = random(1, 3, height, width)
        low = blurred(image.numpy(), taps, "nearest")
        stuffed = np.zeros_like(low)
        stuffed[..., ::2, ::2] = 4 * low[..., ::2, ::2]
        expected = image.numpy() - blurred(stuffed, taps, "nearest")
        np.testing.assert_allclose(laplacian(image).numpy(), expected, atol=1e-14)


@given(st.floats(-2, 2), st.integers(5, 24), st.integers(5, 24))
def test_laplacian_of_a_constant(level: float, height: int, width: int) -> None:
    """0 inside: taps at even and at odd distances both sum to 1/2, so stuffing costs nothing.

    At the border the outermost pixel repeats: a kept one (index 0, or the last of an odd size) adds
    its taps beyond the border, a zero (the last of an even size) takes them away.
    """

    def gain(size: int) -> np.ndarray:
        g = np.ones(size)
        g[:2] = [2 * (0.05 + 0.25 + 0.4 + 0.05), 2 * (0.05 + 0.25 + 0.25)]
        g[-2:] = [1.1, 1.5] if size % 2 else [2 * (0.05 + 0.4), 2 * 0.25]
        return g

    flat = torch.full((1, 3, height, width), level, dtype=torch.float64)
    expected = level * (1 - np.outer(gain(height), gain(width)))
    assert not expected[2:-2, 2:-2].any()
    np.testing.assert_allclose(laplacian(flat)[0, 1].numpy(), expected, atol=1e-12)
    assert float(edge(flat, flat)) == pytest.approx(1e-3)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_pyramid_is_scipys(channels: int) -> None:
    """Binomial blur with a mirrored border, then the mean of each 2x2 block."""
    image = random(2, channels, 16, 12)
    pyramid = gaussian_pyramid(image)
    expected = image.numpy()
    assert pyramid[0] is image
    for level in pyramid[1:]:
        expected = blurred(expected, [1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16], "mirror")
        b, c, h, w = expected.shape
        expected = expected.reshape(b, c, h // 2, 2, w // 2, 2).mean(axis=(3, 5))
        np.testing.assert_allclose(level.numpy(), expected, atol=1e-14)


@given(sizes, sizes, st.floats(0, 1))
def test_the_pyramid_of_any_size(height: int, width: int, level: float) -> None:
    """Sizes round up, as the network's do, and a constant stays one."""
    pyramid = gaussian_pyramid(torch.full((1, 3, height, width), level, dtype=torch.float64), 4)
    for k, image in enumerate(pyramid):
        assert image.shape == (1, 3, -(-height >> k), -(-width >> k))
        torch.testing.assert_close(image, torch.full_like(image, level))


@given(st.integers(0, 10**6))
def test_the_pyramid_turns_with_the_image(seed: int) -> None:
    image = random(1, 3, 8, 8, seed=seed)
    for turn in (lambda x: x.flip(-1), lambda x: x.flip(-2), lambda x: x.rot90(1, (-2, -1))):
        for here, there in zip(gaussian_pyramid(turn(image)), gaussian_pyramid(image), strict=True):
            torch.testing.assert_close(here, turn(there))


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (13, 22)])
def test_the_hybrid_loss_is_equation_6(size: tuple[int, int]) -> None:
    output, target = derained(*size), random(2, 3, *size, seed=9)
    full, half, quarter = gaussian_pyramid(target)
    main = [(output.full, full), (output.half, half), (output.quarter, quarter)]
    losses = HybridLoss()(output, target)
    for ours, term in ((losses.char, charbonnier), (losses.freq, frequency), (losses.edge, edge)):
        torch.testing.assert_close(ours, sum(term(*pair) for pair in main))
    difference = (output.inr_half - half).abs().mean() + (output.inr_quarter - quarter).abs().mean()
    torch.testing.assert_close(losses.inr, difference)
    expected = losses.char + 0.01 * losses.freq + 0.05 * losses.edge + 0.1 * losses.inr
    torch.testing.assert_close(losses.total, expected)
    losses.total.backward()
    assert all(image.grad is not None for image in output)


def test_other_weights() -> None:
    output, target = derained(8, 8), random(2, 3, 8, 8, seed=9)
    losses = HybridLoss(LossWeights(freq=0, edge=2, inr=0))(output, target)
    torch.testing.assert_close(losses.total, losses.char + 2 * losses.edge)


@pytest.mark.parametrize("term", LossWeights.model_fields)
def test_weights_lie_between_zero_and_a_million(term: str) -> None:
    assert getattr(LossWeights(**{term: 1e6}), term) == 1e6
    for bad, limit in (
        (-1e-9, "greater than or equal to 0"),
        (1.01e6, "less than or equal to 1000000"),
    ):
        with pytest.raises(NerdrainError, match=f"{term}=.*{limit}"):
            LossWeights(**{term: bad})


def test_scales_that_are_not_there() -> None:
    output, target = derained(8, 8), random(2, 3, 8, 8, seed=9)
    only = HybridLoss()(Derained(output.full), target)
    torch.testing.assert_close(only.char, charbonnier(output.full, target))
    assert float(only.inr) == 0
    without_inr = HybridLoss()(output._replace(inr_half=None, inr_quarter=None), target)
    everything = HybridLoss()(output, target)
    torch.testing.assert_close(everything.total - without_inr.total, 0.1 * everything.inr)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_hybrid_loss_in_every_dtype(dtype: torch.dtype) -> None:
    output, target = derained(12, 9, dtype), random(2, 3, 12, 9, seed=9)
    exact = HybridLoss()(Derained(*(image.detach().double() for image in output)), target)
    losses = HybridLoss()(output, target.to(dtype))
    for ours, term in zip(losses, exact, strict=True):
        assert float(ours.detach()) == pytest.approx(float(term), rel=2e-2)
    losses.total.backward()
    assert all(image.grad.dtype == dtype for image in output)


def test_everything_is_computed_on_the_images_device() -> None:
    output, target = derained(8, 8), random(2, 3, 8, 8, seed=9)
    expected = HybridLoss()(output, target)
    with torch.device("meta"):  # the default device is another one
        losses = HybridLoss()(output, target)
    assert torch.equal(losses.total, expected.total)


def test_a_target_of_another_size_is_refused() -> None:
    with pytest.raises(NerdrainError, match=r"target has the shape \(2, 3, 8, 9\).*\(2, 3, 8, 8\)"):
        HybridLoss()(derained(8, 8), random(2, 3, 8, 9))
