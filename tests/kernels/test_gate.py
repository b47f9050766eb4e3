"""gate.py against torch's convolution and gelu in float64."""

import math

import pytest
import torch
import torch.nn.functional as F
from kernel_help import DEVICE, DTYPES, SEEDS, compare, random, random_shape
from torch import Tensor

from nerdrain.kernels.gate import depthwise, depthwise_gate, taps_gradient


def convolution(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(x, weight, padding=1, groups=x.shape[1])


def gated(x: Tensor, weight: Tensor) -> Tensor:
    gate, value = convolution(x, weight).chunk(2, dim=1)
    return F.gelu(gate) * value


@pytest.mark.parametrize("seed", SEEDS)
def test_depthwise_at_random_shapes(seed: int) -> None:
    batch, channels, height, width = random_shape(seed, widest=90)
    x = random(batch, channels, height, width, seed=seed)
    compare(depthwise, convolution, x, random(channels, 1, 3, 3, seed=seed + 1))


@pytest.mark.parametrize("seed", SEEDS)
def test_gate_at_random_shapes(seed: int) -> None:
    batch, hidden, height, width = random_shape(seed, widest=90)
    x = random(batch, 2 * hidden, height, width, seed=seed)
    compare(depthwise_gate, gated, x, random(2 * hidden, 1, 3, 3, seed=seed + 1))


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype: torch.dtype) -> None:
    x, weight = random(3, 62, 5, 7), random(62, 1, 3, 3, seed=1)
    compare(depthwise, convolution, x, weight, dtype=dtype)
    compare(depthwise_gate, gated, x, weight, dtype=dtype)


def test_programs_share_the_pixels_of_a_weights_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    # 270 pixels in parts of 128: two whole parts, in two steps each, and the rest.
    monkeypatch.setattr("nerdrain.kernels.gate.SUM_PROGRAMS", 3)
    x, gradient = random(2, 5, 9, 15), random(2, 5, 9, 15, seed=1)
    weight = torch.zeros(5, 1, 3, 3, requires_grad=True, dtype=torch.float64)
    convolution(x.double(), weight).backward(gradient.double())
    rows, into = (t.to(DEVICE).movedim(1, -1).contiguous() for t in (x, gradient))
    taps = torch.empty(9, 5, device=DEVICE)
    ours = taps_gradient(rows, into, taps).double().cpu()
    torch.testing.assert_close(ours, weight.grad.flatten(1).T, rtol=1e-5, atol=1e-4)


def test_closed_form_of_one_pixel() -> None:
    # Only the central tap falls on the pixel: gelu(2) * 3, and gelu(2) = 2 Phi(2).
    x = torch.tensor([1.0, 1.0], device=DEVICE)[None, :, None, None]
    weight = torch.full((2, 1, 3, 3), 7.0, device=DEVICE)
    weight[:, 0, 1, 1] = torch.tensor([2.0, 3.0])
    expected = 3 * 2 * 0.5 * (1 + math.erf(2 / math.sqrt(2)))
    assert depthwise_gate(x, weight).item() == pytest.approx(expected, rel=1e-6)


def test_each_tap_reads_its_own_neighbour() -> None:
    # The kernel with a single 1 at (row, column) moves the image by (1 - row, 1 - column).
    x = random(1, 1, 5, 11).to(DEVICE)
    for row in range(3):
        for column in range(3):
            weight = torch.zeros(1, 1, 3, 3, device=DEVICE)
            weight[0, 0, row, column] = 1
            padded = F.pad(x, (1, 1, 1, 1))
            expected = padded[..., row : row + 5, column : column + 11]
            assert torch.equal(depthwise(x, weight), expected)


def test_any_memory_format_is_read() -> None:
    x, weight = random(2, 40, 5, 6).to(DEVICE), random(20, 1, 3, 3, seed=1).to(DEVICE)
    part = x[:, ::2]
    expected = depthwise_gate(part.clone(memory_format=torch.contiguous_format), weight)
    assert torch.equal(depthwise_gate(part, weight), expected)
    last = part.contiguous(memory_format=torch.channels_last)
    assert torch.equal(depthwise_gate(last, weight), expected)


def test_autocast_computes_in_its_dtype_and_keeps_the_dtype_of_gradients() -> None:
    x, weight = random(1, 8, 4, 4).to(DEVICE), random(8, 1, 3, 3, seed=1).to(DEVICE)
    x.requires_grad_(), weight.requires_grad_()
    with torch.autocast(DEVICE.type, torch.bfloat16):
        y = depthwise_gate(x, weight)
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert x.grad.dtype == weight.grad.dtype == torch.float32


def test_two_runs_give_the_same_bits() -> None:
    gradients = []
    for _ in range(2):
        x, weight = random(2, 20, 5, 9).to(DEVICE), random(20, 1, 3, 3, seed=1).to(DEVICE)
        depthwise_gate(x, weight.requires_grad_()).square().sum().backward()
        gradients.append(weight.grad)
    assert torch.equal(*gradients)
