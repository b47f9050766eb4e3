"""tiling.py: pieces that cover, weights that sum to 1, and a blend that is the whole."""

import math
import re
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nerdrain.errors import NerdrainError
from nerdrain.inference.tiling import GRID, blend_tiles, fade_weights, split_side

lengths = st.integers(1, 700)
tiles = st.integers(64, 300)
overlaps = st.integers(0, 32)


@given(lengths, tiles, overlaps)
def test_pieces(length, tile, overlap):
    pieces = split_side(length, tile, overlap)
    longest, shared = (-(-n // GRID) * GRID for n in (tile, overlap))
    assert pieces[0][0] == 0
    assert pieces[-1][1] == length
    assert all(start % GRID == 0 for start, _ in pieces)
    assert all(0 < end - start <= longest for start, end in pieces)
    for (_, end), (start, _) in pairwise(pieces):
        assert end - start == shared
    for (_, end), (start, _) in zip(pieces, pieces[2:], strict=False):
        assert end <= start  # only neighbours overlap
    # No more pieces than the longest ones would need, and the last is more than its overlap.
    assert len(pieces) <= max(1, math.ceil((length - shared) / (longest - shared)))
    assert len(pieces) == 1 or length - pieces[-1][0] > shared


def test_pieces_by_hand():
    assert split_side(100, 112, 32) == [(0, 100)]
    assert split_side(1000, 512, 32) == [
        (0, 368),
        (336, 704),
        (672, 1000),
    ]  # equal, not 512 + 512 + 40
    assert split_side(992, 512, 32) == [(0, 512), (480, 992)]
    assert split_side(300, 128, 0) == [(0, 112), (112, 224), (224, 300)]


@given(lengths, tiles, overlaps)
def test_weights_are_a_partition_of_unity(length, tile, overlap):
    pieces = split_side(length, tile, overlap)
    total = torch.zeros(length)
    for (start, end), weight in zip(pieces, fade_weights(pieces), strict=True):
        assert weight.shape == (end - start,)
        assert (weight > 0).all()
        total[start:end] += weight
    torch.testing.assert_close(total, torch.ones(length))


def test_ramps_are_smooth():
    first, second = fade_weights([(0, 64), (32, 96)])
    ramp = torch.sin(math.pi / 2 * (torch.arange(32) + 0.5) / 32) ** 2
    torch.testing.assert_close(second[:32], ramp)
    torch.testing.assert_close(first[32:], ramp.flip(0))  # the fade out mirrors the fade in
    assert (first[:32] == 1).all()
    assert first.diff().abs().max() < math.pi / 2 / 32 + 1e-3  # no step steeper than the sine's
    assert first[-1] < 1e-3


@given(st.integers(1, 200), st.integers(1, 200), st.integers(32, 96), st.integers(0, 16))
def test_the_blend_of_an_identity_is_the_image(height, width, tile, overlap):
    x = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(height + width))
    rows, columns = split_side(height, tile, overlap), split_side(width, tile, overlap)
    bands = list(
        blend_tiles(lambda ys, xs: x[..., slice(*ys), slice(*xs)], lambda t: t, rows, columns)
    )
    tops = [top for top, _ in bands]
    sizes = [band.shape[2] for _, band in bands]
    assert tops == [sum(sizes[:k]) for k in range(len(sizes))]
    torch.testing.assert_close(torch.cat([band for _, band in bands], 2), x)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 5), st.integers(0, 2))
def test_batches_of_tiles_give_the_same_blend(height, width, batch, images):
    x = torch.rand(images, 3, height, width, generator=torch.Generator().manual_seed(width))
    layout = split_side(height, 64, 16), split_side(width, 64, 16)
    sizes = []

    def predict(tiles):
        sizes.append(len(tiles))
        return tiles * tiles.mean((1, 2, 3), keepdim=True)  # depends on the tile

    def blend(most):
        bands = blend_tiles(lambda ys, xs: x[..., slice(*ys), slice(*xs)], predict, *layout, most)
        return torch.cat([band for _, band in bands], 2)

    one = blend(1)
    assert set(sizes) == {images}
    sizes.clear()
    assert torch.equal(blend(batch), one)
    columns = [end - start for start, end in layout[1]]
    full = columns[:-1] if columns[-1] != columns[0] else columns  # only the last can be shorter
    calls = math.ceil(len(full) / batch) + len(columns) - len(full)
    assert len(sizes) == calls * len(layout[0])
    assert max(sizes) == images * min(batch, len(full))


def test_the_blend_of_disagreeing_tiles_is_a_ramp():
    seen = iter([torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64)])
    ((top, band),) = blend_tiles(
        lambda ys, xs: next(seen), lambda t: t, [(0, 64)], [(0, 64), (32, 96)]
    )
    assert top == 0
    assert (band[..., :32] == 0).all() and (band[..., 64:] == 1).all()
    assert (band.diff(dim=3) >= 0).all()


@pytest.mark.parametrize(("tile", "overlap"), [(48, 32), (0, 0), (-5, 0), (64, -32)])
def test_tiles_too_small_for_their_overlap(tile, overlap):
    with pytest.raises(NerdrainError, match="cannot overlap by"):
        split_side(1000, tile, overlap)


def test_tiles_are_refused_with_sizes_that_fit():
    for tile in range(1, 140):
        for overlap in range(70):
            if -(-overlap // GRID) * 2 * GRID <= -(-tile // GRID) * GRID:
                split_side(500, tile, overlap)
                continue
            with pytest.raises(NerdrainError) as refusal:
                split_side(500, tile, overlap)
            least, most = map(
                int, re.findall(r"at least (\d+) pixels, .* from 0 to (\d+)", str(refusal.value))[0]
            )
            split_side(500, least, overlap), split_side(500, tile, most)
