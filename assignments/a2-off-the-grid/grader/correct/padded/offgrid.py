"""Query features at any point of the picture, with a local ensemble.

The constants of your convention are in `variant.json` beside this file. Axis 0 is the rows, axis 1
the columns. All floating tensors are float64.
"""

import json
from pathlib import Path

import numpy as np
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


MODES = {"clamp": "edge", "mirror": "reflect", "wrap": "wrap"}


def pixel_positions(pixels: int, axis: int) -> Tensor:
    """Positions (pixels,) of the pixels."""
    phase = VARIANT["pixel_phase"][axis]
    return torch.linspace(phase, pixels - 1 + phase, pixels, dtype=torch.float64) / pixels


def cells(positions: Tensor, codes: int, axis: int) -> tuple[Tensor, Tensor]:
    """The number of the lower code from -1, and the rest in [0, 1)."""
    u = positions * codes - VARIANT["code_phase"][axis]
    return torch.floor(u).long(), torch.remainder(u, 1)


def neighbours(positions: Tensor, codes: int, axis: int) -> tuple[Tensor, Tensor, Tensor]:
    """Index, offset and weight (2, Q)."""
    lower, t = cells(positions, codes, axis)
    padded = torch.from_numpy(np.pad(np.arange(codes), 1, mode=MODES[VARIANT["borders"][axis]]))
    index = padded[torch.stack([lower + 1, lower + 2])]
    offset = VARIANT["pitch"][axis] * torch.stack([t, t - 1])
    p = VARIANT["power"]
    upper = 1 / (1 + ((1 - t) / t.clamp(min=1e-300)) ** p)
    return index, offset, torch.stack([1 - upper, upper])


def query_points(features: Tensor, points: Tensor, layers: list[dict[str, Tensor]]) -> Tensor:
    """Values (B, D, Q), from one call of the network for all of the four codes."""
    iy, dy, wy = neighbours(points[:, 0], features.shape[2], 0)
    ix, dx, wx = neighbours(points[:, 1], features.shape[3], 1)
    codes = features[:, :, iy[:, None], ix[None]]  # (B, C, 2, 2, Q)
    shape = (len(features), 1, 2, 2, len(points))
    rows, columns = dy[:, None].expand(shape), dx[None].expand(shape)
    inputs = torch.cat([codes, rows, columns], dim=1).movedim(1, -1)
    return torch.einsum("iq,jq,bijqd->bdq", wy, wx, network(inputs, layers))


def query(features: Tensor, size: list[int], layers: list[dict[str, Tensor]]) -> Tensor:
    """Values (B, D, H, W)."""
    height, width = size
    rows = pixel_positions(height, 0).repeat_interleave(width)
    columns = pixel_positions(width, 1).repeat(height)
    values = query_points(features, torch.stack([rows, columns], dim=1), layers)
    return values.reshape(*values.shape[:2], height, width)
