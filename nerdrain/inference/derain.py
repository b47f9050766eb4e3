"""Remove rain from photographs of any size.

`derain` takes arrays and PIL images, `derain_tensor` takes tensors.

The network processes small images whole. It processes larger images in overlapping tiles that are
blended (`nerdrain.inference.tiling`), so the memory does not grow with the number of pixels.
"""

import math
import operator
from collections.abc import Callable
from os import PathLike, fspath
from typing import Literal, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from nerdrain.data.images import check_range, refuse_outside, to_plain_mode, turn_upright
from nerdrain.data.metadata import read_metadata
from nerdrain.errors import NerdrainError, abbreviate
from nerdrain.inference.tiling import GRID, Span, blend_tiles, split_side

Tile = int | Literal["auto"] | None
Kind = TypeVar("Kind", np.ndarray, Image.Image)
Progress = Callable[[float], object]

#: "auto" processes an image whole if pixels times network width is at most this: one megapixel at
#: width 16. Each unit takes about 100 bytes, in total 1.6 GiB.
MAX_WHOLE = 2**24
#: Pixels times network width of a tile of "auto": 720x720 at width 16, 416x416 at width 48.
MAX_TILE = 2**23


def tile_size(height: int, width: int, model: nn.Module, tile: Tile = "auto") -> int | None:
    """Return the side of a tile in pixels, or None to process the whole image.

    With "auto" the side depends on the image's size and on the model's `config.width` (16 if it has
    none), because the memory per pixel grows with it.

    Raises:
        NerdrainError: `tile` is neither "auto", None nor a side of at least 16 pixels.
    """
    if tile == "auto":
        channels = getattr(getattr(model, "config", None), "width", 16)
        if height * width * channels <= MAX_WHOLE:
            return None
        return max(GRID, math.isqrt(MAX_TILE // channels) // GRID * GRID)
    if tile is None:
        return None
    try:
        side = operator.index(tile)  # also NumPy's integers
    except TypeError:
        side = 0
    if side < GRID:
        raise NerdrainError(
            f'tile must be "auto" or at least {GRID} pixels, not {abbreviate(tile)}.'
        )
    return side


class _TileRunner:
    """Runs a model on the tiles of one image, on the model's device, and reports the progress."""

    def __init__(
        self,
        model: nn.Module,
        tile: Tile,
        overlap: int,
        strength: float = 1.0,
        progress: Progress | None = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise NerdrainError(
                "the model must be a network such as nerdrain.load_model('nerd-rain-tiny'), not "
                f"{model!r:.80}."
            )
        try:
            self.overlap = operator.index(overlap)
        except TypeError:
            raise NerdrainError(
                f"overlap must be a whole number of pixels, not {abbreviate(overlap)}."
            ) from None
        if not 0 <= strength <= 1:
            raise NerdrainError(f"strength must be from 0 to 1, not {abbreviate(strength)}.")
        self.model, self.tile, self.strength, self.progress = model, tile, strength, progress
        weight = next(model.parameters(), torch.empty(0))
        self.device, self.dtype = weight.device, weight.dtype
        self.done, self.count = 0, 1

    def layout(self, height: int, width: int) -> tuple[list[Span], list[Span]]:
        """Return the start and end of the tiles' rows and of their columns."""
        tile = tile_size(height, width, self.model, self.tile)
        if tile is None:
            return [(0, height)], [(0, width)]
        rows, columns = (split_side(n, tile, self.overlap) for n in (height, width))
        self.count = len(rows) * len(columns)
        return rows, columns

    def __call__(self, x: Tensor) -> Tensor:
        """Derain a tile."""
        with torch.inference_mode():
            y = self.model(x.to(self.device, self.dtype))
            y = getattr(y, "full", y)
            y = y.float() if y.itemsize < 4 else y  # blend in at least 32 bits
        if y.shape != x.shape:
            raise NerdrainError(
                f"the model returned shape {tuple(y.shape)} for {tuple(x.shape)}; use a model that "
                "keeps the size."
            )
        if not y.isfinite().all():
            raise NerdrainError(
                "the network's result holds NaN or infinite values; its weights are damaged, or "
                f"{y.dtype} is too narrow for them."
            )
        if self.strength < 1:
            y = torch.lerp(x.to(y), y.clamp(0, 1), self.strength)
        self.done += 1
        if self.progress:
            self.progress(self.done / self.count)
        return y


def derain_tensor(
    x: Float[Tensor, "b 3 h w"],
    model: nn.Module,
    *,
    tile: Tile = "auto",
    overlap: int = 32,
    strength: float = 1.0,
) -> Float[Tensor, "b 3 h w"]:
    """Derain a batch of RGB images, floating point in [0, 1], on any device.

    The other arguments are those of `derain`. Only single tiles are copied to the model's device.

    Returns:
        A new tensor (B, 3, H, W), clamped to [0, 1], with the dtype and device of `x`.

    Raises:
        NerdrainError: The shape, dtype or range is different, the tiles are too small for the
            overlap, or the network's result is not finite.
    """
    if x.ndim != 4 or x.shape[1] != 3 or not x.is_floating_point() or 0 in x.shape[2:]:
        raise NerdrainError(
            f"derain_tensor takes floating-point images (B, 3, H, W), not {x.dtype} "
            f"{tuple(x.shape)}; use `derain` for arrays and PIL images."
        )
    runner = _TileRunner(model, tile, overlap, strength)
    if x.numel():
        refuse_outside(*(float(bound) for bound in x.detach().aminmax()))
    layout = runner.layout(*x.shape[2:])
    result = torch.empty_like(x)
    for top, rows in blend_tiles(lambda ys, xs: x[..., slice(*ys), slice(*xs)], runner, *layout):
        result[..., top : top + rows.shape[2], :] = rows.clamp(0, 1).to(result)
    return result


def derain(
    image: Kind,
    model: nn.Module,
    *,
    tile: Tile = "auto",
    overlap: int = 32,
    strength: float = 1.0,
    progress: Progress | None = None,
) -> Kind:
    """Derain one image; the result has the same type, size and bit depth.

    Grey images are derained as RGB, then the three channels are averaged. Alpha does not change.
    A PIL image is rotated upright according to its EXIF orientation and keeps its metadata
    (`nerdrain.data.metadata`). Palette images become RGB or RGBA, black-and-white images become
    grey, and CMYK and other colour spaces become RGB, because their own mode cannot store the
    result.

    Args:
        image: a PIL image, or an array (h, w), (h, w, 1), (h, w, 2: grey and alpha), (h, w, 3) or
            (h, w, 4: RGB and alpha), uint8, uint16 or float in [0, 1].
        model: a `NeRDRain`, or any module whose output is an image or has the field `full`.
        tile: "auto" derains the image whole if that needs at most about 1.6 GiB (one megapixel for
            the tiny model); otherwise it uses tiles that need half of that. A number is the side of
            a tile in pixels, at least 16. None derains an image of any size whole.
        overlap: pixels that neighbouring tiles share, rounded up to a multiple of 16.
        strength: share of the network's result, from 0 (the image itself) to 1.
        progress: called after each tile with the finished share of the image, up to 1.

    Raises:
        NerdrainError: The image has an invalid type, shape, dtype or range; `model` is not a
            module; the tiles are too small for the overlap; or the network's result is not finite.
    """
    runner = _TileRunner(model, tile, overlap, strength, progress)
    if isinstance(image, Image.Image):
        return _derain_pil(image, runner)
    if isinstance(image, np.ma.MaskedArray):
        raise NerdrainError("derain takes no masked array; fill its masked values first.")
    if isinstance(image, np.ndarray):
        return _derain_array(np.asarray(image), runner)  # a matrix, for example, has other rules
    if isinstance(image, str | PathLike):
        raise NerdrainError(
            f"derain takes an image, not its path; open {fspath(image)!r} with PIL.Image.open or "
            "nerdrain.data.images.load_image first."
        )
    raise NerdrainError(
        f"derain takes NumPy arrays and PIL images, not {type(image).__name__}; use "
        "`derain_tensor` for tensors."
    )


def _check_image(image: np.ndarray) -> float:
    """Raise an error for an array that is not an image; return the value of white."""
    if image.ndim not in (2, 3) or image.size == 0 or (image.ndim == 3 and image.shape[2] > 4):
        raise NerdrainError(
            f"an image must have the shape (height, width) or (height, width, 1 to 4), not "
            f"{image.shape}; move the channels last and drop the batch dimension."
        )
    floating = np.issubdtype(image.dtype, np.floating)
    if not floating and image.dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        raise NerdrainError(f"an image must be uint8, uint16 or float, not {image.dtype}.")
    return check_range(image)


def _derain_array(image: np.ndarray, runner: _TileRunner) -> np.ndarray:
    white = _check_image(image)
    planes = image if image.ndim == 3 else image[..., None]
    colours = 3 if planes.shape[2] >= 3 else 1
    result = planes.copy()  # keeps alpha

    def read(ys: Span, xs: Span) -> Tensor:
        part = torch.from_numpy(planes[slice(*ys), slice(*xs), :colours].astype(np.float32))
        return (part / white).permute(2, 0, 1).expand(3, -1, -1)[None]  # (1, 3, h, w)

    for top, band in blend_tiles(read, runner, *runner.layout(*planes.shape[:2])):
        rgb = band[0].clamp(0, 1).permute(1, 2, 0)  # (n, w, 3)
        rows = (rgb if colours == 3 else rgb.mean(2, keepdim=True)).cpu().numpy()
        if white > 1:
            rows = np.floor(rows * white + 0.5)
        result[top : top + len(rows), :, :colours] = rows
    return result.reshape(image.shape)


def _derain_pil(image: Image.Image, runner: _TileRunner) -> Image.Image:
    try:
        image.load()
    except Exception as error:  # a damaged file makes Pillow's decoders fail in any way
        problem = f"{type(error).__name__}: {error}"
        raise NerdrainError(f"the image cannot be decoded ({problem:.200}).") from None
    metadata = read_metadata(image)
    source = to_plain_mode(turn_upright(image))
    if image.mode in ("CMYK", "LAB"):
        metadata.pop("icc_profile", None)  # it describes the old colour space
    array = np.asarray(source)
    if source.mode[0] == "I":  # I;16 in either byte order, or 16 bits stored in 32
        check_range(array)
        array = array.astype(np.uint16)
    derained = _derain_array(array, runner)
    if "transparency" in metadata:
        _keep_transparent_value(array, derained, metadata["transparency"])
    result = Image.fromarray(derained.astype(np.int32) if source.mode == "I" else derained)
    result.info = metadata
    return result


def _keep_transparent_value(before: np.ndarray, after: np.ndarray, value: int) -> None:
    """Let exactly the same pixels of 16-bit grey have the value that means transparent."""
    clear = before == value
    after[(after == value) & ~clear] = value - 1 if value else 1
    after[clear] = value
