"""Training (section 4.1): the whole loop in one file, read from top to bottom."""

from __future__ import annotations

import copy
import csv
import io
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.utils.data import DataLoader

from nerdrain.checkpoints import WEIGHTS, save_checkpoint, write_atomically
from nerdrain.datasets import ImageFolder, PairedFolder, SyntheticRain, TrainingCrops, read_image
from nerdrain.devices import describe_device, pick_device, seed_everything
from nerdrain.errors import NerdrainError
from nerdrain.losses import HybridLoss
from nerdrain.metrics import psnr_matlab_y
from nerdrain.network import NeRDRain
from nerdrain.photos import photo_names, photo_path
from nerdrain.rain import add_rain
from nerdrain.recipes import Recipe, read_recipe

VALIDATION_STYLES = ("light", "heavy")
VALIDATION_CROP = 256
"""Pixels a side of the middle of a validation photograph: enough to compare steps of one run."""


def train(
    recipe_file: str | Path,
    overrides: Mapping[str, str] | None = None,
    run_dir: str | Path | None = None,
    device: str | None = None,
) -> Path:
    """Train a network as a recipe says.

    Args:
        recipe_file: A YAML file of `nerdrain.recipes.Recipe`.
        overrides: Settings to replace, as text.
        run_dir: Where results go; ``runs/NAME`` by default, after the recipe's name. It gets the
            recipe in full, ``log.csv``, and the weights that did best on the validation photographs
            in ``model.safetensors``.
        device: As for `nerdrain.pick_device`.

    Returns:
        The folder of the run.

    Raises:
        NerdrainError: The recipe or its data cannot be used, the folder holds another run, or the
            loss is no longer a number.
    """
    recipe = read_recipe(recipe_file, overrides)
    run = Path(run_dir) if run_dir is not None else Path("runs") / Path(recipe_file).stem
    if (run / "recipe.yaml").exists():
        raise NerdrainError(
            f"{run}: it already holds a run; choose another folder or move it away."
        )
    where = pick_device(device)
    seed_everything(recipe.seed)
    crops = training_crops(recipe)
    validation = validation_pairs(recipe)

    model = NeRDRain(recipe.config).to(where).train()
    average = WeightAverage(model, recipe.average)
    loss = HybridLoss()
    optimiser = torch.optim.Adam(model.parameters(), lr=recipe.rate)  # betas and eps as in 4.1
    log = Log(run / "log.csv")
    write_atomically(run / "recipe.yaml", recipe.to_yaml().encode())
    best = -math.inf

    with progress_bar() as bar:
        bar.console.print(f"{recipe.model} on {describe_device(where)}, into {run}")
        task = bar.add_task("steps", total=recipe.steps, note="")
        for step, (rainy, clean) in enumerate(batches(crops, recipe)):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(step, recipe)
            terms = loss(model(rainy.to(where)), clean.to(where))
            optimiser.zero_grad()
            terms.total.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), recipe.clip or math.inf)
            check_finite(step, terms.total, norm, run)
            optimiser.step()
            average.update(model)

            log.add(step, terms._asdict())
            last = step + 1 == recipe.steps
            if (step + 1) % recipe.validate_every == 0 or last:
                bar.update(task, note="validating")
                scores = validate(average.model, validation, where)
                if scores["mean"] > best:
                    best = scores["mean"]
                    save_checkpoint(average.model, run / WEIGHTS)
                log.write(step + 1, group["lr"], scores)
                bar.update(task, note=f"{scores['mean']:.2f} dB, best {best:.2f}")
            bar.advance(task)
            if last:
                break
    return run


def learning_rate(step: int, recipe: Recipe) -> float:
    """Linear warm-up from 0, then a cosine from `rate` to `final_rate` (section 4.1).

    The first step of a warm-up runs at rate 0, as the released code's first epoch does.
    """
    if step < recipe.warmup:
        return recipe.rate * step / recipe.warmup
    progress = (step - recipe.warmup) / max(recipe.steps - 1 - recipe.warmup, 1)
    amplitude = (recipe.rate - recipe.final_rate) / 2
    return recipe.final_rate + amplitude * (1 + math.cos(math.pi * min(progress, 1)))


class WeightAverage:
    """Exponential moving average of a network's weights; it derains better than the last ones.

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


def clean_photos(recipe: Recipe, split: str) -> list[np.ndarray]:
    """Clean photographs in memory: the recipe's own folder, or a split of the repository's."""
    if recipe.photos is not None:
        paths = ImageFolder(recipe.photos).files
        held_back = paths[::8]  # every eighth, by name, is for validation
        paths = held_back if split == "validation" else [p for p in paths if p not in held_back]
    else:
        paths = [photo_path(name) for name in photo_names(split)]
    return [read_image(path) for path in paths]


def training_crops(recipe: Recipe) -> TrainingCrops:
    """Augmented crops of the recipe's real pairs, or of photographs with synthetic rain."""
    if recipe.pairs is not None:
        folder = PairedFolder(recipe.pairs, recipe.layout, "train")
        return TrainingCrops(folder, recipe.patch, seed=recipe.seed)
    rain = SyntheticRain(
        clean_photos(recipe, "train"),
        recipe.style,
        recipe.mode,  # type: ignore[arg-type]  # SyntheticRain checks it
        seed=recipe.seed,
        patch=recipe.patch,
        dry=recipe.dry,
    )
    return TrainingCrops(rain, recipe.patch, seed=recipe.seed)


def batches(crops: TrainingCrops, recipe: Recipe) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches, each epoch in a new order that follows from the seed."""
    order = torch.Generator().manual_seed(recipe.seed)
    batch = min(recipe.batch, len(crops))
    loader = DataLoader(crops, batch, shuffle=True, drop_last=True, generator=order)
    for epoch in count():
        crops.set_epoch(epoch)
        yield from loader


Pair = tuple[np.ndarray, np.ndarray]


def validation_pairs(recipe: Recipe) -> dict[str, list[Pair]]:
    """Pairs that are never trained on, by rain style: the middle of each photograph."""
    half = VALIDATION_CROP // 2
    pairs: dict[str, list[Pair]] = {style: [] for style in VALIDATION_STYLES}
    for number, photo in enumerate(clean_photos(recipe, "validation")):
        y, x = (max(n // 2 - half, 0) for n in photo.shape[:2])
        middle = photo[y : y + VALIDATION_CROP, x : x + VALIDATION_CROP]
        for style in VALIDATION_STYLES:
            pairs[style].append((add_rain(middle, style, seed=number)[0], middle))
    return pairs


@torch.inference_mode()
def validate(
    model: NeRDRain, pairs: Mapping[str, list[Pair]], device: torch.device
) -> dict[str, float]:
    """Mean PSNR in MATLAB's Y of each rain style, and the mean of these."""
    scores: dict[str, float] = {}
    for style, some in pairs.items():
        values = []
        for rainy, clean in some:
            x = torch.from_numpy(rainy).movedim(-1, 0)[None].to(device)  # (1, 3, H, W)
            restored = model(x).full[0].clamp(0, 1).movedim(0, -1).cpu().numpy()
            values.append(psnr_matlab_y(restored, clean))
        scores[style] = float(np.mean(values))
    return scores | {"mean": float(np.mean(list(scores.values())))}


def check_finite(step: int, loss: Tensor, norm: Tensor, run: Path) -> None:
    """Stop before a broken step reaches the weights."""
    if not (torch.isfinite(loss) and torch.isfinite(norm)):
        raise NerdrainError(
            f"{run}: at step {step} the loss is {loss.item():g} and the gradient's norm "
            f"{norm.item():g}; lower `rate` or set `clip`. The best weights so far are kept."
        )


@dataclass
class Log:
    """``log.csv``: one line at each validation, losses as means since the one before."""

    path: Path
    sums: dict[str, float] = field(default_factory=dict)
    steps: int = 0
    rows: list[dict[str, object]] = field(default_factory=list)
    start: float = field(default_factory=time.monotonic)

    def add(self, step: int, terms: Mapping[str, Tensor]) -> None:
        """Remember one step's losses."""
        self.steps += 1
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + value.item()

    def write(self, step: int, rate: float, scores: Mapping[str, float]) -> None:
        """Add a line; the file is whole at any moment."""
        losses = {name: f"{value / self.steps:.6g}" for name, value in self.sums.items()}
        psnrs = {f"psnr_{name}": f"{value:.3f}" for name, value in scores.items()}
        minutes = f"{(time.monotonic() - self.start) / 60:.2f}"
        self.rows.append({"step": step, "rate": f"{rate:.3g}", "minutes": minutes} | losses | psnrs)
        self.sums, self.steps = {}, 0
        text = io.StringIO()
        writer = csv.DictWriter(text, self.rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_atomically(self.path, text.getvalue().encode())


def progress_bar() -> Progress:
    """Steps done, time left, and the last validation."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
