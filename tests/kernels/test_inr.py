"""inr.py against the decoders of the model in float64."""

import copy

import numpy as np
import pytest
import torch
from kernel_help import (
    DEVICE,
    MATRIX_DTYPES,
    SEEDS,
    assert_close,
    assert_near,
    random,
    random_shape,
)
from torch import Tensor

from nerdrain.kernels.inr import decode_paper, decode_released
from nerdrain.model.config import NeRDRainConfig
from nerdrain.model.coordinates import Size
from nerdrain.model.inr import PaperDecoder, ReleasedDecoder

Decoder = PaperDecoder | ReleasedDecoder


def make_decoder(seed: int, channels: int, hidden: int, **changes: object) -> Decoder:
    config = NeRDRainConfig(width=channels, inr_hidden=hidden, heads=(1, 1, 1), **changes)
    torch.manual_seed(seed)
    return (ReleasedDecoder if config.fidelity == "released" else PaperDecoder)(config)


def decode(decoder: Decoder, x: Tensor, size: Size | None) -> Tensor:
    if isinstance(decoder, ReleasedDecoder):
        return decode_released(decoder, x)
    return decode_paper(decoder, x, size)


def compare_decoder(
    decoder: Decoder, x: Tensor, size: Size | None = None, dtype: torch.dtype = torch.float32
) -> None:
    """Output and all gradients; half precision by autocast, with float32 parameters."""
    reference = copy.deepcopy(decoder).double()
    x64 = x.double().requires_grad_()
    expected = reference(x64) if size is None else reference(x64, size)
    ours, x = decoder.to(DEVICE), x.to(DEVICE).requires_grad_()
    with torch.autocast(DEVICE.type, dtype, enabled=dtype != torch.float32):
        y = decode(ours, x, size)
    assert y.dtype == dtype
    assert_close(y, expected, dtype, "the image")
    gradient = random(*y.shape, seed=99).to(dtype)
    y.backward(gradient.to(DEVICE))
    expected.backward(gradient.double())
    assert_near(x.grad, x64.grad, dtype, "the gradient of the features")
    for (name, parameter), other in zip(
        ours.named_parameters(), reference.parameters(), strict=True
    ):
        assert parameter.grad.dtype == torch.float32
        assert_near(parameter.grad, other.grad, dtype, f"the gradient of {name}")


def random_decoder(seed: int, **changes: object) -> tuple[Decoder, Tensor]:
    """2 to 48 channels and 1 to 80 hidden units, which fit no block exactly."""
    batch, _, height, width = random_shape(seed, widest=1)
    rng = np.random.default_rng(seed + 1000)
    channels, hidden = 2 * int(rng.integers(1, 25)), int(rng.integers(1, 81))
    decoder = make_decoder(seed, channels, hidden, **changes)
    return decoder, random(batch, channels, height, width, seed=seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_released_at_random_shapes(seed: int) -> None:
    compare_decoder(*random_decoder(seed))


@pytest.mark.parametrize("seed", SEEDS)
def test_paper_on_its_own_grid_at_random_shapes(seed: int) -> None:
    decoder, x = random_decoder(seed, fidelity="paper", inr_encoding=seed % 4 != 1)
    compare_decoder(decoder, x)


@pytest.mark.parametrize("seed", SEEDS)
def test_paper_on_other_grids_at_random_shapes(seed: int) -> None:
    """Larger and smaller grids, with and without encoding and interpolation."""
    decoder, x = random_decoder(
        seed, fidelity="paper", inr_encoding=seed % 4 != 1, inr_interpolation=seed % 5 != 2
    )
    rng = np.random.default_rng(seed + 2000)
    compare_decoder(decoder, x, (int(rng.integers(1, 16)), int(rng.integers(1, 12))))


@pytest.mark.parametrize("dtype", MATRIX_DTYPES)
@pytest.mark.parametrize("size", [None, (10, 14)])
@pytest.mark.parametrize(("channels", "hidden"), [(12, 48), (48, 256)])
def test_dtypes_and_the_sizes_of_the_presets(
    dtype: torch.dtype, size: Size | None, channels: int, hidden: int
) -> None:
    decoder = make_decoder(0, channels, hidden, fidelity="paper")
    compare_decoder(decoder, random(1, channels, 5, 7), size, dtype)
    if size is None:
        compare_decoder(make_decoder(0, channels, hidden), random(1, channels, 5, 7), None, dtype)


def test_closed_form_of_the_weights() -> None:
    # Hidden unit 0 copies the only feature (positive), so a row of codes 1, 3 is interpolated:
    # at twice the size the four queries lie at -1/4, 1/4, 3/4, 5/4 cells, and outside the border
    # code is used.
    decoder = make_decoder(0, 2, 1, fidelity="paper").to(DEVICE)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.zero_()
        decoder.layers[0].weight[0, 4] = 1  # the central tap of channel 0
        decoder.layers[1].weight[0, 0] = 1
        decoder.layers[2].weight[:, 0] = torch.tensor([1.0, 2.0, 0.0])
    x = torch.tensor([[1.0, 3.0], [9.0, 9.0]], device=DEVICE)[None, :, None, :]
    expected = torch.tensor([1.0, 1.5, 2.5, 3.0], device=DEVICE)
    rgb = decode_paper(decoder, x, (2, 4))
    torch.testing.assert_close(rgb[0, 0], expected.expand(2, 4))
    torch.testing.assert_close(rgb[0, 1], 2 * expected.expand(2, 4))
    assert (rgb[0, 2] == 0).all()


def test_frozen_parameters_receive_no_gradient() -> None:
    decoder = make_decoder(0, 4, 8).to(DEVICE)
    decoder.layers[1].requires_grad_(False)
    decode_released(decoder, random(1, 4, 3, 3).to(DEVICE)).sum().backward()
    assert decoder.layers[1].weight.grad is None
    assert decoder.layers[0].weight.grad is not None
