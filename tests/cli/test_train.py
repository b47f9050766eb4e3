"""`nerdrain train`: a run, its plan, and the recipe's schema."""

import json
import os
import re
import signal

import pytest
from training_help import make_photos, recipe_file, small_recipe

from nerdrain import NeRDRain
from nerdrain.cli.train import format_duration
from nerdrain.training import loop
from nerdrain.training.recipes import Recipe


def test_training_and_deraining_with_the_result(tmp_path, succeeds, fails_in_a_sentence, photo):
    for number in range(9):
        photo(tmp_path / "photos" / f"{number}.png", 40, 40)
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        f"photos: {tmp_path / 'photos'}\n"
        "overrides: {width: 4, blocks: [1, 1, 1], inr_hidden: 8, unets: [0, 1, 1]}\n"
        "patch_size: 32\nmax_steps: 100\n"
    )
    out = tmp_path / "run"
    text = succeeds("train", recipe, "--set", "max_steps=1", "--set", "rain_style=heavy", "-o", out)
    assert text.rstrip().endswith(f"The run is in {out}.")
    succeeds("derain", photo(tmp_path / "a.png"), "-o", tmp_path / "b.png", "--model", out)
    assert "it already holds a run" in fails_in_a_sentence("train", recipe, "-o", out)


def test_bad_recipes_and_settings(tmp_path, fails_in_a_sentence):
    assert "--set max_steps has no key or no value; write KEY=VALUE" in fails_in_a_sentence(
        "train", tmp_path / "r.yaml", "--set", "max_steps"
    )
    assert "r.yaml: no such recipe" in fails_in_a_sentence("train", tmp_path / "r.yaml")
    text = fails_in_a_sentence("train", "smal")
    assert text == "nerdrain: smal: no such recipe; did you mean small.\n"
    (tmp_path / "r.yaml").write_text("max_steps: 3\n")
    assert "no setting max_step" in fails_in_a_sentence(
        "train", tmp_path / "r.yaml", "--set", "max_step=1"
    )


def test_the_schema_of_a_recipe(succeeds, fails):
    schema = json.loads(succeeds("train", "--schema"))
    assert schema == Recipe.model_json_schema()
    assert {"model", "lr", "max_steps"} <= schema["properties"].keys()
    assert "RECIPE" in fails("train", code=2)


def test_a_plan(tmp_path, succeeds):
    file = recipe_file(tmp_path, make_photos(tmp_path / "photos"), max_steps=700, batch_size=3)
    text = succeeds("train", file, "--plan", "--device", "cpu")
    parameters = sum(p.numel() for p in NeRDRain(small_recipe().config).parameters())
    assert f"{parameters:,} parameters" in text
    assert re.search(r"\b32 +3 +700 +2,100 ", text), text
    assert "7 images an epoch, 300.0 epochs; about" in text
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("hours", "text"), [(0.5, "30.0 minutes"), (1.5, "1.5 hours"), (72, "3.0 days")]
)
def test_durations(hours, text):
    assert format_duration(hours) == text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_sets_the_exit_code(tmp_path, monkeypatch, succeeds, fails, number):
    file, out = recipe_file(tmp_path, make_photos(tmp_path / "photos")), tmp_path / "run"
    rate = loop.set_lr

    def interrupting(optimizer, step, data):
        if step == 1:
            os.kill(os.getpid(), number)
        return rate(optimizer, step, data)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "set_lr", interrupting)
        text = fails("train", file, "-o", out, code=128 + number)
    assert text.startswith("nerdrain: stopped after step 2 of 4, which is saved in")
    succeeds("train", file, "-o", out, "--resume")


def test_places_that_cannot_be_written(tmp_path, fails_in_a_sentence):
    file = recipe_file(tmp_path, make_photos(tmp_path / "photos"))
    text = fails_in_a_sentence("train", file, "-o", file / "run")
    assert "a file is in the place of a folder" in text
    text = fails_in_a_sentence("train", file, "-o", tmp_path / ("x" * 256))
    assert "choose a shorter name" in text
