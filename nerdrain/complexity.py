"""How large a network is and how much it computes: the two rows of the paper's Table 2."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nerdrain.config import NeRDRainConfig
from nerdrain.network import NeRDRain

PAPER_TABLE_2 = {"nerd-rain": (22.89, 156.3), "nerd-rain-s": (10.53, 79.2)}
"""The paper's "#Params (M)" and "#FLOPs (G)", which are multiply-adds, at 256x256."""


@dataclass(frozen=True)
class Complexity:
    """Size and cost of a network.

    Attributes:
        parameters: Number of trained numbers, unused ones included.
        macs: Multiply-adds of one forward pass, in convolutions and matrix products.
        released_macs: The same, counting the INR decoders as often as the released code runs them:
            four times. For fidelity "paper" it equals `macs`.
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
        extra = 0
        if config.fidelity == "released":
            names = list(traced.scales)
            for name, inr in traced.inrs.items():
                shrink = 1 << (len(names) - 1 - names.index(name))
                multiple = 4 * (1 << (len(names) - 1))
                h, w = ((n + -n % multiple) // shrink for n in (height, width))
                extra += 3 * _multiply_adds(inr.decoder, torch.empty(1, config.width, h, w))
    parameters = sum(p.numel() for p in traced.parameters())
    return Complexity(parameters, macs, macs + extra)
