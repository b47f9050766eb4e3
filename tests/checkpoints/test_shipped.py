"""The models in data/checkpoints: whole, documented, and as good as their cards say."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest

import nerdrain
from nerdrain.checkpoints.weights import models_folder, shipped_models
from nerdrain.data.photos import load_photo
from nerdrain.data.rain import add_rain
from nerdrain.evaluation.metrics import gain, psnr_matlab_y, to_uint8
from nerdrain.inference.derain import derain
from nerdrain.training.recipes import read_recipe

FOLDER = models_folder()
RECIPES = Path(__file__).parents[2] / "recipes"


def middle(name: str) -> np.ndarray:
    """192 pixels a side from the middle of a test photograph."""
    photo = load_photo(name)
    top, left = ((n - 192) // 2 for n in photo.shape[:2])
    return photo[top : top + 192, left : left + 192]


def test_the_default_model_is_shipped() -> None:
    assert "nerd-rain-tiny" in shipped_models()


@pytest.mark.parametrize("name", shipped_models())
class TestShipped:
    def test_file_is_the_one_that_was_signed(self, name: str) -> None:
        lines = (FOLDER / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
        digests = {file: digest for digest, file in (line.split() for line in lines)}
        content = (FOLDER / name / "model.safetensors").read_bytes()
        assert hashlib.sha256(content).hexdigest() == digests[f"{name}/model.safetensors"]
        assert len(content) <= 5_000_000

    def test_it_is_the_preset_trained_by_the_recipes(self, name: str) -> None:
        files = sorted((FOLDER / name).glob("recipe-*.yaml"))
        preset = nerdrain.PRESETS[name]
        for leg, file in enumerate(files, start=1):
            recipe = read_recipe(file)
            assert file.name == f"recipe-{leg}.yaml"
            assert recipe == read_recipe(RECIPES / f"{name}-{leg}.yaml")
            assert recipe.config.with_changes(blocks=preset.blocks) == preset  # blocks may be added
            before = f"runs/{name}-{leg - 1}/model.safetensors" if leg > 1 else None
            assert recipe.init_from == before
        assert recipe.config == preset == nerdrain.load_model(name).config

    def test_every_log_ends_with_its_recipe(self, name: str) -> None:
        logs = sorted((FOLDER / name).glob("log-*.csv"))
        for log in logs:
            with log.open(encoding="utf-8") as lines:
                last = list(csv.DictReader(lines))[-1]
            recipe = log.with_name(log.name.replace("log", "recipe")).with_suffix(".yaml")
            assert int(last["step"]) == read_recipe(recipe).max_steps
        assert len(logs) == len(list((FOLDER / name).glob("recipe-*.yaml")))

    def test_the_card_gives_the_command_that_measures(self, name: str) -> None:
        card = (FOLDER / name / "README.md").read_text(encoding="utf-8")
        assert f"python benchmarks/bench_quality.py {name}" in card

    def test_from_pretrained_reads_the_folder(self, name: str) -> None:
        model = nerdrain.NeRDRain.from_pretrained(FOLDER / name)
        assert model.config == nerdrain.PRESETS[name]


@pytest.mark.parametrize(("style", "least"), [("light", 4.0), ("heavy", 6.0)])
def test_it_gains_on_photographs_it_never_saw(style: str, least: float) -> None:
    """The card's figures are for whole photographs; a few crops show that they still hold."""
    model = nerdrain.load_model("nerd-rain-tiny")
    gains = []
    for seed, name in enumerate(("brandenburg-gate", "chelsea", "kingfisher", "machu-picchu")):
        clean = middle(name)
        rainy = to_uint8(add_rain(clean, style, seed)[0])
        gains.append(gain(rainy, derain(rainy, model), clean))
    assert np.mean(gains) >= least, gains


def test_a_dry_photograph_changes_little() -> None:
    clean = middle("kingfisher")
    assert psnr_matlab_y(derain(clean, nerdrain.load_model("nerd-rain-tiny")), clean) > 32
