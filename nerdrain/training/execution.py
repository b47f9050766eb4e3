"""How a recipe's network is computed: device, processes, precision, memory, compilation."""

from __future__ import annotations

import math
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

from nerdrain.devices import free_memory, keep_freed_memory, pick_device
from nerdrain.errors import NerdrainError
from nerdrain.model.ablations import ChannelAttentionBlock
from nerdrain.model.network import NeRDRain
from nerdrain.model.transformer import GatedFeedForward, TransformerBlock
from nerdrain.training.batches import StageSteps
from nerdrain.training.recipes import Recipe

BLOCKS = (TransformerBlock, ChannelAttentionBlock)
COMPILED_SIZES = 64
"""Blocks of so many sizes are compiled; torch's own limit, 8, is fewer than three scales have."""

OUT_OF_MEMORY = ("out of memory", "allocate memory", "not enough memory", "ALLOC_FAILED")
"""Parts of the messages of processors, GPUs and their libraries when memory is full."""

SAVE_MEMORY = (
    "lower batch_size or patch_size, or set grad_checkpointing to blocks or precision to bf16"
)


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
    keep_freed_memory()
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
    if recipe.compile:  # torch compiles one kind of block once for each size
        torch._dynamo.config.cache_size_limit = COMPILED_SIZES
    kinds: dict[str, type | tuple[type, ...]] = {
        "none": (),
        "feed_forward": GatedFeedForward,
        "blocks": BLOCKS,
    }
    for module in model.modules():
        if isinstance(module, kinds[recipe.grad_checkpointing]):
            module.forward = partial(checkpoint, module.forward, use_reentrant=False)
        if recipe.compile and isinstance(module, BLOCKS):
            module.compile(dynamic=False)
    return model


def estimate_memory(recipe: Recipe, patch_size: int, batch_size: int) -> float:
    """A lower bound of the memory of a training step in bytes, without allocating any.

    It counts the weights with their gradients, averages and Adam's two moments, and the tensors
    that a forward pass keeps for the backward pass.

    Args:
        recipe: Its network, precision and memory options count.
        patch_size: Side of a crop, in pixels.
        batch_size: Crops that one device holds.
    """
    with torch.device("meta"):  # tensors that have a shape and no memory
        model = with_options(NeRDRain(recipe.config), recipe.with_changes(compile=False))
        weights = sum(p.numel() * p.element_size() for p in model.parameters())
        owned = {p.untyped_storage()._cdata for p in model.parameters()}
        kept: dict[int, torch.UntypedStorage] = {}  # views of one tensor count once

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage._cdata not in owned:
                kept[storage._cdata] = storage
            return tensor

        try:
            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                output = model(torch.empty(batch_size, 3, patch_size, patch_size))
        except RuntimeError as error:
            if "overflow" not in str(error):
                raise
            return math.inf
    del output
    activations = sum(storage.nbytes() for storage in kept.values())
    return 5 * weights + activations / (1 if recipe.precision == "fp32" else 2)


def check_memory(recipe: Recipe, device: torch.device, processes: int = 1) -> None:
    """Refuse a run whose steps cannot fit, before anything is allocated.

    Args:
        recipe: The recipe of the run.
        device: The device of this process.
        processes: Processes that share a batch.

    Raises:
        NerdrainError: A step needs more memory than is free, on the device or for loading data.
    """
    stages = [(s.patch_size, s.batch_size) for s in recipe.progressive]
    sizes = stages or [(recipe.patch_size, recipe.batch_size)]
    size, batch = max(sizes, key=lambda size: size[0] ** 2 * size[1])
    share = max(batch // processes, 1)
    images = 2 * share * 3 * size**2 * 4.0  # rainy and clean, float32
    needs = [(torch.device("cpu"), images), (device, estimate_memory(recipe, size, share))]
    for where, need in needs:
        free = free_memory(where)
        if need > free:
            raise NerdrainError(
                f"a step with {share} crops of {size} pixels needs at least {need / 2**30:,.1f} "
                f"GiB of memory, and {free / 2**30:,.1f} GiB are free ({where}): {SAVE_MEMORY}."
            )


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
            f"memory is full with {largest.batch_size} crops of {largest.patch_size} pixels: "
            f"{SAVE_MEMORY}."
        ) from None
