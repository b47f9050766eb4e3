"""What a run carries from step to step: weights, their average, what it measured, and the bar."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

import torch
from accelerate import Accelerator
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from torch import Tensor

from nerdrain.model.network import NeRDRain
from nerdrain.training.losses import LossTerms

REMEMBERED = 32
"""Losses whose median tells a jump."""


class WeightAverage:
    """Exponential moving average of a network's weights, calmer than those of any one step.

    Early on it follows faster, so that the random start does not linger; decay 0 is no average.
    """

    def __init__(self, model: NeRDRain, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, model: NeRDRain) -> None:
        """Move towards `model` by one step."""
        self.updates += 1
        decay = min(self.decay, self.updates / (self.updates + 10))
        for mine, theirs in zip(self.model.parameters(), model.parameters(), strict=True):
            mine.lerp_(theirs, 1 - decay)


class RunState:
    """Everything that a run needs to go on exactly, but its data, which follows from the step.

    Attributes:
        step: Steps done.
        best: The best validation PSNR so far, in dB.
        recent: Losses of the last steps that were taken.
        broken: Broken steps in a row, up to now.
        skipped: Broken steps in all.
    """

    def __init__(
        self, model: NeRDRain, average: WeightAverage, optimiser: Any, scaler: Any = None
    ) -> None:
        self.model, self.average, self.optimiser, self.scaler = model, average, optimiser, scaler
        self.step, self.broken, self.skipped = 0, 0, 0
        self.best = -math.inf
        self.recent: list[float] = []
        self._minutes, self._started = 0.0, time.monotonic()

    @property
    def minutes(self) -> float:
        """Minutes that the run took, the parts before it was stopped included."""
        return self._minutes + (time.monotonic() - self._started) / 60

    def take(self, loss: float, norm: float, jump: float) -> str:
        """Whether a step may reach the weights: "" if so, else what is wrong with it.

        Args:
            loss: The step's.
            norm: Of its gradient. Half precision's scaler expects that it is infinite at times.
            jump: How many times the median of the last losses is too much; 0 for no limit.
        """
        usual = median(self.recent) if len(self.recent) >= REMEMBERED // 2 else math.inf
        if not math.isfinite(loss):
            reason = f"its loss is {loss:g}"
        elif not math.isfinite(norm) and self.scaler is None:
            reason = f"the norm of its gradient is {norm:g}"
        elif jump and loss > jump * usual:
            reason = f"its loss {loss:.4g} is over {jump:g} times the usual {usual:.4g}"
        else:
            self.recent = [*self.recent, loss][-REMEMBERED:]
            self.broken = 0
            return ""
        self.broken += 1
        self.skipped += 1
        if self.scaler is not None:
            self.scaler.update()
        return reason

    def save(self) -> dict[str, Any]:
        """Tensors and plain values, ready for `torch.save`."""
        return {
            "step": self.step,
            "best": self.best,
            "recent": self.recent,
            "broken": self.broken,
            "skipped": self.skipped,
            "minutes": self.minutes,
            "updates": self.average.updates,
            "model": self.model.state_dict(),
            "average": self.average.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """The inverse of `save`."""
        self.step, self.best, self.recent = state["step"], state["best"], list(state["recent"])
        self.broken, self.skipped = state["broken"], state["skipped"]
        self._minutes, self._started = state["minutes"], time.monotonic()
        self.average.updates = state["updates"]
        self.model.load_state_dict(state["model"])
        self.average.model.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.scaler is not None and state["scaler"] is not None:
            self.scaler.load_state_dict(state["scaler"])


class Meter:
    """Means of what the steps measured since the last line of the log, over all processes."""

    def __init__(self, validated: Iterable[str]) -> None:
        self.columns = [f"psnr_{name}" for name in (*validated, "mean")]
        self._clear()

    def _clear(self) -> None:
        self.sums: dict[str, float] = {}
        self.steps = self.images = 0
        self.started = time.monotonic()

    def read(
        self,
        accelerator: Accelerator,
        terms: LossTerms,
        restored: Tensor,
        clean: Tensor,
        stop: bool,
    ) -> dict[str, float]:
        """A step's losses and PSNR (RGB) over all processes, and whether one of them should stop.

        Args:
            accelerator: Of the run.
            terms: This process's losses.
            restored: Its derained batch, (B, 3, H, W).
            clean: The target of that.
            stop: Whether this process was asked to stop.
        """
        clean = clean.to(restored.device)
        error = (restored.clamp(0, 1) - clean).square().mean()
        values = torch.stack([*terms, error, error.new_tensor(float(stop))]).detach().float()
        if accelerator.num_processes > 1:
            values = accelerator.reduce(values, "mean")
        seen = dict(zip((*LossTerms._fields, "psnr_train", "stop"), values.tolist(), strict=True))
        mse = seen["psnr_train"]
        seen["psnr_train"] = -10 * math.log10(mse) if mse > 0 else math.nan
        return seen

    def add(self, seen: Mapping[str, float], norm: float, images: int) -> None:
        """Remember a step."""
        self.steps += 1
        self.images += images
        for name, value in {**seen, "gradient_norm": norm}.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def line(
        self, state: RunState, epoch: int, rate: float, scores: Mapping[str, float]
    ) -> dict[str, str]:
        """A line for the log, and begin the next."""
        means = {n: f"{v / self.steps:.8g}" for n, v in self.sums.items() if n != "stop"}
        speed = self.images / max(time.monotonic() - self.started, 1e-9)
        row = {
            "step": f"{state.step}",
            "epoch": f"{epoch}",
            "rate": f"{rate:.4g}",
            "minutes": f"{state.minutes:.2f}",
            "images_per_second": f"{speed:.4g}",
            "skipped": f"{state.skipped}",
        }
        psnrs = {c: "" for c in self.columns}
        psnrs |= {f"psnr_{name}": f"{value:.3f}" for name, value in scores.items()}
        self._clear()
        return row | means | psnrs


class TrainingBar:
    """Steps done, loss, PSNR, images per second and time left; silent where it is not to show."""

    def __init__(self, steps: int, done: int, *, show: bool) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            disable=not show,
        )
        self.task: TaskID = self.progress.add_task("steps", total=steps, completed=done, note="")
        self.started, self.images = time.monotonic(), 0

    def __enter__(self) -> TrainingBar:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        if not self.progress.disable:
            self.progress.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Say what is going on, behind the bar."""
        self.progress.update(self.task, note=text)

    def advance(self, seen: Mapping[str, float], images: int, best: float) -> None:
        """One step more."""
        self.images += images
        speed = self.images / max(time.monotonic() - self.started, 1e-9)
        note = f"loss {seen['total']:.4f}, {seen['psnr_train']:.1f} dB, {speed:.3g} images/s"
        note += f", best {best:.2f} dB" if math.isfinite(best) else ""
        self.progress.update(self.task, advance=1, note=note)
