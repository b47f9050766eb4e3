"""Recipes: every key is read, none is ignored, and mistakes are named."""

from dataclasses import asdict
from pathlib import Path

import pytest

from nerdrain.errors import NerdrainError
from nerdrain.evaluation.paper import ABLATIONS
from nerdrain.model.config import PRESETS
from nerdrain.training.recipes import Recipe, read_recipe

RECIPES = Path(__file__).parents[2] / "recipes"


def write(path: Path, text: str) -> Path:
    file = path / "recipe.yaml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("file", sorted(RECIPES.rglob("*.yaml")), ids=lambda f: f.stem)
def test_every_recipe_of_the_repository_can_be_read(file: Path) -> None:
    assert read_recipe(file).config.width > 0
    assert read_recipe(file.relative_to(RECIPES).with_suffix("")) == read_recipe(file)


PAPER = {  # section 4.1: epochs and initial rate
    "rain200l": (600, 1e-4),
    "rain200h": (600, 2e-4),
    "did": (200, 1e-4),
    "ddn": (200, 1e-4),
    "spa": (10, 1e-4),
}


@pytest.mark.parametrize("name", PAPER)
@pytest.mark.parametrize(("suffix", "model"), [("", "nerd-rain"), ("-s", "nerd-rain-s")])
def test_the_papers_rows_have_the_papers_numbers(name: str, suffix: str, model: str) -> None:
    recipe = read_recipe(name + suffix)
    assert (recipe.epochs, recipe.rate) == PAPER[name]
    assert (recipe.patch, recipe.batch, recipe.warmup, recipe.final_rate) == (256, 1, 3, 1e-6)
    assert recipe.weights == {"freq": 0.01, "edge": 0.05, "inr": 0.1}  # equation 6
    assert recipe.config == PRESETS[model]


@pytest.mark.parametrize("table", ABLATIONS)
def test_every_ablation_row_has_its_recipe(table: int) -> None:
    base = {"Rain200L": "rain200l", "Rain200H": "rain200h"}[ABLATIONS[table].dataset]
    for row in ABLATIONS[table].trainable:
        recipe = read_recipe(f"ablations/table-{table}-{row.name}")
        expected = asdict(read_recipe(base)) | {"changes": recipe.changes}
        assert asdict(recipe) == expected
        assert recipe.config == PRESETS["nerd-rain"].with_changes(**(row.changes or {}))


def test_a_recipe_extends_the_one_beside_it(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("steps: 5\nrate: 3e-4", encoding="utf-8")
    recipe = read_recipe(write(tmp_path, "extends: base.yaml\nsteps: 6"))
    assert (recipe.steps, recipe.rate) == (6, 3e-4)
    for base in ("nowhere.yaml", "recipe.yaml"):  # missing, and itself
        with pytest.raises(NerdrainError, match=f"extends: {base}: there is no such recipe"):
            read_recipe(write(tmp_path, f"extends: {base}"))


def test_exponents_without_a_dot_are_numbers(tmp_path: Path) -> None:
    """YAML 1.1 reads 1e-3 as text."""
    assert read_recipe(write(tmp_path, "steps: 1\nrate: 1e-3")).rate == 1e-3


def test_steps_and_epochs_replace_each_other() -> None:
    recipe = read_recipe("rain200l", {"steps": "10"})
    assert (recipe.steps, recipe.epochs) == (10, 0)
    recipe = read_recipe("small", {"epochs": "2"})
    assert (recipe.steps, recipe.epochs) == (0, 2)


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
        ("steps: 1\nsteps: 2", "(line 2: steps is there twice)"),
        ("steps: 2020-13-45", "not a recipe; write `key: value` lines"),
        ("[" * 3000, "not a recipe; write `key: value` lines"),
        ("steps: 1\nseed: 4294967296", "seed below 2**32"),
        ("steps: 1\nrate: 1e300", "rate and final_rate must be 1e6 or less"),
        ("steps: 1\nstyle: null", "style: it needs a value"),
        ("steps: 1\nchanges: {1: 8}", "No such configuration field: 1; known are"),
        ("steps: 1\nprogressive: [{share: 1, patch: .inf, batch: 1}]", "write each part as"),
        ("changes: 3", "changes: 3 should be a mapping"),
        ("steps: 1\nchanges: {widht: 8}", "No such configuration field: widht; did you mean width"),
        ("steps: 1\nmodel: resnet", "model: resnet: choose one of nerd-rain"),
        ("steps: 0", "give either epochs or steps, 1 or more"),
        ("steps: 1\nepochs: 1", "give either epochs or steps, 1 or more"),
        ("steps: -1", "give either epochs or steps, 1 or more"),
        ("steps: 1\nbatch: 0", "batch must be 1 or more"),
        ("steps: 1\nheld_back: 1", "held_back must be 2 or more"),
        ("steps: 1\nprecision: int8", "precision: int8: choose one of fp32, bf16, fp16"),
        ("steps: 1\nscale_rate: log", "scale_rate: log: choose one of none, sqrt, linear"),
        ("steps: 1\nweights: {fre: 1}", "weights: there is no loss term fre; did you mean freq"),
        ("steps: 1\nweights: {freq: x}", "weights.freq: 'x' should be a number"),
        ("steps: 1\nstyle: {light: x}", "style.light: 'x' should be a number"),
        ("steps: 1\ncompile: 3", "compile: 3 should be true or false"),
        ("steps: 1\nprogressive: 3", "progressive: 3 should be a list of mappings"),
        ("steps: 1\nprogressive: [{share: 1}]", "write each part as {share: 0.5, patch: 64"),
        (
            "steps: 1\nprogressive: [{share: 0.4, patch: 8, batch: 1}]",
            "progressive: the shares sum to 0.4; make it 1",
        ),
        (
            "epochs: 1\nprogressive: [{share: 1, patch: 8, batch: 1}]",
            "progressive goes with steps, not with epochs",
        ),
        ("steps: 1\naverage: 1.0", "average must be in [0, 1)"),
        ("steps: 1\ndry: 2", "dry is a share"),
        ("clip: yes", "clip: True should be a number"),
        ("steps: .inf", "steps: inf should be a whole number"),
        ("rate: .nan", "rate: nan should be a number"),
        ("steps: 1\nseed: -1", "seed must be 0 or more"),
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
        ("photos", "2020-13-45", "--set photos=2020-13-45: the value is not YAML"),
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


def test_a_broken_base_is_named(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("- a", encoding="utf-8")
    with pytest.raises(NerdrainError, match=r"extends: base\.yaml: not a recipe"):
        read_recipe(write(tmp_path, "extends: base.yaml"))
