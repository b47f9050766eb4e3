"""Tests that check shapes and types, but no values."""

import numpy as np
from coordinates import centres, encode, ensemble_weights, resize
from layers import channel_attention, gate, make_stack, mix_windows
from metrics import luma, mean_psnr, psnr, ssim
from training import augment, frequency_loss, learning_rate, update_average

RNG = np.random.default_rng(0)
IMAGE = RNG.uniform(size=(4, 6, 3))


def test_mix_windows_shape():
    assert mix_windows(IMAGE[..., 0], 2, 1).shape == (4, 6)


def test_channel_attention_shape():
    q, k, v = RNG.normal(size=(3, 2, 5))
    assert channel_attention(q, k, v, 1.0).shape == (2, 5)


def test_gate_shape():
    current, feedback = RNG.normal(size=(2, 3, 4))
    assert gate(current, feedback, np.ones((3, 6)), np.ones(3)).shape == (3, 4)


def test_make_stack_shape():
    assert [layer.shape for layer in make_stack(3, 4, RNG)] == [(4, 4)] * 3


def test_centres_shape():
    assert centres(5).shape == (5,)


def test_encode_shape():
    assert encode(np.ones(3), 2).shape == (3, 4)


def test_ensemble_weights_shape():
    assert ensemble_weights(np.ones((7, 2))).shape == (7, 4)


def test_resize_shape():
    assert resize(IMAGE[..., 0], 8, 3).shape == (8, 3)


def test_augment_type():
    assert len(augment(IMAGE, IMAGE, 5)) == 2


def test_frequency_loss_type():
    assert isinstance(frequency_loss(IMAGE, IMAGE), float)


def test_update_average_names():
    assert set(update_average({"a": np.ones(2)}, {"a": np.ones(2)}, 0.9)) == {"a"}


def test_learning_rate_type():
    assert isinstance(learning_rate(3, 10, 2, 0.1), float)


def test_luma_shape():
    assert luma(IMAGE).shape == (4, 6)


def test_psnr_type():
    assert isinstance(psnr(IMAGE, IMAGE + 0.1), float)


def test_ssim_type():
    assert isinstance(ssim(IMAGE[..., 0], IMAGE[..., 1]), float)


def test_mean_psnr_type():
    assert isinstance(mean_psnr(np.ones(3)), float)
