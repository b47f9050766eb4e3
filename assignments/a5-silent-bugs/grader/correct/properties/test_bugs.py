"""Tests that check properties, and compute as few expected values as possible."""

import json
from pathlib import Path

import coordinates
import layers
import metrics
import numpy as np
import pytest
import training

HERE = Path(__file__).parent


@pytest.fixture
def given():
    return json.loads((HERE / "variant.json").read_text())


@pytest.fixture
def rng():
    return np.random.default_rng(2024)


def test_mix_windows_commutes_with_a_cyclic_shift(rng):
    x = rng.normal(size=(8, 8))
    for shift in range(4):
        plain = layers.mix_windows(np.roll(x, (-shift, -shift), (0, 1)), 4, 0)
        moved = np.roll(plain, (shift, shift), (0, 1))
        assert layers.mix_windows(x, 4, shift) == pytest.approx(moved)


def test_mix_windows_without_a_shift(rng):
    x = rng.normal(size=(4, 4))
    mixed = layers.mix_windows(x, 2, 0)
    assert mixed[:2, :2] == pytest.approx(np.full((2, 2), x[:2, :2].mean()))
    assert layers.mix_windows(x, 2, 1)[1:3, 1:3] == pytest.approx(
        np.full((2, 2), x[1:3, 1:3].mean())
    )


def test_channel_attention_with_equal_values_returns_them(rng):
    q, k = rng.normal(size=(2, 3, 6))
    v = np.tile(rng.normal(size=6), (3, 1))
    assert layers.channel_attention(q, k, v, 2.0) == pytest.approx(v)


def test_channel_attention_odds_follow_the_temperature(rng):
    q, k = rng.normal(size=(2, 2, 4))
    k[1] *= 5
    for temperature in (0.7, 2.0):
        weights = layers.channel_attention(q, k, np.eye(2, 4), temperature)[:, :2]
        for i in range(2):
            cosines = [q[i] @ row / np.linalg.norm(q[i]) / np.linalg.norm(row) for row in k]
            odds = np.log(weights[i, 0] / weights[i, 1])
            assert odds == pytest.approx(temperature * (cosines[0] - cosines[1]))


def test_gate_closed_open_and_half(rng):
    current, feedback = rng.normal(size=(2, 3, 4))
    nothing = np.zeros((3, 6))
    for bias, share in ((-60.0, 0), (60.0, 1), (0.0, 0.5)):
        result = layers.gate(current, feedback, nothing, np.full(3, bias))
        assert result == pytest.approx(current + share * feedback)


def test_gate_reads_each_input(rng):
    current, feedback = rng.normal(size=(2, 2, 4))
    for first in (True, False):
        weight = np.hstack([np.eye(2) * first, np.eye(2) * (not first)])
        result = layers.gate(current, feedback, weight, np.zeros(2))
        shares = (result - current) / feedback
        logits = np.log(shares / (1 - shares))
        assert logits == pytest.approx(current if first else feedback)


def test_make_stack_independent(given, rng):
    stack = layers.make_stack(5, 60, rng)
    sums = sum(stack)  # independent layers: the variances add up
    assert np.std(sums) == pytest.approx(given["GAIN"] * np.sqrt(5 / 60), rel=0.1)
    stack[0][:] = 0
    assert all(layer.any() for layer in stack[1:])


def test_centres_are_symmetric_and_end_half_a_pixel_before_the_border(given):
    for count in (2, 3, 10):
        x = coordinates.centres(count)
        assert x == pytest.approx(-x[::-1])
        assert np.diff(x) == pytest.approx(np.full(count - 1, 2 * given["SPAN"] / count))


def test_encode_waves(given):
    base = given["BASE"]
    sines, cosines = np.split(coordinates.encode(np.array([0.05, 0.3]), 4), 2, axis=1)
    assert sines**2 + cosines**2 == pytest.approx(np.ones((2, 4)))
    assert sines[:, 0] == pytest.approx(np.sin(np.pi * np.array([0.05, 0.3])))
    scaled = coordinates.encode(np.array([0.05, 0.3]) * base, 4)
    assert scaled[:, :3] == pytest.approx(sines[:, 1:])
    assert scaled[:, 4:7] == pytest.approx(cosines[:, 1:])


def test_encode_at_zero():
    assert coordinates.encode(np.zeros(1), 3)[0] == pytest.approx([0, 0, 0, 1, 1, 1])


def test_ensemble_weights_at_codes_and_edges():
    corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    assert coordinates.ensemble_weights(corners) == pytest.approx(np.eye(4))
    edge = coordinates.ensemble_weights(np.array([[0.0, 0.25], [0.25, 0.0]]))
    assert edge == pytest.approx(np.array([[0.75, 0.25, 0, 0], [0.75, 0, 0.25, 0]]))


def test_resize_commutes_with_flips_and_transposes(rng):
    x = rng.normal(size=(4, 7))
    y = coordinates.resize(x, 9, 10)
    assert coordinates.resize(x[::-1], 9, 10) == pytest.approx(y[::-1])
    assert coordinates.resize(x[:, ::-1], 9, 10) == pytest.approx(y[:, ::-1])
    assert coordinates.resize(x.T, 10, 9) == pytest.approx(y.T)


def test_resize_by_half_averages_pairs(rng):
    x = rng.normal(size=(6, 8))
    pairs = (x[::2] + x[1::2]) / 2
    assert coordinates.resize(x, 3, 8) == pytest.approx(pairs)
    assert coordinates.resize(x, 6, 4) == pytest.approx((x[:, ::2] + x[:, 1::2]) / 2)


@pytest.mark.parametrize("code", range(8))
def test_augment_keeps_pairs_aligned_and_moves_the_corner(code, given):
    rows, columns = np.mgrid[:3, :4]
    image = np.stack([rows, columns, rows + columns], axis=-1).astype(float)
    rainy, clean = training.augment(image + 1, image, code)
    assert rainy - clean == pytest.approx(np.ones_like(clean))
    # where the pixels (0, 0) and (0, 3) are after the rotation
    height, width = (3, 4) if code % 2 == 0 else (4, 3)
    places = {0: ((0, 0), (0, 3)), 1: ((3, 0), (0, 0)), 2: ((2, 3), (2, 0)), 3: ((0, 2), (3, 2))}
    for (row, column), value in zip(places[code % 4], ((0, 0, 0), (0, 3, 3)), strict=True):
        if code >= 4 and given["FLIP_AXIS"] == 0:
            row = height - 1 - row
        if code >= 4 and given["FLIP_AXIS"] == 1:
            column = width - 1 - column
        assert clean[row, column] == pytest.approx(value)


def test_frequency_loss_of_a_sine_and_a_constant():
    zero, one = np.zeros((4, 4, 3)), np.ones((4, 4, 3))
    assert training.frequency_loss(one, zero) == pytest.approx(1)
    wave = np.tile(np.sin(np.pi / 2 * np.arange(4))[:, None, None], (1, 4, 3))
    assert training.frequency_loss(wave, zero) == pytest.approx(1)


def test_frequency_loss_sees_a_translation(rng):
    x = rng.normal(size=(8, 8, 1))
    assert training.frequency_loss(x, np.roll(x, 1, 0)) > 0.1


def test_update_average_converges_and_leaves_its_arguments(rng):
    new = {"w": rng.normal(size=3), "b": rng.normal(size=2)}
    average = {name: np.zeros_like(value) for name, value in new.items()}
    for step in range(1, 4):
        before = average
        average = training.update_average(before, new, 0.9)
        for name in new:
            assert average[name] == pytest.approx((1 - 0.9**step) * new[name])
            assert before[name] == pytest.approx((1 - 0.9 ** (step - 1)) * new[name])


def test_learning_rate_milestones(given):
    floor = given["FLOOR"]
    rates = np.array([training.learning_rate(step, 31, 10, 1.0) for step in range(31)])
    assert rates[:10] == pytest.approx(np.arange(1, 11) / 10)
    assert rates[10] == pytest.approx(1)
    assert rates[20] == pytest.approx((1 + floor) / 2)  # the middle of the cosine
    assert rates[30] == pytest.approx(floor)


def test_luma_is_affine(given, rng):
    black, white = metrics.luma(np.zeros((1, 1, 3))), metrics.luma(np.ones((1, 1, 3)))
    assert black == pytest.approx(np.array([[given["OFFSET"]]]))
    assert white - black == pytest.approx(np.array([[219.0]]))
    red, green, blue = metrics.luma(np.eye(3)[None])[0] - given["OFFSET"]
    assert (red, green, blue) == pytest.approx((65.481, 128.553, 24.966))


def test_psnr_properties(given):
    peak = given["PEAK"]
    x = np.full((3, 3, 3), 0.2 * peak)
    y = x + 0.1 * peak
    assert metrics.psnr(x, y) == pytest.approx(20)
    y[..., :2] = x[..., :2]
    assert metrics.psnr(x, y) == pytest.approx(20 + 10 * np.log10(3))
    assert metrics.psnr(x, x + 0.01 * peak) == pytest.approx(40)


def test_ssim_of_constants_and_opposites(given):
    peak = given["PEAK"]
    black, grey = np.zeros((4, 4)), np.full((4, 4), 0.1 * peak)
    assert metrics.ssim(grey, grey) == pytest.approx(1)
    assert metrics.ssim(black, grey) == pytest.approx(1e-4 / (1e-2 + 1e-4))
    wave = np.tile([[0.0, 1.0], [1.0, 0.0]], (2, 2)) * 0.1 * peak
    variance = 0.05**2
    expected = (9e-4 - 2 * variance) / (9e-4 + 2 * variance)
    assert metrics.ssim(wave, 0.1 * peak - wave) == pytest.approx(expected)


def test_mean_psnr_of_powers_of_ten(given):
    errors = given["PEAK"] ** 2 * np.array([1e-1, 1e-2, 1e-6])
    assert metrics.mean_psnr(errors) == pytest.approx(30)
