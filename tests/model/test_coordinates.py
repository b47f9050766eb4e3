"""coordinates.py against closed forms of equation 2 and of bilinear neighbours."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nerdrain.errors import NerdrainError
from nerdrain.model.coordinates import (
    PositionalEncoding,
    axis_neighbours,
    pixel_centres,
    pixel_grid,
    size_of,
)

DTYPES = [torch.float32, torch.bfloat16, torch.float64]
sizes = st.integers(1, 40)


def equation_2(x: np.ndarray, levels: int, base: float = 1.0) -> np.ndarray:
    """sin x, cos x, ..., sin 2^(L-1) x, cos 2^(L-1) x, written out."""
    parts = []
    for octave in range(levels):
        parts += [np.sin(base * 2**octave * x), np.cos(base * 2**octave * x)]
    return np.concatenate(parts, axis=-1)


@pytest.mark.parametrize("include_pi", [False, True])
@pytest.mark.parametrize("levels", [1, 4, 6])
@pytest.mark.parametrize("shape", [(2,), (5, 1), (3, 7, 2), (0, 2)])
def test_encoding_is_equation_2(levels: int, include_pi: bool, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, shape)
    encoding = PositionalEncoding(levels, include_pi=include_pi)
    ours = encoding(torch.from_numpy(x)).numpy()
    expected = equation_2(x, levels, math.pi if include_pi else 1.0)
    assert ours.shape == (*shape[:-1], encoding.features(shape[-1]))
    np.testing.assert_allclose(ours, expected, atol=1e-12)


def test_a_pixel_has_4_l_numbers() -> None:
    # The paper writes 2 L; two coordinates, a sine and a cosine each, at L octaves make 4 L.
    assert PositionalEncoding().levels == 4
    assert PositionalEncoding().features(2) == PositionalEncoding()(torch.zeros(2)).numel() == 16


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype: torch.dtype) -> None:
    grid = pixel_grid(3, 5, dtype=dtype)
    assert grid.dtype == PositionalEncoding()(grid).dtype == dtype
    assert axis_neighbours(5, 3, dtype=dtype).weight.dtype == dtype
    assert pixel_grid(3, 5).dtype == torch.float32


def test_results_are_on_the_device_of_the_arguments() -> None:
    def results() -> list[Tensor]:
        grid = pixel_grid(3, 5, device=torch.device("cpu"))
        return [grid, PositionalEncoding()(grid), *axis_neighbours(5, 3, device=grid.device)]

    expected = results()
    with torch.device("meta"):  # the default device is another one
        ours = results()
    assert all(torch.equal(*pair) for pair in zip(ours, expected, strict=True))


def test_the_size_of_an_image() -> None:
    assert size_of(torch.zeros(1, 3, 5, 7)) == (5, 7)


@given(st.floats(-1, 1), st.floats(-1, 1), st.booleans())
def test_a_shift_rotates_each_pair(x: float, shift: float, include_pi: bool) -> None:
    """gamma(x + s) is a rotation of gamma(x) that depends on s alone."""
    encoding = PositionalEncoding(4, include_pi=include_pi)
    here, there, turn = (
        encoding(torch.tensor([v], dtype=torch.float64)).view(4, 2) for v in (x, x + shift, shift)
    )
    (sin, cos), (sin_s, cos_s) = here.unbind(1), turn.unbind(1)
    rotated = torch.stack([sin * cos_s + cos * sin_s, cos * cos_s - sin * sin_s], dim=1)
    torch.testing.assert_close(there, rotated, atol=1e-12, rtol=0)


def test_with_pi_the_ends_of_the_interval_meet() -> None:
    ends = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    left, right = PositionalEncoding(include_pi=True)(ends)
    torch.testing.assert_close(left, right, atol=1e-12, rtol=0)
    left, right = PositionalEncoding()(ends)
    assert (left - right).abs().max() > 1


def test_encoding_needs_an_octave_and_says_what_it_is() -> None:
    with pytest.raises(NerdrainError, match="at least one octave"):
        PositionalEncoding(0)
    assert repr(PositionalEncoding(2)) == "PositionalEncoding(levels=2, include_pi=False)"


@given(sizes)
def test_centres_tile_the_interval(size: int) -> None:
    centres = pixel_centres(size, dtype=torch.float64)
    expected = [-1 + (2 * i + 1) / size for i in range(size)]
    np.testing.assert_allclose(centres.numpy(), expected, atol=1e-15)
    assert torch.equal(centres, -centres.flip(0))
    # Two pixels of a grid twice as fine lie about each centre.
    fine = pixel_centres(2 * size, dtype=torch.float64).view(size, 2).mean(1)
    torch.testing.assert_close(fine, centres)


def test_centres_stay_in_order_in_half_precision() -> None:
    centres = pixel_centres(1000, dtype=torch.bfloat16)
    assert (centres.diff() >= 0).all()
    torch.testing.assert_close(centres.float(), pixel_centres(1000), atol=4e-3, rtol=0)


def test_the_grid_holds_row_then_column() -> None:
    grid = pixel_grid(2, 3)
    assert grid.shape == (2, 3, 2)
    torch.testing.assert_close(grid[..., 0], torch.tensor([[-0.5] * 3, [0.5] * 3]))
    torch.testing.assert_close(grid[..., 1], torch.tensor([[-2 / 3, 0, 2 / 3]] * 2))
    assert torch.equal(pixel_grid(1, 1), torch.zeros(1, 1, 2))


@given(sizes, sizes)
def test_neighbours(queries: int, codes: int) -> None:
    found = axis_neighbours(queries, codes, dtype=torch.float64)
    positions = [(i + 0.5) * codes / queries - 0.5 for i in range(queries)]
    assert found.code.min() >= 0 and found.code.max() < codes
    # Partition of unity, exactly.
    assert torch.equal(found.weight.sum(0), torch.ones(queries, dtype=torch.float64))
    assert (found.weight >= 0).all()
    for i, position in enumerate(positions):
        lower = math.floor(position + 1e-9)
        expected = [min(max(lower, 0), codes - 1), min(max(lower + 1, 0), codes - 1)]
        assert found.code[:, i].tolist() == expected
        assert found.weight[1, i] == pytest.approx(position - lower, abs=1e-9)
        assert found.offset[:, i].tolist() == pytest.approx([position - c for c in expected])
    assert found.offset.abs().max() <= 1
    # Weighted codes interpolate a straight line to itself, away from the border.
    inside = [i for i, p in enumerate(positions) if 0 <= p <= codes - 1]
    line = (found.weight * found.code).sum(0)
    np.testing.assert_allclose(line[inside].numpy(), [positions[i] for i in inside], atol=1e-12)


@given(sizes, sizes)
def test_the_nearest_alone(queries: int, codes: int) -> None:
    nearest = axis_neighbours(queries, codes, dtype=torch.float64).nearest()
    assert nearest.code.shape == nearest.offset.shape == (1, queries)
    assert torch.equal(nearest.weight, torch.ones(1, queries, dtype=torch.float64))
    grid = pixel_centres(codes, dtype=torch.float64)
    points = pixel_centres(queries, dtype=torch.float64)
    closest = (points[:, None] - grid).abs().min(dim=1).values
    torch.testing.assert_close((points - grid[nearest.code[0]]).abs(), closest, atol=1e-12, rtol=0)
    assert (nearest.offset.abs() <= 0.5).all()


def test_of_two_equally_near_codes_the_lower_is_nearest() -> None:
    nearest = axis_neighbours(1, 2).nearest()  # the query 0 lies between the codes -1/2 and 1/2
    assert nearest.code.tolist() == [[0]] and nearest.offset.tolist() == [[0.5]]


@given(sizes)
def test_on_its_own_grid_each_query_is_its_code(size: int) -> None:
    found = axis_neighbours(size, size)
    assert torch.equal(found.code[0], torch.arange(size))
    assert torch.equal(found.weight[0], torch.ones(size))
    assert torch.equal(found.offset[0], torch.zeros(size))
    assert torch.equal(found.nearest().code[0], torch.arange(size))
