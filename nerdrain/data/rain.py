"""Procedural rain: layers that look and measure like the benchmarks', and how images take them.

Rain200L/H and Rain100L/H are exactly `rainy = min(1, clean + R)`: one grey layer R >= 0 added to
the three channels alike. So a generator of R is a generator of training pairs. Two kinds of streak
make up a layer: soft ones (Gaussian across, fading at the ends, adding up) and, in much heavy rain,
hard lines of constant value (the brighter hides the other). `nerdrain.data.rain_styles` holds their
distributions.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float, Float32, UInt8
from numpy.typing import NDArray

from nerdrain.data.rain_statistics import layer_statistics
from nerdrain.data.rain_styles import STYLES, Z90, RainStyle, Range, Spread, Streaks
from nerdrain.errors import NerdrainError

__all__ = [
    "STYLES",
    "DrawnStreaks",
    "RainStyle",
    "Spread",
    "Streaks",
    "add_rain",
    "compose",
    "layer_statistics",
    "paint_streaks",
    "rain_layer",
]

Mode = Literal["additive", "screen", "veil"]
MODES: tuple[str, ...] = get_args(Mode)
Floats = NDArray[np.floating[Any]]
Indices = NDArray[np.intp]
SIGMA_PER_FWHM = 1 / (2 * np.sqrt(2 * np.log(2)))


@dataclass(frozen=True)
class DrawnStreaks:
    """Streaks to paint, an array of shape (streaks,) each: pixels, and radians from vertical."""

    y: Floats
    x: Floats
    angle: Floats
    length: Floats
    width: Floats
    peak: Floats


def _one_of(rng: np.random.Generator, bounds: Range) -> float:
    """A log-uniform draw: these ranges span ratios, not differences."""
    return float(np.exp(rng.uniform(np.log(bounds[0]), np.log(bounds[1]))))


@dataclass(frozen=True)
class _Directions:
    """A layer's directions from vertical, in degrees, and the share of streaks of each."""

    angles: Floats
    shares: Floats
    scatter: float

    def draw(self, rng: np.random.Generator, count: int) -> Floats:
        """One angle a streak, in radians."""
        angles = rng.choice(self.angles, count, p=self.shares)
        return np.deg2rad(angles + rng.normal(0, self.scatter, count))


def _directions(rng: np.random.Generator, style: RainStyle) -> _Directions:
    count = 1 + int(rng.choice(len(style.directions), p=style.directions))
    angle = np.clip(rng.normal(0, style.angle_std), -style.angle_limit, style.angle_limit)
    if count == 1:
        return _Directions(np.array([angle]), np.ones(1), style.scatter)
    spread, main = rng.uniform(*style.direction_spread), rng.uniform(*style.main_share)
    angles = angle + rng.permutation(np.linspace(-spread / 2, spread / 2, count))
    shares = np.array([main] + [(1 - main) / (count - 1)] * (count - 1))
    return _Directions(angles, shares, style.scatter)


def _centres(rng: np.random.Generator, kind: Streaks, sides: Floats) -> Floats:
    """Centres (2, streaks): a Poisson cluster process, wrapped round so that it has no edge."""
    clump = _one_of(rng, kind.clump)
    expected = _one_of(rng, kind.density) * sides.prod() / 1e6
    parents = rng.uniform(0, 1, (2, rng.poisson(expected / clump))) * sides
    if clump == 1:
        return parents
    centres = np.repeat(parents, rng.poisson(clump, parents.shape[1]), axis=1)
    return (centres + rng.normal(0, kind.clump_radius, centres.shape)) % sides


def _draw(
    rng: np.random.Generator, kind: Streaks, directions: _Directions, size: tuple[int, int]
) -> DrawnStreaks:
    """The streaks of one kind for a layer of `size`, those that reach in from outside too."""
    length_scale, width_scale = _one_of(rng, kind.length_scale), _one_of(rng, kind.width_scale)
    margin = kind.length.largest * length_scale / 2
    y, x = _centres(rng, kind, np.array(size)[:, None] + 2 * margin) - margin
    contrast = np.exp(rng.standard_normal(y.size) / Z90 * np.log(kind.contrast))
    return DrawnStreaks(
        y=y,
        x=x,
        angle=directions.draw(rng, y.size),
        length=kind.length.draw(rng, y.size) * length_scale,
        width=kind.width.draw(rng, y.size) * width_scale,
        peak=_one_of(rng, kind.peak) * contrast,
    )


def _rows(
    drawn: DrawnStreaks, some: Indices, size: tuple[int, int], reach: int
) -> tuple[Indices, Indices, Floats, Floats]:
    """Cuts streaks into the image's rows: for each cut its streak, row, distance down and x."""
    half = drawn.length[some] / 2 * np.cos(drawn.angle[some])
    first = np.maximum(np.ceil(drawn.y[some] - half), 0).astype(np.intp)
    last = np.minimum(np.floor(drawn.y[some] + half), size[0] - 1).astype(np.intp)
    counts = np.maximum(last - first + 1, 0)
    skipped = np.cumsum(counts) - counts
    owner = np.repeat(some, counts)
    row = np.arange(owner.size) + np.repeat(first - skipped, counts)
    down = row - drawn.y[owner]
    x = drawn.x[owner] + down * np.tan(drawn.angle)[owner]
    seen = np.flatnonzero((x > -1 - reach) & (x < size[1] + reach))
    return owner[seen], row[seen], down[seen], x[seen]


def paint_streaks(
    canvas: Float32[np.ndarray, "h w"], drawn: DrawnStreaks, fade: float | None
) -> None:
    """Paints all streaks at once, anti-aliased, row by row.

    A row cuts a slanted streak in the streak's own profile, widened by 1/cos(angle). Soft streaks
    are added; `fade` None paints hard lines, of which the brighter stays.
    """
    section = drawn.width / np.cos(drawn.angle)
    taps = np.ceil(section if fade is not None else section / 2).astype(np.intp)
    pad = 2 * int(taps.max(initial=0)) + 1  # no cut can then leave its row of the padded canvas
    padded = np.zeros((canvas.shape[0], canvas.shape[1] + 2 * pad), np.float32)
    flat = padded.reshape(-1)
    for reach in np.unique(taps):  # a handful of widths, each with all its streaks
        owner, row, down, x = _rows(drawn, np.flatnonzero(taps == reach), canvas.shape, int(reach))
        nearest = np.rint(x).astype(np.intp)
        offset = (nearest - x).astype(np.float32)
        index = row * padded.shape[1] + nearest + pad
        value = drawn.peak[owner].astype(np.float32)
        wide = section[owner].astype(np.float32)
        if fade is None:
            for step in range(-reach, reach + 1):
                cover = np.clip(wide / 2 + 0.5 - np.abs(offset + step), 0, 1)
                np.maximum.at(flat, index + step, value * cover)
            continue
        ends = 1 - np.abs(down) / (drawn.length / 2 * np.cos(drawn.angle))[owner]
        value *= np.sin(np.pi / 2 * np.minimum(ends / fade, 1)).astype(np.float32) ** 2
        steep = -0.5 / (wide * np.float32(SIGMA_PER_FWHM)) ** 2
        for step in range(-reach, reach + 1):
            np.add.at(flat, index + step, value * np.exp(steep * (offset + step) ** 2))
    canvas += padded[:, pad:-pad]


def _random(seed: int | np.random.Generator) -> np.random.Generator:
    if not isinstance(seed, np.random.Generator) and seed < 0:
        raise NerdrainError(f"seed {seed} is negative: give 0 or more, or a numpy Generator.")
    return np.random.default_rng(seed)


def rain_layer(
    height: int,
    width: int,
    style: str | RainStyle = "light",
    seed: int | np.random.Generator = 0,
) -> Float32[np.ndarray, "h w"]:
    """One layer of rain: what it adds to each channel of an image of that size.

    Args:
        height: pixels, 1 or more.
        width: pixels, 1 or more.
        style: "light", "heavy", "mixed", or a RainStyle of your own.
        seed: the same seed, size and style give the same layer; a Generator is drawn from.

    Returns:
        R, (height, width) float32 in [0, 1].

    Raises:
        NerdrainError: no such style, no pixels, or a negative seed.
    """
    if isinstance(style, str):
        if style not in STYLES:
            raise NerdrainError(f"no rain style {style!r}: choose one of {', '.join(STYLES)}.")
        style = STYLES[style]
    if height < 1 or width < 1:
        raise NerdrainError(f"a rain layer of {height}x{width} pixels has none: ask for 1 or more.")
    rng = _random(seed)
    layer = np.zeros((height, width), np.float32)
    directions = _directions(rng, style)
    kinds = [style.soft]
    if style.lines is not None and rng.uniform() < style.lines_share:
        kinds.append(style.lines)
    for kind in kinds:
        drawn = _draw(rng, kind, directions, layer.shape)
        paint_streaks(layer, drawn, None if kind.hard else _one_of(rng, kind.fade))
    return np.minimum(layer, 1, out=layer)


def compose(
    clean: Float[np.ndarray, "h w c"] | UInt8[np.ndarray, "h w c"],
    layer: Float[np.ndarray, "h w"],
    mode: Mode = "additive",
    *,
    airlight: float = 0.8,
    veil: float = 0.3,
) -> Float32[np.ndarray, "h w c"]:
    """Puts a rain layer R on a clean image B, all channels alike.

    "additive": min(1, B + R), exactly what Rain100 and Rain200 are. "screen": 1 - (1 - B)(1 - R),
    close to DDN-Data. "veil": min(1, (1 - v)(B + R) + v A), heavy rain's own haze in front.

    Args:
        clean: B, (H, W, C) float in [0, 1], or uint8.
        layer: R, (H, W), >= 0.
        mode: "additive", "screen" or "veil".
        airlight: A, the haze's brightness in [0, 1]; "veil" only.
        veil: v, how much of the light is haze, in [0, 1]; "veil" only.

    Returns:
        (H, W, C) float32 in [0, 1].

    Raises:
        NerdrainError: no such mode, sizes that differ, or an image that is not in [0, 1].
    """
    if clean.ndim != 3 or clean.shape[:2] != layer.shape:
        raise NerdrainError(
            f"an image of shape {clean.shape} and a rain layer of shape {layer.shape} do not fit: "
            "give (H, W, C) and (H, W)."
        )
    background = clean.astype(np.float32)
    if clean.dtype == np.uint8:
        background /= 255
    if background.size and not (background.min() >= 0 and background.max() <= 1):
        raise NerdrainError("the clean image's values leave [0, 1]: give uint8, or divide by 255.")
    rain = layer.astype(np.float32)[:, :, None]  # (H, W, 1)
    if mode == "additive":
        rainy = background + rain
    elif mode == "screen":
        rainy = 1 - (1 - background) * (1 - np.minimum(rain, 1))
    elif mode == "veil":
        rainy = (1 - veil) * (background + rain) + veil * airlight
    else:
        raise NerdrainError(f"no way {mode!r} to add rain: choose one of {', '.join(MODES)}.")
    return np.clip(rainy, 0, 1, dtype=np.float32)


def add_rain(
    clean: Float[np.ndarray, "h w c"] | UInt8[np.ndarray, "h w c"],
    style: str | RainStyle = "light",
    seed: int | np.random.Generator = 0,
    mode: Mode = "additive",
) -> tuple[Float32[np.ndarray, "h w c"], Float32[np.ndarray, "h w"]]:
    """A rainy version of a clean image, and the layer that made it so.

    Arguments, results and errors are those of `rain_layer` and `compose`.
    """
    layer = rain_layer(clean.shape[0], clean.shape[1], style, seed)
    return compose(clean, layer, mode), layer
