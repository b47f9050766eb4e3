"""rain.py, rain_styles.py and rain_statistics.py: the layers are rain, and measure as it does."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from nerdrain.data.photos import load_photo, photo_names
from nerdrain.data.rain import (
    MODES,
    DrawnStreaks,
    add_rain,
    compose,
    paint_streaks,
    rain_layer,
    streak_kernel,
)
from nerdrain.data.rain_statistics import autocorrelation, layer_statistics
from nerdrain.data.rain_styles import STYLES, RainStyle, Spread, Streaks, Texture
from nerdrain.errors import NerdrainError
from nerdrain.evaluation.metrics import psnr_matlab_y

# Measured on published pairs of Rain200L and Rain200H (they agree with Rain100L and Rain100H).
BENCHMARKS = {
    "light": {
        "mean": (0.020, 0.022),
        "std": (0.043, 0.054),
        "share_over_0.02": (0.21, 0.23),
        "share_over_0.1": (0.06, 0.07),
        "share_over_0.3": (0.002, 0.010),
        "percentile_99": (0.21, 0.27),
        "half_width_across": (1.4, 1.4),
        "half_width_along": (17, 19),
    },
    "heavy": {
        "mean": (0.16, 0.22),
        "std": (0.126, 0.150),
        "share_over_0.02": (0.70, 0.88),
        "share_over_0.1": (0.52, 0.70),
        "share_over_0.3": (0.21, 0.30),
        "percentile_99": (0.48, 0.60),
        "half_width_across": (1.4, 1.4),
        "half_width_along": (17, 17),
    },
}
PSNR = {"light": (27, 27), "heavy": (14, 17)}
TOLERANCE = 0.25
LAYERS = 50


def one_kind(**changes) -> RainStyle:
    """Upright streaks without any chance in their shape, for closed forms."""
    fixed = Streaks(
        density=(4000, 4000),
        length=Spread(40, 40, 40, largest=40),
        width=Spread(2, 2, 2, largest=2),
        peak=(0.05, 0.05),
        contrast=1.0,
    )
    return RainStyle(soft=replace(fixed, **changes), angle_std=0.0, scatter=0.0)


@pytest.fixture(scope="module")
def measured():
    """Every figure of 50 layers of each benchmark style, (style, figure) -> array (50,)."""
    tables = {}
    for style in BENCHMARKS:
        rows = [layer_statistics(rain_layer(384, 384, style, seed)) for seed in range(LAYERS)]
        tables |= {(style, name): np.array([row[name] for row in rows]) for name in rows[0]}
    return tables


@pytest.mark.parametrize(
    ("style", "figure"), [(style, figure) for style in BENCHMARKS for figure in BENCHMARKS[style]]
)
def test_layers_measure_as_the_benchmark(measured, style, figure):
    low, high = BENCHMARKS[style][figure]
    mean = measured[style, figure].mean()
    assert low * (1 - TOLERANCE) <= mean <= high * (1 + TOLERANCE)


@pytest.mark.parametrize("style", ["light", "heavy"])
def test_rainy_photographs_are_as_far_from_clean_ones_as_the_benchmark(style):
    psnr = []
    for seed, name in enumerate(photo_names()[::4]):
        clean = load_photo(name)[:384, :384]
        rainy, _ = add_rain(clean, style, seed)
        # MATLAB's Y in closed form: the offset of 16 cancels in the difference.
        weights = np.array([65.481, 128.553, 24.966])
        error = (rainy - clean / 255) @ weights
        psnr.append(10 * np.log10(255**2 / np.mean(error**2)))
    low, high = PSNR[style]
    assert low * (1 - TOLERANCE) <= np.mean(psnr) <= high * (1 + TOLERANCE)


def test_mixed_rain_spans_light_to_heavy():
    layers = [rain_layer(128, 128, "mixed", seed) for seed in range(60)]
    means = np.array([layer.mean() for layer in layers])
    assert np.quantile(means, 0.2) < 0.03 and np.quantile(means, 0.85) > 0.1 and means.max() < 0.6


# ---------------------------------------------------------------- closed forms


@pytest.mark.parametrize("angle", [0.0, 45.0])
def test_mean_of_soft_streaks_is_campbells_theorem(angle):
    # Mean = streaks per pixel x the volume of one: peak x length x the integral of a Gaussian of
    # that FWHM (1.0645 FWHM) x the mean of its fading ends (1 - fade / 2, sin^2 being half).
    style = replace(one_kind(fade=(0.5, 0.5)), angle_std=1e6, angle_limit=angle)
    expected = 4000e-6 * 0.05 * 40 * 1.0645 * 2 * (1 - 0.5 / 2)
    means = [rain_layer(500, 500, style, seed).mean() for seed in range(12)]
    assert np.mean(means) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("x", [9.7, 10.0, 10.3])
@pytest.mark.parametrize("degrees", [-30, 0, 30])
def test_one_streak_is_a_gaussian_across(x, degrees):
    # Down by one pixel, the section moves right by tan(angle) and is wider by 1/cos(angle).
    angle, width, peak, rows, columns = np.deg2rad(degrees), 2.0, 0.5, 9, np.arange(21)
    streak = DrawnStreaks(*(np.array([v]) for v in (4.0, x, angle, 100.0, width, peak)))
    canvas = np.zeros((rows, columns.size), np.float32)
    paint_streaks(canvas, streak, fade=0.1)
    centres = x + (np.arange(rows) - 4)[:, None] * np.tan(angle)
    across = (columns - centres) * np.cos(angle)
    expected = peak * np.exp(-4 * np.log(2) * (across / width) ** 2)
    np.testing.assert_allclose(canvas, expected, atol=0.01 * peak)


def test_cover_of_hard_lines_is_the_boolean_models():
    # Lines of one value thrown at random cover 1 - exp(-streaks per pixel x area) of the plane.
    style = one_kind(hard=True, peak=(0.5, 0.5), width=Spread(3, 3, 3, largest=3))
    mean = np.mean([rain_layer(500, 500, style, seed).mean() for seed in range(12)])
    assert mean == pytest.approx(0.5 * (1 - np.exp(-4000e-6 * 40 * 3)), rel=0.03)


def test_hard_lines_do_not_add_up():
    style = one_kind(hard=True, peak=(0.5, 0.5), density=(40000, 40000))
    assert rain_layer(100, 100, style).max() == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(4))
def test_streaks_follow_their_angle(seed):
    style = replace(one_kind(), angle_std=1e6, angle_limit=20.0, scatter=1.6)  # -20 or 20 degrees
    figures = layer_statistics(rain_layer(300, 300, style, seed))
    assert abs(figures["angle"]) == pytest.approx(20, abs=1.5)
    # A Gaussian's autocorrelation is sqrt(2) times as wide: half of 2 px x 1.414.
    assert figures["half_width_across"] == pytest.approx(1.414, rel=0.1)


def test_both_leanings_and_several_directions_occur():
    style = replace(one_kind(), angle_std=1e6, angle_limit=20.0, directions=(0.5, 0.5))
    angles = [layer_statistics(rain_layer(160, 160, style, s))["angle"] for s in range(12)]
    assert min(angles) < -5 and max(angles) > 5


@pytest.mark.parametrize("spread", [Spread(10, 37, 75, 1e9), Spread(30, 30, 60, 1e9)])
def test_spread_has_its_percentiles(spread):
    draws = spread.draw(np.random.default_rng(0), 40000)
    got = np.quantile(draws, [0.1, 0.5, 0.9])
    assert got == pytest.approx([spread.low, spread.median, spread.high], rel=0.03)
    assert replace(spread, largest=50).draw(np.random.default_rng(0), 999).max() == 50


def test_autocorrelation_of_a_stripe_pattern():
    # Columns alternate, so a shift by one column anticorrelates and a shift down changes nothing.
    correlation = autocorrelation(np.tile([0.0, 1.0], (6, 4)))
    assert correlation.shape == (11, 15)
    assert correlation[5, 7:] == pytest.approx([1, -1, 1, -1, 1, -1, 1, -1])
    assert correlation[:, 7] == pytest.approx(np.ones(11))


def test_half_width_of_a_wide_blob_is_measured_both_ways():
    y, x = np.mgrid[:401, :401] - 200.0
    blob = np.exp(-0.5 * ((y / 9) ** 2 + (x / 3) ** 2))
    figures = layer_statistics(blob)
    # The autocorrelation of a Gaussian has sigma sqrt(2) and falls to half at 1.1774 sigma.
    # One blob is no stationary pattern: dividing by the overlap widens it by a few percent.
    assert figures["half_width_across"] == pytest.approx(1.1774 * 2**0.5 * 3, rel=0.06)
    assert figures["half_width_along"] == pytest.approx(1.1774 * 2**0.5 * 9, rel=0.06)
    assert figures["angle"] == 0


# ---------------------------------------------------------------- texture, extreme and wild rain


def only_texture(**changes) -> RainStyle:
    """A texture of fixed density, blur and contrast, and no streaks."""
    fixed = Texture(
        density=(2000, 2000), length=(30, 30), width=(4, 4), contrast=(0.03, 0.03), scales=(1, 1)
    )
    no_streaks = replace(one_kind().soft, density=(1e-9, 1e-9))
    style = RainStyle(soft=no_streaks, angle_std=0.0, scatter=0.0)
    return replace(style, texture=replace(fixed, **changes), texture_share=1.0)


def test_a_texture_has_its_contrast_and_its_mean():
    # Campbell: the variance is 2 n a^2 (sum of the squared kernel), the mean n a (its sum). The
    # sums are the integrals of sin^2 (1/2), sin^4 (3/8), a Gaussian and its square.
    layers = np.array([rain_layer(300, 300, only_texture(), seed) for seed in range(30)])
    sigma = 4 / 2.3548
    whole = 30 / 2 * sigma * np.sqrt(2 * np.pi)
    squares = 30 * 3 / 8 * sigma * np.sqrt(np.pi)
    height = 0.03 / np.sqrt(2 * 2000e-6 * squares)
    assert layers.std() == pytest.approx(0.03, rel=0.05)
    assert layers.mean() == pytest.approx(2000e-6 * height * whole, rel=0.05)
    edge = np.concatenate([layers[:, :8].ravel(), layers[:, :, -8:].ravel()])
    assert edge.mean() == pytest.approx(layers.mean(), rel=0.1)


def test_scales_of_a_texture_add_up():
    layers = [rain_layer(300, 300, only_texture(scales=(4, 4)), seed) for seed in range(10)]
    assert np.std(layers) == pytest.approx(2 * 0.03, rel=0.1)


@pytest.mark.parametrize("degrees", [-40, 0, 25])
def test_a_texture_lies_along_the_streaks(degrees):
    style = replace(only_texture(), angle_std=1e6, angle_limit=abs(degrees))
    measured = [layer_statistics(rain_layer(300, 300, style, seed))["angle"] for seed in range(6)]
    assert np.abs(measured) == pytest.approx(abs(degrees), abs=4)


@pytest.mark.parametrize("angle", [0.0, 0.7])
def test_a_kernel_is_a_gaussian_across_and_fades_along(angle):
    kernel = streak_kernel(20, 3, angle)
    centre = len(kernel) // 2
    assert kernel[centre, centre] == 1
    for along, across, expected in ((0, 1.5, 0.5), (5, 0, 0.5), (10, 0, 0), (5, 1.5, 0.25)):
        y = centre + along * np.cos(angle) - across * np.sin(angle)
        x = centre + along * np.sin(angle) + across * np.cos(angle)
        value = map_coordinates(kernel, [[y], [x]], order=3)[0]
        assert value == pytest.approx(expected, abs=0.02)


def test_extreme_rain_is_heavier_than_heavy_rain():
    psnr = {}
    for style in ("heavy", "extreme"):
        pairs = [(load_photo(name)[:256, :256], i) for i, name in enumerate(photo_names()[::4])]
        psnr[style] = [psnr_matlab_y(add_rain(x, style, i)[0], x / 255) for x, i in pairs]
    assert np.mean(psnr["extreme"]) < np.mean(psnr["heavy"]) - 2
    assert min(psnr["extreme"]) < 10


def test_wild_rain_is_wide_and_of_low_contrast():
    rows = [layer_statistics(rain_layer(300, 300, "wild", seed)) for seed in range(30)]
    width = np.nanmedian([row["half_width_across"] for row in rows])
    assert 2 < width < 6  # light and heavy rain: 1.4
    assert np.median([row["std"] for row in rows]) < 0.09  # heavy rain: 0.13 to 0.15
    assert np.std([row["angle"] for row in rows]) > 15


# ---------------------------------------------------------------- sizes, types, seeds


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", [(1, 1), (1, 97), (97, 1), (3, 5), (64, 33)])
def test_every_size(style, size):
    for seed in range(5):
        layer = rain_layer(*size, style, seed)
        assert layer.shape == size and layer.dtype == np.float32
        assert layer.min() >= 0 and layer.max() <= 1
        assert np.isfinite(layer_statistics(layer)["percentile_99"])


def test_rain_falls_to_the_edges_alike():
    total = sum(rain_layer(96, 96, "light", seed) for seed in range(200))
    inner = total[24:-24, 24:-24].mean()
    for edge in (total[:8], total[-8:], total[:, :8], total[:, -8:]):
        assert edge.mean() == pytest.approx(inner, rel=0.2)


def test_wide_clumps_thin_out_at_no_edge():
    # Short streaks leave no margin that would hide clumps drifting out of the layer.
    style = one_kind(length=Spread(4, 4, 4, largest=4), clump=(8, 8), clump_radius=40.0)
    total = sum(rain_layer(96, 96, style, seed) for seed in range(300))
    assert total[:6].mean() == pytest.approx(total[40:56].mean(), rel=0.2)
    assert total[:, :6].mean() == pytest.approx(total[:, 40:56].mean(), rel=0.2)


@pytest.mark.parametrize("style", STYLES)
def test_same_seed_same_rain(style):
    first = rain_layer(40, 50, style, 7)
    assert np.array_equal(first, rain_layer(40, 50, style, 7))
    assert not np.array_equal(first, rain_layer(40, 50, style, 8))
    assert np.array_equal(first, rain_layer(40, 50, style, np.random.default_rng(7)))


def test_a_generator_is_drawn_from():
    rng = np.random.default_rng(0)
    assert not np.array_equal(rain_layer(64, 64, "heavy", rng), rain_layer(64, 64, "heavy", rng))


@given(seed=st.integers(0, 10**6), factor=st.floats(0.1, 2.0))
def test_brighter_rain_is_the_same_rain_scaled(seed, factor):
    dim = rain_layer(24, 31, one_kind(peak=(0.02, 0.02)), seed)
    bright = rain_layer(24, 31, one_kind(peak=(0.02 * factor, 0.02 * factor)), seed)
    np.testing.assert_allclose(bright, dim * np.float32(factor), rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------- composition


@given(
    clean=st.floats(0, 1, width=32),
    rain=st.floats(0, 1, width=32),
    veil=st.floats(0, 1),
    airlight=st.floats(0, 1),
)
def test_composition_by_its_equations(clean, rain, veil, airlight):
    image, layer = np.full((2, 3, 3), clean, np.float32), np.full((2, 3), rain, np.float32)
    expected = {
        "additive": min(1, clean + rain),
        "screen": 1 - (1 - clean) * (1 - rain),
        "veil": min(1, (1 - veil) * (clean + rain) + veil * airlight),
        "opaque": (1 - rain) * clean + rain * airlight,
    }
    assert set(expected) == set(MODES)
    for mode, value in expected.items():
        rainy = compose(image, layer, mode, airlight=airlight, veil=veil)
        assert rainy.dtype == np.float32 and rainy.shape == image.shape
        np.testing.assert_allclose(rainy, value, atol=1e-6)
    assert compose(image, layer, "screen").max() <= compose(image, layer, "additive").max() + 1e-6


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8])
def test_compose_takes_floats_and_bytes(dtype):
    clean = np.full((4, 5, 3), 51 if dtype == np.uint8 else 0.2, dtype)
    rainy = compose(clean, np.full((4, 5), 0.25))
    assert rainy.dtype == np.float32
    np.testing.assert_allclose(rainy, 0.45, atol=1e-3)


def test_add_rain_is_its_layer_composed():
    clean = load_photo("chelsea")[:60, :70]
    rainy, layer = add_rain(clean, "heavy", seed=3)
    assert np.array_equal(layer, rain_layer(60, 70, "heavy", 3))
    # Exactly what Rain100 and Rain200 are, grey and added alike.
    np.testing.assert_allclose(
        rainy, np.minimum(clean / 255 + layer[:, :, None], 1), rtol=0, atol=1e-6
    )
    assert np.array_equal(add_rain(clean, "heavy", 3, "screen")[0], compose(clean, layer, "screen"))


def test_opaque_rain_hides_the_scene_in_any_mode():
    white = np.ones((40, 50, 3))
    rainy, layer = add_rain(white, "opaque", seed=1, mode="screen")
    assert layer.max() > 0.5
    np.testing.assert_allclose(rainy, 1 - 0.2 * layer[:, :, None].repeat(3, axis=2), atol=1e-6)


def test_no_rain_changes_nothing():
    clean = load_photo("coffee")[:20, :30].astype(np.float32) / 255
    for mode in ("additive", "screen"):
        np.testing.assert_allclose(compose(clean, np.zeros((20, 30)), mode), clean, atol=1e-6)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rain_layer(8, 8, "drizzle"), "no rain style 'drizzle'; choose one of light, heav"),
        (lambda: rain_layer(0, 8), "a rain layer cannot have 0x8 pixels"),
        (lambda: rain_layer(8, 8, seed=-1), "seed -1 is negative"),
        (
            lambda: compose(np.zeros((4, 4, 3)), np.zeros((4, 5))),
            r"image of shape \(4, 4, 3\) and a rain layer of shape \(4, 5\) do not fit",
        ),
        (lambda: compose(np.zeros((4, 4)), np.zeros((4, 4))), r"give \(H, W, C\) and \(H, W\)"),
        (
            lambda: compose(np.full((2, 2, 3), 200.0), np.zeros((2, 2))),
            r"values outside \[0, 1\]; give uint8, or divide by 255",
        ),
        (
            lambda: compose(np.full((2, 2, 3), np.nan), np.zeros((2, 2))),
            r"values outside \[0, 1\]",
        ),
        (
            lambda: compose(np.zeros((2, 2, 3)), np.zeros((2, 2)), "multiply"),
            "no mode 'multiply'; choose one of additive, screen, veil",
        ),
        (lambda: layer_statistics(np.zeros((2, 2, 3))), r"not shape \(2, 2, 3\)"),
        (lambda: layer_statistics(np.zeros((0, 2))), r"not shape \(0, 2\)"),
    ],
)
def test_bad_input_says_so(call, message):
    with pytest.raises(NerdrainError, match=message):
        call()
