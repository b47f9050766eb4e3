"""Overlapping tiles that add up to one image: for photographs too large to derain at once.

Tiles start at multiples of 16, where the network's coarse grids start too, so a tile keeps the very
pixels that the whole image would keep at half and quarter size. Neighbours overlap, and fade into
each other under weights that sum to 1 at every pixel (a partition of unity).
"""

import math
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from nerdrain.errors import NerdrainError

__all__ = ["GRID", "blend_tiles", "fade", "spans"]

#: The network halves an image up to four times, so its grids repeat every 16 pixels.
GRID = 16

Span = tuple[int, int]


def _round_up(n: int) -> int:
    return -(-n // GRID) * GRID


def spans(length: int, tile: int, overlap: int) -> list[Span]:
    """Cut one side of an image into overlapping pieces of about equal length.

    Args:
        length: of the side, in pixels, at least 1.
        tile: the longest piece; rounded up to a multiple of 16.
        overlap: pixels that neighbours share; rounded up to a multiple of 16, at most half a tile.

    Returns:
        (start, end) of each piece. They begin at multiples of 16, cover the side, and only
        neighbours overlap.

    Raises:
        NerdrainError: tiles too small for their overlap.
    """
    tile, overlap = _round_up(tile), _round_up(overlap)
    if overlap < 0 or tile < max(GRID, 2 * overlap):
        raise NerdrainError(
            f"tiles of {tile} pixels cannot overlap by {overlap}: give tiles of at least "
            f"{max(GRID, 2 * overlap)}, and an overlap of at least 0."
        )
    if length <= tile:
        return [(0, length)]
    count = math.ceil((length - overlap) / (tile - overlap))
    step = _round_up(math.ceil((length - overlap) / count))
    # Rounding the steps up may leave the last pieces nothing to do.
    count = math.ceil((length - overlap) / step)
    return [(k * step, min(k * step + step + overlap, length)) for k in range(count)]


def fade(pieces: list[Span]) -> list[Float[Tensor, " n"]]:
    """Each piece's weights along one side: 1 where it is alone, a smooth ramp where two overlap."""
    weights = [torch.ones(end - start) for start, end in pieces]
    for left, right, (_, end), (start, _) in zip(
        weights, weights[1:], pieces, pieces[1:], strict=False
    ):
        shared = end - start
        if shared:
            ramp = torch.sin(math.pi / 2 * (torch.arange(shared) + 0.5) / shared) ** 2
            right[:shared] = ramp
            left[-shared:] = 1 - ramp
    return weights


def blend_tiles(
    read: Callable[[Span, Span], Float[Tensor, "b 3 h w"]],
    predict: Callable[[Float[Tensor, "b 3 h w"]], Float[Tensor, "b 3 h w"]],
    rows: list[Span],
    columns: list[Span],
) -> Iterator[tuple[int, Float[Tensor, "b 3 h w"]]]:
    """Predict tile by tile and give the finished rows of the blend, from top to bottom.

    Only one row of tiles is held at a time, so that memory grows with the width of the image, not
    with its area.

    Args:
        read: gives the image between two rows and two columns.
        predict: maps a tile to a tile of its size.
        rows: the pieces of the height, from `spans`.
        columns: the pieces of the width.

    Yields:
        The first row's index, and rows as wide as the image; together they are the image.
    """
    width = columns[-1][1]
    across = fade(columns)
    carry: Tensor | None = None  # what the row of tiles above has added below its end
    starts = [top for top, _ in rows]
    ends = [*starts[1:], rows[-1][1]]
    for (top, bottom), down, finished in zip(rows, fade(rows), ends, strict=True):
        band: Tensor | None = None
        for (left, right), weight in zip(columns, across, strict=True):
            tile = predict(read((top, bottom), (left, right)))  # (B, 3, h, w)
            if band is None:
                band = tile.new_zeros((*tile.shape[:2], bottom - top, width))
            mask = (down[:, None] * weight).to(tile)  # (h, w)
            band[..., left:right] += tile * mask
        assert band is not None
        if carry is not None:
            band[..., : carry.shape[2], :] += carry
        yield top, band[..., : finished - top, :]
        carry = band[..., finished - top :, :]
