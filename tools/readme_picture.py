"""Make the picture of the README: test photographs, each half rainy and half derained."""

from pathlib import Path

import numpy as np
from PIL import Image

import nerdrain
from nerdrain.data.photos import load_photo
from nerdrain.data.rain import add_rain
from nerdrain.evaluation.metrics import to_uint8
from nerdrain.inference.derain import derain
from nerdrain.plotting.figures import split_view

PICTURES = (("statueof-liberty", "light", 0), ("kingfisher", "light", 1), ("horse", "heavy", 3))
SIDE = 400
OUT = Path(__file__).resolve().parents[1] / "book" / "images" / "rain-removed.jpg"


def middle(photo: np.ndarray) -> np.ndarray:
    """Crop the middle square of a photograph, with a side of SIDE pixels."""
    top, left = ((n - SIDE) // 2 for n in photo.shape[:2])
    return photo[top : top + SIDE, left : left + SIDE]


def main() -> None:
    """Derain the photographs, join them and save the picture."""
    model = nerdrain.load_model("nerd-rain-tiny")
    tiles = []
    for name, style, seed in PICTURES:
        rainy = to_uint8(add_rain(middle(load_photo(name)), style, seed)[0])
        tiles.append(split_view(rainy, derain(rainy, model)))
    OUT.parent.mkdir(exist_ok=True)
    Image.fromarray(to_uint8(np.concatenate(tiles, axis=1))).save(OUT, quality=88)
    print(OUT.relative_to(Path.cwd()) if OUT.is_relative_to(Path.cwd()) else OUT)


if __name__ == "__main__":
    main()
