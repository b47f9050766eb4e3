"""Remove rain from photographs of any size.

`derain` takes arrays and PIL images, `derain_tensor` takes tensors.

The network processes small images whole. It processes larger images in overlapping tiles that are
blended (`nerdrain.inference.tiling`), so the memory does not grow with the number of pixels.
"""

import operator
import re
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
from nerdrain.devices import free_memory, used_memory
from nerdrain.errors import NerdrainError, abbreviate
from nerdrain.inference.tiling import GRID, Span, blend_tiles, round_up, split_side

Tile = int | Literal["auto"] | None
Memory = int | str | None
Kind = TypeVar("Kind", np.ndarray, Image.Image)
Progress = Callable[[int, int], object]

#: Bytes that the network needs at its peak per pixel and hidden channel (`config.width` times
#: `config.expansion`), by benchmarks/bench_tiles.py. Tiles of 512 pixels need the most.
UNIT = 53
#: Bytes that blending needs per pixel of a row of tiles: twice three float32 values.
BAND = 24
#: Memory of the network and the blending if `max_memory` is None. It does not depend on the machine
#: or on the process, so the tiles do not either. The tiny model takes one megapixel whole.
DEFAULT_MEMORY = 17 * 2**30 // 10  # 1.7 GiB
#: Side of the smallest tile that "auto" chooses.
SMALLEST = 128
#: A bound counts the memory in use in steps of 64 MiB, so that runs choose the same tiles.
STEP = 2**26
#: The system's allocator keeps memory between tiles. Over a large photograph the memory grows to
#: about this multiple of the memory of one tile, as measured by benchmarks/bench_tiles.py.
GROWTH = 1.5


def parse_memory(memory: int | str) -> int:
    """Read an amount of memory: a number of bytes, or a text such as "1GiB", "800MB" or "2G".

    "2G" and "2GiB" are powers of 1024, "2GB" is a power of 1000.

    Raises:
        NerdrainError: It is neither.
    """
    text = str(memory).strip().lower() if isinstance(memory, int | str) else ""
    match = re.fullmatch(r"(\d{1,18}(?:\.\d{1,9})?) ?(?:([kmgt])(i?b)?)?", text, re.ASCII)
    if not match:
        raise NerdrainError(
            f"{abbreviate(memory)} is not an amount of memory; give one such as 1GiB or 800MB."
        )
    number, prefix, unit = match.groups()
    base = 1000 if unit == "b" else 1024
    return int(float(number) * base ** (" kmgt".index(prefix or " ")))


def tile_memory(side: int, height: int, width: int, model: nn.Module) -> int:
    """Estimate the bytes that the network and the blending need for tiles of this side.

    The memory of the network grows with its hidden channels (32 if the model has no `config`).
    """
    config = getattr(model, "config", None)
    channels = 32 if config is None else config.width * config.expansion
    rows, columns = min(side, round_up(height)), min(side, round_up(width))
    return int(rows * columns * channels * UNIT + rows * width * BAND)


def tile_size(
    height: int, width: int, model: nn.Module, tile: Tile = "auto", *, budget: int = DEFAULT_MEMORY
) -> int | None:
    """Return the side of a tile in pixels, or None to process the whole image.

    With "auto" it is the largest side that needs at most `budget` bytes, but at least `SMALLEST`.

    Raises:
        NerdrainError: `tile` is neither "auto", None nor a side of at least 16 pixels.
    """
    if tile == "auto":
        whole = max(SMALLEST, round_up(max(height, width)))
        for side in range(whole, SMALLEST - 1, -GRID):
            if tile_memory(side, height, width, model) <= budget:
                return None if side == whole else side
        return SMALLEST
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
        max_memory: Memory,
        strength: float,
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
        if max_memory is not None and tile != "auto":
            raise NerdrainError("give either a tile or max_memory, which chooses the tile.")
        self.model, self.tile, self.strength, self.progress = model, tile, strength, progress
        self.max_memory = None if max_memory is None else parse_memory(max_memory)
        weight = next(model.parameters(), torch.empty(0))
        self.device, self.dtype = weight.device, weight.dtype
        self.images, self.done, self.count = 1, 0, 1

    def layout(
        self, height: int, width: int, images: int = 1
    ) -> tuple[list[Span], list[Span], int]:
        """Return the start and end of the tiles' rows and columns, and the tiles of a batch.

        Call it when the image and the result are in memory, because `max_memory` includes them.
        """
        self.images = max(1, images)
        limit, used = self.max_memory, round_up(used_memory(self.device), STEP)
        free = DEFAULT_MEMORY if limit is None else int((limit - used) / GROWTH)
        tile = tile_size(height, width, self.model, self.tile, budget=free // self.images)
        if tile is None:
            return [(0, height)], [(0, width)], 1
        need = tile_memory(tile, height, width, self.model) * self.images
        if limit is not None and need > free:
            more = round_up(int(need * GROWTH), 2**20)
            raise NerdrainError(
                f"a bound of {limit >> 20} MiB is too small, because {used >> 20} MiB are in use "
                f"and tiles of {tile} pixels need {more >> 20} MiB more; allow at least "
                f"{used + more >> 20} MiB."
            )
        rows, columns = (split_side(n, tile, self.overlap) for n in (height, width))
        self.count = len(rows) * len(columns)
        if self.device.type != "cuda":
            return rows, columns, 1
        if limit is None:
            free = free_memory(self.device) // 2
        return rows, columns, max(1, free // need)

    def __call__(self, x: Tensor) -> Tensor:
        """Derain a batch of tiles."""
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
        self.done += x.shape[0] // self.images
        if self.progress:
            self.progress(self.done, self.count)
        return y


def derain_tensor(
    x: Float[Tensor, "b 3 h w"],
    model: nn.Module,
    *,
    tile: Tile = "auto",
    overlap: int = 32,
    max_memory: Memory = None,
    strength: float = 1.0,
) -> Float[Tensor, "b 3 h w"]:
    """Derain a batch of RGB images, floating point in [0, 1], on any device.

    The other arguments are those of `derain`. Only tiles are copied to the model's device.

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
    runner = _TileRunner(model, tile, overlap, max_memory, strength)
    x = x.detach()
    if x.numel():
        refuse_outside(*(float(bound) for bound in x.aminmax()))
    result = x.clone()
    images, _, height, width = x.shape
    layout = runner.layout(height, width, images)
    for top, rows in blend_tiles(lambda ys, xs: x[..., slice(*ys), slice(*xs)], runner, *layout):
        result[..., top : top + rows.shape[2], :] = rows.clamp_(0, 1)
    return result


def derain(
    image: Kind,
    model: nn.Module,
    *,
    tile: Tile = "auto",
    overlap: int = 32,
    max_memory: Memory = None,
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
        tile: "auto" chooses the largest tiles, or the whole image, for which the network needs at
            most about 1.7 GiB. A number is the side of a tile in pixels, at least 16. None derains
            an image of any size whole. The network's attention uses averages over a whole tile, so
            results depend a little on the tiles.
        overlap: pixels that neighbouring tiles share, rounded up to a multiple of 16.
        max_memory: the largest memory of the process, image and result included, in bytes or as
            "1GiB", "800MB" or "2G"; it chooses the tiles, so leave `tile` at "auto". If the model
            is on a CUDA GPU, it is the largest memory of all tensors there.
        strength: share of the network's result, from 0 (the image itself) to 1.
        progress: called with the number of finished tiles and the number of all, after each batch
            of tiles. A batch holds more than one tile only on CUDA.

    Raises:
        NerdrainError: The image has an invalid type, shape, dtype or range; `model` is not a
            module; the tiles are too small for the overlap; `max_memory` is too small for any tile;
            or the network's result is not finite.
    """
    runner = _TileRunner(model, tile, overlap, max_memory, strength, progress)
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
        rgb = band[0].clamp_(0, 1).permute(1, 2, 0)  # (n, w, 3)
        rows = (rgb if colours == 3 else rgb.mean(2, keepdim=True)).cpu().numpy()
        if white > 1:  # in place, because a row of tiles of a wide photograph is large
            rows *= white
            rows += 0.5
            np.floor(rows, out=rows)
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
    array, mode = np.asarray(source), source.mode
    del source  # a copy of the image, which would stay in memory
    if mode[0] == "I":  # I;16 in either byte order, or 16 bits stored in 32
        check_range(array)
        array = array.astype(np.uint16)
    derained = _derain_array(array, runner)
    if "transparency" in metadata:
        _keep_transparent_value(array, derained, metadata["transparency"])
    del array
    result = Image.fromarray(derained.astype(np.int32) if mode == "I" else derained)
    result.info = metadata
    return result


def _keep_transparent_value(before: np.ndarray, after: np.ndarray, value: int) -> None:
    """Let exactly the same pixels of 16-bit grey have the value that means transparent."""
    clear = before == value
    after[(after == value) & ~clear] = value - 1 if value else 1
    after[clear] = value
