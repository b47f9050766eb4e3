"""Tests that compare each part with an oracle, written from its docstring, on random inputs."""

import json
from pathlib import Path

import numpy as np
import scipy.ndimage
import scipy.special
from coordinates import centres, encode, ensemble_weights, resize
from layers import channel_attention, gate, make_stack, mix_windows
from metrics import luma, mean_psnr, psnr, ssim
from training import augment, frequency_loss, learning_rate, update_average

VARIANT = json.loads(Path(__file__).with_name("variant.json").read_text())


def same(value, expected):
    value, expected = np.asarray(value), np.asarray(expected)
    assert value.shape == expected.shape
    assert np.all(np.abs(value - expected) <= 1e-6 * (1 + np.abs(expected)))


def test_mix_windows():
    rng = np.random.default_rng(1)
    for size, shift in [(2, 1), (3, 2), (3, 0)]:
        x = rng.normal(size=(6, 12))
        box = scipy.ndimage.uniform_filter(x, size, origin=0 if size % 2 else -1, mode="wrap")
        middle = (size - 1) // 2
        expected = np.empty_like(x)
        for row in range(6):
            for column in range(12):
                top = (row - shift) // size * size + shift
                left = (column - shift) // size * size + shift
                expected[row, column] = box[(top + middle) % 6, (left + middle) % 12]
        same(mix_windows(x, size, shift), expected)


def test_channel_attention():
    rng = np.random.default_rng(2)
    q, k, v = rng.normal(size=(3, 4, 9))
    k *= np.arange(1, 5)[:, None]
    cosines = (q @ k.T) / np.outer(np.linalg.norm(q, axis=1), np.linalg.norm(k, axis=1))
    for temperature in (0.5, 3):
        expected = scipy.special.softmax(temperature * cosines, axis=1) @ v
        same(channel_attention(q, k, v, temperature), expected)


def test_gate():
    rng = np.random.default_rng(3)
    a, b, weight, bias = *rng.normal(size=(2, 3, 5)), rng.normal(size=(3, 6)), rng.normal(size=3)
    share = scipy.special.expit(weight @ np.vstack([a, b]) + bias[:, None])
    same(gate(a, b, weight, bias), a + share * b)


def test_make_stack():
    stack = np.stack(make_stack(3, 100, np.random.default_rng(4)))
    deviations = stack.std(axis=(1, 2)) * 10 / VARIANT["GAIN"]
    assert stack.shape == (3, 100, 100) and np.all(np.abs(deviations - 1) < 0.05)
    assert np.abs(np.corrcoef(stack.reshape(3, -1)) - np.eye(3)).max() < 0.1


def test_make_stack_memory():
    first, second = make_stack(2, 4, np.random.default_rng(4))
    before = second.copy()
    first += 1
    same(second, before)


def test_centres():
    for count in range(1, 9):
        edges = np.linspace(-1, 1, 2 * count + 1) * VARIANT["SPAN"]
        same(centres(count), edges[1::2])


def test_encode():
    x = np.linspace(-1, 1, 13)
    for levels in (1, 4):
        waves = np.exp(1j * np.pi * np.outer(x, VARIANT["BASE"] ** np.arange(levels)))
        same(encode(x, levels), np.hstack([waves.imag, waves.real]))


def test_ensemble_weights():
    offsets = np.random.default_rng(5).uniform(size=(30, 2))
    corners = np.array([(0, 0), (0, 1), (1, 0), (1, 1)])
    opposite = 1 - corners
    areas = np.abs(offsets[:, None] - opposite).prod(axis=2)
    same(ensemble_weights(offsets), areas)


def test_resize():
    x = np.random.default_rng(6).normal(size=(5, 7))
    for height, width in [(10, 7), (3, 20), (5, 4)]:
        rows = (np.arange(height) + 0.5) * 5 / height - 0.5
        columns = (np.arange(width) + 0.5) * 7 / width - 0.5
        grid = np.meshgrid(rows, columns, indexing="ij")
        expected = scipy.ndimage.map_coordinates(x, grid, order=1, mode="nearest")
        same(resize(x, height, width), expected)


def test_augment():
    rainy, clean = np.random.default_rng(7).normal(size=(2, 3, 5, 3))
    for code in range(8):
        results = augment(rainy, clean, code)
        for image, result in zip((rainy, clean), results, strict=True):
            expected = np.rot90(image, code)
            same(result, np.flip(expected, VARIANT["FLIP_AXIS"]) if code > 3 else expected)


def test_frequency_loss():
    x, y = np.random.default_rng(8).normal(size=(2, 6, 5, 3))
    total = sum(np.abs(np.fft.fft2(x[..., c] - y[..., c])).sum() for c in range(3))
    same(frequency_loss(x, y), total / x.size)


def test_update_average():
    rng = np.random.default_rng(9)
    old = {name: rng.normal(size=4) for name in "abc"}
    new = {name: rng.normal(size=4) for name in "abc"}
    copy = {name: array.copy() for name, array in old.items()}
    result = update_average(old, new, 0.95)
    for name in "abc":
        same(result[name], 0.95 * copy[name] + 0.05 * new[name])
        same(old[name], copy[name])


def test_learning_rate():
    floor = VARIANT["FLOOR"]
    rates = [learning_rate(step, 25, 4, 3.0) for step in range(25)]
    cosine = np.cos(np.linspace(0, np.pi, 21))
    same(rates, 3 * np.concatenate([[0.25, 0.5, 0.75, 1], floor + (1 - floor) * (1 + cosine) / 2]))


def test_luma():
    image = np.random.default_rng(10).uniform(size=(4, 5, 3))
    weights = np.array([65.481, 128.553, 24.966])
    same(luma(image), np.tensordot(image, weights, axes=1) + VARIANT["OFFSET"])


def test_psnr():
    x, y = np.random.default_rng(11).uniform(0.2, 0.6, (2, 4, 4, 3)) * VARIANT["PEAK"]
    y[..., 0] = x[..., 0]
    same(psnr(x, y), 10 * np.log10(VARIANT["PEAK"] ** 2 / np.mean((x - y) ** 2)))


def test_ssim():
    peak = VARIANT["PEAK"]
    x = np.random.default_rng(12).uniform(0, 0.06 * peak, (6, 6))
    for y in (x[::-1] * 0.5, 0.06 * peak - x, x + 0.02 * peak):
        c = np.cov(x.ravel(), y.ravel(), ddof=0)
        c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
        light = (2 * x.mean() * y.mean() + c1) / (x.mean() ** 2 + y.mean() ** 2 + c1)
        same(ssim(x, y), light * (2 * c[0, 1] + c2) / (c[0, 0] + c[1, 1] + c2))


def test_mean_psnr():
    errors = VARIANT["PEAK"] ** 2 * np.array([0.5, 0.02, 0.0007, 1e-6])
    same(mean_psnr(errors), np.mean([10 * np.log10(VARIANT["PEAK"] ** 2 / e) for e in errors]))
