"""Check a recipe and weights against the budget, and measure them on hidden pairs."""

import re
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from nerdrain.checkpoints.weights import read_safetensors
from nerdrain.course.keys import Variant
from nerdrain.data.photos import load_photo, photo_names
from nerdrain.data.rain import add_rain
from nerdrain.errors import NerdrainError
from nerdrain.evaluation.complexity import complexity
from nerdrain.evaluation.metrics import psnr_matlab_y
from nerdrain.model.network import NeRDRain
from nerdrain.training.recipes import RainStyles, Recipe, Stage, read_recipe

MOST_PARAMETERS = 40_000
MOST_MACS = 100_000_000
"""Multiply-adds of one forward pass for an image of SIDE x SIDE pixels."""
MOST_STEPS = 1_000
MOST_PIXELS = 4_096_000
"""Pixels of all training crops together: 1,000 steps of 4 crops of 32 x 32 pixels."""
RAIN = {
    "rain_style": RainStyles(mixed=1.0),
    "rain_mode": "mixed",
    "clean_fraction": 0.0,
    "variety": 0.0,
}
"""The training rain, which is the same for everybody.

With heavy additive rain, as in most hidden pairs, the baseline recipe gets all points.
"""
LARGEST_FILE = 1_000_000
"""Bytes of the weights' file."""
PAIRS, SIDE = 12, 128
BASELINE = Path(__file__).parent / "a6_baseline.safetensors"
"""Weights of the baseline recipe, seed 2, in float16."""

Pair = tuple[np.ndarray, np.ndarray]


def rain_of(variant: Variant) -> dict[str, int]:
    """The number of a student's hidden pairs with rain of each style."""
    heavy = variant.integer("heavy", 8, 11)
    return {"heavy": heavy, "mixed": PAIRS - heavy}


@lru_cache(maxsize=4)
def hidden_pairs(variant: Variant) -> list[Pair]:
    """Pairs (rainy, clean) of arrays (SIDE, SIDE, 3) in [0, 1], from the test photographs."""
    rng = variant.generator("pairs")
    styles = [style for style, count in rain_of(variant).items() for _ in range(count)]
    pairs = []
    for name, style in zip(
        rng.choice(photo_names("test"), PAIRS, replace=False), styles, strict=True
    ):
        photo = load_photo(str(name))
        top, left = (rng.integers(side - SIDE + 1) for side in photo.shape[:2])
        clean = photo[top : top + SIDE, left : left + SIDE].astype(np.float32) / 255
        pairs.append((add_rain(clean, style, rng)[0], clean))
    return pairs


@lru_cache(maxsize=4)
def read(content: bytes) -> Recipe:
    """The recipe in a file of a hand-in.

    Raises:
        NerdrainError: It is not a recipe, or extends another one.
    """
    if b"extends" in content:
        raise NerdrainError("a recipe of this assignment may not contain the word extends.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.yaml"
        path.write_bytes(content)
        try:
            return read_recipe(path)
        except NerdrainError as error:
            raise NerdrainError(str(error).replace(folder, "").lstrip("/\\")) from None


def training_pixels(recipe: Recipe) -> int:
    """Pixels of all training crops of a run."""
    whole = Stage(fraction=1, patch_size=recipe.patch_size, batch_size=recipe.batch_size)
    done, first, pixels = 0.0, 0, 0
    stages = recipe.progressive or (whole,)
    for number, stage in enumerate(stages, start=1):
        done += stage.fraction
        last = recipe.max_steps if number == len(stages) else round(recipe.max_steps * done)
        pixels += (last - first) * stage.batch_size * stage.patch_size**2
        first = last
    return pixels


def find_other_data(recipe: Recipe) -> str | None:
    """A sentence that says which setting changes the start or the training data, or None."""
    for name in ("init_from", "photos", "pairs"):
        if getattr(recipe, name) is not None:
            return f"{name} must be null: training starts from random weights, on the photographs."
    for name, value in RAIN.items():
        if getattr(recipe, name) != value:
            return f"{name} must stay as in the baseline, because the rain is the same for all."
    return None


def find_excess(recipe: Recipe) -> str | None:
    """A sentence that says which rule or part of the budget a recipe breaks, or None."""
    if (problem := find_other_data(recipe)) is not None:
        return problem
    if recipe.epochs or recipe.max_steps > MOST_STEPS:
        return f"the recipe must have max_steps of at most {MOST_STEPS:,}, and no epochs."
    if (pixels := training_pixels(recipe)) > MOST_PIXELS:
        return f"the run trains on {pixels:,} pixels, but the budget is {MOST_PIXELS:,}."
    if recipe.config.width > 64:
        return "the network has more parameters than the budget allows."
    cost = complexity(recipe.config, SIDE)
    if cost.parameters > MOST_PARAMETERS:
        return f"the network has {cost.parameters:,} parameters; the most is {MOST_PARAMETERS:,}."
    if cost.macs > MOST_MACS:
        return f"the network has {cost.macs:,} multiply-adds; the most is {MOST_MACS:,}."
    return None


def load_weights(content: bytes, recipe: Recipe) -> NeRDRain:
    """The network of a hand-in.

    Raises:
        NerdrainError: The file is damaged or too large, or does not belong to the recipe.
    """
    if len(content) > LARGEST_FILE:
        raise NerdrainError(f"model.safetensors has more than {LARGEST_FILE:,} bytes.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        path.write_bytes(content)
        try:
            model = read_safetensors(path)
        except NerdrainError as error:
            raise NerdrainError(re.sub(r"\S*model\.safetensors", path.name, str(error))) from None
    if model.config != recipe.config:
        raise NerdrainError("the configuration in model.safetensors is not that of recipe.yaml.")
    return model.eval()


@lru_cache(maxsize=2)
def baseline() -> NeRDRain:
    """The network that the baseline recipe trained."""
    return read_safetensors(BASELINE).eval()


@torch.inference_mode()
def restore(model: NeRDRain, rainy: np.ndarray) -> np.ndarray:
    """Remove the rain of one image (H, W, 3)."""
    x = torch.from_numpy(rainy).movedim(-1, 0)[None]
    return model(x).full[0].clamp(0, 1).movedim(0, -1).numpy()


def gain(model: NeRDRain, pair: Pair) -> float:
    """PSNR of the restored image minus PSNR of the rainy image, in dB (MATLAB's Y)."""
    rainy, clean = pair
    restored = restore(model, rainy)
    if not np.isfinite(restored).all():
        return -100.0
    return psnr_matlab_y(restored, clean) - psnr_matlab_y(rainy, clean)


@lru_cache(maxsize=16)
def _baseline_gains(variant: Variant) -> np.ndarray:
    return np.array([gain(baseline(), pair) for pair in hidden_pairs(variant)])


@dataclass(frozen=True)
class Measured:
    """Measurements of a network on the hidden pairs, in dB.

    Args:
        gain: mean PSNR gain.
        margin: median over the pairs of the difference from the gain of the baseline.
    """

    gain: float
    margin: float


def measure(model: NeRDRain, variant: Variant) -> Measured:
    """Measure a network on the hidden pairs of a student."""
    gains = np.array([gain(model, pair) for pair in hidden_pairs(variant)])
    return Measured(float(gains.mean()), float(np.median(gains - _baseline_gains(variant))))
