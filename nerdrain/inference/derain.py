"""Take rain out of photographs of any kind and size.

`derain` takes arrays and PIL images, `derain_tensor` takes tensors.

Small images go through the network whole. Larger ones go through it as overlapping tiles that fade
into each other (`nerdrain.inference.tiling`), so that memory does not grow with the photograph.
"""

import math
from collections.abc import Callable, Iterator
from os import PathLike, fspath
from typing import Literal, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor, nn

from nerdrain.data.images import metadata, plain_mode
from nerdrain.errors import NerdrainError
from nerdrain.inference.tiling import GRID, Span, blend_tiles, spans

__all__ = ["Tile", "derain", "derain_tensor", "tile_size"]

Tile = int | Literal["auto"] | None
Kind = TypeVar("Kind", np.ndarray, Image.Image)
Array = np.ndarray
Progress = Callable[[float], object]

#: "auto" derains an image whole up to this many pixels times the network's width: a megapixel at
#: width 16. It takes about 100 bytes for each, 1.6 GiB.
WHOLE = 2**24
#: The pixels, times the network's width, of a tile of "auto": 720x720 at width 16, 416x416 at 48.
TILE = 2**23


def tile_size(height: int, width: int, model: nn.Module, tile: Tile = "auto") -> int | None:
    """What `tile` means for an image: the side of a tile, or None for the whole image.

    Args:
        height: of the image.
        width: of the image.
        model: its `config.width` says how much memory a pixel takes; 16 where it has none.
        tile: "auto", a side in pixels, or None for the whole image whatever its size.
    """
    if tile == "auto":
        channels = getattr(getattr(model, "config", None), "width", 16)
        if height * width * channels <= WHOLE:
            return None
        return max(GRID, math.isqrt(TILE // channels) // GRID * GRID)
    if tile is not None and (not isinstance(tile, int) or tile < GRID):
        raise NerdrainError(f'tile must be "auto", None or at least {GRID} pixels, not {tile!r}.')
    return tile


class _Run:
    """One image's way through a model: its tiles, the model's device and dtype, the progress."""

    def __init__(
        self, model: nn.Module, tile: Tile, overlap: int, progress: Progress | None = None
    ) -> None:
        if not isinstance(model, nn.Module):
            raise NerdrainError(
                f"give a model, e.g. nerdrain.load_model('nerd-rain-tiny'), not {model!r:.80}."
            )
        self.model, self.tile, self.overlap, self.progress = model, tile, overlap, progress
        weight = next(model.parameters(), torch.empty(0))
        self.device, self.dtype = weight.device, weight.dtype
        self.done, self.count = 0, 1

    def layout(self, height: int, width: int) -> tuple[list[Span], list[Span]]:
        """Where the tiles begin and end, down and across."""
        tile = tile_size(height, width, self.model, self.tile)
        if tile is None:
            return [(0, height)], [(0, width)]
        rows, columns = (spans(n, tile, self.overlap) for n in (height, width))
        self.count = len(rows) * len(columns)
        return rows, columns

    def __call__(self, x: Tensor) -> Tensor:
        """Derain a tile."""
        with torch.inference_mode():
            y = self.model(x.to(self.device, self.dtype))
            y = getattr(y, "full", y)
            y = y.float() if y.itemsize < 4 else y  # tiles are blended in full precision
        if y.shape != x.shape:
            raise NerdrainError(
                f"the model gave {tuple(y.shape)} for {tuple(x.shape)}: it must keep the size."
            )
        self.done += 1
        if self.progress:
            self.progress(self.done / self.count)
        return y


def derain_tensor(
    x: Float[Tensor, "b 3 h w"], model: nn.Module, *, tile: Tile = "auto", overlap: int = 32
) -> Float[Tensor, "b 3 h w"]:
    """Derain a batch of RGB images.

    Args:
        x: (B, 3, H, W), floating point in [0, 1], on any device.
        model: a `NeRDRain`, or any module whose result has the field `full`.
        tile: "auto", the side of a tile in pixels, or None for whole images; see `derain`.
        overlap: pixels that neighbouring tiles share.

    Returns:
        A new tensor (B, 3, H, W), clamped to [0, 1], of `x`'s dtype and on its device. Tiles alone
        go to the model's device.

    Raises:
        NerdrainError: another shape or dtype, or tiles too small for their overlap.
    """
    if x.ndim != 4 or x.shape[1] != 3 or not x.is_floating_point() or 0 in x.shape[2:]:
        raise NerdrainError(
            f"derain_tensor takes floating-point images (B, 3, H, W), not {x.dtype} "
            f"{tuple(x.shape)}; `derain` takes arrays and PIL images."
        )
    height, width = x.shape[2:]
    run = _Run(model, tile, overlap)
    layout = run.layout(height, width)
    result = torch.empty_like(x)
    for top, rows in blend_tiles(lambda ys, xs: x[..., slice(*ys), slice(*xs)], run, *layout):
        result[..., top : top + rows.shape[2], :] = rows.clamp(0, 1).to(result)
    return result


def derain(
    image: Kind,
    model: nn.Module,
    *,
    tile: Tile = "auto",
    overlap: int = 32,
    progress: Progress | None = None,
) -> Kind:
    """Derain one image of any kind; what comes back is of the same kind, size and depth.

    Grey images are derained as RGB and averaged back. Alpha is kept as it is. 16 bits stay 16.

    Args:
        image: an array (h, w), (h, w, 1), (h, w, 2: grey and alpha), (h, w, 3) or (h, w, 4: RGB and
            alpha), uint8, uint16 or float in [0, 1]; or a PIL image. A PIL image is turned upright
            as its EXIF says and keeps its EXIF and ICC profile; palette images come back as RGB or
            RGBA, black-and-white ones as grey, and CMYK and other colour spaces as RGB, since their
            own form cannot hold the result.
        model: a `NeRDRain`, or any module whose result has the field `full`.
        tile: "auto" derains the image whole while it is small enough for about 1.6 GiB (a megapixel
            for the tiny model), and in tiles that take half of that otherwise. A number is the side
            of a tile in pixels; None derains the image whole whatever its size.
        overlap: pixels that neighbouring tiles share, rounded up to a multiple of 16.
        progress: called after each tile with the share of the image that is done, up to 1.

    Raises:
        NerdrainError: a shape, dtype or range that is no image, or a `model` that is no module.
    """
    run = _Run(model, tile, overlap, progress)
    if isinstance(image, Image.Image):
        return _derain_pil(image, run)
    if isinstance(image, str | PathLike):
        raise NerdrainError(
            f"derain takes an image, not its path: open {fspath(image)!r} with PIL.Image.open or "
            "nerdrain.data.images.load_image first."
        )
    if not isinstance(image, np.ndarray):
        raise NerdrainError(
            f"derain takes NumPy arrays and PIL images, not {type(image).__name__}: "
            "`derain_tensor` takes tensors."
        )
    return _derain_array(image, run)


def _check(image: Array) -> float:
    """Refuse what is no image; return the value of white."""
    if image.ndim not in (2, 3) or image.size == 0 or (image.ndim == 3 and image.shape[2] > 4):
        raise NerdrainError(
            f"an image must have the shape (height, width) or (height, width, 1 to 4), not "
            f"{image.shape}: move the channels last and drop the batch dimension."
        )
    if image.dtype.newbyteorder("=") in (np.uint8, np.uint16):
        return float(np.iinfo(image.dtype).max)
    if not np.issubdtype(image.dtype, np.floating):
        raise NerdrainError(
            f"an image must be uint8, uint16 or float in [0, 1], not {image.dtype}."
        )
    low, high = float(image.min()), float(image.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise NerdrainError("the image holds NaN or infinite values: replace them first.")
    if low < -1 or high > 2:  # interpolation overshoots a little; this is another scale
        raise NerdrainError(
            f"a float image must be in [0, 1], and this one goes from {low:g} to {high:g}: "
            "divide it by its white value."
        )
    return 1.0


def _rows(image: Array, white: float, run: _Run) -> Iterator[tuple[int, Array]]:
    """Derain an array (h, w, 1 or 3) in bands: the first row's index, and rows in 0..1."""
    height, width, channels = image.shape
    layout = run.layout(height, width)

    def read(ys: Span, xs: Span) -> Tensor:
        part = torch.from_numpy(image[slice(*ys), slice(*xs)].astype(np.float32))  # (h, w, c)
        return (part / white).permute(2, 0, 1).expand(3, -1, -1)[None]  # (1, 3, h, w)

    for top, rows in blend_tiles(read, run, *layout):
        rgb = rows[0].clamp(0, 1).permute(1, 2, 0)  # (n, w, 3)
        yield top, (rgb if channels == 3 else rgb.mean(2, keepdim=True)).cpu().numpy()


def _derain_array(image: Array, run: _Run) -> Array:
    white = _check(image)
    result = image.copy()  # which keeps alpha
    planes = image if image.ndim == 3 else image[..., None]
    target = result if result.ndim == 3 else result[..., None]
    colours = 3 if planes.shape[2] >= 3 else 1
    for top, rows in _rows(planes[..., :colours], white, run):
        if white > 1:
            rows = np.floor(rows * white + 0.5)
        target[top : top + len(rows), :, :colours] = rows.astype(image.dtype)
    return result


def _derain_pil(image: Image.Image, run: _Run) -> Image.Image:
    kept = metadata(image)
    upright = ImageOps.exif_transpose(image)
    source = plain_mode(upright)
    if upright.mode in ("CMYK", "LAB"):
        kept.pop("icc_profile", None)  # it describes the old colour space
    array = np.asarray(source)
    if source.mode[0] == "I":  # I;16 in either byte order, or 16 bits in 32
        if array.size and (array.min() < 0 or array.max() > 65535):
            raise NerdrainError("a 32-bit integer image must hold values of 0 to 65535.")
        array = array.astype(np.uint16)
    result = _derain_array(array, run)
    back = Image.fromarray(result.astype(np.int32) if source.mode == "I" else result)
    back.info = kept
    return back
