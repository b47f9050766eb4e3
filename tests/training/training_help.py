"""What the tests of training share: small pictures, a small network, and a recipe for both."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nerdrain.training.recipes import Recipe

SMALL: dict[str, Any] = {"width": 4, "blocks": [1, 1, 1], "inr_hidden": 8, "unets": [0, 1, 1]}


def make_photos(folder: Path, count: int = 9) -> Path:
    """Small pictures: smooth colours with an edge each."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        picture = np.full((40, 48, 3), rng.integers(40, 160, 3), np.uint8)
        picture[:, number + 10 :] = rng.integers(40, 160, 3)
        Image.fromarray(picture).save(folder / f"{number}.png")
    return folder


def small_recipe(**changes: Any) -> Recipe:
    values: dict[str, Any] = {
        "overrides": SMALL,
        "rain_style": "heavy",
        "patch_size": 32,
        "batch_size": 2,
        "max_steps": 4,
        "val_every": 2,
        "log_every": 2,
        "lr": 2e-3,
    }
    if "epochs" in changes:
        del values["max_steps"]
    return Recipe(**(values | changes))


def recipe_file(path: Path, photos: Path | None, **changes: Any) -> Path:
    """A file of `small_recipe`, with only what differs from the defaults."""
    recipe = small_recipe(photos=None if photos is None else str(photos), **changes)
    file = path / "small.yaml"
    file.write_text(recipe.to_yaml(), encoding="utf-8")
    return file
