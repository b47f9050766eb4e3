"""Make the pictures of the README and the model card: photographs, half rainy, half derained."""

from pathlib import Path

import numpy as np
from PIL import Image

import nerdrain
from nerdrain.data.photos import load_photo
from nerdrain.data.rain import add_rain
from nerdrain.evaluation.metrics import to_uint8
from nerdrain.inference.derain import derain
from nerdrain.plotting.figures import split_view

ROOT = Path(__file__).resolve().parents[1]
SIDE = 400
# Rows of test photographs, each with the style and the seed of its rain.
README = ((("statueof-liberty", "light", 0), ("kingfisher", "light", 1), ("horse", "heavy", 3)),)
CARD = (
    (("machu-picchu", "light", 0), ("hawa-mahal", "heavy", 1), ("hedgehog", "mixed", 2)),
    (("chelsea", "extreme", 3), ("moose", "wild", 4), ("coffee", "wild", 5)),
)
PICTURES = {
    ROOT / "book/images/rain-removed.jpg": README,
    ROOT / "data/checkpoints/nerd-rain-tiny/pictures.jpg": CARD,
}


def middle(photo: np.ndarray) -> np.ndarray:
    """The middle square of a photograph, resized to a side of SIDE pixels."""
    side = min(photo.shape[:2])
    top, left = ((n - side) // 2 for n in photo.shape[:2])
    square = Image.fromarray(to_uint8(photo[top : top + side, left : left + side]))
    return np.asarray(square.resize((SIDE, SIDE), Image.Resampling.LANCZOS)) / np.float32(255)


def main() -> None:
    """Derain the photographs, join them and save the pictures."""
    model = nerdrain.load_model("nerd-rain-tiny")
    for path, rows in PICTURES.items():
        joined = []
        for row in rows:
            tiles = []
            for name, style, seed in row:
                rainy = to_uint8(add_rain(middle(load_photo(name)), style, seed)[0])
                tiles.append(split_view(rainy, derain(rainy, model)))
            joined.append(np.concatenate(tiles, axis=1))
        Image.fromarray(to_uint8(np.concatenate(joined))).save(path, quality=88)
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
