"""Count a network's parameters and multiply-adds, the two rows of the paper's Table 2."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from nerdrain.evaluation.paper import TABLE_2
from nerdrain.model.config import NeRDRainConfig
from nerdrain.model.network import NeRDRain
from nerdrain.model.transformer import TransposedAttention

#: The paper's "#Params (M)" and "#FLOPs (G)" at 256x256, by preset. FLOPs are multiply-adds.
PAPER_TABLE_2 = {
    "nerd-rain": TABLE_2["NeRD-Rain"][::-1],
    "nerd-rain-s": TABLE_2["NeRD-Rain-S"][::-1],
}


@dataclass(frozen=True)
class Complexity:
    """Size and cost of a network.

    The released code evaluates each INR decoder four times and multiplies some input columns by
    zeros. For fidelity "paper" both numbers of multiply-adds are equal. Both count attention and
    its projection as two products per pixel, although the package merges them into one.
    """

    parameters: int  #: number of trainable parameters, including unused ones
    macs: int  #: multiply-adds of one forward pass, in convolutions and matrix products
    released_macs: int  #: multiply-adds if the network runs as in the released code


def complexity(model: NeRDRain | NeRDRainConfig, size: int | tuple[int, int] = 256) -> Complexity:
    """Count parameters and multiply-adds for an image (height, width), or a square of that side.

    The network is traced on PyTorch's meta device, which handles only shapes and computes nothing.
    """
    config = model if isinstance(model, NeRDRainConfig) else model.config
    height, width = (size, size) if isinstance(size, int) else size
    unmerged: list[int] = []

    def count_unmerged(
        module: TransposedAttention, inputs: tuple[Tensor, ...], output: Tensor
    ) -> None:
        """The extra cost of multiplying by attention and by its projection one after the other."""
        channels, pixels = output.shape[1], output.shape[2:].numel()
        unmerged.append(channels**2 // module.heads * (pixels - channels))

    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        traced = NeRDRain(config).requires_grad_(False)
        for module in traced.modules():
            if isinstance(module, TransposedAttention):
                module.register_forward_hook(count_unmerged)
        traced(torch.empty(1, 3, height, width))
    # The counter counts a multiply-add as two operations.
    macs = counter.get_total_flops() // 2 + sum(unmerged)
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
