"""norm_project.py against the layer norm and the convolution of torch in float64."""

import pytest
import torch
import torch.nn.functional as F
from kernel_help import DEVICE, MATRIX_DTYPES, SEEDS, compare, random, random_shape
from torch import Tensor

from nerdrain.kernels.norm_project import norm_project


def reference(x: Tensor, weight: Tensor, bias: Tensor, projection: Tensor) -> Tensor:
    pixels = F.layer_norm(x.movedim(1, -1), weight.shape, weight, bias, 1e-5)
    return F.conv2d(pixels.movedim(-1, 1), projection)


def bias_free(x: Tensor, weight: Tensor, projection: Tensor) -> Tensor:
    deviation = torch.sqrt(x.var(dim=1, correction=0, keepdim=True) + 1e-5)
    return F.conv2d(x / deviation * weight[:, None, None], projection)


def inputs(seed: int, batch: int, channels: int, outputs: int, *size: int) -> list[Tensor]:
    # A mean far from 0 beside the deviation: the form without a shift keeps it.
    return [
        2 * random(batch, channels, *size, seed=seed) + 1,
        1 + random(channels, seed=seed + 1) / 4,
        random(channels, seed=seed + 2),
        random(outputs, channels, 1, 1, seed=seed + 3),
    ]


@pytest.fixture(params=["fused", "norm alone"])
def precision(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One kernel, as for tensor cores, or the norm alone, as for exact float32."""
    value = "tf32" if request.param == "fused" else "ieee"
    if DEVICE.type == "cuda" and value == "tf32":
        pytest.skip("TF32 rounds on a GPU; the test of dtypes runs the fused kernel there")
    monkeypatch.setattr("nerdrain.kernels.norm_project.float_precision", lambda: value)


@pytest.mark.usefixtures("precision")
@pytest.mark.parametrize("seed", SEEDS)
def test_random_shapes(seed: int) -> None:
    batch, channels, height, width = random_shape(seed, widest=200)
    if channels == 1:  # the deviation of one number is 0, and its gradient only rounding
        channels = 2
    outputs = 1 + 37 * seed % 150
    x, weight, bias, projection = inputs(seed, batch, channels, outputs, height, width)
    compare(norm_project, reference, x, weight, bias, projection)


@pytest.mark.usefixtures("precision")
@pytest.mark.parametrize("seed", SEEDS)
def test_random_shapes_without_bias(seed: int) -> None:
    batch, channels, height, width = random_shape(seed, widest=200)
    outputs = 1 + 37 * seed % 150
    x, weight, _, projection = inputs(seed, batch, channels + 1, outputs, height, width)
    compare(lambda x, w, p: norm_project(x, w, None, p), bias_free, x, weight, projection)


@pytest.mark.parametrize("dtype", MATRIX_DTYPES)
@pytest.mark.parametrize("channels", [12, 48, 192])
def test_dtypes(dtype: torch.dtype, channels: int) -> None:
    compare(norm_project, reference, *inputs(0, 3, channels, 36, 5, 7), dtype=dtype)


def test_programs_share_the_rows_of_a_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nerdrain.kernels.norm_project.GRADIENT_PROGRAMS", 3)
    compare(norm_project, reference, *inputs(0, 3, 70, 8, 9, 11))


def test_closed_form() -> None:
    # The channels 1, 3: mean 2, variance 1; the projection takes twice the first plus the second.
    x = torch.tensor([1.0, 3.0], device=DEVICE)[None, :, None, None]
    ones, zeros = torch.ones(2, device=DEVICE), torch.zeros(2, device=DEVICE)
    matrix = torch.tensor([[2.0, 1.0]], device=DEVICE)[:, :, None, None]
    deviation = (1 + 1e-5) ** 0.5
    assert norm_project(x, ones, zeros, matrix).item() == pytest.approx(-1 / deviation)
    assert norm_project(x, ones, None, matrix).item() == pytest.approx(5 / deviation)


def test_autocast_normalises_in_float32() -> None:
    # Numbers that float16 cannot distinguish: their norm would be 0.
    x = torch.tensor([9000.0, 9001.0], device=DEVICE)[None, :, None, None]
    ones, zeros = torch.ones(2, device=DEVICE), torch.zeros(2, device=DEVICE)
    matrix = torch.tensor([[0.0, 1.0]], device=DEVICE)[:, :, None, None].requires_grad_()
    with torch.autocast(DEVICE.type, torch.float16):
        y = norm_project(x, ones, zeros, matrix)
    assert y.dtype == torch.float16 and y.item() == 1
    y.sum().backward()
    assert matrix.grad.dtype == torch.float32
    assert matrix.grad.flatten().tolist() == [-1, 1]
