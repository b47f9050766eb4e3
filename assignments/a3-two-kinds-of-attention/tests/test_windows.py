"""Public tests: properties of every correct layer. The grader tests more than these."""

import pytest
import torch
import windows
from torch.utils.flop_counter import FlopCounterMode

ROWS, COLUMNS = windows.WINDOW
DOWN, RIGHT = windows.SHIFT


def make_layer(channels: int = 6, heads: int = 2) -> windows.WindowAttention:
    """Make layer."""
    torch.manual_seed(0)
    layer = windows.WindowAttention(channels, heads).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return layer


def number_windows(size: int, window: int, shift: int) -> torch.Tensor:
    """For each pixel of an axis, the number of its window."""
    return (torch.arange(size) - shift) // window


def test_names_and_shapes_of_the_weights() -> None:
    """Names and shapes of the weights."""
    shapes = {name: tuple(p.shape) for name, p in make_layer().state_dict().items()}
    assert shapes == {
        "qkv.weight": (18, 6, 1, 1),
        "project.weight": (6, 6, 1, 1),
        "bias_table": (2, 2 * ROWS - 1, 2 * COLUMNS - 1),
    }


@pytest.mark.parametrize("size", [(1, 1), (ROWS, COLUMNS), (2 * ROWS + 1, COLUMNS - 1), (17, 19)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_and_dtype_are_kept(size: tuple[int, int], dtype: torch.dtype) -> None:
    """Shape and dtype are kept."""
    x = torch.randn(2, 6, *size, dtype=dtype)
    y = make_layer().to(dtype)(x)
    assert y.shape == x.shape and y.dtype == dtype and y.isfinite().all()


def test_every_weight_gets_a_gradient() -> None:
    """Every weight gets a gradient."""
    layer = make_layer()
    layer(torch.randn(1, 6, 3 * ROWS, 3 * COLUMNS).double()).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and (parameter.grad != 0).all(), name


def test_images_of_a_batch_do_not_mix() -> None:
    """Images of a batch do not mix."""
    layer, x = make_layer(), torch.randn(3, 6, 9, 11).double()
    alone = torch.cat([layer(image[None]) for image in x])
    torch.testing.assert_close(layer(x), alone)


def test_a_pixel_acts_on_its_own_window_only() -> None:
    """A pixel acts on its own window only."""
    layer, size = make_layer(), (3 * ROWS, 3 * COLUMNS)
    row = number_windows(size[0], ROWS, DOWN)
    column = number_windows(size[1], COLUMNS, RIGHT)
    x = torch.randn(1, 6, *size).double()
    for at in ((0, 0), (ROWS, COLUMNS), (size[0] - 1, size[1] - 1)):
        changed = x.clone()
        changed[..., at[0], at[1]] += 1
        moved = (layer(changed) - layer(x)).abs().amax((0, 1)) > 1e-9
        own = (row == row[at[0]])[:, None] & (column == column[at[1]])
        assert torch.equal(moved, own), f"pixel {at}"


def test_a_large_bias_of_offset_zero_leaves_every_pixel_alone() -> None:
    """A large bias of offset zero leaves every pixel alone."""
    layer, x = make_layer(), torch.randn(1, 6, 2 * ROWS + 1, 2 * COLUMNS + 1).double()
    with torch.no_grad():
        layer.bias_table[:, ROWS - 1, COLUMNS - 1] = 1e4
        values = layer.qkv(x)[:, 12:]
        torch.testing.assert_close(layer(x), layer.project(values))


def test_equal_queries_and_no_bias_give_the_mean_of_a_complete_window() -> None:
    """Equal queries and no bias give the mean of a complete window."""
    layer, x = make_layer(), torch.randn(1, 6, 3 * ROWS, 3 * COLUMNS).double()
    with torch.no_grad():
        layer.qkv.weight[:6] = 0
        layer.bias_table.zero_()
        window = slice(DOWN, DOWN + ROWS), slice(RIGHT, RIGHT + COLUMNS)
        mean = layer.project(layer.qkv(x)[:, 12:])[..., window[0], window[1]].mean((2, 3))
        got = layer(x)[..., window[0], window[1]]
    torch.testing.assert_close(got, mean[..., None, None].expand_as(got))


def test_the_prediction_is_near_the_counter() -> None:
    """The prediction is near the counter."""
    layer = windows.WindowAttention(8, 2)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        layer(torch.zeros(1, 8, 40, 44))
    counted = counter.get_total_flops() / 2
    predicted = windows.multiply_adds(8, 2, 40, 44)
    assert 4 * 8**2 * 40 * 44 * 0.9 < counted < 1.6 * predicted


def test_equal_channels_fit_the_budget_and_no_more_do() -> None:
    """Equal channels fit the budget and no more do."""
    for channels, heads in ((8, 1), (24, 3), (96, 4)):
        most = windows.equal_channels(channels, heads, 30, 21)
        budget = windows.multiply_adds(channels, heads, 30, 21)
        assert isinstance(most, int) and most % heads == 0
        assert most == 0 or windows.channel_multiply_adds(most, heads, 30, 21) <= budget
        assert windows.channel_multiply_adds(most + heads, heads, 30, 21) > budget


def test_channel_multiply_adds_grow_with_the_pixels() -> None:
    """Channel multiply adds grow with the pixels."""
    once = windows.channel_multiply_adds(12, 3, 8, 8)
    assert windows.channel_multiply_adds(12, 3, 16, 8) == 2 * once


def test_a_constant_image_stays_constant_in_complete_windows() -> None:
    """A constant image stays constant in complete windows."""
    layer, x = make_layer(), torch.randn(1, 6, 1, 1).double()
    with torch.no_grad():
        got = layer(x.expand(1, 6, 3 * ROWS, 3 * COLUMNS))
        expected = layer.project(layer.qkv(x)[:, 12:])
    got = got[..., DOWN : DOWN + ROWS, RIGHT : RIGHT + COLUMNS]
    torch.testing.assert_close(got, expected.expand_as(got))
