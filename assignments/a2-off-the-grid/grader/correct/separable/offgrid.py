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


class Axis:
    """The convention along one axis."""

    def __init__(self, number: int) -> None:
        self.code, self.pixel, self.pitch, self.border = (
            VARIANT[name][number] for name in ("code_phase", "pixel_phase", "pitch", "borders")
        )

    def inside(self, j: Tensor, codes: int) -> Tensor:
        """Indices of codes in the grid."""
        if self.border == "clamp" or codes == 1:
            return j.clamp(0, codes - 1)
        if self.border == "wrap":
            return j.remainder(codes)
        return codes - 1 - (codes - 1 - j.abs()).abs()

    def around(self, positions: Tensor, codes: int) -> tuple[Tensor, Tensor, Tensor]:
        """Index, offset and weight (2, Q)."""
        u = positions * codes - self.code
        j = u.floor() + torch.tensor([[0.0], [1.0]], dtype=torch.float64)
        distance = u - j
        logits = VARIANT["power"] * torch.log(1 - distance.abs())
        return self.inside(j.long(), codes), self.pitch * distance, logits.softmax(dim=0)


AXES = (Axis(0), Axis(1))


def pixel_positions(pixels: int, axis: int) -> Tensor:
    """Positions (pixels,) of the pixels."""
    return torch.arange(pixels, dtype=torch.float64).add(AXES[axis].pixel).div(pixels)


def neighbours(positions: Tensor, codes: int, axis: int) -> tuple[Tensor, Tensor, Tensor]:
    """Index, offset and weight (2, Q)."""
    return AXES[axis].around(positions, codes)


def ensemble(features: Tensor, rows: Tensor, columns: Tensor, layers: list) -> Tensor:
    """Values (B, D, H, W) at all pairs of row positions (H,) and column positions (W,)."""
    first, *rest = layers
    channels = features.shape[1]
    weight = first["weight"]
    projected = torch.einsum("dc,bchw->bhwd", weight[:, :channels], features) + first["bias"]
    total = torch.zeros((), dtype=torch.float64)
    for iy, dy, wy in zip(*AXES[0].around(rows, features.shape[2]), strict=True):
        for ix, dx, wx in zip(*AXES[1].around(columns, features.shape[3]), strict=True):
            hidden = projected[:, iy][:, :, ix]  # (B, H, W, hidden)
            hidden = hidden + dy[:, None, None] * weight[:, channels]
            hidden = hidden + dx[:, None] * weight[:, channels + 1]
            output = network(hidden.relu(), rest)
            total = total + wy[:, None, None] * wx[:, None] * output
    return total.movedim(-1, 1)


def query_points(features: Tensor, points: Tensor, layers: list[dict[str, Tensor]]) -> Tensor:
    """Values (B, D, Q): each point is a picture of one pixel."""
    return torch.cat(
        [ensemble(features, row[None], column[None], layers)[..., 0] for row, column in points],
        dim=-1,
    )


def query(features: Tensor, size: list[int], layers: list[dict[str, Tensor]]) -> Tensor:
    """Values (B, D, H, W)."""
    rows, columns = (pixel_positions(n, axis) for axis, n in enumerate(size))
    return ensemble(features, rows, columns, layers)
