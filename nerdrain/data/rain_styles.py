"""The distributions of rain layers, and the three named styles.

The styles "light" and "heavy" give layers with the statistics of Rain200L and Rain200H.
`nerdrain.data.rain_statistics` measures them, and tests/data/test_rain.py compares them. Lengths
and widths are in pixels and do not grow with the image, as in the benchmarks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Range = tuple[float, float]
Z90 = 1.2816  # 90th percentile of the standard normal distribution


@dataclass(frozen=True)
class Spread:
    """A positive, skewed distribution given by percentiles.

    It is log-normal, with one standard deviation below the median and another above it.

    Attributes:
        low: the 10th percentile.
        median: the 50th percentile.
        high: the 90th percentile.
        largest: larger draws are clipped to this value.
    """

    low: float
    median: float
    high: float
    largest: float

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.floating[Any]]:
        """Draw independent values in (0, largest], shape (count,)."""
        normal = rng.standard_normal(count) / Z90
        below, above = np.log(self.median / self.low), np.log(self.high / self.median)
        draws = self.median * np.exp(normal * np.where(normal < 0, below, above))
        return np.minimum(draws, self.largest)


@dataclass(frozen=True)
class Streaks:
    """One kind of streak. Each layer draws one value from every `Range`, log-uniformly.

    Attributes:
        density: streaks per megapixel.
        length: length of a streak, in pixels.
        width: full width of a soft streak at half maximum, or whole width of a hard line, in
            pixels.
        peak: median over a layer of the streaks' maximum values, in 0..1.
        contrast: 90th percentile of a streak's maximum divided by that median (log-normal), >= 1.
        length_scale: factor for all lengths of a layer.
        width_scale: factor for all widths of a layer.
        fade: share of the length over which the two ends of a soft streak fade, in (0, 1].
        clump: mean number of streaks in a cluster; 1 gives no clusters.
        clump_radius: standard deviation of the positions in a cluster, in pixels.
        hard: constant value and sharp edges; where two lines cross, the brighter is visible.
    """

    density: Range
    length: Spread
    width: Spread
    peak: Range
    contrast: float = 2.4
    length_scale: Range = (1.0, 1.0)
    width_scale: Range = (1.0, 1.0)
    fade: Range = (0.3, 0.3)
    clump: Range = (1.0, 1.0)
    clump_radius: float = 12.0
    hard: bool = False


@dataclass(frozen=True)
class RainStyle:
    """All distributions of a rain layer; change one with `dataclasses.replace`.

    Attributes:
        soft: the soft streaks of every layer.
        lines: the hard lines, or None.
        lines_share: share of the layers that have hard lines.
        directions: probabilities of one, two, ... directions in a layer, with sum 1.
        main_share: share of the streaks that follow the first of several directions.
        angle_std: standard deviation of a layer's mean angle from vertical, in degrees.
        angle_limit: largest absolute value of that mean angle, in degrees.
        direction_spread: angle between the outermost directions of a layer, in degrees.
        scatter: standard deviation of the streaks' angles around their direction, in degrees.
    """

    soft: Streaks
    lines: Streaks | None = None
    lines_share: float = 0.0
    directions: tuple[float, ...] = (1.0,)
    main_share: Range = (0.6, 0.9)
    angle_std: float = 13.5
    angle_limit: float = 30.0
    direction_spread: Range = (6.0, 29.0)
    scatter: float = 1.6


# Like Rain200L and Rain100L: one direction and thin streaks in clusters.
LIGHT = RainStyle(
    soft=Streaks(
        density=(3000, 4000),
        length=Spread(10, 37, 75, largest=150),
        width=Spread(1.2, 1.6, 2.2, largest=3),
        peak=(0.055, 0.11),
        clump=(5, 5),
    ),
)

# Like Rain200H and Rain100H: up to three directions and dense soft rain, often with hard lines.
HEAVY = RainStyle(
    soft=Streaks(
        density=(13000, 20000),
        length=Spread(30, 48, 75, largest=120),
        width=Spread(1.2, 1.6, 2.3, largest=3),
        peak=(0.05, 0.09),
        contrast=2.3,
        clump=(6, 6),
    ),
    lines=Streaks(
        density=(3500, 6500),
        length=Spread(45, 75, 130, largest=180),
        width=Spread(1.0, 1.5, 2.8, largest=4),
        peak=(0.2, 0.37),
        contrast=1.15,
        clump=(6, 6),
        hard=True,
    ),
    lines_share=0.6,
    directions=(0.38, 0.52, 0.10),
)

# For training: from drizzle to downpour, with every range wider than in any benchmark.
MIXED = RainStyle(
    soft=Streaks(
        density=(1500, 20000),
        length=Spread(12, 38, 72, largest=160),
        width=Spread(1.2, 1.6, 2.3, largest=4),
        peak=(0.035, 0.17),
        length_scale=(0.5, 1.6),
        width_scale=(0.8, 2.5),
        fade=(0.2, 1.0),
        clump=(1, 6),
    ),
    lines=Streaks(
        density=(500, 8000),
        length=Spread(30, 70, 140, largest=180),
        width=Spread(1.0, 1.6, 3.0, largest=4),
        peak=(0.08, 0.4),
        contrast=1.4,
        length_scale=(0.4, 1.2),
        width_scale=(0.8, 1.6),
        clump=(1, 6),
        hard=True,
    ),
    lines_share=0.4,
    directions=(0.6, 0.3, 0.1),
    main_share=(0.4, 0.9),
    angle_std=18.0,
    angle_limit=45.0,
    direction_spread=(3.0, 40.0),
    scatter=2.0,
)

STYLES: Mapping[str, RainStyle] = {"light": LIGHT, "heavy": HEAVY, "mixed": MIXED}
