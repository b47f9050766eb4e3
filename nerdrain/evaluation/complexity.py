"""How large a network is and how much it computes: the two rows of the paper's Table 2."""

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
"""The paper's "#Params (M)" and "#FLOPs (G)", which are multiply-adds, at 256x256, by preset."""


@dataclass(frozen=True)
class Complexity:
    """Size and cost of a network.

    Attributes:
        parameters: Number of trained numbers, unused ones included.
        macs: Multiply-adds of one forward pass, in convolutions and matrix products.
        released_macs: The same as the released code runs it: its INR decoders four times, each with
            the input columns that multiply zeros. For fidelity "paper" it equals `macs`.
    """

    parameters: int
    macs: int
    released_macs: int


def _multiply_adds(model: nn.Module, *inputs: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        model(*inputs)
    return counter.get_total_flops() // 2  # the counter takes a multiply-add for two operations


def complexity(model: NeRDRain | NeRDRainConfig, size: int | tuple[int, int] = 256) -> Complexity:
    """Count parameters, and multiply-adds at ``(height, width)`` or a square of `size` pixels.

    Nothing is computed: the network is traced on PyTorch's meta device, which knows only shapes.
    """
    config = model if isinstance(model, NeRDRainConfig) else model.config
    height, width = (size, size) if isinstance(size, int) else size
    with torch.device("meta"):
        traced = NeRDRain(config).requires_grad_(False)
        macs = _multiply_adds(traced, torch.empty(1, 3, height, width))
        extra = sum(_released_extra(traced, name, height, width) for name in traced.inrs)
    parameters = sum(p.numel() for p in traced.parameters())
    return Complexity(parameters, macs, macs + extra)


def _released_extra(model: NeRDRain, name: str, height: int, width: int) -> int:
    """What the released code computes more for an INR: four passes, and columns that meet zeros."""
    if model.config.fidelity == "paper":
        return 0
    names = list(model.scales)
    multiple = 4 << (len(names) - 1)
    shrink = 1 << (len(names) - 1 - names.index(name))
    pixels = (height + -height % multiple) * (width + -width % multiple) // shrink**2
    layers = model.inrs[name].decoder.layers
    released = 4 * sum(layer.weight.numel() for layer in layers)
    unread = (layers[0].in_features - 9 * model.config.width) * layers[0].out_features
    ours = released // 4 - unread
    return pixels * (released - ours)
