"""How a recipe's network is computed: device, processes, precision, memory, compilation."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.tracking import get_available_trackers
from accelerate.utils import DistributedDataParallelKwargs
from torch.utils.checkpoint import checkpoint

from nerdrain.devices import pick_device
from nerdrain.errors import NerdrainError
from nerdrain.model.ablations import ChannelAttentionBlock
from nerdrain.model.network import NeRDRain
from nerdrain.model.transformer import TransformerBlock
from nerdrain.training.batches import StageSteps
from nerdrain.training.recipes import Recipe

COMPILED_SIZES = 64
"""Blocks of so many sizes are compiled; torch's own limit, 8, is fewer than three scales have."""

OUT_OF_MEMORY = ("out of memory", "allocate memory", "not enough memory", "ALLOC_FAILED")
"""Parts of the messages of processors, GPUs and their libraries when memory is full."""


def make_accelerator(
    recipe: Recipe, device: str | None = None, log_dir: Path | None = None
) -> Accelerator:
    """Accelerate's object for the recipe's precision, on the chosen device or all processes.

    Args:
        recipe: Its `precision`, `log_with` and fidelity count.
        device: As for `nerdrain.pick_device`; for one of several processes, only "cpu" counts.
        log_dir: Where trackers write their files; None uses no trackers.

    Raises:
        NerdrainError: The device, or the package of a tracker, is missing.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        where = pick_device(device)
        AcceleratorState._reset_state(reset_partial_state=True)  # an earlier run's choice
        os.environ["ACCELERATE_TORCH_DEVICE"] = str(where)
        cpu = where.type == "cpu"
    else:
        cpu = device == "cpu" or not torch.cuda.is_available()
    if cpu and recipe.precision == "fp16":
        raise NerdrainError("precision fp16 needs a GPU: set precision to bf16 or fp32.")
    # In the released network one reduction is never used, so it gets no gradient.
    unused = DistributedDataParallelKwargs(
        find_unused_parameters=recipe.config.fidelity == "released"
    )
    trackers = list(recipe.log_with) if log_dir else []
    for name in set(trackers) - {str(tracker) for tracker in get_available_trackers()}:
        raise NerdrainError(f"log_with: {name} is not installed; install it, or leave it out.")
    return Accelerator(
        cpu=cpu,
        mixed_precision="no" if recipe.precision == "fp32" else recipe.precision,
        log_with=trackers or None,
        project_dir=log_dir,
        kwargs_handlers=[unused],
    )


def with_options(model: NeRDRain, recipe: Recipe) -> NeRDRain:
    """The same network, computed with the memory options of the recipe."""
    if recipe.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if recipe.compile:  # torch compiles one kind of block once for each size
        torch._dynamo.config.cache_size_limit = COMPILED_SIZES
    for block in model.modules():
        if isinstance(block, TransformerBlock | ChannelAttentionBlock):
            if recipe.grad_checkpointing:
                block.forward = partial(checkpoint, block.forward, use_reentrant=False)  # type: ignore
            if recipe.compile:
                block.compile(dynamic=False)
    return model


@contextmanager
def explain_out_of_memory(stages: Sequence[StageSteps]) -> Iterator[None]:
    """Turn an out-of-memory error into a sentence with the settings that help.

    Raises:
        NerdrainError: The memory of the GPU or of the machine is full.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(t in str(error) for t in OUT_OF_MEMORY):
            raise
        largest = max(stages, key=lambda stage: stage.batch_size * stage.patch_size**2)
        raise NerdrainError(
            f"memory is full with {largest.batch_size} crops of {largest.patch_size} pixels: lower "
            "batch_size or patch_size, or set grad_checkpointing to true or precision to bf16."
        ) from None
