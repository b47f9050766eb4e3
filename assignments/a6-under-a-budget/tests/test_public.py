"""Public tests: the recipe is within the budget, and the weights fit it. The gain is not tested."""

import sys
from pathlib import Path

import pytest

from nerdrain import load_model
from nerdrain.evaluation.complexity import complexity
from nerdrain.training.recipes import RainStyles, Recipe, Stage, read_recipe

RECIPE = "recipe.yaml"


@pytest.fixture
def folder() -> Path:
    """The folder of the hand-in."""
    places = [Path.cwd(), *map(Path, sys.path)]
    return next(place for place in places if (place / RECIPE).is_file())


@pytest.fixture
def recipe(folder: Path) -> Recipe:
    """The recipe, which must be valid."""
    return read_recipe(folder / RECIPE)


def test_rules(recipe: Recipe, folder: Path) -> None:
    """Training starts from random weights, on the photographs and the rain of the baseline."""
    assert (recipe.init_from, recipe.photos, recipe.pairs) == (None, None, None)
    assert (recipe.rain_style, recipe.rain_mode) == (RainStyles(mixed=1.0), "mixed")
    assert (recipe.clean_fraction, recipe.variety) == (0, 0)
    assert "extends" not in (folder / RECIPE).read_text(encoding="utf-8")


def test_size_of_the_network(recipe: Recipe) -> None:
    """Parameters, and multiply-adds for 128 x 128 pixels."""
    cost = complexity(recipe.config, 128)
    assert cost.parameters <= 40_000
    assert cost.macs <= 100_000_000


def test_length_of_the_run(recipe: Recipe) -> None:
    """Steps and pixels; the grader counts the steps of progressive stages in the same way."""
    assert recipe.epochs == 0
    assert recipe.max_steps <= 1_000
    whole = Stage(fraction=1, patch_size=recipe.patch_size, batch_size=recipe.batch_size)
    done, first, pixels = 0.0, 0, 0
    for stage in recipe.progressive or [whole]:
        done += stage.fraction
        last = round(recipe.max_steps * done)
        pixels += (last - first) * stage.batch_size * stage.patch_size**2
        first = last
    assert pixels <= 4_096_000


def test_weights_fit_the_recipe(recipe: Recipe, folder: Path) -> None:
    """The file is complete, and its configuration is that of the recipe."""
    weights = folder / "model.safetensors"
    assert weights.stat().st_size <= 1_000_000
    assert load_model(weights).config == recipe.config
