"""Compare a kernel with a reference in float64, at random shapes."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from nerdrain import pick_device

DEVICE = pick_device()
"""The CPU, where Triton's interpreter runs the kernels, or with NERDRAIN_DEVICE=cuda the GPU."""

needs_gpu = pytest.mark.skipif(
    DEVICE.type != "cuda", reason="needs a CUDA GPU and NERDRAIN_DEVICE=cuda"
)
pytest.importorskip("triton", reason="needs Triton, which exists for Linux")

ROUNDING = {torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}
"""Largest error that a dtype may cause, as a share of the largest number."""
DTYPES = list(ROUNDING)
MATRIX_DTYPES = [
    torch.float32,
    torch.float16,
    pytest.param(
        torch.bfloat16,
        marks=pytest.mark.skipif(
            DEVICE.type == "cpu", reason="Triton's interpreter multiplies no bfloat16 matrices"
        ),
    ),
]
SEEDS = range(50)


def random_shape(seed: int, widest: int) -> tuple[int, int, int, int]:
    """A batch of 1 to 3 images, 1 to `widest` channels, and sides that fit no block exactly."""
    if seed == 0:
        return 1, 1, 1, 1
    rng = np.random.default_rng(seed)
    batch = 3 if seed % 5 == 0 else int(rng.integers(1, 3))
    channels = int(rng.integers(1, widest + 1))
    return batch, channels, int(rng.integers(1, 8)), int(rng.integers(1, 13))


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def assert_close(ours: Tensor, reference: Tensor, dtype: torch.dtype, what: str) -> None:
    assert ours.shape == reference.shape, what
    scale = reference.abs().max().clamp(min=1e-3)
    error = ((ours.double().cpu() - reference).abs().max() / scale).item()
    assert error <= ROUNDING[dtype], f"{what}: {error:.1e} of its largest number"


def assert_near(ours: Tensor, reference: Tensor, dtype: torch.dtype, what: str) -> None:
    """As `assert_close`, for gradients behind a ReLU and for whole networks.

    A rounding error of 1 in 1000 switches about 1 in 1000 units on or off. Such errors add up as
    squares, so the norm of the error is about the root of the share.
    """
    share = 2 * ROUNDING[dtype] if dtype == torch.float32 else ROUNDING[dtype] ** 0.5
    error = ((ours.double().cpu() - reference).norm() / reference.norm().clamp(min=1e-3)).item()
    assert error <= share, f"{what}: {error:.1e} of its norm"


def compare(
    kernel: Callable[..., Tensor],
    reference: Callable[..., Tensor],
    *inputs: Tensor,
    dtype: torch.dtype = torch.float32,
) -> None:
    """The first input has the dtype; the others are parameters, and stay float32 as in autocast."""
    first, *parameters = inputs
    ours = [x.to(DEVICE, copy=True).requires_grad_() for x in (first.to(dtype), *parameters)]
    theirs = [x.detach().cpu().double().requires_grad_() for x in ours]
    y, expected = kernel(*ours), reference(*theirs)
    assert y.dtype == dtype
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert_close(y, expected, dtype, "the output")
    gradient = random(*y.shape, seed=99).to(dtype)
    y.backward(gradient.to(DEVICE))
    expected.backward(gradient.double())
    for number, (x, z) in enumerate(zip(ours, theirs, strict=True)):
        assert x.grad is not None and z.grad is not None
        assert x.grad.dtype == x.dtype
        assert_close(x.grad, z.grad, dtype, f"the gradient of input {number}")
