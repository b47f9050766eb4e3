"""Query features at any point of the picture, with a local ensemble.

The constants of your convention are in `variant.json` beside this file. Axis 0 is the rows, axis 1
the columns. All floating tensors are float64.
"""

import json
from pathlib import Path

import torch
from torch import Tensor

VARIANT = json.loads((Path(__file__).parent / "variant.json").read_text(encoding="utf-8"))


def network(inputs: Tensor, layers: list[dict[str, Tensor]]) -> Tensor:
    """The network f, which is given: linear layers with a ReLU between them.

    Args:
        inputs: (..., C + 2): the C features of a code, then the row offset and the column offset.
        layers: each has a "weight" (outputs, inputs) and a "bias" (outputs,).

    Returns:
        (..., D).
    """
    for layer in layers[:-1]:
        inputs = torch.relu(inputs @ layer["weight"].T + layer["bias"])
    return inputs @ layers[-1]["weight"].T + layers[-1]["bias"]


def pixel_positions(pixels: int, axis: int) -> Tensor:
    """The positions of all pixels along an axis.

    Args:
        pixels: n, the number of pixels along this axis, at least 1.
        axis: 0 or 1.

    Returns:
        (n,), float64: positions in [0, 1].
    """
    raise NotImplementedError


def neighbours(positions: Tensor, codes: int, axis: int) -> tuple[Tensor, Tensor, Tensor]:
    """The two codes around each position along an axis: first the lower, then the upper.

    Args:
        positions: (Q,), float64, in [0, 1].
        codes: m, the number of codes along this axis, at least 1.
        axis: 0 or 1.

    Returns:
        index: (2, Q), int64, in 0 ... m - 1: which code's features are used.
        offset: (2, Q), float64: from the code to the position; a cell has the length `pitch`.
        weight: (2, Q), float64.
    """
    raise NotImplementedError


def query_points(features: Tensor, points: Tensor, layers: list[dict[str, Tensor]]) -> Tensor:
    """The value at each point: the weighted sum of the network's four outputs.

    Args:
        features: (B, C, h, w).
        points: (Q, 2): the row position and the column position, in [0, 1].
        layers: of `network`.

    Returns:
        (B, D, Q).
    """
    raise NotImplementedError


def query(features: Tensor, size: list[int], layers: list[dict[str, Tensor]]) -> Tensor:
    """The picture of a given size: the values at all of its pixels.

    Args:
        features: (B, C, h, w).
        size: H and W, each at least 1. The scale H / h may differ from W / w.
        layers: of `network`.

    Returns:
        (B, D, H, W).
    """
    raise NotImplementedError
