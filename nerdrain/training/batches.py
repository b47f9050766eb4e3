"""The samples of a run, in an order that does not depend on how many processes read them.

A run sees samples number 0, 1, 2, ...: every item of the data once, in an order of that epoch's
own, then every item again. Sample n, its crop and its rain follow from the recipe and n alone. So
any number of processes and workers can share a run, and a run can go on from any step.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, Subset

from nerdrain.data.datasets import ImageFolder, PairedFolder
from nerdrain.data.images import read_image
from nerdrain.data.pairing import Pair
from nerdrain.data.photos import photo_names, photo_path
from nerdrain.data.rain import add_rain
from nerdrain.data.synthetic import Item, SyntheticRain, TrainingCrops
from nerdrain.errors import NerdrainError
from nerdrain.training.recipes import Recipe

VALIDATION_STYLES = ("light", "heavy")
VALIDATION_CROP = 256
"""Pixels a side of the middle of a validation image: enough to compare steps of one run."""
MOST_VALIDATED = 64
"""Pairs of a benchmark's held-back part that are validated on, evenly chosen."""
ORDER = 3  # a stream of random numbers beside those of nerdrain.data.synthetic

ValidationPair = tuple[np.ndarray, np.ndarray]


class Stream(Dataset[Item]):
    """Sample n of a run: `crops` epoch after epoch, each in a new order that the seed decides.

    Args:
        crops: what is sampled.
        seed: of the orders.
    """

    def __init__(self, crops: TrainingCrops, seed: int) -> None:
        self.crops, self.seed = crops, seed
        self._order = lru_cache(maxsize=2)(self._shuffled)

    def _shuffled(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, epoch, ORDER]).permutation(len(self.crops))

    def __getstate__(self) -> tuple[TrainingCrops, int]:
        return self.crops, self.seed  # a cache does not travel to workers

    def __setstate__(self, state: tuple[TrainingCrops, int]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def place(self, sample: int) -> tuple[int, int]:
        """The epoch of a sample, and the item that it is."""
        epoch, place = divmod(sample, len(self.crops))
        return epoch, int(self._order(epoch)[place])

    def __getitem__(self, sample: int) -> Item:
        return self.crops.item(*self.place(sample))


@dataclass(frozen=True)
class Part:
    """Steps `first` to `last` - 1 of a run, with crops and batches of one size.

    Attributes:
        sample: the number of its first sample.
    """

    first: int
    last: int
    sample: int
    patch: int
    batch: int

    def samples(self, step: int, rank: int = 0, processes: int = 1) -> list[int]:
        """The samples of a step that one of several processes takes."""
        start = self.sample + (step - self.first) * self.batch
        return list(range(start + rank, start + self.batch, processes))


class Shares(Sampler[list[int]]):
    """One process's share of each batch, from a step on."""

    def __init__(self, part: Part, step: int, rank: int, processes: int) -> None:
        self.part, self.step, self.rank, self.processes = part, step, rank, processes

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.step, self.part.last):
            yield self.part.samples(step, self.rank, self.processes)


class TrainingData:
    """Everything that a recipe trains and validates on.

    Args:
        recipe: what to read, and how to crop it.

    Attributes:
        size: items in an epoch.
        steps: optimiser steps of the run.
        parts: the run's parts in order.
        names: of the images trained on, in order, as one checksum.

    Raises:
        NerdrainError: the data is missing or too small.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        if recipe.pairs is not None and recipe.photos is not None:
            raise NerdrainError("photos and pairs are both given: set the one to train on.")
        if recipe.pairs is None:
            files = photo_files(recipe, "train")
            self.photos = [read_image(path) for path in files]
            names = [path.name for path in files]
        else:
            folder = PairedFolder(recipe.pairs, recipe.layout, "train")
            self.training, self.held_back = split_pairs(folder, recipe.held_back)
            names = [folder.pairs[i].name for i in self.training.indices]
        self.size = len(names)
        self.names = zlib.crc32("\n".join(names).encode())
        whole = {"share": 1.0, "patch": recipe.patch, "batch": recipe.batch}
        self.steps = recipe.steps or -(-recipe.epochs * self.size // recipe.batch)
        self.parts = self._parts(recipe.progressive or [whole])
        self.stream(recipe.patch)  # says now, not after the folder is claimed, what is no rain

    def _parts(self, shares: Sequence[dict[str, float]]) -> list[Part]:
        parts: list[Part] = []
        first, sample, done = 0, 0, 0.0
        for number, part in enumerate(shares, start=1):
            done += part["share"]
            last = self.steps if number == len(shares) else round(self.steps * done)
            patch, batch = int(part["patch"]), int(part["batch"])
            parts.append(Part(first, last, sample, patch, batch))
            first, sample = last, sample + (last - first) * batch
        return parts

    def part(self, step: int) -> Part:
        """The part that a step is in."""
        return next(part for part in self.parts if step < part.last)

    def epoch(self, step: int) -> int:
        """The epoch that a step's first sample is in."""
        return self.part(step).samples(step)[0] // self.size

    def stream(self, patch: int) -> Stream:
        """The run's samples in crops of that many pixels a side."""
        recipe = self.recipe
        if recipe.pairs is not None:
            crops = TrainingCrops(self.training, patch, seed=recipe.seed)
            return Stream(crops, recipe.seed)
        rain = SyntheticRain(
            self.photos,
            recipe.style,
            recipe.mode,  # type: ignore[arg-type]  # SyntheticRain checks it
            seed=recipe.seed,
            patch_size=patch,
            dry=recipe.dry,
        )
        return Stream(TrainingCrops(rain, patch, seed=recipe.seed), recipe.seed)

    def batches(
        self, step: int = 0, rank: int = 0, processes: int = 1
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """The share of one process in every batch from a step to the end: `(rainy, clean)`.

        Raises:
            NerdrainError: a batch cannot be shared equally.
        """
        for part in self.parts:
            if part.batch % processes:
                raise NerdrainError(
                    f"a batch of {part.batch} cannot be shared by {processes} processes: set batch "
                    f"to a multiple, e.g. --set batch={processes} --set scale_rate=sqrt."
                )
        for part in self.parts:
            if step < part.last:
                shares = Shares(part, max(step, part.first), rank, processes)
                workers = self.recipe.workers
                loader = DataLoader(
                    self.stream(part.patch), batch_sampler=shares, num_workers=workers
                )
                yield from told_as_here(loader)

    def validation(self) -> dict[str, list[ValidationPair]]:
        """Pairs that are never trained on: the middles of held-back images, (H, W, 3) each."""
        if self.recipe.pairs is not None:
            chosen = np.linspace(0, len(self.held_back) - 1, MOST_VALIDATED).astype(int)
            some = [self.held_back[int(i)] for i in np.unique(chosen)]
            arrays = [[middle(image.movedim(0, -1).numpy()) for image in pair] for pair in some]
            return {"pairs": [(rainy, clean) for rainy, clean in arrays]}
        photos = [middle(read_image(path)) for path in photo_files(self.recipe, "validation")]
        return {
            style: [
                (add_rain(photo, style, seed=number)[0], photo.astype(np.float32) / 255)
                for number, photo in enumerate(photos)
            ]
            for style in VALIDATION_STYLES
        }


def told_as_here(loader: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of a loader, whose processes' errors are told as if they were this one's."""
    try:
        yield from loader
    except NerdrainError as error:  # a worker puts its traceback before the sentence
        raise NerdrainError(str(error).rstrip().split("NerdrainError: ")[-1]) from None
    except RuntimeError as error:
        if not re.match(r"DataLoader worker \(pid", str(error)):
            raise
        raise NerdrainError(
            "a process that loads data was killed, most likely because memory, or shared memory, "
            "is full: set workers lower, or to 0."
        ) from None


def middle(image: np.ndarray) -> np.ndarray:
    """The middle `VALIDATION_CROP` pixels a side of an image (H, W, 3), or what it has."""
    y, x = (max((n - VALIDATION_CROP) // 2, 0) for n in image.shape[:2])
    return image[y : y + VALIDATION_CROP, x : x + VALIDATION_CROP]


def photo_files(recipe: Recipe, split: str) -> list[Path]:
    """Clean photographs: of the recipe's own folder, or a split of the repository's."""
    if recipe.photos is None:
        return [photo_path(name) for name in photo_names(split)]
    files = ImageFolder(recipe.photos).files
    if len(files) < 2:
        raise NerdrainError(f"{recipe.photos}: one image is not enough to train and to validate.")
    held_back = files[:: recipe.held_back]  # by name
    return held_back if split == "validation" else [f for f in files if f not in set(held_back)]


def split_pairs(folder: PairedFolder, held_back: int) -> tuple[Subset[Item], Subset[Item]]:
    """Pairs to train and to validate on, no clean image in both.

    Some sets rain on each photograph several times over. Its versions stay together where file
    names tell: by the clean file, and in DID-Data, where one file holds both, by the number.
    """

    def background(pair: Pair) -> str:
        return pair.clean.stem if pair.rainy_side else str(pair.clean)

    backgrounds = sorted({background(pair) for pair in folder.pairs})
    aside = set(backgrounds[::held_back])
    if len(aside) == len(backgrounds):
        raise NerdrainError(f"{folder.pairs[0].clean}: one background cannot be divided.")
    training = [i for i, pair in enumerate(folder.pairs) if background(pair) not in aside]
    validation = [i for i, pair in enumerate(folder.pairs) if background(pair) in aside]
    return Subset(folder, training), Subset(folder, validation)
