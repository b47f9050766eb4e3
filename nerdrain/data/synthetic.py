"""Random training pairs: synthetic rain on clean photographs, random crops and augmentation.

All random numbers depend only on (seed, epoch, index). So a training run is reproducible with any
number of workers, and every epoch has new pairs.
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
from nerdrain.data.rain import MODES, compose, find_style, rain_layer
from nerdrain.data.rain_styles import Mode, RainStyle
from nerdrain.data.variety import change_gamma, crop_at_zoom, depth_veil, photograph, vary_rain
from nerdrain.errors import NerdrainError

Photo = str | Path | UInt8[np.ndarray, "h w 3"]
Item = tuple[Float32[Tensor, "3 h w"], Float32[Tensor, "3 h w"]]
Layer = tuple[Float32[np.ndarray, "h w"], Mode | None]
# Shares of the mode "mixed"; most benchmarks are additive.
MODE_SHARES = {"additive": 0.7, "screen": 0.2, "veil": 0.1}
AIRLIGHT_RANGE, VEIL_RANGE = (0.6, 0.95), (0.05, 0.4)
# Numbers of independent random streams of one seed.
RAIN, CROP, BANK, VARIETY = 0, 1, 2, 4  # 3 is nerdrain.training.batches.ORDER


class Pairs(Protocol):
    """A dataset that `TrainingCrops` can crop: it has a length and its items are pairs."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Item: ...


class EpochDataset(Dataset[Item]):
    """A dataset whose items change with the epoch, in persistent workers too.

    ``dataset[index]`` is the item of the current epoch; `item` gives the item of any epoch.
    """

    def __init__(self, seed: int) -> None:
        if seed < 0:
            raise NerdrainError(f"seed {seed} is negative; give 0 or more.")
        self.seed = seed
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Set the current epoch; call it before each pass over the data."""
        self._epoch.fill_(epoch)

    @property
    def epoch(self) -> int:
        """The current epoch, 0 at first."""
        return int(self._epoch)

    def item(self, epoch: int, index: int) -> Item:
        """Return the item of any epoch; it depends only on `epoch` and `index`."""
        raise NotImplementedError

    def __getitem__(self, index: int) -> Item:
        return self.item(self.epoch, index)

    def _rng(self, epoch: int, index: int, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, epoch, index, stream])


class SyntheticRain(EpochDataset):
    """Clean photographs with synthetic rain, new in every epoch: `(rainy, clean)`.

    Args:
        photos: a folder, or a sequence of image files or (H, W, 3) uint8 arrays. Arrays stay in
            memory; files are read at each use.
        style: the name of a style, such as "mixed", or a RainStyle; or several names with their
            shares of the items, e.g. ``{"light": 1, "mixed": 2}``.
        mode: how to add rain: "additive", "screen", "veil", "opaque", or "mixed" (shares 0.7, 0.2
            and 0.1 of the first three, with a random density and brightness of the veil). A style
            that sets its own mode keeps it.
        seed: items depend only on (seed, epoch, index).
        patch_size: crop photographs to this side, in pixels, before the rain is added; smaller ones
            are reflected. This saves drawing rain that a later crop would discard.
        bank: number of rain layers to draw once and reuse. Each item takes a random crop of one,
            mirrored with probability 1/2. 0 draws a new layer for each item.
        bank_size: side of the bank's layers, in pixels; no photograph or patch may be larger.
        dry: share of items without rain, so that a model learns to leave clean images unchanged.
        variety: share of items whose photograph, rain and camera vary (`nerdrain.data.variety`).
        repeats: items of each photograph in one epoch.

    Raises:
        NerdrainError: There are no photographs, or an argument is invalid.
    """

    def __init__(
        self,
        photos: str | Path | Sequence[Photo],
        style: str | RainStyle | Mapping[str, float] = "mixed",
        mode: Mode | Literal["mixed"] = "additive",
        seed: int = 0,
        *,
        patch_size: int | None = None,
        bank: int = 0,
        bank_size: int = 512,
        dry: float = 0.0,
        variety: float = 0.0,
        repeats: int = 1,
    ) -> None:
        super().__init__(seed)
        if mode not in (known := (*MODES, "mixed")):
            raise NerdrainError(f"there is no mode {mode!r}; choose one of {', '.join(known)}.")
        named = list(style.items()) if isinstance(style, Mapping) else [(style, 1.0)]
        self.styles = [find_style(name) for name, _ in named]
        shares = [share for _, share in named]
        total = sum(shares)
        if not shares or min(shares) < 0 or not 0 < total < math.inf:
            raise NerdrainError(
                f"style {style} has no valid shares; give shares of 0 or more, at least one of "
                "them above 0."
            )
        if isinstance(photos, str | Path):
            photos = list(images_in(Path(photos)).values())
        if len(photos) == 0:
            raise NerdrainError("there are no photographs; give a folder or at least one image.")
        too_small = patch_size is not None and patch_size < 1
        if repeats < 1 or too_small or bank < 0 or not (0 <= dry <= 1 and 0 <= variety <= 1):
            raise NerdrainError(
                f"patch_size={patch_size}, bank={bank}, dry={dry}, variety={variety} and "
                f"repeats={repeats} do not work; patch_size and repeats must be 1 or more, bank 0 "
                "or more, dry and variety in [0, 1]."
            )
        self.photos: Sequence[Photo] = photos
        self.shares = [share / total for share in shares]
        self.mode, self.patch_size = mode, patch_size
        self.dry, self.variety, self.repeats = dry, variety, repeats
        rngs = (np.random.default_rng([seed, number, BANK]) for number in range(bank))
        self.bank = [self._draw(bank_size, bank_size, rng) for rng in rngs]

    def __len__(self) -> int:
        return len(self.photos) * self.repeats

    def photo(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """Return the whole clean photograph of an item."""
        photo = self.photos[range(len(self))[index] % len(self.photos)]
        return read_image(photo) if isinstance(photo, str | Path) else photo

    def _style(self, rng: np.random.Generator) -> RainStyle:
        if len(self.styles) == 1:
            return self.styles[0]
        return self.styles[rng.choice(len(self.styles), p=self.shares)]

    def _draw(self, height: int, width: int, rng: np.random.Generator) -> Layer:
        style = self._style(rng)
        return rain_layer(height, width, style, rng), style.mode

    def _layer(self, height: int, width: int, rng: np.random.Generator) -> Layer:
        """A layer, and the mode that its style sets, if any."""
        if rng.uniform() < self.dry:
            return np.zeros((height, width), np.float32), None
        if not self.bank:
            return self._draw(height, width, rng)
        layer, mode = self.bank[rng.integers(len(self.bank))]
        side = len(layer)
        if max(height, width) > side:
            raise NerdrainError(
                f"a {width}x{height} image is larger than the bank's layers of {side} pixels; "
                "raise bank_size, or set patch_size to crop the image."
            )
        top, left = rng.integers(side - height + 1), rng.integers(side - width + 1)
        layer = layer[top : top + height, left : left + width]
        return layer[:, ::-1] if rng.uniform() < 0.5 else layer, mode

    def item(self, epoch: int, index: int) -> Item:
        """Return a photograph, or a crop of it, with the rain of an epoch."""
        index = range(len(self))[index]  # a negative index counts from the end
        rng = self._rng(epoch, index, RAIN)
        vary = self._rng(epoch, index, VARIETY)
        varied = vary.uniform() < self.variety
        photo = self.photo(index)
        if self.patch_size is not None and varied:
            photo = crop_at_zoom(photo, self.patch_size, vary)
        elif self.patch_size is not None:  # crop bytes, which is cheaper than cropping floats
            whole = torch.from_numpy(photo.copy()).permute(2, 0, 1)  # Pillow's array is read-only
            photo = random_crop(whole[None], self.patch_size, rng)[0].permute(1, 2, 0).numpy()
        clean = photo.astype(np.float32) / 255
        layer, own_mode = self._layer(clean.shape[0], clean.shape[1], rng)
        if not varied:
            rainy = self._compose(clean, layer, own_mode, rng, vary=None)
        else:
            clean = change_gamma(clean, vary)
            rainy = self._compose(clean, vary_rain(layer, vary), own_mode, rng, vary)
            rainy, clean = photograph(rainy, clean, vary)
        return to_tensor(rainy), to_tensor(clean)

    def _compose(
        self,
        clean: np.ndarray,
        layer: np.ndarray,
        own_mode: Mode | None,
        rng: np.random.Generator,
        vary: np.random.Generator | None,
    ) -> np.ndarray:
        """Add a layer in its style's or the dataset's mode; with `vary`, haze grows with depth."""
        airlight, veil = 0.8, 0.3
        mode = cast(Mode, self.mode)
        if self.mode == "mixed":
            mode = cast(Mode, rng.choice(list(MODE_SHARES), p=list(MODE_SHARES.values())))
            airlight, veil = rng.uniform(*AIRLIGHT_RANGE), rng.uniform(*VEIL_RANGE)
        mode = own_mode or mode
        if mode == "veil" and not layer.any():
            mode = "additive"  # without rain there is no haze either
        haze: float | np.ndarray = veil
        if vary is not None:
            haze = depth_veil(clean.shape[0], clean.shape[1], veil, vary)
        return compose(clean, layer, mode, airlight=airlight, veil=haze)


class TrainingCrops(EpochDataset):
    """Random crops of pairs, augmented as in the released training code, the same for both images.

    `nerdrain.data.augmentation` describes the crops, the symmetries and the saturation.

    Args:
        pairs: any dataset of `(rainy, clean)`. `set_epoch` also sets the epoch of an EpochDataset.
        patch_size: side of a crop, in pixels (256 in the paper, section 4.1), 1 or more.
        augment: False crops without augmentation.
        seed: items depend only on (seed, epoch, index).
        repeats: crops of each pair in one epoch, 1 or more.
    """

    def __init__(
        self,
        pairs: Pairs,
        patch_size: int = 256,
        *,
        augment: bool = True,
        seed: int = 0,
        repeats: int = 1,
    ) -> None:
        super().__init__(seed)
        if patch_size < 1 or repeats < 1:
            raise NerdrainError(
                f"patch_size={patch_size} and repeats={repeats} must both be 1 or more."
            )
        self.pairs, self.patch_size = pairs, patch_size
        self.augment, self.repeats = augment, repeats

    def set_epoch(self, epoch: int) -> None:
        """Set the current epoch of the crops and of the pairs that they are cropped from."""
        super().set_epoch(epoch)
        if isinstance(self.pairs, EpochDataset):
            self.pairs.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.pairs) * self.repeats

    def item(self, epoch: int, index: int) -> Item:
        """Return a random crop of a pair, for any epoch."""
        index = range(len(self))[index]  # a negative index counts from the end
        rng = self._rng(epoch, index, CROP)
        pairs, which = self.pairs, index % len(self.pairs)
        pair = pairs.item(epoch, which) if isinstance(pairs, EpochDataset) else pairs[which]
        both = random_crop(torch.stack(pair), self.patch_size, rng)  # (2, 3, patch, patch)
        if self.augment:
            both = augment(both, rng)
        rainy, clean = both.contiguous()
        return rainy, clean
