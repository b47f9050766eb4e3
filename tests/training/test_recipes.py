"""Recipes: every key is read, none is ignored, and mistakes are named."""

import re
import time
from pathlib import Path
from typing import Any, get_args

import pytest
from ruamel.yaml import YAML

from nerdrain.data.pairing import LAYOUTS
from nerdrain.errors import NerdrainError
from nerdrain.evaluation.paper import ABLATIONS
from nerdrain.model.config import PRESETS, NeRDRainConfig
from nerdrain.training.losses import LossWeights
from nerdrain.training.recipes import (
    LARGEST_FILE,
    Layout,
    Model,
    RainStyles,
    Recipe,
    Stage,
    read_recipe,
)

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
    assert (recipe.epochs, recipe.lr) == PAPER[name]
    assert (recipe.patch_size, recipe.batch_size) == (256, 1)
    assert (recipe.warmup, recipe.min_lr) == (3, 1e-6)
    assert recipe.loss_weights == LossWeights(freq=0.01, edge=0.05, inr=0.1)  # equation 6
    assert recipe.config == PRESETS[model]


@pytest.mark.parametrize("table", ABLATIONS)
def test_every_ablation_row_has_its_recipe(table: int) -> None:
    base = {"Rain200L": "rain200l", "Rain200H": "rain200h"}[ABLATIONS[table].dataset]
    for row in ABLATIONS[table].trainable:
        recipe = read_recipe(f"ablations/table-{table}-{row.name}")
        assert recipe == read_recipe(base).with_changes(overrides=recipe.overrides)
        assert recipe.config == PRESETS["nerd-rain"].with_changes(**(row.changes or {}))


def test_a_recipe_extends_the_one_beside_it(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("max_steps: 5\nlr: 3e-4", encoding="utf-8")
    recipe = read_recipe(write(tmp_path, "extends: base.yaml\nmax_steps: 6"))
    assert (recipe.max_steps, recipe.lr) == (6, 3e-4)
    for base in ("nowhere.yaml", "recipe.yaml"):  # missing, and itself
        with pytest.raises(NerdrainError, match=f"extends: '{base}': there is no such recipe"):
            read_recipe(write(tmp_path, f"extends: {base}"))


@pytest.mark.parametrize(
    "text",
    ["password: xyzzy", "xyzzy", "password: [xyzzy", "xyzzy: 1\nxyzzy: 2", "!!xyzzy x", "- xyzzy"],
)
def test_a_base_that_is_not_a_recipe_is_not_printed(tmp_path: Path, text: str) -> None:
    (tmp_path / "base.txt").write_text(text, encoding="utf-8")
    with pytest.raises(NerdrainError, match=r"extends: base\.txt: not a recipe") as caught:
        read_recipe(write(tmp_path, "extends: base.txt"))
    assert "xyzzy" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"root:$6$xyzzy:19000:0:99999:7:::\n", b"\xff\xfexyzzy", b"\xe9xyzzy: 1\n"]
)
def test_a_file_of_the_system_is_not_printed(tmp_path: Path, content: bytes) -> None:
    secret = tmp_path / "elsewhere" / "shadow"
    secret.parent.mkdir()
    secret.write_bytes(content)
    with pytest.raises(NerdrainError) as caught:
        read_recipe(write(tmp_path, f"extends: {secret}"))
    message = str(caught.value).removeprefix(f"{tmp_path / 'recipe.yaml'}: ")
    assert re.fullmatch(
        r"extends: shadow: not a recipe( \(line 1\)| \(not YAML\))?; write .*", message
    )


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no devices as files")
def test_a_file_without_an_end_is_not_read(tmp_path: Path) -> None:
    for name in ("/dev/zero", "/dev/stdin"):
        with pytest.raises(NerdrainError, match="there is no such recipe beside it"):
            read_recipe(write(tmp_path, f"extends: {name}"))


def test_exponents_without_a_dot_are_numbers(tmp_path: Path) -> None:
    """YAML 1.1 reads 1e-3 as text."""
    assert read_recipe(write(tmp_path, "max_steps: 1\nlr: 1e-3")).lr == 1e-3


def test_steps_and_epochs_replace_each_other() -> None:
    recipe = read_recipe("rain200l", {"max_steps": "10"})
    assert (recipe.max_steps, recipe.epochs) == (10, 0)
    recipe = read_recipe("small", {"epochs": "2"})
    assert (recipe.max_steps, recipe.epochs) == (0, 2)


def test_overrides_replace_and_reach_inside(tmp_path: Path) -> None:
    file = write(tmp_path, "max_steps: 5\noverrides: {width: 8}")
    recipe = read_recipe(file, {"max_steps": "7", "overrides.fidelity": "paper"})
    assert recipe.max_steps == 7
    assert (recipe.config.width, recipe.config.fidelity) == (8, "paper")


def test_yaml_round_trip(tmp_path: Path) -> None:
    stages = [{"fraction": 0.5, "patch_size": n, "batch_size": 1} for n in (8, 16)]
    recipe = Recipe(
        max_steps=3, lr=2e-5, overrides={"unets": [0, 1, 1]}, rain_style="heavy", progressive=stages
    )
    assert read_recipe(write(tmp_path, recipe.to_yaml())) == recipe
    assert list(YAML(typ="safe").load(recipe.to_yaml())) == list(Recipe.model_fields)


def test_a_style_is_a_name_or_shares() -> None:
    for style in ("light", {"light": 1}):
        assert dict(Recipe(max_steps=1, rain_style=style).rain_style) == {
            "light": 1.0,
            "heavy": 0.0,
            "mixed": 0.0,
            "extreme": 0.0,
            "wild": 0.0,
            "opaque": 0.0,
        }


STAGE = "{fraction: 0.4, patch_size: 8, batch_size: 1}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_stepz: 3", "there is no setting max_stepz; did you mean max_steps."),
        ("qqqqqq: 3", "there is no setting qqqqqq; the settings are model"),
        ("self: 3", "there is no setting self; the settings are model"),
        ("max_steps: many", "max_steps='many': it should be a valid integer"),
        ("max_steps: 2.5", "max_steps=2.5: it should be a valid integer"),
        ("lr: [1]", "lr=[1]: it should be a valid number"),
        ("max_steps: 1\nmax_steps: 2", "(line 2: a key appears twice)"),
        ("max_steps: &a 1\nseed: *a", "not a recipe (line 2)"),
        ("max_steps: 2020-13-45", "not a recipe (not YAML)"),
        ("max_steps: 2020-10-10", "not a recipe (not YAML)"),
        ("[" * 3000, "not a recipe (line 1); write `key: value` lines"),
        ("a: " + "[" * 4000 + "]" * 4000, "not a recipe (line 1); write `key: value` lines"),
        ("max_steps: " + "9" * 3000, "it should be less than or equal to 999999999"),
        ("max_steps: " + "9" * 6000, "not a recipe (not YAML)"),
        ("max_steps: 1\noverrides: {norm: " + "x" * 9000 + "}", "overrides: norm='xxx"),
        ("x" * 900 + ": 1", "there is no setting xxxxxxxxxxxx...xxxxxxxxxxxxx; the"),
        ("#" * LARGEST_FILE + "\nmax_steps: 1", "not a recipe; write `key: value` lines"),
        ("max_steps: 1\nseed: 4294967296", "seed=4294967296: it should be less than 4294967296"),
        ("max_steps: 1\nlr: 1e300", "lr=1e+300: it should be less than or equal to 1000000"),
        ("max_steps: 1\nrain_style: null", "rain_style=None: it should be"),
        ("max_steps: 1\noverrides: {1: 8}", "overrides: there is no setting 1; the settings are"),
        ("max_steps: 1\nloss_weights: {1: 8}", "loss_weights: there is no setting 1; the"),
        ("overrides: 3", "overrides=3: it should be a mapping of keys"),
        (
            "max_steps: 1\noverrides: {widht: 8}",
            "overrides: there is no setting widht; did you mean width",
        ),
        ("max_steps: 1\noverrides: {width: 7}", "overrides: width=7: level 1 is halved"),
        ("max_steps: 1\nmodel: resnet", "model='resnet': it should be 'nerd-rain', 'nerd-rain-s'"),
        ("max_steps: 0", "give either epochs or max_steps, and leave the other at 0"),
        ("max_steps: 1\nepochs: 1", "give either epochs or max_steps"),
        ("max_steps: 1\nmin_lr: 0.1", "min_lr=0.1 is above lr=0.0001; make it smaller"),
        ("max_steps: -1", "max_steps=-1: it should be greater than or equal to 0"),
        ("max_steps: 1\nbatch_size: 0", "batch_size=0: it should be greater than or equal to 1"),
        ("max_steps: 1\nholdout_every: 1", "holdout_every=1: it should be greater than or equal"),
        ("max_steps: 1\nprecision: int8", "precision='int8': it should be 'fp32', 'bf16' or"),
        ("max_steps: 1\nlr_scaling: log", "lr_scaling='log': it should be 'none', 'sqrt' or"),
        ("max_steps: 1\nrain_mode: fog", "rain_mode='fog': it should be 'additive', 'screen',"),
        ("max_steps: 1\nlog_with: [paper]", "log_with[0]='paper': it should be 'aim', "),
        (
            "max_steps: 1\nloss_weights: {fre: 1}",
            "loss_weights: there is no setting fre; did you mean freq",
        ),
        ("max_steps: 1\nloss_weights: {freq: x}", "loss_weights: freq='x': it should be a valid n"),
        ("max_steps: 1\nrain_style: {light: x}", "rain_style: light='x': it should be a valid nu"),
        ("max_steps: 1\nrain_style: fog", "rain_style: there is no setting fog; the settings are"),
        ("max_steps: 1\ncompile: 3", "compile=3: it should be a valid boolean"),
        ("max_steps: 1\nprogressive: 3", "progressive=3: it should be a list"),
        ("max_steps: 1\nprogressive: [{fraction: 1}]", "progressive[0]: patch_size is missing"),
        (
            "max_steps: 1\nprogressive: [{fraction: 1, patch_size: .inf, batch_size: 1}]",
            "progressive[0]: patch_size=inf: it should be a valid integer",
        ),
        (f"max_steps: 1\nprogressive: [{STAGE}]", "the fractions sum to 0.4; make it 1"),
        (
            f"epochs: 1\nprogressive: [{STAGE.replace('0.4', '1')}]",
            "progressive needs max_steps; it does not work with epochs",
        ),
        ("max_steps: 1\nema_decay: 1.0", "ema_decay=1.0: it should be less than 1"),
        (
            "max_steps: 1\nclean_fraction: 2",
            "clean_fraction=2: it should be less than or equal to 1",
        ),
        ("grad_clip: yes", "grad_clip='yes': it should be a valid number"),
        ("max_steps: .inf", "max_steps=inf: it should be a valid integer"),
        ("lr: .nan", "lr=nan: it should be a finite number"),
        ("max_steps: 1\nseed: -1", "seed=-1: it should be greater than or equal to 0"),
        ("max_steps: 1\nphotos: a\npairs: b", "photos and pairs are both given"),
        ("", "not a recipe; write `key: value` lines"),
        ("- a\n- b", "not a recipe; write `key: value` lines"),
        ("a: [", "not a recipe (line 1); write `key: value` lines"),
        ("a: !!python/name:os.system", "not a recipe (line 1); write `key: value` lines"),
        ('a: !!int ""', "not a recipe (not YAML); write `key: value` lines"),
        ("a: !!int", "not a recipe (not YAML); write `key: value` lines"),
        ('a: !!float "x"', "not a recipe (not YAML); write `key: value` lines"),
        ("a: !!timestamp foo", "not a recipe (line 1); write `key: value` lines"),
        ("a: !!binary x", "not a recipe (line 1); write `key: value` lines"),
        ("a: !!omap 3", "not a recipe (line 1); write `key: value` lines"),
        ("max_steps: 0x" + "f" * 9000, "not a recipe (not YAML); write `key: value` lines"),
        ("max_steps: 1" + ":59" * 6000, "max_steps='1:59:59:59:5...9:59:59:59:59': it should"),
        ("max_steps: 1\npatch_size: 1e300", "patch_size=1e+300: it should be a valid integer"),
        ("max_steps: 1\noverrides: {blocks: [1, 1, 3000]}", "overrides: blocks[2]=3000: it should"),
        ("max_steps: 1\noverrides: {expansion: 1e300}", "overrides: expansion=1e+300: make its"),
        ("a: &x [1]\nb: {<<: *x}", "not a recipe (line 2); write `key: value` lines"),
        ("a: \0", "not a recipe (not YAML); write `key: value` lines"),
        (
            "extends: [[[[[[[[1]]]]]]]]",
            "extends: [[[[[[[...]]]]]]]: there is no such recipe beside it",
        ),
        ('extends: "a\\0b"', "there is no such recipe beside it"),
        ("extends: " + "x" * 9000, "there is no such recipe beside it"),
        ("? [1, 2]\n: 3", "not a recipe (not YAML); write `key: value` lines"),
        ("a: !!bool maybe", "not a recipe (not YAML); write `key: value` lines"),
    ],
)
def test_mistakes_are_named_in_one_short_sentence(tmp_path: Path, text: str, message: str) -> None:
    file = write(tmp_path, text)
    started = time.process_time()
    with pytest.raises(NerdrainError) as caught:
        read_recipe(file)
    assert time.process_time() - started < 5
    assert message in str(caught.value)
    assert str(file) in str(caught.value)
    assert len(str(caught.value)) < 600 + len(str(file))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("max_steps", "[", "--set max_steps=[: the value is not YAML"),
        ("photos", "2020-13-45", "--set photos=2020-13-45: the value is not YAML"),
        ("max_steps.x", "3", "--set max_steps.x: max_steps is one value"),
        ("photos", "[\n" + "x" * 10**4, "--set photos=[?xxxxx"),
        ("max_steps." + "x" * 10**4, "3", "--set max_steps.xxx"),
        ("photos", "\udce9[", "the value is not YAML; quote it."),
    ],
)
def test_mistaken_overrides_are_named(tmp_path: Path, key: str, text: str, message: str) -> None:
    with pytest.raises(NerdrainError) as caught:
        read_recipe(write(tmp_path, "max_steps: 3"), {key: text})
    assert message in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(tmp_path)) and "\n" not in str(caught.value)


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(NerdrainError, match=r"nowhere\.yaml: no such recipe"):
        read_recipe(tmp_path / "nowhere.yaml")


def test_choices_are_those_of_the_package() -> None:
    assert set(get_args(Model)) == set(PRESETS)
    assert set(get_args(Layout)) == set(LAYOUTS)


def fields(schema: Any) -> list[dict[str, Any]]:
    """Every property in a JSON Schema, at any depth."""
    if isinstance(schema, list):
        return [field for part in schema for field in fields(part)]
    if not isinstance(schema, dict):
        return []
    own = list(schema.get("properties", {}).values())
    return own + [field for part in schema.values() for field in fields(part)]


def test_the_schema_describes_every_field() -> None:
    schema = Recipe.model_json_schema()
    assert set(schema["properties"]) == {*Recipe.model_fields, "extends"}
    described = fields(schema)
    nested = (Recipe, NeRDRainConfig, LossWeights, RainStyles, Stage)
    assert len(described) == sum(len(kind.model_fields) for kind in nested) + 1  # and `extends`
    assert all(field.get("description") for field in described)
    properties = schema["properties"]
    assert properties["min_lr"]["minimum"] == 0 and properties["min_lr"]["default"] == 1e-6
    assert properties["lr_scaling"]["enum"] == ["none", "sqrt", "linear"]
    assert "width" in properties["overrides"]["properties"]


@pytest.mark.parametrize("file", sorted(RECIPES.rglob("*.yaml")), ids=lambda f: f.stem)
def test_shipped_recipes_fit_the_schema(file: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(Recipe.model_json_schema())
    written = YAML(typ="safe").load(file.read_text(encoding="utf-8"))
    validator.validate(written)
    validator.validate(read_recipe(file).model_dump(mode="json"))
    for key, value in (("batch_size", 0), ("overrides", {"widht": 3}), ("rain_style", "fog")):
        assert not validator.is_valid(written | {key: value})
