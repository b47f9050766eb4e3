"""Pairs to train and measure on: published sets in their folders, and synthetic rain on photos.

Every item is `(rainy, clean)`, two float32 tensors (3, H, W), RGB in [0, 1]. The random datasets
are in `nerdrain.data.synthetic`.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from nerdrain.data.images import read_image, to_tensor
from nerdrain.data.pairing import Pair, Request, Side, find_pairs, images_in
from nerdrain.data.synthetic import Item, check_index
from nerdrain.errors import NerdrainError


class PairedFolder(Dataset[Item]):
    """A published set, or your own, in its folder: `(rainy, clean)` by name.

    Layouts: "nerdrain" (`{split}/{input,target}/N.png`), "rain200", "rain100", "did", "ddn" and
    "spa", as they were published (`nerdrain.data.pairing` says each). `root` may be the set or one
    split's own folder. Rain100 and Rain200 share photographs across their splits: never train on
    one and report on the other.

    Args:
        root: the set's folder.
        layout: one of `nerdrain.data.pairing.LAYOUTS`.
        split: "train" or "test", or what the folder is called.
        rainy_side: which half of a "did" file is rainy; releases differ.
        list_file: the list of a "spa" training set, if it is not the one *.txt in the folder.
        count: how many pairs there must be (e.g. 200 for Rain200's test split), if you know.

    Attributes:
        pairs: the files, a list of `Pair`.
        names: the pairs' names, in the same order.

    Raises:
        NerdrainError: an unknown layout, a missing folder or partner, or another count.
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
            raise NerdrainError(f"no side {rainy_side!r}: the rainy half is left or right.")
        lines = None if list_file is None else Path(list_file)
        self.pairs: list[Pair] = find_pairs(layout, Request(Path(root), split, rainy_side, lines))
        self.names = [pair.name for pair in self.pairs]
        if count is not None and len(self.pairs) != count:
            raise NerdrainError(f"{root} ({split}) holds {len(self.pairs)} pairs, not {count}.")

    def __len__(self) -> int:
        return len(self.pairs)

    def arrays(self, index: int) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w 3"]]:
        """The two images of a pair, (H, W, 3) uint8 each.

        Raises:
            NerdrainError: a file that cannot be read, or two sizes.
        """
        pair = self.pairs[check_index(index, len(self))]
        rainy = read_image(pair.rainy)
        if pair.rainy_side is not None:
            if rainy.shape[1] % 2:
                raise NerdrainError(f"{pair.rainy} is {rainy.shape[1]} pixels wide: no two halves.")
            left, right = np.split(rainy, 2, axis=1)
            return (left, right) if pair.rainy_side == "left" else (right, left)
        clean = read_image(pair.clean)
        if rainy.shape != clean.shape:
            sizes = [f"{image.shape[1]}x{image.shape[0]}" for image in (rainy, clean)]
            raise NerdrainError(
                f"{pair.rainy} is {sizes[0]} and {pair.clean} is {sizes[1]}: a pair has one size."
            )
        return rainy, clean

    def __getitem__(self, index: int) -> Item:
        rainy, clean = self.arrays(index)
        return to_tensor(rainy), to_tensor(clean)

    def check(self) -> None:
        """Reads every pair once; a file that is broken or of another size raises NerdrainError."""
        for index in range(len(self)):
            self.arrays(index)


class ImageFolder(Dataset[tuple[Float32[Tensor, "3 h w"], str]]):
    """Images without partners in one flat folder (real photographs, RE-RAIN): `(image, name)`.

    Raises:
        NerdrainError: no such folder, or no image in it.
    """

    def __init__(self, root: str | Path) -> None:
        self.files = list(images_in(Path(root)).values())
        self.names = [path.stem for path in self.files]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Float32[Tensor, "3 h w"], str]:
        index = check_index(index, len(self))
        return to_tensor(read_image(self.files[index])), self.names[index]
