"""The samples of a run, in an order that does not depend on the number of processes.

A run reads samples number 0, 1, 2, ...: every item of the data once per epoch, and each epoch has
its own order. Sample n, its crop and its rain follow from the recipe and n alone, so any number of
processes and workers can share a run, and a run can resume from any step.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from nerdrain.data.datasets import ImageFolder, PairedFolder
from nerdrain.data.images import read_image
from nerdrain.data.pairing import Pair
from nerdrain.data.photos import photo_names, photo_path
from nerdrain.data.rain import add_rain
from nerdrain.data.synthetic import Item, Pairs, SyntheticRain, TrainingCrops
from nerdrain.errors import NerdrainError
from nerdrain.training.recipes import Recipe, Stage

VALIDATION_STYLES = ("light", "heavy")
"""A recipe that trains on wild rain is validated on it, too."""
VALIDATION_CROP = 256
"""Side of the middle of a validation image, in pixels: enough to compare steps of one run."""
MOST_VALIDATED = 64
"""At most this many held-out pairs of a benchmark are validated on, evenly chosen."""
ORDER = 3  # a stream of random numbers beside those of nerdrain.data.synthetic

ValidationPair = tuple[np.ndarray, np.ndarray]


@lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, size: int) -> np.ndarray:
    """The order of the `size` items of an epoch, shape (size,)."""
    return np.random.default_rng([seed, epoch, ORDER]).permutation(size)


class Stream(Dataset[Item]):
    """Sample n of a run: all of `crops` in each epoch, in a new order that the seed determines.

    Args:
        crops: The items of one epoch.
        seed: Seed of the orders.
    """

    def __init__(self, crops: TrainingCrops, seed: int) -> None:
        self.crops, self.seed = crops, seed

    def place(self, sample: int) -> tuple[int, int]:
        """The epoch of a sample, and the index of its item."""
        size = len(self.crops)
        epoch, place = divmod(sample, size)
        return epoch, int(epoch_order(self.seed, epoch, size)[place])

    def __getitem__(self, sample: int) -> Item:
        return self.crops.item(*self.place(sample))


@dataclass(frozen=True)
class StageSteps:
    """Steps `first` to `last` - 1 of a run, with crops and batches of one size.

    Attributes:
        first: Its first step.
        last: The first step after it.
        sample: Number of its first sample.
        patch_size: Side of a crop, in pixels.
        batch_size: Crops per step, over all processes together.
    """

    first: int
    last: int
    sample: int
    patch_size: int
    batch_size: int

    def samples(self, step: int, rank: int = 0, processes: int = 1) -> list[int]:
        """The samples of a step that process `rank` of several reads."""
        start = self.sample + (step - self.first) * self.batch_size
        return list(range(start + rank, start + self.batch_size, processes))


class TrainingData:
    """Everything that a recipe trains and validates on.

    Args:
        recipe: Which images it reads, and how it crops them.

    Attributes:
        size: Items in an epoch.
        steps: Optimizer steps of the run.
        stages: Stages of the run in order; one if the recipe is not progressive.
        checksum: Checksum of the names of the training images, in order.

    Raises:
        NerdrainError: The data is missing or too small.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        if recipe.pairs is None:
            files = photo_files(recipe, "train")
            self.photos = [read_image(path) for path in files]
            names = [path.name for path in files]
        else:
            folder = PairedFolder(recipe.pairs, recipe.layout, "train")
            self.training, self.held_out = split_pairs(folder, recipe.holdout_every)
            names = [folder.pairs[i].name for i in self.training.indices]
        self.size = len(names)
        self.checksum = zlib.crc32("\n".join(names).encode())
        self.steps = recipe.max_steps or -(-recipe.epochs * self.size // recipe.batch_size)
        self.stages = self._place_stages()
        self.stream(recipe.patch_size)  # raises now, not after hours, if the rain is impossible

    def _place_stages(self) -> list[StageSteps]:
        recipe = self.recipe
        whole = Stage(fraction=1, patch_size=recipe.patch_size, batch_size=recipe.batch_size)
        stages: list[StageSteps] = []
        first, sample, done = 0, 0, 0.0
        for number, stage in enumerate(recipe.progressive or [whole], start=1):
            done += stage.fraction
            final = number >= len(recipe.progressive)
            last = self.steps if final else round(self.steps * done)
            stages.append(StageSteps(first, last, sample, stage.patch_size, stage.batch_size))
            first, sample = last, sample + (last - first) * stage.batch_size
        return stages

    def stage(self, step: int) -> StageSteps:
        """The stage that contains a step."""
        return next(stage for stage in self.stages if step < stage.last)

    def epoch(self, step: int) -> int:
        """The epoch of the first sample of a step."""
        return self.stage(step).samples(step)[0] // self.size

    def stream(self, patch_size: int) -> Stream:
        """The samples of the run, in crops of `patch_size` pixels a side."""
        recipe = self.recipe
        pairs: Pairs
        if recipe.pairs is not None:
            pairs = self.training
        else:
            pairs = SyntheticRain(
                self.photos,
                {style: share for style, share in recipe.rain_style if share},
                recipe.rain_mode,
                seed=recipe.seed,
                patch_size=patch_size,
                dry=recipe.clean_fraction,
                variety=recipe.variety,
            )
        return Stream(TrainingCrops(pairs, patch_size, seed=recipe.seed), recipe.seed)

    def batches(
        self, step: int = 0, rank: int = 0, processes: int = 1
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """The share of process `rank` in every batch from a step to the end: `(rainy, clean)`.

        Raises:
            NerdrainError: The processes cannot share a batch equally.
        """
        for stage in self.stages:
            if stage.batch_size % processes:
                raise NerdrainError(
                    f"{processes} processes cannot share a batch of {stage.batch_size}: set "
                    f"batch_size to a multiple, e.g. --set batch_size={processes} "
                    "--set lr_scaling=sqrt."
                )
        for stage in self.stages:
            steps = range(max(step, stage.first), stage.last)
            if not steps:
                continue
            loader = DataLoader(
                self.stream(stage.patch_size),
                batch_sampler=(stage.samples(number, rank, processes) for number in steps),
                num_workers=self.recipe.num_workers,
            )
            yield from explain_worker_errors(loader)

    def validation(self) -> dict[str, list[ValidationPair]]:
        """Pairs that are never trained on: the middles of held-out images, (H, W, 3) each."""
        if self.recipe.pairs is not None:
            count = len(self.held_out)
            chosen = np.unique(np.linspace(0, count - 1, MOST_VALIDATED).astype(int)).tolist()
            some = [self.held_out[i] for i in chosen]
            arrays = [[middle(x.movedim(0, -1).numpy()) for x in pair] for pair in some]
            return {"pairs": [(rainy, clean) for rainy, clean in arrays]}
        photos = [middle(read_image(path)) for path in photo_files(self.recipe, "validation")]
        return {
            style: [
                (add_rain(photo, style, seed=number)[0], photo.astype(np.float32) / 255)
                for number, photo in enumerate(photos)
            ]
            for style in (*VALIDATION_STYLES, *(["wild"] if self.recipe.rain_style.wild else []))
        }


def explain_worker_errors(
    loader: Iterable[tuple[Tensor, Tensor]],
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of a loader; an error in a worker process becomes one sentence.

    Raises:
        NerdrainError: A worker raised one, or was killed.
    """
    try:
        yield from loader
    except NerdrainError as error:  # a worker puts its traceback before the sentence
        raise NerdrainError(str(error).rstrip().split("NerdrainError: ")[-1]) from None
    except RuntimeError as error:
        if not re.match(r"DataLoader worker \(pid", str(error)):
            raise
        raise NerdrainError(
            "a process that loads data was killed, most likely because memory, or shared memory, "
            "is full: set num_workers lower, or to 0."
        ) from None


def middle(image: np.ndarray) -> np.ndarray:
    """The middle `VALIDATION_CROP` pixels a side of an image (H, W, 3); all of a smaller image."""
    y, x = (max((n - VALIDATION_CROP) // 2, 0) for n in image.shape[:2])
    return image[y : y + VALIDATION_CROP, x : x + VALIDATION_CROP]


def photo_files(recipe: Recipe, split: str) -> list[Path]:
    """Clean photographs: of the recipe's folder, or of a split of the repository's photographs."""
    if recipe.photos is None:
        return [photo_path(name) for name in photo_names(split)]
    files = ImageFolder(recipe.photos).files
    if len(files) < 2:
        raise NerdrainError(f"{recipe.photos}: one image is not enough to train and to validate.")
    held_out = files[:: recipe.holdout_every]  # sorted by name
    return held_out if split == "validation" else [f for f in files if f not in set(held_out)]


def split_pairs(folder: PairedFolder, holdout_every: int) -> tuple[Subset[Item], Subset[Item]]:
    """Pairs to train and to validate on; no clean image is in both.

    Some data sets have several rainy versions of each photograph. They stay together if the file
    names show it: by the clean file or, in DID-Data, where one file holds both images, by the
    number.
    """

    def background(pair: Pair) -> str:
        return pair.clean.stem if pair.rainy_side else str(pair.clean)

    backgrounds = sorted({background(pair) for pair in folder.pairs})
    held_out = set(backgrounds[::holdout_every])
    if len(held_out) == len(backgrounds):
        raise NerdrainError(f"{folder.pairs[0].clean}: one background cannot be divided.")
    training = [i for i, pair in enumerate(folder.pairs) if background(pair) not in held_out]
    validation = [i for i, pair in enumerate(folder.pairs) if background(pair) in held_out]
    return Subset(folder, training), Subset(folder, validation)
