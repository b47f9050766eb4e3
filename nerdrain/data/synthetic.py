"""Training pairs that chance makes: rain on clean photographs, crops and augmentation.

Everything random follows from (seed, epoch, index) alone: a run repeats exactly with any number of
workers, and every epoch is new.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol, cast

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from nerdrain.data.augmentation import augment, random_crop
from nerdrain.data.images import read_image, to_tensor
from nerdrain.data.pairing import images_in
from nerdrain.data.rain import MODES, STYLES, Mode, RainStyle, compose, rain_layer
from nerdrain.errors import NerdrainError

Photo = str | Path | UInt8[np.ndarray, "h w 3"]
Item = tuple[Float32[Tensor, "3 h w"], Float32[Tensor, "3 h w"]]
# In the mode "mixed": the benchmarks are mostly additive.
MODE_SHARES = {"additive": 0.7, "screen": 0.2, "veil": 0.1}
AIRLIGHT, VEIL = (0.6, 0.95), (0.05, 0.4)
# Independent streams of random numbers of one seed.
RAIN, CROP, BANK = 0, 1, 2


class Pairs(Protocol):
    """What `TrainingCrops` crops: anything with a length whose items are `(rainy, clean)`."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Item: ...


def check_index(index: int, length: int) -> int:
    """Negative indices count from the end; IndexError ends a plain `for` over a dataset."""
    if not -length <= index < length:
        raise IndexError(f"index {index} in a dataset of {length}")
    return index % length


class Epochs(Dataset[Item]):
    """A dataset whose items change from epoch to epoch, and do so in persistent workers too.

    ``dataset[index]`` is the item of the epoch that `set_epoch` chose, `item` that of any epoch.
    """

    def __init__(self, seed: int) -> None:
        if seed < 0:
            raise NerdrainError(f"seed {seed} is negative: give 0 or more.")
        self.seed = seed
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch whose items are served; call it before each pass."""
        self._epoch.fill_(epoch)

    @property
    def epoch(self) -> int:
        """The epoch whose items are served, 0 at first."""
        return int(self._epoch)

    def item(self, epoch: int, index: int) -> Item:
        """The item of an epoch, whichever `set_epoch` chose: a function of the two alone."""
        raise NotImplementedError

    def __getitem__(self, index: int) -> Item:
        return self.item(self.epoch, index)

    def _rng(self, epoch: int, index: int, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, epoch, index, stream])


def _style_shares(
    style: str | RainStyle | Mapping[str, float],
) -> list[tuple[str | RainStyle, float]]:
    """Each style and its share; the shares sum to 1.

    Raises:
        NerdrainError: a style that does not exist, or shares that are none.
    """
    if isinstance(style, RainStyle):
        return [(style, 1.0)]
    shares = {style: 1.0} if isinstance(style, str) else style
    for name in shares:
        if name not in STYLES:
            raise NerdrainError(f"no rain style {name!r}: choose one of {', '.join(STYLES)}.")
    total = sum(shares.values())
    if not shares or min(shares.values()) < 0 or not 0 < total < math.inf:
        raise NerdrainError(f"style {dict(shares)}: give shares of 0 or more, and one above 0.")
    return [(name, share / total) for name, share in shares.items()]


class SyntheticRain(Epochs):
    """Clean photographs with procedural rain, new in every epoch: `(rainy, clean)`.

    Args:
        photos: a folder, or a sequence of image files or (H, W, 3) uint8 arrays; arrays stay in
            memory, files are read at each use.
        style: "light", "heavy", "mixed" or a RainStyle; or names with the share of the items that
            each makes, e.g. ``{"light": 1, "mixed": 2}``.
        mode: how rain is put on: "additive", "screen", "veil", or "mixed" (7, 2, 1 in 10, with the
            veil's density and brightness drawn).
        seed: items follow from (seed, epoch, index) alone.
        patch: crop photographs to this many pixels a side before it rains (smaller ones are
            reflected), which spares the rain that a later crop would throw away.
        bank: draw this many layers once and take each item's rain from them, at a random place and
            mirrored at random, instead of drawing it anew; 0 draws anew.
        bank_size: pixels a side of the bank's layers; no photograph or patch may be larger.
        dry: share of items without any rain, for a model that is to leave clean images alone.
        repeats: items of each photograph in one epoch.

    Raises:
        NerdrainError: no photographs, or an option that does not exist.
    """

    def __init__(
        self,
        photos: str | Path | Sequence[Photo],
        style: str | RainStyle | Mapping[str, float] = "mixed",
        mode: Mode | Literal["mixed"] = "additive",
        seed: int = 0,
        *,
        patch: int | None = None,
        bank: int = 0,
        bank_size: int = 512,
        dry: float = 0.0,
        repeats: int = 1,
    ) -> None:
        super().__init__(seed)
        if mode not in (*MODES, "mixed"):
            raise NerdrainError(f"no mode {mode!r}: choose one of {', '.join(MODES)}, mixed.")
        shares = _style_shares(style)
        if isinstance(photos, str | Path):
            photos = list(images_in(Path(photos)).values())
        if len(photos) == 0:
            raise NerdrainError("no photographs to rain on: give a folder or at least one image.")
        if repeats < 1 or not 0 <= dry <= 1 or (patch is not None and patch < 1) or bank < 0:
            raise NerdrainError(
                f"patch {patch}, bank {bank}, dry {dry}, repeats {repeats}: patch and repeats "
                "are 1 or more, bank is 0 or more, dry is in [0, 1]."
            )
        self.photos: Sequence[Photo] = photos
        self.styles, self.shares = zip(*shares, strict=True)
        self.mode, self.patch = mode, patch
        self.dry, self.repeats = dry, repeats
        rngs = (np.random.default_rng([seed, number, BANK]) for number in range(bank))
        self.bank = [rain_layer(bank_size, bank_size, self._style(rng), rng) for rng in rngs]

    def __len__(self) -> int:
        return len(self.photos) * self.repeats

    def photo(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """The clean photograph of an item, whole."""
        photo = self.photos[check_index(index, len(self)) % len(self.photos)]
        return read_image(photo) if isinstance(photo, str | Path) else photo

    def _style(self, rng: np.random.Generator) -> str | RainStyle:
        if len(self.styles) == 1:
            return self.styles[0]
        return self.styles[rng.choice(len(self.styles), p=self.shares)]

    def _layer(self, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
        if rng.uniform() < self.dry:
            return np.zeros((height, width), np.float32)
        if not self.bank:
            return rain_layer(height, width, self._style(rng), rng)
        layer = self.bank[rng.integers(len(self.bank))]
        if height > layer.shape[0] or width > layer.shape[1]:
            raise NerdrainError(
                f"a {width}x{height} image is larger than the bank's layers of {layer.shape[1]} "
                "pixels: raise bank_size, or crop with patch."
            )
        top = rng.integers(layer.shape[0] - height + 1)
        left = rng.integers(layer.shape[1] - width + 1)
        layer = layer[top : top + height, left : left + width]
        return layer[:, ::-1] if rng.uniform() < 0.5 else layer

    def item(self, epoch: int, index: int) -> Item:
        """A photograph, or a crop of it, with the rain of an epoch."""
        index = check_index(index, len(self))
        rng = self._rng(epoch, index, RAIN)
        photo = self.photo(index)
        if self.patch is not None:  # as bytes, before a whole photograph is made floats
            bytes_first = torch.from_numpy(photo.copy()).permute(2, 0, 1)  # Pillow's are read-only
            photo = random_crop(bytes_first[None], self.patch, rng)[0].permute(1, 2, 0).numpy()
        clean = to_tensor(photo)
        layer = self._layer(clean.shape[1], clean.shape[2], rng)
        background = clean.numpy().transpose(1, 2, 0)  # (H, W, 3)
        airlight, veil = 0.8, 0.3
        mode = cast(Mode, self.mode)
        if self.mode == "mixed":
            mode = cast(Mode, rng.choice(list(MODE_SHARES), p=list(MODE_SHARES.values())))
            airlight, veil = rng.uniform(*AIRLIGHT), rng.uniform(*VEIL)
        if mode == "veil" and not layer.any():
            mode = "additive"  # a dry item has no haze of rain either
        rainy = compose(background, layer, mode, airlight=airlight, veil=veil)
        return to_tensor(rainy), clean


class TrainingCrops(Epochs):
    """Random crops of pairs, augmented as in the released training, both images alike.

    One of the nine turns and flips of `nerdrain.data.augmentation` (identity twice), and in one of
    three items a saturation factor in [0.8, 1.2]. Images smaller than the patch are reflected.

    Args:
        pairs: any dataset of `(rainy, clean)`; its `set_epoch`, if it has one, follows ours.
        patch: pixels a side (256 in the paper, section 4.1).
        augment: False only crops.
        seed: items follow from (seed, epoch, index) alone.
        repeats: crops of each pair in one epoch.

    Raises:
        NerdrainError: a patch without pixels.
    """

    def __init__(
        self,
        pairs: Pairs,
        patch: int = 256,
        *,
        augment: bool = True,
        seed: int = 0,
        repeats: int = 1,
    ) -> None:
        super().__init__(seed)
        if patch < 1 or repeats < 1:
            raise NerdrainError(f"patch {patch} and repeats {repeats}: each must be 1 or more.")
        self.pairs, self.patch, self.augment, self.repeats = pairs, patch, augment, repeats

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch of the crops, and of what they are cropped from."""
        super().set_epoch(epoch)
        if isinstance(self.pairs, Epochs):
            self.pairs.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.pairs) * self.repeats

    def item(self, epoch: int, index: int) -> Item:
        """A crop of a pair, both as an epoch has them."""
        index = check_index(index, len(self))
        rng = self._rng(epoch, index, CROP)
        place = index % len(self.pairs)
        pairs = self.pairs
        pair = pairs.item(epoch, place) if isinstance(pairs, Epochs) else pairs[place]
        both = torch.stack(pair)  # (2, 3, H, W)
        both = random_crop(both, self.patch, rng)
        if self.augment:
            both = augment(both, rng)
        rainy, clean = both.contiguous()
        return rainy, clean
