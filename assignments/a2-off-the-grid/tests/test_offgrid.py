"""Public tests of assignment a2: forms, and properties that follow from the handout."""

import json
from itertools import pairwise
from pathlib import Path

import offgrid
import pytest
import torch

VARIANT = json.loads(Path(offgrid.__file__).with_name("variant.json").read_text(encoding="utf-8"))
ONE = torch.ones((), dtype=torch.float64)
AXES = pytest.mark.parametrize("axis", [0, 1])


def layers(channels: int, outputs: int = 3) -> list[dict[str, torch.Tensor]]:
    """A small network with fixed random weights."""
    generator = torch.Generator().manual_seed(1)
    sizes = [channels + 2, 8, outputs]
    return [
        {
            "weight": torch.randn(m, n, generator=generator, dtype=torch.float64),
            "bias": torch.randn(m, generator=generator, dtype=torch.float64),
        }
        for n, m in pairwise(sizes)
    ]


def agree(value: torch.Tensor, true: torch.Tensor, message: str, atol: float = 1e-9) -> None:
    """Fail with the message, and without the numbers, if two tensors differ."""
    if not torch.allclose(value, true, atol=atol):
        pytest.fail(message, pytrace=False)


def features(*shape: int) -> torch.Tensor:
    """Fixed random features."""
    generator = torch.Generator().manual_seed(2)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def code_positions(codes: int, axis: int) -> torch.Tensor:
    """Where the codes lie: formula 1 of the handout."""
    return (torch.arange(codes, dtype=torch.float64) + VARIANT["code_phase"][axis]) / codes


@AXES
@pytest.mark.parametrize("pixels", [1, 2, 9])
def test_positions_lie_in_the_picture_one_pixel_apart(pixels: int, axis: int) -> None:
    """The places of the pixels have the right form, order and distance."""
    positions = offgrid.pixel_positions(pixels, axis)
    assert positions.shape == (pixels,)
    assert positions.dtype == torch.float64
    assert positions.min() >= 0
    assert positions.max() <= 1
    agree(positions.diff() * pixels, ONE, "neighbouring pixels are not 1 / n apart")


@AXES
@pytest.mark.parametrize("codes", [1, 2, 6])
def test_neighbours_have_the_documented_form(codes: int, axis: int) -> None:
    """Shapes, dtypes and ranges of the three tensors."""
    positions = torch.linspace(0, 1, 23, dtype=torch.float64)
    index, offset, weight = offgrid.neighbours(positions, codes, axis)
    assert index.shape == offset.shape == weight.shape == (2, 23)
    assert index.dtype == torch.int64
    assert offset.dtype == weight.dtype == torch.float64
    assert index.min() >= 0
    assert index.max() < codes
    assert weight.min() >= 0


@AXES
def test_weights_are_a_partition_of_unity(axis: int) -> None:
    """The two weights of each position sum to 1."""
    positions = torch.linspace(0, 1, 57, dtype=torch.float64)
    _, _, weight = offgrid.neighbours(positions, 4, axis)
    agree(weight.sum(dim=0), ONE, "the weights do not sum to 1")


@AXES
def test_the_two_codes_are_one_cell_apart(axis: int) -> None:
    """The offsets of the two codes differ by one length, at the borders and on any grid."""
    positions = torch.linspace(0, 1, 57, dtype=torch.float64)
    offsets = torch.stack([offgrid.neighbours(positions, m, axis)[1] for m in (1, 4)])
    apart = offsets[:, 0] - offsets[:, 1]
    agree(apart, apart[0, 0], "the offsets of the two codes are not a fixed distance apart")


def test_at_a_code_the_value_is_the_networks_output_for_this_code() -> None:
    """At a code, this code has the weight 1 and the offset 0."""
    rows, columns = code_positions(4, 0), code_positions(5, 1)
    codes = features(2, 3, 4, 5)
    points = torch.stack([rows[[1, 2]], columns[[3, 1]]], dim=1)
    values = offgrid.query_points(codes, points, layers(3))
    assert values.shape == (2, 3, 2)
    for q, (row, column) in enumerate([(1, 3), (2, 1)]):
        inputs = torch.cat([codes[:, :, row, column], torch.zeros(2, 2, dtype=torch.float64)], 1)
        true = offgrid.network(inputs, layers(3))
        agree(values[..., q], true, f"code ({row}, {column}): not the output for this code alone")


@AXES
def test_values_agree_on_both_sides_of_a_code(axis: int) -> None:
    """The values are continuous where the pair of codes changes."""
    step = 1e-7
    points = torch.full((2, 2), 0.4321, dtype=torch.float64)
    points[:, axis] = code_positions(4, axis)[1] + torch.tensor([-step, step])
    values = offgrid.query_points(features(1, 3, 4, 4), points, layers(3))
    agree(values[..., 0], values[..., 1], "the values jump at a code", atol=1e-4)


@pytest.mark.parametrize("size", [(3, 4), (7, 5), (1, 1), (2, 9)])
def test_query_has_any_size(size: tuple[int, int]) -> None:
    """The picture has the size that the caller gives."""
    values = offgrid.query(features(2, 3, 3, 4), list(size), layers(3))
    assert values.shape == (2, 3, *size)
    assert values.dtype == torch.float64
    assert values.isfinite().all()


def test_a_grid_of_one_code_can_be_queried() -> None:
    """With one code, all four neighbours have the same features."""
    values = offgrid.query(features(1, 2, 1, 1), [3, 2], layers(2))
    assert values.shape == (1, 3, 3, 2)
    assert values.isfinite().all()


def test_a_query_is_a_query_of_its_points() -> None:
    """A pixel of the picture has the value of the point at its position."""
    codes = features(1, 2, 3, 4)
    picture = offgrid.query(codes, [5, 6], layers(2))
    point = torch.stack([offgrid.pixel_positions(5, 0)[4], offgrid.pixel_positions(6, 1)[2]])
    value = offgrid.query_points(codes, point[None], layers(2))
    agree(picture[..., 4, 2], value[..., 0], "the pixel (4, 2) differs from the point there")
