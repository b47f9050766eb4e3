"""The paper's Tables 1 to 6 as data, each ablation row with its configuration.

Chapter 7 compares these numbers with those that this repository can compute. They follow the
paper's protocol: PSNR in dB and SSIM, both on the Y channel (section 4.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nerdrain.errors import NerdrainError

#: The columns of Table 1.
DATASETS = ("Rain200L", "Rain200H", "DID-Data", "DDN-Data", "SPA-Data")

_TABLE_1 = {
    "DSC": (27.16, 0.8663, 14.73, 0.3815, 24.24, 0.8279, 27.31, 0.8373, 34.95, 0.9416),
    "GMM": (28.66, 0.8652, 14.50, 0.4164, 25.81, 0.8344, 27.55, 0.8479, 34.30, 0.9428),
    "DDN": (34.68, 0.9671, 26.05, 0.8056, 30.97, 0.9116, 30.00, 0.9041, 36.16, 0.9457),
    "RESCAN": (36.09, 0.9697, 26.75, 0.8353, 33.38, 0.9417, 31.94, 0.9345, 38.11, 0.9707),
    "PreNet": (37.80, 0.9814, 29.04, 0.8991, 33.17, 0.9481, 32.60, 0.9459, 40.16, 0.9816),
    "MSPFN": (38.58, 0.9827, 29.36, 0.9034, 33.72, 0.9550, 32.99, 0.9333, 43.43, 0.9843),
    "RCDNet": (39.17, 0.9885, 30.24, 0.9048, 34.08, 0.9532, 33.04, 0.9472, 43.36, 0.9831),
    "MPRNet": (39.47, 0.9825, 30.67, 0.9110, 33.99, 0.9590, 33.10, 0.9347, 43.64, 0.9844),
    "DualGCN": (40.73, 0.9886, 31.15, 0.9125, 34.37, 0.9620, 33.01, 0.9489, 44.18, 0.9902),
    "SPDNet": (40.50, 0.9875, 31.28, 0.9207, 34.57, 0.9560, 33.15, 0.9457, 43.20, 0.9871),
    "Uformer": (40.20, 0.9860, 30.80, 0.9105, 35.02, 0.9621, 33.95, 0.9545, 46.13, 0.9913),
    "Restormer": (40.99, 0.9890, 32.00, 0.9329, 35.29, 0.9641, 34.20, 0.9571, 47.98, 0.9921),
    "IDT": (40.74, 0.9884, 32.10, 0.9344, 34.89, 0.9623, 33.84, 0.9549, 47.35, 0.9930),
    "DRSformer": (41.23, 0.9894, 32.17, 0.9326, 35.35, 0.9646, 34.35, 0.9588, 48.54, 0.9924),
    "NeRD-Rain-S": (41.30, 0.9895, 32.06, 0.9315, 35.36, 0.9647, 34.25, 0.9578, 48.90, 0.9936),
    "NeRD-Rain": (41.71, 0.9903, 32.40, 0.9373, 35.53, 0.9659, 34.45, 0.9596, 49.58, 0.9940),
}

#: PSNR and SSIM of each method on each of `DATASETS`.
TABLE_1: dict[str, tuple[tuple[float, float], ...]] = {
    method: tuple(zip(row[::2], row[1::2], strict=True)) for method, row in _TABLE_1.items()
}

#: Multiply-adds at 256x256 in G, which the paper calls FLOPs, and parameters in M.
TABLE_2: dict[str, tuple[float, float]] = {
    "MSPFN": (595.5, 13.35),
    "IPT": (1188.0, 115.5),
    "Uformer": (45.9, 50.88),
    "Restormer": (174.7, 26.12),
    "IDT": (61.9, 16.41),
    "DRSformer": (242.9, 33.65),
    "NeRD-Rain-S": (79.2, 10.53),
    "NeRD-Rain": (156.3, 22.89),
}


@dataclass(frozen=True)
class Variant:
    """One row of an ablation table.

    `changes` are the fields of `nerdrain.NeRDRainConfig` that differ; None for a network that is
    not in this package.
    """

    name: str  #: short name in recipes and commands
    description: str  #: the change of this row, in words
    psnr: float  #: from the paper, in dB
    ssim: float  #: from the paper
    changes: Mapping[str, Any] | None = field(default_factory=dict)


@dataclass(frozen=True)
class Ablation:
    """An ablation table, with its rows in the order of the paper."""

    dataset: str  #: the data set that the paper trained and tested on
    style: str  #: the most similar style of `nerdrain.data.rain_styles`
    rows: tuple[Variant, ...]
    ours: str  #: name of the row with the whole method

    @property
    def trainable(self) -> list[Variant]:
        """The rows whose network is in this package."""
        return [row for row in self.rows if row.changes is not None]


_WITHIN = {"inr": "within", "inr_encoder": "separate"}

#: Tables 3 to 6. The Transformer that Table 6 compares with is row (c) of Table 3.
ABLATIONS: dict[int, Ablation] = {
    3: Ablation(
        "Rain200L",
        "light",
        (
            Variant("a", "no INR", 41.40, 0.9896, {"inr": "none"}),
            Variant("b", "INR within the branches, separate encoders", 41.51, 0.9897, _WITHIN),
            Variant("c", "the whole method", 41.71, 0.9903),
            Variant("d", "one INR on a fixed grid", 41.47, 0.9897, {"inr_grid": "fixed"}),
            Variant("e", "no positional encoding", 41.50, 0.9899, {"inr_encoding": False}),
            Variant("f", "no interpolation", 41.58, 0.9900, {"inr_interpolation": False}),
            Variant("g", "separate encoders", 41.62, 0.9901, {"inr_encoder": "separate"}),
        ),
        ours="c",
    ),
    4: Ablation(
        "Rain200L",
        "light",
        (
            Variant("m222", "two UNets at each scale", 41.42, 0.9896, {"unets": (2, 2, 2)}),
            Variant("m321", "three, two and one", 40.70, 0.9882, {"unets": (3, 2, 1)}),
            Variant("m023", "no quarter scale", 41.63, 0.9901, {"unets": (0, 2, 3)}),
            Variant("m123", "one, two and three", 41.71, 0.9903),
        ),
        ours="m123",
    ),
    5: Ablation(
        "Rain200H",
        "heavy",
        (
            Variant("none", "no feedback", 32.30, 0.9346, {"feedback": "none"}),
            Variant("concat", "concatenation", 32.31, 0.9360, {"feedback": "concat"}),
            Variant("bfpu", "the BFPU", 32.40, 0.9373),
        ),
        ours="bfpu",
    ),
    6: Ablation(
        "Rain200L",
        "light",
        (
            Variant("mprnet", "MPRNet", 39.47, 0.9825, None),
            Variant("drsformer", "DRSformer", 41.23, 0.9894, None),
            Variant("cnn", "NeRD-Rain with a CNN's UNet", 41.34, 0.9893, {"backbone": "cnn"}),
        ),
        ours="cnn",
    ),
}


def ablation(table: int) -> Ablation:
    """Return the ablation table with this number in the paper, 3 to 6."""
    if table not in ABLATIONS:
        raise NerdrainError(f"the paper has no ablation table {table}; choose one of 3, 4, 5, 6.")
    return ABLATIONS[table]
