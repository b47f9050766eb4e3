"""The training loop: schedule, data, validation, what it writes, and that it learns."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import nerdrain
from nerdrain.errors import NerdrainError
from nerdrain.network import NeRDRain
from nerdrain.recipes import Recipe, read_recipe
from nerdrain.training import (
    WeightAverage,
    batches,
    check_finite,
    learning_rate,
    train,
    training_crops,
    validation_pairs,
)

SMALL = {"width": 4, "blocks": [1, 1, 1], "inr_hidden": 8, "unets": [0, 1, 1]}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of nine small pictures: smooth colours with an edge each."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(9):
        picture = np.full((40, 48, 3), rng.integers(40, 160, 3), np.uint8)
        picture[:, number + 10 :] = rng.integers(40, 160, 3)
        Image.fromarray(picture).save(folder / f"{number}.png")
    return folder


def recipe_file(path: Path, photos: Path, **changes: object) -> Path:
    recipe = Recipe(
        **{
            "changes": SMALL,
            "photos": str(photos),
            "style": "heavy",
            "patch": 32,
            "batch": 2,
            "steps": 4,
            "validate_every": 2,
            "rate": 2e-3,
        }
        | changes  # type: ignore[arg-type]
    )
    file = path / "small.yaml"
    file.write_text(recipe.to_yaml(), encoding="utf-8")
    return file


def test_learning_rate_is_the_closed_form() -> None:
    recipe = Recipe(steps=101, warmup=10, rate=1e-4, final_rate=1e-6)
    assert learning_rate(0, recipe) == 0
    assert learning_rate(5, recipe) == pytest.approx(5e-5)
    assert learning_rate(10, recipe) == pytest.approx(1e-4)
    middle = 1e-6 + (1e-4 - 1e-6) * (1 + math.cos(math.pi / 2)) / 2
    assert learning_rate(55, recipe) == pytest.approx(middle)
    assert learning_rate(100, recipe) == pytest.approx(1e-6)


def test_the_average_follows_a_constant_and_decay_0_copies() -> None:
    model = NeRDRain(Recipe(changes=SMALL).config)
    average, copied = WeightAverage(model, 0.9), WeightAverage(model, 0.0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    copied.update(model)
    for _ in range(200):
        average.update(model)
    for a, c, p in zip(
        average.model.parameters(), copied.model.parameters(), model.parameters(), strict=True
    ):
        torch.testing.assert_close(c, p)
        torch.testing.assert_close(a, p, atol=1e-5, rtol=1e-5)


def test_the_average_is_the_closed_form() -> None:
    """Two updates towards 1 from 0 with decay 0.5: 1 - d1 d2, d the early decays 1/11 and 2/12."""
    model = NeRDRain(Recipe(changes=SMALL).config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    average = WeightAverage(model, 0.5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
    average.update(model)
    average.update(model)
    value = next(average.model.parameters()).flatten()[0].item()
    assert value == pytest.approx(1 - 1 / 11 * 2 / 12, rel=1e-5)


def test_batches_repeat_with_the_seed_and_change_with_the_epoch(photos: Path) -> None:
    recipe = Recipe(changes=SMALL, photos=str(photos), patch=16, batch=4)

    def first(n: int) -> list[torch.Tensor]:
        stream = batches(training_crops(recipe), recipe)
        return [next(stream)[0] for _ in range(n)]

    once, again = first(4), first(4)
    for a, b in zip(once, again, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert once[0].shape == (4, 3, 16, 16)
    assert not torch.equal(once[0], once[2])  # 8 training pictures: two batches an epoch


def test_validation_pictures_are_never_trained_on(photos: Path) -> None:
    recipe = Recipe(changes=SMALL, photos=str(photos))
    pairs = validation_pairs(recipe)
    held_back = pairs["light"][0][1]
    trained = [training_crops(recipe).pairs.photo(i) for i in range(7)]  # type: ignore[attr-defined]
    assert len(pairs["light"]) == len(pairs["heavy"]) == 2
    assert not any(np.array_equal(held_back, photo) for photo in trained)


def test_a_run_writes_its_recipe_log_and_best_weights(tmp_path: Path, photos: Path) -> None:
    file = recipe_file(tmp_path, photos)
    run = train(file, {"seed": "3"}, tmp_path / "run", "cpu")
    assert read_recipe(run / "recipe.yaml").seed == 3
    with (run / "log.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["step"] for row in rows] == ["2", "4"]
    assert float(rows[0]["total"]) > 0
    assert nerdrain.load_model(run / "model.safetensors").config.width == 4
    with pytest.raises(NerdrainError, match="already holds a run"):
        train(file, {}, tmp_path / "run", "cpu")


def test_runs_repeat_and_learn(tmp_path: Path, photos: Path) -> None:
    """40 steps on heavy rain gain well over a decibel, the same in a second run."""
    file = recipe_file(tmp_path, photos, steps=40, validate_every=20, clip=1.0)
    logs = []
    for name in ("a", "b"):
        run = train(file, run_dir=tmp_path / name, device="cpu")
        with (run / "log.csv").open(encoding="utf-8") as lines:
            logs.append(
                [{k: v for k, v in row.items() if k != "minutes"} for row in csv.DictReader(lines)]
            )
    assert logs[0] == logs[1]
    untrained = train(file, {"steps": "1", "warmup": "1"}, tmp_path / "c", "cpu")  # rate 0
    with (untrained / "log.csv").open(encoding="utf-8") as lines:
        start = float(next(csv.DictReader(lines))["psnr_heavy"])
    assert float(logs[0][-1]["psnr_heavy"]) > start + 1


def test_real_pairs_train_too(tmp_path: Path, photos: Path) -> None:
    for side in ("input", "target"):
        folder = tmp_path / "set" / "train" / side
        folder.mkdir(parents=True)
        for path in photos.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
    file = recipe_file(tmp_path, photos, pairs=str(tmp_path / "set"), steps=1)
    assert (train(file, run_dir=tmp_path / "run", device="cpu") / "model.safetensors").is_file()


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    fine, broken = torch.tensor(1.0), torch.tensor(float("nan"))
    check_finite(3, fine, fine, tmp_path)
    for pair in ((broken, fine), (fine, broken)):
        with pytest.raises(NerdrainError, match=r"at step 3 the loss is .* lower `rate`"):
            check_finite(3, *pair, tmp_path)
