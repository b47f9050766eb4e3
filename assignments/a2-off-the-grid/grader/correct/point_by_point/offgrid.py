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
    """Positions (pixels,) of the pixels."""
    phase = VARIANT["pixel_phase"][axis]
    return torch.tensor([(i + phase) / pixels for i in range(pixels)], dtype=torch.float64)


def outside(j: int, codes: int, rule: str) -> int:
    """The code in the grid that lends its features to code `j`."""
    if rule == "mirror":
        line = [*range(codes), *range(codes - 2, 0, -1)]
        return line[j % len(line)]
    return j % codes if rule == "wrap" else min(max(j, 0), codes - 1)


def neighbour(position: float, codes: int, axis: int) -> list[tuple[int, float, float]]:
    """Index, offset and weight of the two codes."""
    u = position * codes - VARIANT["code_phase"][axis]
    first = int(u // 1)
    odds = ((u - first) / (first + 1 - u)) ** VARIANT["power"]
    weights = (1 / (1 + odds), odds / (1 + odds))
    pitch, rule = VARIANT["pitch"][axis], VARIANT["borders"][axis]
    return [
        (outside(j, codes, rule), pitch * (u - j), weight)
        for j, weight in zip((first, first + 1), weights, strict=True)
    ]


def neighbours(positions: Tensor, codes: int, axis: int) -> tuple[Tensor, Tensor, Tensor]:
    """Index, offset and weight (2, Q)."""
    pairs = [neighbour(float(position), codes, axis) for position in positions]
    kinds = (torch.int64, torch.float64, torch.float64)
    index, offset, weight = (
        torch.tensor([[pair[k][part] for pair in pairs] for k in (0, 1)], dtype=kind)
        for part, kind in enumerate(kinds)
    )
    return index, offset, weight


def query_points(features: Tensor, points: Tensor, layers: list[dict[str, Tensor]]) -> Tensor:
    """Values (B, D, Q)."""
    values = []
    for row, column in points.tolist():
        total = torch.zeros(1, dtype=torch.float64)
        for iy, dy, wy in neighbour(row, features.shape[2], 0):
            for ix, dx, wx in neighbour(column, features.shape[3], 1):
                code = features[:, :, iy, ix]
                offset = torch.tensor([dy, dx], dtype=torch.float64).expand(len(code), 2)
                total = total + wy * wx * network(torch.cat([code, offset], 1), layers)
        values.append(total)
    return torch.stack(values, dim=-1)


def query(features: Tensor, size: list[int], layers: list[dict[str, Tensor]]) -> Tensor:
    """Values (B, D, H, W)."""
    rows, columns = pixel_positions(size[0], 0), pixel_positions(size[1], 1)
    lines = []
    for row in rows:
        points = torch.stack([row.expand(len(columns)), columns], dim=1)
        lines.append(query_points(features, points, layers))
    return torch.stack(lines, dim=2)
