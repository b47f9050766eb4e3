"""Datasets that read images from folders: pairs for training and evaluation, and single images.

An item of `PairedFolder` is `(rainy, clean)`, two float32 tensors (3, H, W), RGB in [0, 1].
`nerdrain.data.synthetic` holds the datasets that make pairs by random numbers.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from nerdrain.data.images import read_image, to_tensor
from nerdrain.data.pairing import Request, Side, find_pairs, images_in
from nerdrain.data.synthetic import Item
from nerdrain.errors import NerdrainError


class PairedFolder(Dataset[Item]):
    """The pairs `(rainy, clean)` of a published data set, or of your own, matched by file name.

    Layouts: "nerdrain" (`{split}/{input,target}/N.png`), and "rain200", "rain100", "did", "ddn" and
    "spa" as they were published; `nerdrain.data.pairing` describes each. Rain100 and Rain200 share
    photographs across their splits, so never train on one and report on the other. `pairs` lists
    the files (`Pair`), and `names` their names in the same order.

    Args:
        root: folder of the data set, or of one split.
        layout: one of `nerdrain.data.pairing.LAYOUTS`.
        split: "train" or "test", or the name of the split's folder.
        rainy_side: which half of a "did" file is rainy; releases differ.
        list_file: list of a "spa" training set; by default the only *.txt file in the folder.
        count: expected number of pairs (e.g. 200 for Rain200's test split); None accepts any.

    Raises:
        NerdrainError: The layout is unknown, a folder or a partner is missing, or the number of
            pairs is not `count`.
    """

    def __init__(
        self,
        root: str | Path,
        layout: str = "nerdrain",
        split: str = "train",
        *,
        rainy_side: Side = "left",
        list_file: str | Path | None = None,
        count: int | None = None,
    ) -> None:
        if rainy_side not in ("left", "right"):
            raise NerdrainError(f"rainy_side must be 'left' or 'right', not {rainy_side!r}.")
        list_path = None if list_file is None else Path(list_file)
        self.pairs = find_pairs(layout, Request(Path(root), split, rainy_side, list_path))
        self.names = [pair.name for pair in self.pairs]
        if count is not None and len(self.pairs) != count:
            raise NerdrainError(
                f"{root} ({split}) holds {len(self.pairs)} pairs, not {count}; "
                "check that it is the right data set and complete."
            )

    def __len__(self) -> int:
        return len(self.pairs)

    def arrays(self, index: int) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w 3"]]:
        """Read the two images of a pair, (H, W, 3) uint8 each.

        Raises:
            NerdrainError: A file cannot be read, or the two images differ in size.
        """
        pair = self.pairs[index]
        rainy = read_image(pair.rainy)
        width = rainy.shape[1]
        if pair.rainy_side is not None:
            if width % 2:
                raise NerdrainError(
                    f"{pair.rainy} is {width} pixels wide and cannot be cut into two halves; "
                    'the layout "did" needs an even width.'
                )
            left, right = np.split(rainy, 2, axis=1)
            return (left, right) if pair.rainy_side == "left" else (right, left)
        clean = read_image(pair.clean)
        if rainy.shape != clean.shape:
            raise NerdrainError(
                f"{pair.rainy} is {width}x{rainy.shape[0]} and {pair.clean} is {clean.shape[1]}x"
                f"{clean.shape[0]}; both images of a pair must have the same size."
            )
        return rainy, clean

    def __getitem__(self, index: int) -> Item:
        rainy, clean = self.arrays(index)
        return to_tensor(rainy), to_tensor(clean)

    def check(self) -> None:
        """Read every pair once; raise NerdrainError for a broken file or a pair of two sizes."""
        for index in range(len(self)):
            self.arrays(index)


class ImageFolder(Dataset[tuple[Float32[Tensor, "3 h w"], str]]):
    """Single images of one flat folder, such as real photographs or RE-RAIN: `(image, name)`.

    `NerdrainError` is raised if the folder does not exist or holds no image.
    """

    def __init__(self, root: str | Path) -> None:
        self.files = list(images_in(Path(root)).values())
        self.names = [path.stem for path in self.files]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Float32[Tensor, "3 h w"], str]:
        return to_tensor(read_image(self.files[index])), self.names[index]
