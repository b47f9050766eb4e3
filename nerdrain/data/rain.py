"""Draw synthetic rain layers whose statistics match the benchmarks, and add them to images.

Rain200L/H and Rain100L/H are exactly `rainy = min(1, clean + R)`, where one grey layer R >= 0 is
added to all three channels. So a generator of R is enough to generate training pairs. A layer has
two kinds of streak. Soft streaks have a Gaussian profile, fade at the ends and add up. Hard lines
occur in many heavy layers; they have a constant value, and the brighter of two lines is visible.
Some layers also have blobs, which are short and wide streaks, and a texture of dense rain.
`nerdrain.data.rain_styles` holds the distributions.
"""

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from jaxtyping import Float, Float32, UInt8
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from nerdrain.data.rain_styles import STYLES, Z90, Mode, RainStyle, Range, Streaks, Texture
from nerdrain.errors import NerdrainError

MODES: tuple[str, ...] = get_args(Mode)
Floats = NDArray[np.floating[Any]]
Indices = NDArray[np.intp]
SIGMA_PER_FWHM = 1 / (2 * np.sqrt(2 * np.log(2)))


@dataclass(frozen=True)
class DrawnStreaks:
    """Streaks to paint: arrays of shape (streaks,) in pixels, `angle` in radians from vertical."""

    y: Floats
    x: Floats
    angle: Floats
    length: Floats
    width: Floats
    peak: Floats


def _draw_log_uniform(rng: np.random.Generator, bounds: Range) -> float:
    """Draw log-uniformly, because the ranges span ratios, not differences."""
    return float(np.exp(rng.uniform(np.log(bounds[0]), np.log(bounds[1]))))


def _draw_directions(rng: np.random.Generator, style: RainStyle) -> tuple[Floats, Floats]:
    """Draw the directions of a layer, in degrees from vertical, and their shares of the streaks."""
    count = 1 + int(rng.choice(len(style.directions), p=style.directions))
    angle = np.clip(rng.normal(0, style.angle_std), -style.angle_limit, style.angle_limit)
    if count == 1:
        return np.array([angle]), np.ones(1)
    spread, main = rng.uniform(*style.direction_spread), rng.uniform(*style.main_share)
    angles = angle + rng.permutation(np.linspace(-spread / 2, spread / 2, count))
    return angles, np.array([main] + [(1 - main) / (count - 1)] * (count - 1))


def _draw_centres(rng: np.random.Generator, kind: Streaks, sides: Floats) -> Floats:
    """Draw centres (2, streaks) from a Poisson cluster process that wraps around at the edges."""
    clump = _draw_log_uniform(rng, kind.clump)
    expected = _draw_log_uniform(rng, kind.density) * sides.prod() / 1e6
    parents = rng.uniform(0, 1, (2, rng.poisson(expected / clump))) * sides
    if clump == 1:
        return parents
    centres = np.repeat(parents, rng.poisson(clump, parents.shape[1]), axis=1)
    return (centres + rng.normal(0, kind.clump_radius, centres.shape)) % sides


def _draw_streaks(
    rng: np.random.Generator,
    style: RainStyle,
    kind: Streaks,
    directions: tuple[Floats, Floats],
    size: tuple[int, int],
) -> DrawnStreaks:
    """Draw the streaks of one kind for a layer of `size`, including those that start outside."""
    length_scale = _draw_log_uniform(rng, kind.length_scale)
    width_scale = _draw_log_uniform(rng, kind.width_scale)
    margin = kind.length.largest * length_scale / 2
    y, x = _draw_centres(rng, kind, np.array(size)[:, None] + 2 * margin) - margin
    contrast = np.exp(rng.standard_normal(y.size) / Z90 * np.log(kind.contrast))
    angles, shares = directions
    degrees = rng.choice(angles, y.size, p=shares) + rng.normal(0, style.scatter, y.size)
    length = kind.length.draw(rng, y.size) * length_scale
    width = kind.width.draw(rng, y.size) * width_scale
    peak = _draw_log_uniform(rng, kind.peak) * contrast
    return DrawnStreaks(y, x, np.deg2rad(degrees), length, width, peak)


def _cut_into_rows(
    drawn: DrawnStreaks, chosen: Indices, size: tuple[int, int], reach: int
) -> tuple[Indices, Indices, Floats, Floats]:
    """Cut streaks at the image's rows: each cut's streak, row, distance below its centre, and x."""
    half = drawn.length[chosen] / 2 * np.cos(drawn.angle[chosen])
    first = np.maximum(np.ceil(drawn.y[chosen] - half), 0).astype(np.intp)
    last = np.minimum(np.floor(drawn.y[chosen] + half), size[0] - 1).astype(np.intp)
    counts = np.maximum(last - first + 1, 0)
    cuts_before = np.cumsum(counts) - counts
    streak = np.repeat(chosen, counts)
    row = np.arange(streak.size) + np.repeat(first - cuts_before, counts)
    down = row - drawn.y[streak]
    x = drawn.x[streak] + down * np.tan(drawn.angle)[streak]
    visible = np.flatnonzero((x > -1 - reach) & (x < size[1] + reach))
    return streak[visible], row[visible], down[visible], x[visible]


def paint_streaks(
    canvas: Float32[np.ndarray, "h w"], drawn: DrawnStreaks, fade: float | None
) -> None:
    """Paint all streaks at once, anti-aliased, row by row.

    The cut of a slanted streak by a row has the streak's profile, widened by 1/cos(angle). Soft
    streaks add up; `fade` is the share of their length over which they fade, in (0, 1]. None
    paints hard lines, of which the brighter is visible. The canvas is changed in place.
    """
    section = drawn.width / np.cos(drawn.angle)
    reaches = np.ceil(section if fade is not None else section / 2).astype(np.intp)
    pad = 2 * int(reaches.max(initial=0)) + 1  # so every cut stays in its row of the padded canvas
    padded = np.zeros((canvas.shape[0], canvas.shape[1] + 2 * pad), np.float32)
    flat = padded.reshape(-1)
    for reach in np.unique(reaches):  # a few different widths, each with all its streaks
        chosen = np.flatnonzero(reaches == reach)
        streak, row, down, x = _cut_into_rows(drawn, chosen, canvas.shape, int(reach))
        nearest = np.rint(x).astype(np.intp)
        offset = (nearest - x).astype(np.float32)
        index = row * padded.shape[1] + nearest + pad
        value = drawn.peak[streak].astype(np.float32)
        wide = section[streak].astype(np.float32)
        if fade is None:
            for step in range(-reach, reach + 1):
                cover = np.clip(wide / 2 + 0.5 - np.abs(offset + step), 0, 1)
                np.maximum.at(flat, index + step, value * cover)
            continue
        from_end = 1 - np.abs(down) / (drawn.length / 2 * np.cos(drawn.angle))[streak]
        value *= np.sin(np.pi / 2 * np.minimum(from_end / fade, 1)).astype(np.float32) ** 2
        exponent = -0.5 / (wide * np.float32(SIGMA_PER_FWHM)) ** 2
        for step in range(-reach, reach + 1):
            np.add.at(flat, index + step, value * np.exp(exponent * (offset + step) ** 2))
    canvas += padded[:, pad:-pad]


def streak_kernel(length: float, width: float, angle: float) -> Float[np.ndarray, "n n"]:
    """A soft streak around the centre: a Gaussian across it, and sin^2 from end to end along it.

    Args:
        length: in pixels.
        width: full width at half maximum, in pixels.
        angle: in radians from vertical.
    """
    reach = int(np.ceil(length / 2 + width))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
    along = y * np.cos(angle) + x * np.sin(angle)
    across = x * np.cos(angle) - y * np.sin(angle)
    fading = np.cos(np.pi * np.clip(along / length, -0.5, 0.5)) ** 2
    kernel: Floats = fading * np.exp(-0.5 * (across / (width * SIGMA_PER_FWHM)) ** 2)
    return kernel


def paint_texture(
    canvas: Float32[np.ndarray, "h w"],
    rng: np.random.Generator,
    texture: Texture,
    directions: tuple[Floats, Floats],
) -> None:
    """Add the texture of dense rain to a layer: sparse noise, blurred along the streaks.

    The impulses are at random pixels and have exponential heights. By Campbell's theorem, n
    impulses per pixel of mean height a give the variance 2 n a^2 (sum of the squared kernel). So a
    follows from the contrast. The canvas is changed in place.
    """
    angles, shares = directions
    for _ in range(rng.integers(texture.scales[0], texture.scales[1] + 1)):
        degrees = float(rng.choice(angles, p=shares))
        length, width = (
            _draw_log_uniform(rng, texture.length),
            _draw_log_uniform(rng, texture.width),
        )
        kernel = streak_kernel(length, width, np.deg2rad(degrees))
        per_pixel = _draw_log_uniform(rng, texture.density) / 1e6
        height = _draw_log_uniform(rng, texture.contrast)
        height /= np.sqrt(2 * per_pixel * np.square(kernel).sum())
        size = [n + len(kernel) - 1 for n in canvas.shape]  # the kernel reaches over the edges
        noise = height * rng.standard_gamma(rng.poisson(per_pixel, size))
        canvas += fftconvolve(noise, kernel, mode="valid").astype(np.float32)


def find_style(style: str | RainStyle) -> RainStyle:
    """Return the style of that name; a `RainStyle` is returned as it is.

    Raises:
        NerdrainError: There is no style of that name.
    """
    if isinstance(style, RainStyle):
        return style
    if style not in STYLES:
        raise NerdrainError(f"there is no rain style {style!r}; choose one of {', '.join(STYLES)}.")
    return STYLES[style]


def rain_layer(
    height: int,
    width: int,
    style: str | RainStyle = "light",
    seed: int | np.random.Generator = 0,
) -> Float32[np.ndarray, "h w"]:
    """Draw a rain layer R in [0, 1], which is added to each channel of an image of that size.

    Args:
        height: in pixels, 1 or more.
        width: in pixels, 1 or more.
        style: "light", "heavy", "mixed", "extreme", "wild", "opaque", or your own RainStyle.
        seed: the same seed, size and style give the same layer. A Generator is also accepted.

    Raises:
        NerdrainError: The style is unknown, the size is below 1, or the seed is negative.
    """
    style = find_style(style)
    if height < 1 or width < 1:
        raise NerdrainError(f"a rain layer cannot have {height}x{width} pixels; give 1x1 or more.")
    if not isinstance(seed, np.random.Generator) and seed < 0:
        raise NerdrainError(f"seed {seed} is negative; give 0 or more, or a NumPy Generator.")
    rng = np.random.default_rng(seed)
    layer = np.zeros((height, width), np.float32)
    directions = _draw_directions(rng, style)
    kinds = [style.soft]
    if style.lines is not None and rng.uniform() < style.lines_share:
        kinds.append(style.lines)
    if style.blobs is not None and rng.uniform() < style.blobs_share:
        kinds.append(style.blobs)
    if style.texture is not None and rng.uniform() < style.texture_share:
        paint_texture(layer, rng, style.texture, directions)
    for kind in kinds:
        drawn = _draw_streaks(rng, style, kind, directions, layer.shape)
        paint_streaks(layer, drawn, None if kind.hard else _draw_log_uniform(rng, kind.fade))
    return np.clip(layer, 0, 1, out=layer)


def compose(
    clean: Float[np.ndarray, "h w c"] | UInt8[np.ndarray, "h w c"],
    layer: Float[np.ndarray, "h w"] | Float[np.ndarray, "h w c"],
    mode: Mode = "additive",
    *,
    airlight: float = 0.8,
    veil: float | Float[np.ndarray, "h w 1"] = 0.3,
) -> Float32[np.ndarray, "h w c"]:
    """Add a rain layer R >= 0 to a clean image B; values are in [0, 1].

    A layer (H, W) is added to all channels; (H, W, C) is rain with a colour.

    "additive" is min(1, B + R), exactly as in Rain100 and Rain200. "screen" is 1 - (1 - B)(1 - R),
    close to DDN-Data. "veil" is min(1, (1 - v)(B + R) + v A). It adds the haze of heavy rain: the
    airlight A is the brightness of the haze, and the veil v is the share of the light that is haze;
    an array gives every pixel its own share. "opaque" is (1 - R) B + R A: drops of opacity R and
    brightness A hide what is behind them.

    Raises:
        NerdrainError: The mode is unknown, the sizes differ, or B has values outside [0, 1].
    """
    rain = layer.astype(np.float32)
    if rain.ndim == 2:
        rain = rain[:, :, None]  # (H, W, 1)
    if clean.ndim != 3 or rain.shape not in (clean.shape, (*clean.shape[:2], 1)):
        raise NerdrainError(
            f"an image of shape {clean.shape} and a rain layer of shape {layer.shape} do not fit; "
            "give (H, W, C) and (H, W)."
        )
    background = clean.astype(np.float32)
    if clean.dtype == np.uint8:
        background /= 255
    if background.size and not (background.min() >= 0 and background.max() <= 1):
        raise NerdrainError("the image has values outside [0, 1]; give uint8, or divide by 255.")
    if mode == "additive":
        rainy = background + rain
    elif mode == "screen":
        rainy = 1 - (1 - background) * (1 - np.minimum(rain, 1))
    elif mode == "veil":
        rainy = (1 - veil) * (background + rain) + veil * airlight
    elif mode == "opaque":
        rainy = (1 - rain) * background + rain * airlight
    else:
        raise NerdrainError(f"there is no mode {mode!r}; choose one of {', '.join(MODES)}.")
    return np.clip(rainy, 0, 1, dtype=np.float32)


def add_rain(
    clean: Float[np.ndarray, "h w c"] | UInt8[np.ndarray, "h w c"],
    style: str | RainStyle = "light",
    seed: int | np.random.Generator = 0,
    mode: Mode = "additive",
) -> tuple[Float32[np.ndarray, "h w c"], Float32[np.ndarray, "h w"]]:
    """Draw a rain layer, add it to a clean image, and return the rainy image and the layer.

    Arguments and errors are those of `rain_layer` and `compose`. A style that sets its own mode,
    such as "opaque", ignores `mode`.
    """
    style = find_style(style)
    layer = rain_layer(clean.shape[0], clean.shape[1], style, seed)
    return compose(clean, layer, style.mode or mode), layer
