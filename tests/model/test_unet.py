"""unet.py: what each level holds, and that nothing is lost on the way down and up."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nerdrain.model.config import NeRDRainConfig
from nerdrain.model.unet import Decoder, Down, Encoder, UNet, Up

CONFIG = NeRDRainConfig(width=8, blocks=(1, 2, 1))
DTYPES = [torch.float32, torch.bfloat16, torch.float64]


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize("backbone", ["transformer", "cnn"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("batch", "height", "width"), [(1, 4, 4), (0, 4, 8), (2, 12, 4)])
def test_shapes_of_the_levels(
    batch: int, height: int, width: int, dtype: torch.dtype, backbone: str
) -> None:
    unet = UNet(CONFIG.with_changes(backbone=backbone)).to(dtype)
    encoded = unet.encoder(random(batch, 8, height, width, dtype=dtype))
    assert encoded.skip1.shape == (batch, 8, height, width)
    assert encoded.skip2.shape == (batch, 16, height // 2, width // 2)
    assert encoded.latent.shape == (batch, 32, height // 4, width // 4)
    decoded = unet.decoder(encoded)
    assert decoded.shape == (batch, 8, height, width) and decoded.dtype == dtype
    assert decoded.isfinite().all()


@pytest.mark.parametrize("backbone", ["transformer", "cnn"])
def test_every_parameter_has_a_gradient(backbone: str) -> None:
    torch.manual_seed(0)
    unet = UNet(CONFIG.with_changes(backbone=backbone))
    (unet(random(1, 8, 8, 8)) * random(1, 8, 8, 8, seed=1)).sum().backward()
    assert all((p.grad != 0).any() for p in unet.parameters())


def test_no_convolution_has_a_bias() -> None:
    convolutions = [m for m in UNet(CONFIG).modules() if isinstance(m, torch.nn.Conv2d)]
    assert all(m.bias is None for m in convolutions)


def test_down_is_a_convolution_and_pixel_unshuffle() -> None:
    down, x = Down(6), random(2, 6, 4, 8)
    expected = F.pixel_unshuffle(F.conv2d(x, down[0].weight, padding=1), 2)
    assert torch.equal(down(x), expected) and expected.shape == (2, 12, 2, 4)


def test_up_is_a_convolution_and_pixel_shuffle() -> None:
    up, x = Up(6), random(2, 6, 4, 8)
    expected = F.conv2d(x, up[0].weight, padding=1)  # (2, 12, 4, 8)
    assert torch.equal(up(x)[:, 1, 1::2, 0::2], expected[:, 4 + 2])  # channel c, row 1, column 0
    assert up(x).shape == (2, 3, 8, 16)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
def test_up_undoes_down(rows: int, columns: int, half: int) -> None:
    """With convolutions that copy, pixels come back to where they were."""
    c = 2 * half
    down, up = Down(c), Up(2 * c)
    for conv in (down[0], up[0]):
        torch.nn.init.dirac_(conv.weight)
    x = random(1, c, 2 * rows, 2 * columns)
    low = down(x)  # the first c/2 channels survive a copy to c/2
    assert torch.equal(
        low[0].movedim(0, -1).reshape(-1).sort()[0], x[0, :half].reshape(-1).sort()[0]
    )
    assert torch.equal(up(low)[:, :half], x[:, :half])


def test_the_decoder_concatenates_before_it_reduces() -> None:
    """[up, skip]: the first half of its inputs comes from below, the second from beside."""
    decoder = Decoder(CONFIG)
    encoded = Encoder(CONFIG)(random(1, 8, 8, 8))
    with torch.no_grad():
        decoder.reduce1.weight[:, :8] = 0
        beside = decoder.level1(F.conv2d(encoded.skip1, decoder.reduce1.weight[:, 8:]))
        torch.testing.assert_close(decoder(encoded), beside)
        decoder.reduce1.weight[:, 8:] = 0
        assert torch.equal(decoder(encoded), torch.zeros(1, 8, 8, 8))


def test_a_borrowed_reduction_replaces_its_own() -> None:
    decoder, other = Decoder(CONFIG), Decoder(CONFIG)
    encoded = Encoder(CONFIG)(random(1, 8, 8, 8))
    borrowed = decoder(encoded, other.reduce1)
    assert not torch.allclose(borrowed, decoder(encoded))
    borrowed.sum().backward()
    assert decoder.reduce1.weight.grad is None
    assert other.reduce1.weight.grad is not None
    decoder.reduce1 = other.reduce1
    assert torch.equal(decoder(encoded), borrowed)


def test_sizes_that_do_not_halve_twice() -> None:
    with pytest.raises(Exception, match=r"divide|divisible|shape"):
        UNet(CONFIG)(random(1, 8, 6, 8))
