"""Tests in classes, with small examples that were computed by hand."""

import json
import os

import numpy as np
from coordinates import centres, encode, ensemble_weights, resize
from layers import channel_attention, gate, make_stack, mix_windows
from metrics import luma, mean_psnr, psnr, ssim
from training import augment, frequency_loss, learning_rate, update_average

with open(os.path.join(os.path.dirname(__file__), "variant.json")) as file:
    CONSTANTS = json.load(file)
P = CONSTANTS["PEAK"]


def assert_close(a, b):
    a, b = np.array(a, dtype=float), np.array(b, dtype=float)
    assert a.shape == b.shape and np.allclose(a, b, rtol=1e-6, atol=1e-6)


class TestLayers:
    def test_mix_windows(self):
        x = np.arange(16.0).reshape(4, 4)
        corners, top, left = 7.5, 7.5, 7.5
        inside = (5 + 6 + 9 + 10) / 4
        rows = [1 + 2 + 13 + 14, 4 + 7 + 8 + 11]
        top, left = rows[0] / 4, rows[1] / 4
        corners = (0 + 3 + 12 + 15) / 4
        expected = [
            [corners, top, top, corners],
            [left, inside, inside, left],
            [left, inside, inside, left],
            [corners, top, top, corners],
        ]
        x[1, 1] += 4
        expected = np.array(expected)
        expected[1:3, 1:3] += 1
        assert_close(mix_windows(x, 2, 1), expected)

    def test_channel_attention(self):
        q = np.array([[3.0, 0.0], [0.0, 2.0]])
        k = np.array([[0.5, 0.0], [4.0, 4.0]])
        v = np.array([[1.0, 0.0], [0.0, 1.0]])
        root = np.sqrt(0.5)
        for t in (1.0, 3.0):
            scores = np.exp(t * np.array([[1, root], [0, root]]))
            assert_close(channel_attention(q, k, v, t), scores / scores.sum(1, keepdims=True))

    def test_gate(self):
        current, feedback = np.array([[2.0]]), np.array([[3.0]])
        result = gate(current, feedback, np.array([[1.0, -0.5]]), np.array([0.25]))
        assert_close(result, [[2 + 3 / (1 + np.exp(-0.75))]])

    def test_make_stack(self):
        a, b = make_stack(2, 80, np.random.default_rng(0))
        deviation = CONSTANTS["GAIN"] / np.sqrt(80)
        for array in (a, b, (a + b) / np.sqrt(2), (a - b) / np.sqrt(2)):
            assert 0.9 < array.std() / deviation < 1.1


class TestCoordinates:
    def test_centres(self):
        assert_close(centres(4), CONSTANTS["SPAN"] * np.array([-0.75, -0.25, 0.25, 0.75]))

    def test_encode(self):
        a = np.pi * 0.2 * CONSTANTS["BASE"] ** np.array([0, 1, 2])
        assert_close(encode(np.array([0.2]), 3), [[*np.sin(a), *np.cos(a)]])

    def test_ensemble_weights(self):
        assert_close(ensemble_weights(np.array([[0.25, 0.1]])), [[0.675, 0.075, 0.225, 0.025]])

    def test_resize_larger(self):
        x = np.array([[0.0, 4.0]])
        assert_close(resize(x, 1, 4), [[0, 1, 3, 4]])
        assert_close(resize(x.T, 4, 1), [[0], [1], [3], [4]])

    def test_resize_smaller(self):
        assert_close(resize(np.array([[0.0, 1.0, 5.0, 7.0]]), 1, 2), [[0.5, 6]])
        assert_close(resize(np.array([[0.0, 1.0, 5.0, 7.0]] * 3), 3, 2), [[0.5, 6]] * 3)
        assert_close(resize(np.array([[0.0, 1.0, 5.0, 7.0]] * 3), 6, 2), [[0.5, 6]] * 6)


class TestTraining:
    def test_augment(self):
        a, b = np.zeros((2, 3, 3)), np.zeros((2, 3, 3))
        a[0, 1], b[1, 2] = 1, 1
        # the pixels of a and b after 0, 1, 2 and 3 quarter turns
        turned = [((0, 1), (1, 2)), ((1, 0), (0, 1)), ((1, 1), (0, 0)), ((1, 1), (2, 0))]
        for code in range(8):
            for image, (row, column) in zip(augment(a, b, code), turned[code % 4], strict=True):
                height, width = (2, 3) if code % 2 == 0 else (3, 2)
                assert image.shape == (height, width, 3)
                if code >= 4 and CONSTANTS["FLIP_AXIS"] == 0:
                    row = height - 1 - row
                elif code >= 4:
                    column = width - 1 - column
                assert image[row, column, 0] == 1

    def test_frequency_loss(self):
        x, y = np.zeros((2, 4, 1)), np.zeros((2, 4, 1))
        x[0, 0], y[0, 1] = 1, 1
        assert_close(frequency_loss(x, y), (0 + np.sqrt(2) + 2 + np.sqrt(2)) / 4)
        assert_close(frequency_loss(2 * x, x), 1)

    def test_frequency_loss_of_colours(self):
        x = np.zeros((2, 2, 3))
        x[..., 0] = 1
        assert_close(frequency_loss(x, 0 * x), 1 / 3)

    def test_update_average(self):
        old, new = {"a": np.ones(2), "b": np.ones(1)}, {"a": np.zeros(2), "b": 3 * np.ones(1)}
        result = update_average(old, new, 0.75)
        assert_close(result["a"], [0.75, 0.75])
        assert_close(result["b"], [1.5])
        assert_close(old["a"], [1, 1])
        assert_close(old["b"], [1])

    def test_learning_rate(self):
        low = CONSTANTS["FLOOR"]
        rates = [learning_rate(step, 9, 4, 1.0) for step in range(9)]
        wave = [1, 0.5 + np.sqrt(0.125), 0.5, 0.5 - np.sqrt(0.125), 0]
        assert_close(rates, [0.25, 0.5, 0.75, 1, *(low + (1 - low) * np.array(wave))])


class TestMetrics:
    def test_luma(self):
        image = np.array([[[1.0, 0.0, 0.0], [0.0, 0.5, 1.0]]])
        assert_close(luma(image), [[65.481 + CONSTANTS["OFFSET"], 89.2425 + CONSTANTS["OFFSET"]]])

    def test_psnr(self):
        x, y = np.zeros((2, 2, 3)), np.zeros((2, 2, 3))
        y[0, 0, 0] = 0.12 * P  # mean squared error: 0.0012 of the squared peak
        assert_close(psnr(x, y), 29.208187539523752)
        assert psnr(y, y) == float("inf")

    def test_ssim(self):
        x = np.array([[0.0, 0.02], [0.0, 0.02]]) * P
        y = np.array([[0.04, 0.0], [0.04, 0.0]]) * P
        z = np.array([[0.0, 0.0], [0.02, 0.02]]) * P
        assert_close(ssim(x, y), (4e-4 + 1e-4) * (-4e-4 + 9e-4) / (6e-4 * 14e-4))
        assert_close(ssim(x, z), 9e-4 / 11e-4)
        assert_close(ssim(x, x + 0.01 * P), 5e-4 / 6e-4 * 1)

    def test_mean_psnr(self):
        assert_close(mean_psnr(P**2 * np.array([0.1, 0.1, 0.1, 1e-9])), 30)
