"""What a run will take, before it is begun: steps, images, time and memory on this device."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nerdrain.devices import median_seconds, peak_memory_mib, pick_device, reset_peak_memory
from nerdrain.model.network import NeRDRain
from nerdrain.training.batches import TrainingData
from nerdrain.training.execution import full_memory_told, make_accelerator, with_options
from nerdrain.training.loop import forward
from nerdrain.training.losses import HybridLoss, LossWeights
from nerdrain.training.recipes import Recipe


@dataclass(frozen=True)
class PartPlan:
    """A part of a run, with one size of crops and batches.

    Attributes:
        patch: pixels a side.
        batch: crops a step.
        steps: optimiser steps.
        seconds: measured for one step, the median of a few.
    """

    patch: int
    batch: int
    steps: int
    seconds: float

    @property
    def hours(self) -> float:
        """Estimated, without validation and the loading of data."""
        return self.steps * self.seconds / 3600


@dataclass(frozen=True)
class Plan:
    """A run, measured by a few steps of it on random images.

    Attributes:
        device: where it was measured.
        parameters: of the network.
        items: images in an epoch.
        parts: the run's parts in order.
        memory: peak in MiB: of CUDA's tensors, else of the whole process.
    """

    device: torch.device
    parameters: int
    items: int
    parts: list[PartPlan]
    memory: float

    @property
    def hours(self) -> float:
        """Estimated for all parts."""
        return sum(part.hours for part in self.parts)


def plan_run(recipe: Recipe, device: str | None = None, repeat: int = 3) -> Plan:
    """Measure a few training steps of each part of a run; nothing is written.

    Args:
        recipe: what the run would do.
        device: as for `nerdrain.pick_device`.
        repeat: steps that are timed, after one that is not.

    Raises:
        NerdrainError: the data or the device is missing, or memory is full.
    """
    where = pick_device(device)
    data = TrainingData(recipe)
    accelerator = make_accelerator(recipe, device)
    model = NeRDRain(recipe.config).to(where).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=recipe.rate)
    network, optimiser = accelerator.prepare(with_options(model, recipe), optimiser)
    loss = HybridLoss(LossWeights(**recipe.weights))
    reset_peak_memory(where)
    parts = []
    for part in data.parts:
        with full_memory_told([part]):
            image = torch.rand(part.batch, 3, part.patch, part.patch)

        def step(image: torch.Tensor = image) -> None:
            terms, _ = forward(network, loss, image, image, where, recipe)
            optimiser.zero_grad()
            accelerator.backward(terms.total)
            optimiser.step()

        with full_memory_told([part]):
            seconds = median_seconds(step, where, repeat=repeat)
        parts.append(PartPlan(part.patch, part.batch, part.last - part.first, seconds))
    parameters = sum(p.numel() for p in model.parameters())
    return Plan(where, parameters, data.size, parts, peak_memory_mib(where))
