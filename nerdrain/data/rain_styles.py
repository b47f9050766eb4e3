"""What rain is drawn from: every distribution of a rain layer, and the three named styles.

The numbers of "light" and "heavy" make layers whose statistics are those of Rain200L and Rain200H:
`nerdrain.data.rain_statistics` measures them, tests/data/test_rain.py compares. Lengths and widths
are in pixels and do not grow with the image, as in the benchmarks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Range = tuple[float, float]
Z90 = 1.2816  # a standard normal's 90th percentile


@dataclass(frozen=True)
class Spread:
    """A positive, skewed quantity by its percentiles: log-normal, with a deviation for each side.

    Attributes:
        low: the 10th percentile.
        median: the 50th.
        high: the 90th.
        largest: draws beyond this are cut to it.
    """

    low: float
    median: float
    high: float
    largest: float

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.floating[Any]]:
        """Independent draws in (0, largest], shape (count,)."""
        normal = rng.standard_normal(count) / Z90
        below, above = np.log(self.median / self.low), np.log(self.high / self.median)
        draws = self.median * np.exp(normal * np.where(normal < 0, below, above))
        return np.minimum(draws, self.largest)


@dataclass(frozen=True)
class Streaks:
    """One kind of streak. A `Range` is one from which each layer draws one value, log-uniformly.

    Attributes:
        density: streaks per megapixel.
        length: pixels along the streak.
        width: pixels across it: full width at half maximum, or a hard line's whole width.
        peak: a layer's median of its streaks' greatest value, in 0..1.
        contrast: 90th percentile of a streak's greatest value over that median (log-normal), >= 1.
        length_scale: factor on all lengths of a layer.
        width_scale: factor on all widths of a layer.
        fade: share of the length over which the two ends of a soft streak fade, in (0, 1].
        clump: mean number of streaks that fall close together; 1 scatters them evenly.
        clump_radius: how close, in pixels (standard deviation).
        hard: constant value and sharp edges; where such lines cross the brighter hides the other.
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
    """Every distribution that a rain layer is drawn from; `dataclasses.replace` varies one.

    Attributes:
        soft: the soft streaks, in every layer.
        lines: the hard lines, if any.
        lines_share: the share of layers that have them.
        directions: probabilities of one, two, ... directions in a layer, summing to 1.
        main_share: share of a layer's streaks that take the first of several directions.
        angle_std: standard deviation of a layer's mean angle from vertical, in degrees.
        angle_limit: its largest absolute value, in degrees.
        direction_spread: angle between a layer's outermost directions, in degrees.
        scatter: standard deviation of a streak's angle about its direction, in degrees.
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


# Like Rain200L and Rain100L: one direction, thin streaks that clump.
LIGHT = RainStyle(
    soft=Streaks(
        density=(3000, 4000),
        length=Spread(10, 37, 75, largest=150),
        width=Spread(1.2, 1.6, 2.2, largest=3),
        peak=(0.055, 0.11),
        clump=(5, 5),
    ),
)

# Like Rain200H and Rain100H: up to three directions, dense soft rain, often hard lines over it.
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

# From drizzle to downpour and wider in everything than any benchmark: rain to train on.
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
