"""How a recipe's network is computed: device, processes, precision, memory, compilation."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from nerdrain.devices import pick_device
from nerdrain.errors import NerdrainError
from nerdrain.model.ablations import ChannelAttentionBlock
from nerdrain.model.network import NeRDRain
from nerdrain.model.transformer import TransformerBlock
from nerdrain.training.batches import Part
from nerdrain.training.recipes import Recipe

COMPILED_SIZES = 64
"""Blocks of so many sizes are compiled; torch's own limit, 8, is fewer than three scales have."""

FULL = ("out of memory", "allocate memory", "not enough memory", "ALLOC_FAILED")
"""What processors, GPUs and their libraries say when memory is full."""


def make_accelerator(recipe: Recipe, device: str | None) -> Accelerator:
    """Accelerate, for the recipe's precision on the chosen device or the launched processes."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        where = pick_device(device)
        AcceleratorState._reset_state(reset_partial_state=True)  # an earlier run's choice
        os.environ["ACCELERATE_TORCH_DEVICE"] = str(where)
        cpu = where.type == "cpu"
    else:
        cpu = device == "cpu" or not torch.cuda.is_available()
    if cpu and recipe.precision == "fp16":
        raise NerdrainError("precision fp16 needs a GPU: set precision to bf16 or fp32.")
    # In the released network one reduction is never used, and so gets no gradient.
    unused = DistributedDataParallelKwargs(
        find_unused_parameters=recipe.config.fidelity == "released"
    )
    precision = "no" if recipe.precision == "fp32" else recipe.precision
    return Accelerator(cpu=cpu, mixed_precision=precision, kwargs_handlers=[unused])


def with_options(model: NeRDRain, recipe: Recipe) -> NeRDRain:
    """The same network, computed as the recipe's options say."""
    if recipe.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if recipe.compile:  # a kind of block is compiled once for each size that it sees
        torch._dynamo.config.cache_size_limit = COMPILED_SIZES
    for block in model.modules():
        if isinstance(block, TransformerBlock | ChannelAttentionBlock):
            if recipe.checkpointing:
                block.forward = checkpointed(block.forward)  # type: ignore
            if recipe.compile:
                block.compile(dynamic=False)
    return model


def checkpointed(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Any]:
    """The function, computed again in the backward pass instead of remembered."""
    return lambda x: checkpoint(function, x, use_reentrant=False)


@contextmanager
def full_memory_told(parts: Sequence[Part]) -> Iterator[None]:
    """Tell of a full memory with the settings that help.

    Raises:
        NerdrainError: memory is full, of the GPU or of the machine.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(sign in str(error) for sign in FULL):
            raise
        largest = max(parts, key=lambda part: part.batch * part.patch**2)
        raise NerdrainError(
            f"memory is full with {largest.batch} crops of {largest.patch} pixels: lower batch "
            "or patch, or set checkpointing to true or precision to bf16."
        ) from None
