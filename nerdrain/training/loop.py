"""Training (section 4.1): the whole loop in one file, read from top to bottom.

Hugging Face Accelerate chooses the device, the precision and the processes: `nerdrain train` runs
on one device, `accelerate launch -m nerdrain train` on many, with the same recipe and results.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from torch import Tensor

from nerdrain.checkpoints.weights import WEIGHTS, load_model, save_checkpoint
from nerdrain.devices import describe_device
from nerdrain.errors import NerdrainError, Stopped
from nerdrain.evaluation.metrics import psnr_matlab_y
from nerdrain.kernels.attach import use_kernels
from nerdrain.model.network import Derained, NeRDRain
from nerdrain.training.batches import TrainingData, ValidationPair
from nerdrain.training.execution import (
    check_memory,
    explain_out_of_memory,
    make_accelerator,
    with_options,
)
from nerdrain.training.losses import HybridLoss, LossTerms
from nerdrain.training.recipes import Recipe, read_recipe
from nerdrain.training.runs import RunFolder, catch_stop_signals

PATIENCE = 10
"""Broken steps in a row after which a run stops."""
SHOWN = 3
"""Validation images of each kind in a run's pictures."""
PROGRESS = {"step": "d", "epoch": "d", "lr": ".4g", "minutes": ".2f", "skipped": "d"}
"""Columns of the log that describe its last step, and their formats; the others are means."""
COUNTERS = ("step", "best", "recent", "broken", "skipped")
"""Attributes of a `Trainer` that its state holds as they are."""
REMEMBERED = 32
"""Losses whose median is the usual loss."""


def train(
    recipe_file: str | Path,
    overrides: Mapping[str, str] | None = None,
    run_dir: str | Path | None = None,
    device: str | None = None,
    *,
    resume: bool = False,
) -> Path:
    """Train a network as a recipe says.

    On the CPU, a run that was stopped or killed and then resumes ends with exactly the same weights
    as a run without interruption.

    Args:
        recipe_file: A YAML file of a `Recipe`, or the name of a shipped recipe.
        overrides: Settings to replace, as text.
        run_dir: Folder for the results, see `nerdrain.training.runs`; by default ``runs/NAME``,
            after the recipe.
        device: As for `nerdrain.pick_device`; with several processes Accelerate decides.
        resume: Resume the run in `run_dir`, if there is one.

    Returns:
        The folder of the run.

    Raises:
        NerdrainError: The recipe or its data cannot be used, the folder holds another run, memory
            or disk are full, the loss is no longer a finite number, or the run was asked to stop.
    """
    recipe = read_recipe(recipe_file, overrides)
    folder = Path(run_dir) if run_dir is not None else Path("runs") / Path(recipe_file).stem
    accelerator = make_accelerator(recipe, device, folder / "logs")
    check_memory(recipe, accelerator.device, accelerator.num_processes)
    run = RunFolder(folder, recipe, resume=resume, writes=accelerator.is_main_process)
    accelerator.wait_for_everyone()  # all processes look before one writes
    with run.claim():
        data = TrainingData(recipe)
        trainer = Trainer(recipe, accelerator)
        before = run.load(trainer.load_state_dict)
        if before is not None and before.get("images") != data.checksum:
            raise NerdrainError(
                f"{folder}: the training images have changed, so it cannot resume; put the old "
                "images back, or begin a run in another folder."
            )
        # If a killed run logged further than it saved, TensorBoard drops those steps.
        purge = {"tensorboard": {"purge_step": trainer.step + 1}}
        accelerator.init_trackers("nerdrain", init_kwargs=purge)
        run_steps(trainer, data, run)
        accelerator.end_training()
    return folder


def run_steps(trainer: Trainer, data: TrainingData, run: RunFolder) -> None:
    """Train to the end of the run, with validation, log and checkpoints on the way."""
    recipe, accelerator = trainer.recipe, trainer.accelerator
    validation = data.validation()
    where = f"{describe_device(accelerator.device)} x {accelerator.num_processes}"
    accelerator.print(f"{recipe.model} on {where}, from step {trainer.step}, into {run.path}")
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), "{task.description}")
    bar = Progress(*columns, disable=not run.writes)
    task = bar.add_task("", total=data.steps, completed=trainer.step)
    measured: list[dict[str, float]] = []
    with catch_stop_signals() as stop, bar, explain_out_of_memory(data.stages):
        for seen in take_steps(trainer, data, stop):
            stopping = seen.pop("stop") > 0
            measured.append(seen)
            note = f"loss {seen['total']:.4f}, {seen['psnr_train']:.1f} dB"
            bar.update(task, advance=1, description=note)
            last = trainer.step == data.steps
            scores: dict[str, float] = {}
            if last or (trainer.step % recipe.val_every == 0 and not trainer.broken):
                scores = keep_best(trainer, validation, run)
                text = ", ".join(f"{name} {psnr:.2f}" for name, psnr in scores.items())
                accelerator.print(f"step {trainer.step}: {text}")
            if scores or trainer.step % recipe.log_every == 0:
                row = log_row(measured, scores)
                run.log.append(row)
                numbers = {name: float(text) for name, text in row.items() if name != "step"}
                accelerator.log(numbers, trainer.step)
                measured.clear()
            if scores or stopping or run.is_save_due():
                run.save(trainer.state_dict() | {"images": data.checksum})
            if stopping and not last:
                raise Stopped(
                    f"stopped after step {trainer.step} of {data.steps}, which is saved in "
                    f"{run.path}; the same command with --resume continues it.",
                    *stop,  # empty if only another process got the signal
                )


def take_steps(
    trainer: Trainer, data: TrainingData, stop: Sequence[int] = ()
) -> Iterator[dict[str, float]]:
    """The training loop itself, from the trainer's step to the last; yields measurements.

    Raises:
        NerdrainError: The last `PATIENCE` steps were broken.
    """
    accelerator = trainer.accelerator
    rank, processes = accelerator.process_index, accelerator.num_processes
    batches = data.batches(trainer.step, rank, processes)
    now = time.monotonic()
    for step, (rainy, clean) in zip(range(trainer.step, data.steps), batches, strict=True):
        lr = set_lr(trainer.optimizer, step, data)
        seen = trainer.compute_gradients(rainy, clean, stop)
        if fault := trainer.find_fault(seen["total"], seen["grad_norm"]):
            accelerator.print(f"step {step} is skipped: {fault}")
            if trainer.broken == PATIENCE:
                raise NerdrainError(
                    f"{PATIENCE} steps in a row were broken; of the last, {step}, {fault}. The "
                    "checkpoints saved before are whole; begin in another folder with a lower `lr` "
                    "or with `grad_clip`, and `init_from` set to the run's model.safetensors."
                )
        else:
            trainer.update()
        trainer.step = step + 1
        before, now = now, time.monotonic()
        yield seen | {
            "step": trainer.step,
            "epoch": data.epoch(step),
            "lr": lr,
            "minutes": trainer.minutes,
            "skipped": trainer.skipped,
            "images_per_second": len(clean) * processes / (now - before),
        }


def log_row(steps: Sequence[Mapping[str, float]], scores: Mapping[str, float]) -> dict[str, str]:
    """A line of the log: the progress of the last step, means over all steps, and PSNRs.

    Args:
        steps: Measurements of the steps since the last line, from `take_steps`.
        scores: PSNRs of a validation, in dB; empty if there was none.
    """
    progress = {name: f"{steps[-1][name]:{form}}" for name, form in PROGRESS.items()}
    means = {name: sum(step[name] for step in steps) / len(steps) for name in steps[-1]}
    psnrs = {f"psnr_{name}": f"{psnr:.3f}" for name, psnr in scores.items()}
    return progress | {n: f"{v:.8g}" for n, v in means.items() if n not in PROGRESS} | psnrs


class EMA:
    """Exponential moving average of a network's weights, smoother than the weights of one step.

    The decay of update k is at most k / (k + 10), so that the random start is soon forgotten.

    Args:
        model: The network whose weights are averaged; the average starts at its weights.
        decay: The largest decay, in [0, 1); 0 averages nothing.

    Attributes:
        model: A copy of the network with the averaged weights.
        updates: Number of updates.
    """

    def __init__(self, model: NeRDRain, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, model: NeRDRain) -> None:
        """Move the average towards the weights of `model`, once per step."""
        self.updates += 1
        decay = min(self.decay, self.updates / (self.updates + 10))
        for mean, now in zip(self.model.parameters(), model.parameters(), strict=True):
            mean.lerp_(now, 1 - decay)


class Trainer:
    """The network, optimizer and average of a run, and its counters; the data follows from them.

    Args:
        recipe: The recipe of the run.
        accelerator: From `make_accelerator`.

    Attributes:
        step: Steps done.
        best: The best validation PSNR so far, in dB.
        recent: Losses of the last steps that were taken.
        broken: Broken steps in a row, up to now.
        skipped: Broken steps in total.
    """

    def __init__(self, recipe: Recipe, accelerator: Accelerator) -> None:
        self.recipe, self.accelerator, self.scaler = recipe, accelerator, accelerator.scaler
        set_seed(recipe.seed)
        self.model = start_network(recipe).to(accelerator.device).train()
        if accelerator.device.type == "cuda":
            use_kernels(self.model)
        self.ema = EMA(self.model, recipe.ema_decay)
        self.loss = HybridLoss(recipe.loss_weights)
        # Betas and eps are Adam's defaults, as in section 4.1.
        optimizer = torch.optim.Adam(self.model.parameters(), lr=recipe.lr, fused=True)
        network = with_options(self.model, recipe)
        self.network, self.optimizer = accelerator.prepare(network, optimizer)
        self.step, self.broken, self.skipped = 0, 0, 0
        self.best, self.recent = -math.inf, list[float]()
        self._minutes, self._started = 0.0, time.monotonic()

    def compute_gradients(
        self, rainy: Tensor, clean: Tensor, stop: Sequence[int] = ()
    ) -> dict[str, float]:
        """Forward and backward pass of one batch.

        Args:
            rainy: Rainy crops in [0, 1], (B, 3, H, W).
            clean: Their targets, (B, 3, H, W).
            stop: Signals that asked this process to stop, from `catch_stop_signals`.

        Returns:
            Means over all processes: the loss terms, "psnr_train" (RGB, dB), and "stop", which is
            above 0 if any process was asked to stop; and "grad_norm", before clipping.
        """
        accelerator = self.accelerator
        rainy, clean = (x.to(accelerator.device, non_blocking=True) for x in (rainy, clean))
        output = self.network(rainy)
        float32 = {n: x.float() for n, x in output._asdict().items() if x is not None}
        terms = self.loss(Derained(**float32), clean)
        self.optimizer.zero_grad()
        accelerator.backward(terms.total)
        largest = self.recipe.grad_clip or math.inf
        norm = accelerator.clip_grad_norm_(self.model.parameters(), largest)

        error = (float32["full"].detach().clamp(0, 1) - clean).square().mean()
        values = torch.stack([*terms, error, error.new_tensor(float(len(stop)))]).detach()
        if accelerator.num_processes > 1:
            values = accelerator.reduce(values, "mean")
        names = (*LossTerms._fields, "psnr_train", "stop")
        seen = dict(zip(names, values.tolist(), strict=True))
        mse = seen["psnr_train"]
        psnr = -10 * math.log10(mse) if mse > 0 else math.nan
        return seen | {"psnr_train": psnr, "grad_norm": float(norm)}

    def find_fault(self, loss: float, norm: float) -> str:
        """The reason to skip a step; empty if the step may change the weights.

        Args:
            loss: Loss of the step.
            norm: Norm of its gradient. In half precision it may be infinite, because the scaler
                then lowers its scale.
        """
        ratio = self.recipe.max_loss_ratio
        usual = median(self.recent) if len(self.recent) >= REMEMBERED // 2 else math.inf
        if not math.isfinite(loss):
            fault = f"its loss is {loss:g}"
        elif not math.isfinite(norm) and self.scaler is None:
            fault = f"the norm of its gradient is {norm:g}"
        elif ratio and loss > ratio * usual:
            fault = f"its loss {loss:.4g} is over {ratio:g} times the usual {usual:.4g}"
        else:
            self.recent = [*self.recent, loss][-REMEMBERED:]
            self.broken = 0
            return ""
        self.broken += 1
        self.skipped += 1
        if self.scaler is not None:
            self.scaler.update()
        return fault

    def update(self) -> None:
        """One step of the optimizer and of the average, with the gradients computed last."""
        self.optimizer.step()
        self.ema.update(self.model)

    @property
    def minutes(self) -> float:
        """Minutes that the run took, including the time before an interruption."""
        return self._minutes + (time.monotonic() - self._started) / 60

    def state_dict(self) -> dict[str, Any]:
        """Everything that `load_state_dict` needs: tensors and plain values."""
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        counters = {name: getattr(self, name) for name in COUNTERS}
        return counters | parts | {"minutes": self.minutes, "updates": self.ema.updates}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state of `state_dict`."""
        for name in COUNTERS:
            setattr(self, name, state[name])
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.ema.updates = state["updates"]
        self._minutes, self._started = state["minutes"], time.monotonic()

    def _parts(self) -> dict[str, Any]:
        parts = {"model": self.model, "ema": self.ema.model, "optimizer": self.optimizer}
        return parts if self.scaler is None else parts | {"scaler": self.scaler}


def start_network(recipe: Recipe) -> NeRDRain:
    """The recipe's network, with random weights or the weights of `init_from`.

    The recipe's Transformer network may have more blocks than that of `init_from`. The projections
    of the new blocks, which come last at each level, start at 0, so the two networks compute the
    same until the first step.

    Raises:
        NerdrainError: The weights cannot be read, or belong to another network.
    """
    if recipe.init_from is None:
        return NeRDRain(recipe.config)
    start = load_model(recipe.init_from)
    if start.config == recipe.config:
        return start
    model = NeRDRain(recipe.config)
    fewer = all(a <= b for a, b in zip(start.config.blocks, recipe.config.blocks, strict=True))
    same = start.config.with_changes(blocks=recipe.config.blocks) == recipe.config
    if not (fewer and same and recipe.config.backbone == "transformer"):
        raise NerdrainError(
            f"init_from: {recipe.init_from} is another network than the recipe's; set model and "
            f"overrides to its configuration, {start.config}; only blocks may be more."
        )
    weights = model.state_dict() | start.state_dict()
    for name in weights.keys() - start.state_dict().keys():
        if name.endswith(".project.weight"):
            weights[name].zero_()
    model.load_state_dict(weights)
    return model


def learning_rate(position: int, length: int, recipe: Recipe) -> float:
    """Linear warm-up from 0, then a cosine from `lr` to `min_lr` (section 4.1).

    With `lr_schedule` "released" the rates are those of the authors' training. Its scheduler
    multiplies the last rate by the ratio of two values of the cosine. Behind the warm-up, these are
    the values of the epoch before, so the first ratio is above 1. The highest rate then exceeds
    `lr`, by 5 % in 10 epochs, and the last one is far above `min_lr`, with 0.2 of `lr` in 10
    epochs. In 600 epochs the rates are nearly those of the cosine.

    Args:
        position: The epoch, or the step if the recipe counts steps, from 0.
        length: Length of the run, in the same unit.
        recipe: Its `warmup` is in that unit too. The first epoch or step of a warm-up has rate 0,
            as in the released code.
    """
    if position < recipe.warmup:
        return recipe.lr * position / recipe.warmup
    after = position - recipe.warmup
    if recipe.lr_schedule == "released" and length - recipe.warmup > 1:
        step = math.pi / (length - recipe.warmup)
        part = (1 + math.cos(step * (after - 1))) / (1 + math.cos(step))
    else:
        part = (1 + math.cos(math.pi * min(after / max(length - 1 - recipe.warmup, 1), 1))) / 2
    return recipe.min_lr + (recipe.lr - recipe.min_lr) * part


def set_lr(optimizer: Any, step: int, data: TrainingData) -> float:
    """Set the learning rate of a step, and return it."""
    recipe, batch_size = data.recipe, data.stage(step).batch_size
    position, length = (data.epoch(step), recipe.epochs) if recipe.epochs else (step, data.steps)
    lr = learning_rate(position, length, recipe)
    lr *= {"none": 1.0, "sqrt": math.sqrt(batch_size), "linear": batch_size}[recipe.lr_scaling]
    for group in optimizer.param_groups:
        group["lr"] = lr
    return lr


def keep_best(
    trainer: Trainer, pairs: Mapping[str, list[ValidationPair]], run: RunFolder
) -> dict[str, float]:
    """Validate the averaged weights, write samples, and save the weights if they are the best."""
    scores, pictures = validate(trainer.ema.model, pairs, trainer.accelerator)
    run.write_samples(trainer.step, pictures)
    if scores["mean"] > trainer.best:
        trainer.best = scores["mean"]
        if run.writes:
            save_checkpoint(trainer.ema.model, run.path / WEIGHTS)
    return scores


@torch.inference_mode()
def validate(
    model: NeRDRain, pairs: Mapping[str, list[ValidationPair]], accelerator: Accelerator
) -> tuple[dict[str, float], list[list[np.ndarray]]]:
    """Mean PSNR (MATLAB's Y) of each kind of pair, their mean, and pictures.

    The processes share the pairs.

    Returns:
        PSNRs in dB by kind, with their mean as "mean"; and rows of rainy, derained and clean images
        (H, W, 3).
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
