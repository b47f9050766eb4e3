"""The cost of a run before it starts: steps, images, time and memory on this device."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from nerdrain.devices import median_seconds, peak_memory_mib, reset_peak_memory
from nerdrain.training.batches import TrainingData
from nerdrain.training.execution import check_memory, explain_out_of_memory, make_accelerator
from nerdrain.training.loop import Trainer
from nerdrain.training.recipes import Recipe


@dataclass(frozen=True)
class StagePlan:
    """A stage of a run, with one size of crops and batches.

    Attributes:
        patch_size: Side of a crop, in pixels.
        batch_size: Crops per step.
        steps: Optimizer steps.
        seconds: Measured seconds per step, the median of a few.
    """

    patch_size: int
    batch_size: int
    steps: int
    seconds: float

    @property
    def hours(self) -> float:
        """Estimated hours, without validation and without loading data."""
        return self.steps * self.seconds / 3600


@dataclass(frozen=True)
class Plan:
    """A run, measured by a few of its steps on random images.

    Attributes:
        device: Where it was measured.
        parameters: Parameters of the network.
        items: Images in an epoch.
        stages: The stages of the run in order.
        memory: Peak in MiB: of CUDA's tensors, or of the whole process on other devices.
    """

    device: torch.device
    parameters: int
    items: int
    stages: list[StagePlan]
    memory: float

    @property
    def hours(self) -> float:
        """Estimated hours of all stages."""
        return sum(stage.hours for stage in self.stages)


def plan_run(recipe: Recipe, device: str | None = None, repeat: int = 3) -> Plan:
    """Measure a few training steps of each stage of a run, and write nothing.

    Args:
        recipe: The recipe of the run.
        device: As for `nerdrain.pick_device`.
        repeat: Steps that are timed, after one that is not.

    Raises:
        NerdrainError: The data or the device is missing, or memory is full.
    """
    accelerator = make_accelerator(recipe, device)
    where = accelerator.device
    check_memory(recipe, where)
    data = TrainingData(recipe)
    trainer = Trainer(recipe.with_changes(init_from=None), accelerator)

    def step(image: Tensor) -> None:
        trainer.compute_gradients(image, image)
        trainer.update()

    reset_peak_memory(where)
    stages = []
    for stage in data.stages:
        size = stage.patch_size
        with explain_out_of_memory([stage]):
            image = torch.rand(stage.batch_size, 3, size, size)
            seconds = median_seconds(partial(step, image), where, repeat=repeat)
        steps = stage.last - stage.first
        stages.append(StagePlan(size, stage.batch_size, steps, seconds))
    parameters = sum(p.numel() for p in trainer.model.parameters())
    return Plan(where, parameters, data.size, stages, peak_memory_mib(where))
