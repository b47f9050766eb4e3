"""The package's `axis_neighbours` and `PaperDecoder`, which ignore the variant.

The constants of your convention are in `variant.json` beside this file. Axis 0 is the rows, axis 1
the columns. All floating tensors are float64.
"""

import json
from pathlib import Path

import torch
from torch import Tensor

from nerdrain.model.coordinates import axis_neighbours, pixel_centres

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
    """Pixel centres as in `nerdrain.model.coordinates`, moved from [-1, 1] to [0, 1]."""
    return (pixel_centres(pixels, dtype=torch.float64) + 1) / 2


def neighbours(positions: Tensor, codes: int, axis: int) -> tuple[Tensor, Tensor, Tensor]:
    """The arithmetic of `axis_neighbours`, at any positions."""
    position = positions * codes - 0.5
    lower = position.floor().long()
    code = torch.stack([lower, lower + 1]).clamp(0, codes - 1)
    weight = torch.stack([lower + 1 - position, position - lower])
    return code, position - code, weight


def average(features: Tensor, rows: tuple, columns: tuple, layers: list) -> Tensor:
    """The loop of `PaperDecoder.forward`."""
    value = torch.zeros(())
    for iy, dy, wy in zip(*rows, strict=True):
        for ix, dx, wx in zip(*columns, strict=True):
            z = features.index_select(-2, iy).index_select(-1, ix).movedim(1, -1)
            offset = torch.stack(torch.meshgrid(dy, dx, indexing="ij"), dim=-1)
            inputs = torch.cat([z, offset.expand(len(z), -1, -1, -1)], dim=-1)
            value = value + (wy[:, None] * wx)[..., None] * network(inputs, layers)
    return value.movedim(-1, 1)


def query_points(features: Tensor, points: Tensor, layers: list[dict[str, Tensor]]) -> Tensor:
    """Each point is a picture of one pixel."""
    height, width = features.shape[-2:]
    values = []
    for point in points:
        rows = neighbours(point[:1], height, 0)
        columns = neighbours(point[1:], width, 1)
        values.append(average(features, rows, columns, layers)[..., 0])
    return torch.cat(values, dim=-1)


def query(features: Tensor, size: list[int], layers: list[dict[str, Tensor]]) -> Tensor:
    """`PaperDecoder.forward` with `axis_neighbours`."""
    rows, columns = (
        axis_neighbours(n, m, dtype=torch.float64)
        for n, m in zip(size, features.shape[-2:], strict=True)
    )
    return average(features, rows, columns, layers)
