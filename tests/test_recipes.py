"""Recipes: every key is read, none is ignored, and mistakes are named."""

from pathlib import Path

import pytest

from nerdrain.errors import NerdrainError
from nerdrain.recipes import Recipe, read_recipe

RECIPES = Path(__file__).parents[1] / "recipes"


def write(path: Path, text: str) -> Path:
    file = path / "recipe.yaml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*.yaml")), ids=lambda f: f.stem)
def test_every_recipe_of_the_repository_can_be_read(file: Path) -> None:
    assert read_recipe(file).config.width > 0


def test_the_defaults_are_the_papers_numbers(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path, "seed: 0"))
    assert recipe == Recipe()
    assert (recipe.patch, recipe.batch, recipe.rate, recipe.final_rate) == (256, 1, 1e-4, 1e-6)


def test_exponents_without_a_dot_are_numbers(tmp_path: Path) -> None:
    """YAML 1.1 reads 1e-3 as text."""
    assert read_recipe(write(tmp_path, "rate: 1e-3")).rate == 1e-3


def test_overrides_replace_and_reach_inside(tmp_path: Path) -> None:
    file = write(tmp_path, "steps: 5\nchanges: {width: 8}")
    recipe = read_recipe(file, {"steps": "7", "changes.fidelity": "paper"})
    assert recipe.steps == 7
    assert (recipe.config.width, recipe.config.fidelity) == (8, "paper")


def test_yaml_round_trip(tmp_path: Path) -> None:
    recipe = Recipe(steps=3, rate=2e-4, changes={"width": 8}, style="heavy")
    assert read_recipe(write(tmp_path, recipe.to_yaml())) == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepz: 3", "there is no setting stepz; did you mean steps."),
        ("qqqqqq: 3", "there is no setting qqqqqq; known are model"),
        ("steps: many", "steps: 'many' should be a whole number"),
        ("steps: 2.5", "steps: 2.5 should be a whole number"),
        ("rate: [1]", "rate: [1] should be a number"),
        ("changes: 3", "changes: 3 should be a mapping"),
        ("changes: {widht: 8}", "No such configuration field: widht"),
        ("model: resnet", "model: resnet: choose one of nerd-rain"),
        ("steps: 0", "steps and validate_every must be 1 or more"),
        ("average: 1.0", "average must be in [0, 1)"),
        ("dry: 2", "dry is a share"),
        ("clip: yes", "clip: True should be a number"),
        ("steps: .inf", "steps: inf should be a whole number"),
        ("rate: .nan", "rate: nan should be a number"),
        ("seed: -1", "clip, warmup, final_rate and seed must be 0 or more"),
        ("", "not a recipe; write `key: value` lines"),
        ("- a\n- b", "not a recipe; write `key: value` lines"),
        ("a: [", "not a recipe; write `key: value` lines"),
        ("a: !!python/name:os.system", "not a recipe; write `key: value` lines"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(NerdrainError) as caught:
        read_recipe(file)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("steps", "[", "--set steps=[: the value is not YAML"),
        ("steps.x", "3", "--set steps.x: steps is one value"),
    ],
)
def test_mistaken_overrides_are_named(tmp_path: Path, key: str, text: str, message: str) -> None:
    with pytest.raises(NerdrainError) as caught:
        read_recipe(write(tmp_path, "steps: 3"), {key: text})
    assert message in str(caught.value)


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(NerdrainError, match=r"nowhere\.yaml: no such recipe"):
        read_recipe(tmp_path / "nowhere.yaml")
