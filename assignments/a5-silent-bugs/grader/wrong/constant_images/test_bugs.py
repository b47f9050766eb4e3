"""Tests that use constant square images for the augmentation."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from coordinates import centres, encode, ensemble_weights, resize
from layers import channel_attention, gate, make_stack, mix_windows
from metrics import luma, mean_psnr, psnr, ssim
from training import augment, frequency_loss, learning_rate, update_average

GIVEN = json.loads((Path(__file__).parent / "variant.json").read_text(encoding="utf-8"))
PEAK = GIVEN["PEAK"]


def near(value, expected):
    np.testing.assert_allclose(value, expected, rtol=1e-7, atol=1e-7)


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# layers


@pytest.mark.parametrize(("size", "shift"), [(2, 0), (2, 1), (4, 1), (4, 3)])
def test_mix_windows_spreads_one_pixel_over_its_window(size, shift):
    for row, column in [(0, 0), (3, 6), (7, 1)]:
        x = np.zeros((8, 12))
        x[row, column] = 1
        expected = np.zeros_like(x)
        top = (row - shift) // size * size + shift
        left = (column - shift) // size * size + shift
        for i in range(size):
            for j in range(size):
                expected[(top + i) % 8, (left + j) % 12] = 1 / size**2
        near(mix_windows(x, size, shift), expected)


def test_channel_attention_equals_loops():
    q, k, v = random(3, 7, seed=1), 3 * random(3, 7, seed=2), random(3, 7, seed=3)
    for temperature in (0.3, 1.0, 4.0):
        result = channel_attention(q, k, v, temperature)
        for i in range(3):
            norms = [math.sqrt(q[i] @ q[i]) * math.sqrt(k[j] @ k[j]) for j in range(3)]
            powers = [math.exp(temperature * (q[i] @ k[j]) / norms[j]) for j in range(3)]
            near(result[i], sum(powers[j] * v[j] for j in range(3)) / sum(powers))


def test_channel_attention_ignores_the_scale_of_queries_and_keys():
    q, k, v = random(2, 5), random(2, 5, seed=1), random(2, 5, seed=2)
    near(channel_attention(q * 7, k * 0.1, v, 2.0), channel_attention(q, k, v, 2.0))


def test_gate_equals_loops():
    current, feedback = random(2, 3), random(2, 3, seed=1)
    weight, bias = random(2, 4, seed=2), np.array([0.7, -2.0])
    result = gate(current, feedback, weight, bias)
    for channel in range(2):
        for pixel in range(3):
            both = [*current[:, pixel], *feedback[:, pixel]]
            score = sum(w * b for w, b in zip(weight[channel], both, strict=True)) + bias[channel]
            share = 1 / (1 + math.exp(-score))
            expected = current[channel, pixel] + share * feedback[channel, pixel]
            near(result[channel, pixel], expected)


def test_make_stack_draws_layers_that_share_nothing():
    layers = make_stack(4, 48, np.random.default_rng(3))
    assert len(layers) == 4
    for layer in layers:
        assert layer.shape == (48, 48)
        assert abs(layer.std() * math.sqrt(48) / GIVEN["GAIN"] - 1) < 0.1
    for i in range(4):
        for j in range(i):
            assert not np.shares_memory(layers[i], layers[j])
            assert abs(np.corrcoef(layers[i].ravel(), layers[j].ravel())[0, 1]) < 0.2


# coordinates


@pytest.mark.parametrize("count", [1, 2, 5])
def test_centres_are_in_the_middle_of_equal_pixels(count):
    side = 2 * GIVEN["SPAN"] / count
    near(centres(count), [-GIVEN["SPAN"] + side * (i + 0.5) for i in range(count)])


def test_encode_has_all_sines_then_all_cosines():
    x = np.array([0.0, 0.13, -0.4, 0.9])
    result = encode(x, 5)
    assert result.shape == (4, 10)
    for level in range(5):
        for row, position in enumerate(x):
            angle = math.pi * GIVEN["BASE"] ** level * position
            near(result[row, level], math.sin(angle))
            near(result[row, 5 + level], math.cos(angle))


def test_ensemble_weights_interpolate_a_bilinear_function():
    offsets = np.random.default_rng(0).uniform(size=(20, 2))
    weights = ensemble_weights(offsets)
    near(weights.sum(axis=1), 1)
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])  # (y, x)
    near(weights @ corners, offsets)
    near(weights @ corners.prod(axis=1), offsets.prod(axis=1))


def test_resize_reproduces_a_ramp_inside():
    rows, columns = np.mgrid[:6, :9].astype(float)
    result = resize(rows + 10 * columns, 12, 27)
    y = np.clip((np.arange(12) + 0.5) / 2 - 0.5, 0, 5)
    x = np.clip((np.arange(27) + 0.5) / 3 - 0.5, 0, 8)
    near(result, y[:, None] + 10 * x[None, :])


def test_resize_to_the_same_size_changes_nothing():
    x = random(4, 5)
    near(resize(x, 4, 5), x)


# training


@pytest.mark.parametrize("code", range(8))
def test_augment_keeps_the_colour(code):
    rainy, clean = np.full((4, 4, 3), 0.7), np.full((4, 4, 3), 0.2)
    first, second = augment(rainy, clean, code)
    near(first, rainy)
    near(second, clean)


def test_frequency_loss_of_a_moved_pixel():
    x, y = np.zeros((4, 5, 2)), np.zeros((4, 5, 2))
    x[1, 2, 0] = y[1, 3, 0] = 1
    waves = [abs(1 - np.exp(-2j * np.pi * k / 5)) for k in range(5)]
    near(frequency_loss(x, y), np.mean(waves) / 2)


def test_frequency_loss_of_one_pixel():
    x, y = np.zeros((4, 5, 2)), np.zeros((4, 5, 2))
    x[1, 2, 0] = 3.0
    near(frequency_loss(x, y), 1.5)


def test_update_average_for_every_name():
    old, new = {"a": random(3), "b": random(2, 2)}, {"a": random(3, seed=1), "b": random(2, 2)}
    new["b"] = new["b"] + 1
    before = {name: array.copy() for name, array in old.items()}
    result = update_average(old, new, 0.8)
    for name in before:
        near(result[name], 0.8 * before[name] + 0.2 * new[name])
        near(old[name], before[name])


def test_learning_rate_at_all_steps():
    for warmup in (0, 5):
        for step in range(30):
            rate = learning_rate(step, 30, warmup, 0.4)
            if step < warmup:
                near(rate, 0.4 * (step + 1) / warmup)
            else:
                wave = math.cos(math.pi * (step - warmup) / (29 - warmup))
                low = GIVEN["FLOOR"] * 0.4
                near(rate, low + (0.4 - low) * (1 + wave) / 2)


# metrics


def test_luma_of_single_colours():
    image = np.zeros((2, 2, 3))
    image[0, 0, 0] = image[0, 1, 1] = image[1, 0, 2] = 1
    expected = np.array([[65.481, 128.553], [24.966, 0]]) + GIVEN["OFFSET"]
    near(luma(image), expected)


def test_psnr_of_a_known_error():
    x = np.full((4, 4, 3), 0.3 * PEAK)
    y = x.copy()
    y[..., 1] += 0.1 * PEAK  # MSE = 0.01 / 3 of the squared peak
    near(psnr(x, y), 20 + 10 * math.log10(3))
    near(psnr(y, x), 20 + 10 * math.log10(3))
    assert psnr(x, x) == math.inf


def test_ssim_equals_the_formula():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 0.05 * PEAK, (5, 6))
    for y in (0.3 * x + 0.01 * PEAK, 0.05 * PEAK - x, rng.uniform(0, 0.05 * PEAK, (5, 6))):
        count = x.size
        mx, my = x.sum() / count, y.sum() / count
        vx, vy = ((x - mx) ** 2).sum() / count, ((y - my) ** 2).sum() / count
        covariance = ((x - mx) * (y - my)).sum() / count
        c1, c2 = (PEAK / 100) ** 2, (3 * PEAK / 100) ** 2
        above = (2 * mx * my + c1) * (2 * covariance + c2)
        near(ssim(x, y), above / ((mx**2 + my**2 + c1) * (vx + vy + c2)))


def test_mean_psnr_of_unequal_images():
    near(mean_psnr(PEAK**2 * np.array([0.1, 0.01, 1e-6])), (10 + 20 + 60) / 3)
