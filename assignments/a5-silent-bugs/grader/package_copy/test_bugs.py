"""Tests that compare the parts with the functions of the package that they resemble."""

import numpy as np
from coordinates import centres
from metrics import luma, mean_psnr, psnr, ssim
from training import learning_rate

from nerdrain.evaluation.metrics import matlab_y, psnr_rgb, ssim_rgb
from nerdrain.model.coordinates import pixel_centres
from nerdrain.training.loop import learning_rate as package_rate
from nerdrain.training.recipes import Recipe

IMAGES = np.random.default_rng(0).uniform(size=(2, 16, 16, 3))


def test_centres_equal_the_package():
    assert np.allclose(centres(5), pixel_centres(5).numpy())


def test_learning_rate_equals_the_package():
    recipe = Recipe(max_steps=20, warmup=5, lr=0.1)
    for step in range(20):
        assert abs(learning_rate(step, 20, 5, 0.1) - package_rate(step, 20, recipe)) < 1e-6


def test_luma_equals_the_package():
    assert np.allclose(luma(IMAGES[0]), matlab_y(IMAGES[0], rounded=False))


def test_psnr_equals_the_package():
    assert abs(psnr(*IMAGES) - psnr_rgb(*IMAGES)) < 0.1


def test_ssim_equals_the_package():
    assert abs(ssim(*IMAGES[..., 0]) - ssim_rgb(*IMAGES)) < 0.01


def test_mean_psnr_equals_the_package():
    errors = [np.mean((image - 0.5) ** 2) for image in IMAGES]
    expected = np.mean([psnr_rgb(image, np.full_like(image, 0.5)) for image in IMAGES])
    assert abs(mean_psnr(np.array(errors)) - expected) < 0.1
