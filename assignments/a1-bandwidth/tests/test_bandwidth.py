"""Public tests of assignment a1: forms, and properties that follow from the handout."""

import json
import math
from pathlib import Path

import bandwidth
import pytest
import torch

VARIANT = json.loads(Path(bandwidth.__file__).with_name("variant.json").read_text(encoding="utf-8"))
D = VARIANT["dimension"]


def agree(value: torch.Tensor, true: torch.Tensor, message: str, atol: float = 1e-9) -> None:
    """Fail with the message, and without the numbers, if two tensors differ."""
    if not torch.allclose(value, true, rtol=0, atol=atol):
        pytest.fail(message, pytrace=False)


def distances() -> torch.Tensor:
    """From 0 to three times the scale of the kernel."""
    return torch.linspace(0, 3, 31, dtype=torch.float64) / bandwidth.bandwidth()


def points(count: int) -> torch.Tensor:
    """Fixed random points."""
    generator = torch.Generator().manual_seed(4)
    return torch.randn(count, D, generator=generator, dtype=torch.float64)


def spectrum(frequency: float) -> float:
    """S over S(0) at a frequency in radians: formula 1 of the handout, with your s."""
    degrees = VARIANT["decay"] - D
    return (1 + frequency**2 / (degrees * bandwidth.bandwidth() ** 2)) ** (-VARIANT["decay"] / 2)


def test_the_bandwidth_is_a_positive_number() -> None:
    """A Python number."""
    assert isinstance(bandwidth.bandwidth(), float)
    assert bandwidth.bandwidth() > 0


def test_the_spectrum_falls_to_a_half() -> None:
    """The definition of the half-power frequency, in one of the two units."""
    radians = VARIANT["half_power"], 2 * math.pi * VARIANT["half_power"]
    if not any(math.isclose(spectrum(w), 0.5, abs_tol=1e-6) for w in radians):
        pytest.fail("S is not half of S(0) at the half-power frequency", pytrace=False)


def test_the_kernel_falls_from_the_variance() -> None:
    """Its value at distance 0, its form, and its sign."""
    values = bandwidth.kernel(distances())
    assert values.shape == (31,)
    assert values.dtype == torch.float64
    assert abs(float(values[0]) - VARIANT["variance"]) < 1e-9
    assert (values.diff() < 0).all()
    assert (values > 0).all()


@pytest.mark.parametrize("count", [1, 2, 50])
def test_frequencies_have_the_documented_form(count: int) -> None:
    """Shape, dtype, and finite values."""
    frequencies = bandwidth.sample_frequencies(count, 1)
    assert frequencies.shape == (count, D)
    assert frequencies.dtype == torch.float64
    assert frequencies.isfinite().all()


def test_a_seed_fixes_the_frequencies() -> None:
    """Equal seeds give equal frequencies, and other seeds give others."""
    first, again, other = (bandwidth.sample_frequencies(9, seed) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("count", "many"), [(5, 8), (1, 1), (3, 1)])
def test_features_have_the_length_of_the_standard_deviation(count: int, many: int) -> None:
    """Shape, dtype, and the scalar product of a point with itself."""
    frequencies = torch.ones(many, D, dtype=torch.float64) * torch.arange(1, many + 1)[:, None]
    values = bandwidth.features(points(count), frequencies)
    assert values.shape == (count, 2 * many)
    assert values.dtype == torch.float64
    squares = values.square().sum(dim=1)
    agree(squares, torch.full_like(squares, VARIANT["variance"]), "|features|² is not the variance")


def test_scalar_products_depend_on_the_difference_of_two_points_only() -> None:
    """A shift of all points changes no scalar product."""
    frequencies = torch.linspace(-2, 3, 4 * D, dtype=torch.float64).reshape(4, D)
    here = bandwidth.features(points(6), frequencies)
    there = bandwidth.features(points(6) + 0.7, frequencies)
    agree(there @ there.T, here @ here.T, "a shift changes the scalar products")


def test_the_estimate_of_many_features_is_near_the_kernel() -> None:
    """Along the first axis, within six of your standard errors."""
    r, count = distances()[1:], 4000
    line = torch.zeros(31, D, dtype=torch.float64)
    line[:, 0] = distances()
    phi = bandwidth.features(line, bandwidth.sample_frequencies(count, 2))
    errors = (phi[1:] @ phi[0] - bandwidth.kernel(r)).abs()
    if (errors > 6 * bandwidth.standard_error(r, count)).any():
        pytest.fail("the estimate differs from your kernel, beyond chance", pytrace=False)


def test_four_times_the_frequencies_halve_the_standard_error() -> None:
    """The rate of a Monte Carlo mean, and no error at distance 0."""
    one, four = (bandwidth.standard_error(distances(), m) for m in (25, 100))
    assert one.shape == (31,)
    agree(four, one / 2, "the standard error is not proportional to the root of 1 / m")
    agree(one[0], torch.zeros((), dtype=torch.float64), "not 0 at distance 0", atol=1e-7)
