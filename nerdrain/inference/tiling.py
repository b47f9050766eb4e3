"""Process a photograph in overlapping tiles, if it is too large to process whole.

Tiles start at multiples of 16, because the network's coarse grids repeat every 16 pixels. So the
half-size and quarter-size grids of a tile are parts of those of the whole image. Neighbouring tiles
overlap and are blended with weights that sum to 1 at every pixel (a partition of unity).
"""

import math
from collections.abc import Callable, Iterator
from itertools import groupby

import torch
from jaxtyping import Float
from torch import Tensor

from nerdrain.errors import NerdrainError

#: The network halves an image up to four times, so its coarse grids repeat every 16 pixels.
GRID = 16

Span = tuple[int, int]


def round_up(n: int, step: int = GRID) -> int:
    """Return the smallest multiple of `step` that is at least n."""
    return -(-n // step) * step


def split_side(length: int, tile: int, overlap: int) -> list[Span]:
    """Split one side of an image into overlapping pieces of about equal length.

    Args:
        length: length of the side, in pixels, at least 1.
        tile: largest length of a piece, rounded up to a multiple of 16.
        overlap: pixels that neighbours share, rounded up to a multiple of 16; at most half a tile.

    Returns:
        (start, end) of each piece. Each start is a multiple of 16, the pieces cover the side, and
        only neighbours overlap.

    Raises:
        NerdrainError: The tiles are too small for the overlap, or the overlap is negative.
    """
    tile, overlap = round_up(tile), round_up(overlap)
    if overlap < 0 or tile < max(GRID, 2 * overlap):
        raise NerdrainError(
            f"tiles of {tile} pixels cannot overlap by {overlap} (both in multiples of {GRID}); "
            f"give tiles of at least {max(GRID, 2 * overlap)} pixels, or an overlap from 0 to "
            f"{tile // 2 // GRID * GRID}."
        )
    if length <= tile:
        return [(0, length)]
    count = math.ceil((length - overlap) / (tile - overlap))
    step = round_up(math.ceil((length - overlap) / count))
    # The step was rounded up, so fewer pieces may be enough.
    count = math.ceil((length - overlap) / step)
    return [(k * step, min(k * step + step + overlap, length)) for k in range(count)]


def fade_weights(pieces: list[Span]) -> list[Float[Tensor, " n"]]:
    """Compute the weights of each piece: a smooth ramp where two pieces overlap, 1 elsewhere."""
    weights = [torch.ones(end - start) for start, end in pieces]
    for k in range(1, len(pieces)):
        shared = pieces[k - 1][1] - pieces[k][0]
        if shared:
            ramp = torch.sin(math.pi / 2 * (torch.arange(shared) + 0.5) / shared) ** 2
            weights[k][:shared] = ramp
            weights[k - 1][-shared:] = 1 - ramp
    return weights


def blend_tiles(
    read: Callable[[Span, Span], Float[Tensor, "b 3 h w"]],
    predict: Callable[[Float[Tensor, "n 3 h w"]], Float[Tensor, "n 3 h w"]],
    rows: list[Span],
    columns: list[Span],
    batch: int = 1,
) -> Iterator[tuple[int, Float[Tensor, "b 3 h w"]]]:
    """Predict all tiles and blend them, from top to bottom.

    Only one row of tiles is in memory at a time, so memory grows with the width of the image, not
    with its area.

    Args:
        read: returns the image between two rows and two columns.
        predict: maps a batch of tiles to tiles of the same size.
        rows: pieces of the height, from `split_side`.
        columns: pieces of the width.
        batch: how many tiles of a row to predict at once, at most.

    Yields:
        Index of the first row of a band, and its finished rows; all bands together are the image.
        The caller may change them.
    """
    width = columns[-1][1]
    groups = _group_columns(columns, batch)
    ends = [*(top for top, _ in rows[1:]), rows[-1][1]]  # of the finished rows
    carry: Tensor | None = None  # the part of the previous row of tiles that overlaps this one
    for (top, bottom), down, finished in zip(rows, fade_weights(rows), ends, strict=True):
        band: Tensor | None = None
        for group in groups:
            tiles = predict(torch.cat([read((top, bottom), span) for span, _ in group]))
            for tile, ((left, right), across) in zip(
                tiles.tensor_split(len(group)), group, strict=True
            ):  # (B, 3, h, w)
                if band is None:
                    band = tile.new_zeros((*tile.shape[:2], bottom - top, width))
                band[..., left:right] += tile * (down[:, None] * across).to(tile)
            del tiles, tile
        assert band is not None
        if carry is not None:
            band[..., : carry.shape[2], :] += carry
        carry = band[..., finished - top :, :].clone()  # a view would keep the whole band
        yield top, band[..., : finished - top, :]


def _group_columns(columns: list[Span], batch: int) -> list[list[tuple[Span, Tensor]]]:
    """Neighbouring columns of equal width, at most `batch` together, with their weights."""
    weighted = zip(columns, fade_weights(columns), strict=True)
    groups = []
    for _, equal in groupby(weighted, key=lambda column: len(column[1])):
        same = list(equal)
        groups += [same[k : k + batch] for k in range(0, len(same), batch)]
    return groups
