"""Training (section 4.1): the whole loop in one file, read from top to bottom.

Hugging Face Accelerate chooses the device, the precision and the processes: `nerdrain train` runs
on one device, `accelerate launch -m nerdrain train` on many, with the same recipe and results.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from nerdrain.checkpoints.weights import WEIGHTS, load_model, save_checkpoint
from nerdrain.devices import describe_device, seed_everything
from nerdrain.errors import NerdrainError, Stopped
from nerdrain.evaluation.metrics import psnr_matlab_y
from nerdrain.model.network import Derained, NeRDRain
from nerdrain.training.batches import TrainingData, ValidationPair
from nerdrain.training.execution import full_memory_told, make_accelerator, with_options
from nerdrain.training.losses import HybridLoss, LossTerms, LossWeights
from nerdrain.training.recipes import Recipe, read_recipe
from nerdrain.training.runs import RunFolder, StopRequest
from nerdrain.training.state import Meter, RunState, TrainingBar, WeightAverage

PATIENCE = 10
"""Broken steps in a row after which a run stops."""
SHOWN = 3
"""Validation images of each kind in a run's pictures."""


def train(
    recipe_file: str | Path,
    overrides: Mapping[str, str] | None = None,
    run_dir: str | Path | None = None,
    device: str | None = None,
    *,
    resume: bool = False,
) -> Path:
    """Train a network as a recipe says.

    A run that was stopped or killed and goes on with `resume` ends, on the CPU, with the very same
    weights as one that was not.

    Args:
        recipe_file: A YAML file of a `Recipe`, or the name of a shipped one.
        overrides: Settings to replace, as text.
        run_dir: Where results go, see `nerdrain.training.runs`; by default ``runs/NAME``, after
            the recipe.
        device: As for `nerdrain.pick_device`; with many processes Accelerate decides.
        resume: Go on with the run in `run_dir`, where there is one.

    Returns:
        The folder of the run.

    Raises:
        NerdrainError: The recipe or its data cannot be used, the folder holds another run, memory
            or disk are full, the loss is no longer a number, or the run was asked to stop.
    """
    recipe = read_recipe(recipe_file, overrides)
    folder = Path(run_dir) if run_dir is not None else Path("runs") / Path(recipe_file).stem
    accelerator = make_accelerator(recipe, device)
    main, processes = accelerator.is_main_process, accelerator.num_processes
    run = RunFolder(folder, recipe, resume=resume, writes=main)
    accelerator.wait_for_everyone()  # all have looked before one writes
    run.begin()
    seed_everything(recipe.seed)
    data = TrainingData(recipe)
    validation = data.validation()

    model = start_network(recipe).to(accelerator.device).train()
    average = WeightAverage(model, recipe.average)
    # Betas and eps are Adam's defaults, as in section 4.1.
    optimiser = torch.optim.Adam(model.parameters(), lr=recipe.rate)
    network, optimiser = accelerator.prepare(with_options(model, recipe), optimiser)
    loss = HybridLoss(LossWeights(**recipe.weights))
    state = RunState(model, average, optimiser, accelerator.scaler)
    before = run.load(state.load)
    if before is not None and before.get("names", data.names) != data.names:
        raise NerdrainError(
            f"{folder}: other images than it was trained on, so it cannot go on as it was; put the "
            "old ones back, or begin a run in another folder."
        )

    meter = Meter(validation)
    bar = TrainingBar(data.steps, state.step, show=main)
    with StopRequest() as stop, bar, full_memory_told(data.parts):
        where = f"{describe_device(accelerator.device)} x {processes}"
        bar.say(f"{recipe.model} on {where}, from step {state.step}, into {folder}")
        batches = data.batches(state.step, accelerator.process_index, processes)
        for step, (rainy, clean) in zip(range(state.step, data.steps), batches, strict=True):
            rate = set_rate(optimiser, step, data)
            terms, restored = forward(network, loss, rainy, clean, accelerator.device, recipe)
            optimiser.zero_grad()
            accelerator.backward(terms.total)
            norm = accelerator.clip_grad_norm_(model.parameters(), recipe.clip or math.inf)
            seen = meter.read(accelerator, terms, restored, clean, stop.received is not None)
            if reason := state.take(seen["total"], float(norm), recipe.jump):
                bar.say(f"step {step} is skipped: {reason}")
                if state.broken == PATIENCE:
                    raise NerdrainError(
                        f"{folder}: {PATIENCE} steps in a row were broken; of the last, {step}, "
                        f"{reason}. What was saved before is whole; begin in another folder with a "
                        "lower `rate` or with `clip`, and `init` set to its model.safetensors."
                    )
            else:
                optimiser.step()
                average.update(model)
            state.step = step + 1
            meter.add(seen, float(norm), len(clean) * processes)
            bar.advance(seen, len(clean) * processes, state.best)

            last = state.step == data.steps
            scores: dict[str, float] = {}
            if (state.step % recipe.validate_every == 0 and not state.broken) or last:
                bar.note("validating")
                scores, pictures = validate(average.model, validation, accelerator)
                bar.say(
                    f"step {state.step}: " + ", ".join(f"{k} {v:.2f}" for k, v in scores.items())
                )
                run.show(state.step, pictures)
                if scores["mean"] > state.best:
                    state.best = scores["mean"]
                    if main:
                        save_checkpoint(average.model, folder / WEIGHTS)
            if scores or state.step % recipe.log_every == 0:
                run.log.write(meter.line(state, data.epoch(step), rate, scores))
            stopping = seen["stop"] > 0 and not last
            if scores or stopping or run.due():
                run.save(state.save() | {"names": data.names})
            if stopping:
                raise Stopped(
                    f"stopped after step {state.step} of {data.steps}, which is saved in {folder}; "
                    "the same command with --resume goes on."
                )
    accelerator.end_training()
    return folder


def start_network(recipe: Recipe) -> NeRDRain:
    """The recipe's network, drawn at random or with the weights of `init`."""
    if recipe.init is None:
        return NeRDRain(recipe.config)
    model = load_model(recipe.init)
    if model.config != recipe.config:
        raise NerdrainError(
            f"init: {recipe.init} is another network than the recipe's; set model and changes "
            f"to its configuration, {model.config}."
        )
    return model


def forward(
    network: nn.Module,
    loss: HybridLoss,
    rainy: Tensor,
    clean: Tensor,
    device: torch.device,
    recipe: Recipe,
) -> tuple[LossTerms, Tensor]:
    """The loss and the derained batch."""
    rainy, clean = rainy.to(device, non_blocking=True), clean.to(device, non_blocking=True)
    if recipe.channels_last:
        rainy = rainy.contiguous(memory_format=torch.channels_last)
    output = network(rainy)
    float32 = {n: x.float() for n, x in output._asdict().items() if x is not None}
    return loss(Derained(**float32), clean), float32["full"].detach()


def learning_rate(position: int, length: int, recipe: Recipe) -> float:
    """Linear warm-up from 0, then a cosine from `rate` to `final_rate` (section 4.1).

    Args:
        position: The epoch, or the step where the recipe counts steps, from 0.
        length: Of the run, in the same unit.
        recipe: Its `warmup` is in that unit too. The first epoch or step of a warm-up runs at
            rate 0, as the released code's does.
    """
    if position < recipe.warmup:
        return recipe.rate * position / recipe.warmup
    progress = (position - recipe.warmup) / max(length - 1 - recipe.warmup, 1)
    amplitude = (recipe.rate - recipe.final_rate) / 2
    return recipe.final_rate + amplitude * (1 + math.cos(math.pi * min(progress, 1)))


def set_rate(optimiser: Any, step: int, data: TrainingData) -> float:
    """Give the optimiser the rate of a step."""
    recipe, batch = data.recipe, data.part(step).batch
    position, length = (data.epoch(step), recipe.epochs) if recipe.epochs else (step, data.steps)
    rate = learning_rate(position, length, recipe)
    rate *= {"none": 1.0, "sqrt": math.sqrt(batch), "linear": batch}[recipe.scale_rate]
    for group in optimiser.param_groups:
        group["lr"] = rate
    return rate


@torch.inference_mode()
def validate(
    model: NeRDRain, pairs: Mapping[str, list[ValidationPair]], accelerator: Accelerator
) -> tuple[dict[str, float], list[list[np.ndarray]]]:
    """Mean PSNR in MATLAB's Y of each kind of pair and the mean of these; and pictures.

    The processes share the pairs. Pictures are rows of rainy, derained and clean images.
    """
    scores: dict[str, float] = {}
    pictures: list[list[np.ndarray]] = []
    for kind, every in pairs.items():
        total = torch.zeros((), dtype=torch.float32, device=accelerator.device)
        for number, (rainy, clean) in enumerate(every):
            if number % accelerator.num_processes != accelerator.process_index:
                continue
            x = torch.from_numpy(rainy).movedim(-1, 0)[None].to(accelerator.device)  # (1, 3, H, W)
            restored = model(x).full[0].clamp(0, 1).movedim(0, -1).cpu().numpy()
            total += psnr_matlab_y(restored, clean)
            if number < SHOWN:
                pictures.append([rainy, restored, clean])
        scores[kind] = float(accelerator.reduce(total, "sum")) / len(every)
    return scores | {"mean": float(np.mean(list(scores.values())))}, pictures
