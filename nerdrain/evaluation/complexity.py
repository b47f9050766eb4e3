"""Count a network's parameters and multiply-adds, the two rows of the paper's Table 2."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nerdrain.evaluation.paper import TABLE_2
from nerdrain.model.config import NeRDRainConfig
from nerdrain.model.network import NeRDRain

PAPER_TABLE_2 = {
    preset: TABLE_2[row][::-1]
    for preset, row in (("nerd-rain", "NeRD-Rain"), ("nerd-rain-s", "NeRD-Rain-S"))
}
"""The paper's "#Params (M)" and "#FLOPs (G)" at 256x256, by preset. These FLOPs are multiply-adds.
"""


@dataclass(frozen=True)
class Complexity:
    """Size and cost of a network.

    Attributes:
        parameters: Number of trainable parameters, including unused ones.
        macs: Multiply-adds of one forward pass, in convolutions and matrix products.
        released_macs: Multiply-adds if the network runs as in the released code, which evaluates
            each INR decoder four times and multiplies some input columns by zeros. For fidelity
            "paper" it equals `macs`.
    """

    parameters: int
    macs: int
    released_macs: int


def _multiply_adds(model: nn.Module, *inputs: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        model(*inputs)
    return counter.get_total_flops() // 2  # the counter counts a multiply-add as two operations


def complexity(model: NeRDRain | NeRDRainConfig, size: int | tuple[int, int] = 256) -> Complexity:
    """Count parameters and multiply-adds.

    The network is traced on PyTorch's meta device, which handles only shapes and computes nothing.

    Args:
        model: a network or its configuration.
        size: (height, width) of the image, or the side of a square, in pixels.
    """
    config = model if isinstance(model, NeRDRainConfig) else model.config
    height, width = (size, size) if isinstance(size, int) else size
    with torch.device("meta"):
        traced = NeRDRain(config).requires_grad_(False)
        macs = _multiply_adds(traced, torch.empty(1, 3, height, width))
        extra = sum(_count_released_extra(traced, name, height, width) for name in traced.inrs)
    parameters = sum(p.numel() for p in traced.parameters())
    return Complexity(parameters, macs, macs + extra)


def _count_released_extra(model: NeRDRain, name: str, height: int, width: int) -> int:
    """Count an INR's extra multiply-adds in the released code: four passes, and zero columns."""
    if model.config.fidelity == "paper":
        return 0
    names = list(model.scales)
    multiple = 4 << (len(names) - 1)
    shrink = 1 << (len(names) - 1 - names.index(name))
    pixels = (height + -height % multiple) * (width + -width % multiple) // shrink**2
    layers = model.inrs[name].decoder.layers
    weights = sum(layer.weight.numel() for layer in layers)
    zero_columns = layers[0].in_features - 9 * model.config.width
    needed = weights - zero_columns * layers[0].out_features
    return pixels * (4 * weights - needed)
