"""The distributions of rain layers, and the named styles.

The styles "light" and "heavy" give layers with the statistics of Rain200L and Rain200H.
`nerdrain.data.rain_statistics` measures them, and tests/data/test_rain.py compares them. Lengths
and widths are in pixels and do not grow with the image, as in the benchmarks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Range = tuple[float, float]
Mode = Literal["additive", "screen", "veil", "opaque"]
Z90 = 1.2816  # 90th percentile of the standard normal distribution


@dataclass(frozen=True)
class Spread:
    """A positive, skewed distribution: the 10th, 50th and 90th percentile, and the largest value.

    It is log-normal, with one standard deviation below the median and another above it.
    """

    low: float
    median: float
    high: float
    largest: float  #: larger draws are clipped to this value

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.floating[Any]]:
        """Draw independent values in (0, largest], shape (count,)."""
        normal = rng.standard_normal(count) / Z90
        below, above = np.log(self.median / self.low), np.log(self.high / self.median)
        draws = self.median * np.exp(normal * np.where(normal < 0, below, above))
        return np.minimum(draws, self.largest)


@dataclass(frozen=True)
class Streaks:
    """One kind of streak. Each layer draws one value from every `Range`, log-uniformly."""

    density: Range  #: streaks per megapixel
    length: Spread  #: length of a streak, in pixels
    width: Spread  #: full width at half maximum if soft, whole width if hard, in pixels
    peak: Range  #: median over a layer of the streaks' maximum values, in 0..1
    contrast: float = 2.4  #: 90th percentile of these values / their median (log-normal), >= 1
    length_scale: Range = (1.0, 1.0)  #: factor for all lengths of a layer
    width_scale: Range = (1.0, 1.0)  #: factor for all widths of a layer
    fade: Range = (0.3, 0.3)  #: share of a soft streak over which its two ends fade, in (0, 1]
    clump: Range = (1.0, 1.0)  #: mean number of streaks in a cluster; 1 gives no clusters
    clump_radius: float = 12.0  #: standard deviation of positions in a cluster, in pixels
    hard: bool = False  #: constant value, sharp edges; the brighter of two lines is visible


@dataclass(frozen=True)
class Texture:
    """Dense rain in which single streaks are hard to see: sparse noise, blurred along the streaks.

    A layer adds up several scales of it. Each scale has its own noise, length and width, and draws
    one value from every `Range`, log-uniformly.
    """

    density: Range  #: impulses of the noise per megapixel
    length: Range  #: length of the blur, in pixels
    width: Range  #: full width of the blur at half maximum, in pixels
    contrast: Range  #: standard deviation of the scale over the layer, in 0..1
    scales: tuple[int, int] = (2, 3)  #: smallest and largest number of scales


@dataclass(frozen=True)
class RainStyle:
    """All distributions of a rain layer, angles in degrees; change one with `dataclasses.replace`.

    A layer has one or several directions, around a mean angle from vertical.
    """

    soft: Streaks  #: the soft streaks of every layer
    lines: Streaks | None = None  #: the hard lines
    lines_share: float = 0.0  #: share of the layers that have hard lines
    blobs: Streaks | None = None  #: drops close to the camera: short and wide streaks
    blobs_share: float = 0.0  #: share of the layers that have blobs
    texture: Texture | None = None  #: the dense rain behind the streaks
    texture_share: float = 0.0  #: share of the layers that have it
    directions: tuple[float, ...] = (1.0,)  #: probabilities of 1, 2, ... directions, with sum 1
    main_share: Range = (0.6, 0.9)  #: share of the streaks in the first of several directions
    angle_std: float = 13.5  #: standard deviation of a layer's mean angle
    angle_limit: float = 30.0  #: largest absolute value of that mean angle
    direction_spread: Range = (6.0, 29.0)  #: angle between the outermost directions
    scatter: float = 1.6  #: standard deviation of the streaks' angles around their direction
    mode: Mode | None = None  #: how the layer is composed, where the style must set it


# Like Rain200L and Rain100L: one direction and thin streaks in clusters.
LIGHT = RainStyle(
    soft=Streaks(
        density=(3000, 4000), peak=(0.055, 0.11), clump=(5, 5),
        length=Spread(10, 37, 75, largest=150), width=Spread(1.2, 1.6, 2.2, largest=3),
    ),
)  # fmt: skip

# Like Rain200H and Rain100H: up to three directions and dense soft rain, often with hard lines.
HEAVY = RainStyle(
    soft=Streaks(
        density=(13000, 20000), peak=(0.05, 0.09), contrast=2.3, clump=(6, 6),
        length=Spread(30, 48, 75, largest=120), width=Spread(1.2, 1.6, 2.3, largest=3),
    ),
    lines=Streaks(
        density=(3500, 6500), peak=(0.2, 0.37), contrast=1.15, clump=(6, 6), hard=True,
        length=Spread(45, 75, 130, largest=180), width=Spread(1.0, 1.5, 2.8, largest=4),
    ),
    lines_share=0.6,
    directions=(0.38, 0.52, 0.10),
)  # fmt: skip

# For training: from drizzle to downpour, with every range wider than in any benchmark.
MIXED = RainStyle(
    soft=Streaks(
        density=(1500, 20000), peak=(0.035, 0.17), fade=(0.2, 1.0), clump=(1, 6),
        length=Spread(12, 38, 72, largest=160), width=Spread(1.2, 1.6, 2.3, largest=4),
        length_scale=(0.5, 1.6), width_scale=(0.8, 2.5),
    ),
    lines=Streaks(
        density=(500, 8000), peak=(0.08, 0.4), contrast=1.4, clump=(1, 6), hard=True,
        length=Spread(30, 70, 140, largest=180), width=Spread(1.0, 1.6, 3.0, largest=4),
        length_scale=(0.4, 1.2), width_scale=(0.8, 1.6),
    ),
    lines_share=0.4,
    directions=(0.6, 0.3, 0.1),
    main_share=(0.4, 0.9),
    angle_std=18.0, angle_limit=45.0, direction_spread=(3.0, 40.0), scatter=2.0,
)  # fmt: skip

DROPS = Streaks(
    density=(20, 300), peak=(0.1, 0.4), contrast=1.5, fade=(1.0, 1.0),
    length=Spread(8, 14, 26, largest=40), width=Spread(4, 7, 12, largest=16),
)  # fmt: skip

# For training and tests: heavier than HEAVY, with wider streaks, more directions and drops.
EXTREME = RainStyle(
    soft=Streaks(
        density=(14000, 24000), peak=(0.06, 0.13), contrast=2.3, clump=(1, 6), fade=(0.2, 1.0),
        length=Spread(25, 50, 90, largest=160), width=Spread(1.3, 2.2, 4.0, largest=7),
    ),
    lines=Streaks(
        density=(3500, 7000), peak=(0.25, 0.5), contrast=1.2, clump=(1, 6), hard=True,
        length=Spread(40, 75, 140, largest=200), width=Spread(1.2, 2.0, 4.0, largest=7),
    ),
    lines_share=0.6,
    blobs=DROPS,
    blobs_share=0.4,
    directions=(0.35, 0.35, 0.2, 0.1),
    main_share=(0.3, 0.9),
    angle_std=20.0, angle_limit=50.0, direction_spread=(6.0, 60.0), scatter=3.0,
)  # fmt: skip

# Modelled on photographs of real rain, by eye: wide, soft, dense, of low contrast, at any angle, at
# times with drops.
WILD = RainStyle(
    soft=Streaks(
        density=(300, 5000), peak=(0.03, 0.12), contrast=1.8, fade=(0.6, 1.0), clump=(1, 4),
        length=Spread(20, 50, 110, largest=200), width=Spread(2.5, 4.0, 6.5, largest=9),
        length_scale=(0.6, 1.5), width_scale=(0.8, 1.3),
    ),
    texture=Texture(
        density=(1000, 30000), length=(12, 80), width=(2.0, 7.0), contrast=(0.012, 0.045),
    ),
    texture_share=0.85,
    blobs=replace(DROPS, peak=(0.05, 0.25)),
    blobs_share=0.3,
    directions=(0.75, 0.2, 0.05),
    angle_std=25.0, angle_limit=70.0, direction_spread=(5.0, 40.0), scatter=4.0,
)  # fmt: skip

# Short grey drops that hide what is behind them, also before a bright sky.
OPAQUE = RainStyle(
    soft=Streaks(
        density=(300, 3000), peak=(0.2, 0.6), contrast=1.5, fade=(0.2, 1.0),
        length=Spread(6, 15, 40, largest=100), width=Spread(1.2, 1.8, 3.0, largest=5),
    ),
    lines=Streaks(
        density=(1500, 15000), peak=(0.5, 1.0), contrast=1.1, hard=True,
        length=Spread(6, 14, 30, largest=60), width=Spread(1.0, 1.3, 2.2, largest=3),
    ),
    lines_share=0.8,
    directions=(0.8, 0.2),
    angle_std=20.0, angle_limit=60.0,
    mode="opaque",
)  # fmt: skip

STYLES: Mapping[str, RainStyle] = {
    "light": LIGHT,
    "heavy": HEAVY,
    "mixed": MIXED,
    "extreme": EXTREME,
    "wild": WILD,
    "opaque": OPAQUE,
}
