"""variety.py: photographs, rain and camera vary, and the clean image varies alike."""

import numpy as np
import pytest

from nerdrain.data.photos import load_photo
from nerdrain.data.rain import compose
from nerdrain.data.synthetic import SyntheticRain
from nerdrain.data.variety import (
    NOISE,
    ZOOM,
    change_gamma,
    crop_at_zoom,
    depth_veil,
    photograph,
    vary_rain,
)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("size", [(300, 451), (1, 1), (20, 400), (64, 64)])
def test_a_crop_has_the_size_of_the_patch(size):
    photo = rng().integers(0, 256, (*size, 3), np.uint8)
    for seed in range(10):
        crop = crop_at_zoom(photo, 32, rng(seed))
        assert crop.shape == (32, 32, 3) and crop.dtype == np.uint8


def test_zoom_changes_how_much_a_crop_shows():
    # The photograph is a ramp, so a crop's slope is that of the photograph over its zoom.
    ramp = np.tile(np.arange(0, 250, 0.5)[None, :, None], (400, 1, 3)).astype(np.uint8)
    slopes = []
    for seed in range(60):
        row = crop_at_zoom(ramp, 64, rng(seed))[32, 4:-4, 0].astype(float)
        slopes.append((row[-1] - row[0]) / (row.size - 1) / 0.5)
    zooms = 1 / np.array(slopes)
    assert ZOOM[0] * 0.9 < zooms.min() < 0.5 and 1.4 < zooms.max() < ZOOM[1] * 1.15
    assert np.median(zooms) == pytest.approx(np.sqrt(ZOOM[0] * ZOOM[1]), rel=0.25)


def test_gamma_keeps_black_white_and_order():
    ramp = np.linspace(0, 1, 11, dtype=np.float32)[None, :, None].repeat(3, 2)
    powers = []
    for seed in range(50):
        curve = change_gamma(ramp, rng(seed))[0, :, 0]
        assert curve[0] == 0 and curve[-1] == 1 and np.all(np.diff(curve) > 0)
        powers.append(np.log(curve[5]) / np.log(0.5))
    assert 0.7 <= min(powers) < 0.8 and 1.25 < max(powers) <= 1.4


def test_rain_keeps_its_mean_and_gets_a_colour():
    layer = np.zeros((64, 64), np.float32)
    layer[20:40, 20:40] = 0.5
    varied = np.array([vary_rain(layer, rng(seed)) for seed in range(50)])
    means = varied.mean((1, 2)) / layer.mean()
    assert means.mean() == pytest.approx(1, abs=0.03)
    assert means.std() == pytest.approx(0.05, rel=0.3)
    assert varied.min() >= 0 and varied.max() <= 1 and varied.dtype == np.float32


def test_haze_grows_from_nothing_and_is_bounded():
    veils = [depth_veil(20, 30, 0.2, rng(seed))[:, :, 0] for seed in range(20)]
    for veil in veils:
        assert veil.min() == 0 and veil.max() == pytest.approx(0.4)
        assert np.abs(np.diff(veil, 2, axis=0)).max() < 1e-6  # a plane
    assert not np.allclose(veils[0], veils[1])
    assert depth_veil(20, 30, 0.6, rng()).max() == pytest.approx(0.8)
    image, veil = np.full((20, 30, 3), 0.2), depth_veil(20, 30, 0.2, rng())
    rainy = compose(image, np.zeros((20, 30)), "veil", airlight=0.9, veil=veil)
    assert rainy == pytest.approx((1 - veil) * 0.2 + veil * 0.9 + np.zeros(3), abs=1e-6)


def test_the_camera_sees_both_images_alike():
    clean = load_photo("chelsea")[:64, :64].astype(np.float32) / 255
    levels = []
    for seed in range(20):
        first, second = photograph(clean, clean, rng(seed))
        assert np.array_equal(first, second)
        levels.append((first - clean).std())
    assert max(levels) > 1.3 * min(levels) and max(levels) < 3 * NOISE[1]


def test_a_varied_dataset_is_reproducible_and_dry_items_are_equal():
    photos = [load_photo("chelsea"), load_photo("coffee")]
    options = {"style": "wild", "mode": "mixed", "patch_size": 48}
    varied = SyntheticRain(photos, **options, variety=1.0)
    plain = SyntheticRain(photos, **options)
    some = SyntheticRain(photos, **options, variety=0.5, repeats=40)
    rainy, clean = varied[0]
    assert rainy.shape == clean.shape == (3, 48, 48)
    assert all(np.array_equal(a, b) for a, b in zip(varied[1], varied.item(0, 1), strict=True))
    assert not np.array_equal(clean, plain[0][1])
    alike = [np.array_equal(some[i][1], SyntheticRain(photos, **options, repeats=40)[i][1])
             for i in range(80)]  # fmt: skip
    assert 20 < sum(alike) < 60
    dry = SyntheticRain(photos, **options, variety=1.0, dry=1.0, repeats=10)
    for index in range(len(dry)):
        rainy, clean = dry[index]
        assert np.array_equal(rainy, clean)
