"""inr.py against independent implementations that do everything the long way."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nerdrain.errors import NerdrainError
from nerdrain.model.config import NeRDRainConfig
from nerdrain.model.inr import INRBranch, PaperDecoder, ReleasedDecoder, mlp, neighbourhood_layer

CONFIG = NeRDRainConfig(width=4, blocks=(1, 1, 1), inr_hidden=7)
PAPER = CONFIG.with_changes(fidelity="paper")
DTYPES = [torch.float32, torch.bfloat16, torch.float64]


def features(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def paper_decoder(seed: int = 1, **changes: object) -> PaperDecoder:
    torch.manual_seed(seed)
    return PaperDecoder(PAPER.with_changes(**changes)).double().requires_grad_(False)


def four_members(decoder: ReleasedDecoder, e: Tensor, encoding: bool) -> Tensor:
    """The released INR as it is run: unfold, 18 zeros, 2 twos, four equal members, their mean."""
    b, _, h, w = e.shape
    unfolded = F.unfold(e, 3, padding=1).movedim(1, 2)  # (B, H*W, 9C)
    relative = unfolded.new_zeros(b, h * w, 18 if encoding else 2)  # own minus own coordinates
    cell = unfolded.new_full((b, h * w, 2), 2.0)
    members, areas = [], []
    for area in (0.1, 0.2, 0.3, 0.4):
        x = torch.cat([unfolded, relative, cell], dim=-1)
        for k, layer in enumerate(decoder.layers):
            x = F.linear(x.relu() if k else x, layer.weight, layer.bias)
        members.append(x)
        areas.append(area)
    mean = sum(a * m for a, m in zip(areas, members, strict=True)) / sum(areas)
    return mean.movedim(1, 2).reshape(b, 3, h, w)


@pytest.mark.parametrize("encoding", [True, False])
def test_released_in_one_pass_is_the_four_member_ensemble(encoding: bool) -> None:
    torch.manual_seed(0)
    for width, hidden in ((4, 7), (8, 32)):
        config = NeRDRainConfig(width=width, inr_hidden=hidden, inr_encoding=encoding)
        decoder = ReleasedDecoder(config)
        e = features(2, width, 5, 8, dtype=torch.float32)
        expected = four_members(decoder, e, encoding)
        assert (decoder(e) - expected).abs().max() < 1e-6 * expected.abs().max()
        decoder, e = decoder.double(), e.double()
        torch.testing.assert_close(decoder(e), four_members(decoder, e, encoding))


def test_released_columns_that_multiply_zeros_get_zero_gradient() -> None:
    decoder = ReleasedDecoder(CONFIG)
    decoder(features(1, 4, 6, 6, dtype=torch.float32)).square().sum().backward()
    weight = decoder.layers[0].weight
    assert weight.shape == (7, 9 * 4 + 18 + 2)
    of_features, of_coordinates, of_cell = weight.grad.split([36, 18, 2], dim=1)
    assert torch.equal(of_coordinates, torch.zeros(7, 18))
    assert (of_features != 0).any(dim=0).all()
    assert (of_cell != 0).any()
    torch.testing.assert_close(of_cell, 2 * decoder.layers[0].bias.grad[:, None].expand(-1, 2))
    assert all(p.grad is not None for p in decoder.parameters())


def equation_3(
    decoder: PaperDecoder, e: np.ndarray, height: int, width: int, interpolate: bool = True
) -> np.ndarray:
    """Equation 3, query by query: the four nearest codes, weighted by the opposite areas."""
    layers = [(m.weight.numpy(), m.bias.numpy()) for m in decoder.layers]
    channels, rows, columns = e.shape
    padded = np.pad(e, ((0, 0), (1, 1), (1, 1)))

    def f(r: int, c: int, dy: float, dx: float) -> np.ndarray:
        """The MLP of one code and the encoded offset of the query from it."""
        code = padded[:, r : r + 3, c : c + 3].reshape(channels * 9)  # by channel, then by tap
        offset = np.array([dy, dx])
        if decoder.encoding:
            octaves = [g(2**k * offset) for k in range(4) for g in (np.sin, np.cos)]
            offset = np.concatenate(octaves)
        x = np.concatenate([code, offset])
        for k, (weight, bias) in enumerate(layers):
            x = weight @ (np.maximum(x, 0) if k else x) + bias
        return x

    image = np.zeros((3, height, width))
    for i in range(height):
        for j in range(width):
            y, x = (i + 0.5) * rows / height - 0.5, (j + 0.5) * columns / width - 0.5
            if not interpolate:  # the closest; on a tie the upper left one
                r, c = (int(np.ceil(v - 0.5 - 1e-9)) for v in (y, x))
                r, c = np.clip(r, 0, rows - 1), np.clip(c, 0, columns - 1)
                image[:, i, j] = f(r, c, y - r, x - c)
                continue
            top, left = int(np.floor(y + 1e-9)), int(np.floor(x + 1e-9))
            for r in (top, top + 1):
                for c in (left, left + 1):
                    weight = (1 - abs(y - r)) * (1 - abs(x - c))
                    rr, cc = np.clip(r, 0, rows - 1), np.clip(c, 0, columns - 1)
                    image[:, i, j] += weight * f(rr, cc, y - rr, x - cc)
    return image


@pytest.mark.parametrize("encoding", [True, False])
@pytest.mark.parametrize("interpolate", [True, False])
@pytest.mark.parametrize(
    "size", [(3, 4), (6, 8), (5, 7), (2, 3), (3, 5), (1, 1), (9, 8), (6, 12), (8, 8), (6, 5)]
)
def test_paper_decoder_is_equation_3(
    size: tuple[int, int], interpolate: bool, encoding: bool
) -> None:
    decoder = paper_decoder(inr_interpolation=interpolate, inr_encoding=encoding)
    e = features(1, 4, 3, 4)
    expected = equation_3(decoder, e[0].numpy(), *size, interpolate)
    np.testing.assert_allclose(decoder(e, size)[0].numpy(), expected, atol=1e-12)
    if size == (3, 4):  # the shortcut on the feature grid itself
        np.testing.assert_allclose(decoder(e)[0].numpy(), expected, atol=1e-12)


def test_paper_decoder_has_the_papers_layers() -> None:
    # Three layers with 256 hidden units; the input is 9C features and 4L = 16 coordinates.
    layers = PaperDecoder(NeRDRainConfig(fidelity="paper")).layers
    assert [tuple(m.weight.shape) for m in layers] == [(256, 448), (256, 256), (3, 256)]
    plain = PaperDecoder(NeRDRainConfig(fidelity="paper", inr_encoding=False)).layers
    assert plain[0].weight.shape == (256, 434)  # the two plain offsets
    layers = ReleasedDecoder(NeRDRainConfig()).layers  # four, and 18 + 2 inputs beside the features
    assert [tuple(m.weight.shape) for m in layers] == [(256, 452), (256, 256), (256, 256), (3, 256)]


sizes = st.integers(1, 9)


@given(sizes, sizes, sizes, sizes, st.booleans())
def test_weights_sum_to_one(h: int, w: int, high: int, wide: int, interpolate: bool) -> None:
    """If every code says the same, so does every query, on any grid."""
    decoder = paper_decoder(inr_interpolation=interpolate)
    for layer in decoder.layers:
        layer.weight.zero_()
    decoder.layers[-1].bias.copy_(torch.tensor([0.1, 0.5, 0.9]))
    image = decoder(features(2, 4, h, w), (high, wide))
    expected = torch.tensor([0.1, 0.5, 0.9]).double().view(1, 3, 1, 1)
    torch.testing.assert_close(image, expected.expand(2, 3, high, wide))


def test_continuous_across_the_borders_of_cells() -> None:
    """The largest step between neighbours shrinks with the grid; without interpolation it stays."""
    e = features(1, 4, 4, 4)

    def largest_step(interpolate: bool, size: int) -> float:
        image = paper_decoder(inr_interpolation=interpolate)(e, (4, size))
        return float(image.diff(dim=-1).abs().max())

    assert largest_step(True, 4096) < 0.6 * largest_step(True, 2048)
    assert largest_step(True, 4096) < 0.1 * largest_step(False, 4096)
    assert largest_step(False, 4096) > 0.95 * largest_step(False, 2048)


def test_on_its_own_grid_ensemble_and_encoding_are_idle() -> None:
    e = features(1, 4, 5, 6)
    on = paper_decoder()(e)
    assert torch.equal(on, paper_decoder(inr_interpolation=False)(e))
    decoder = paper_decoder()
    decoder.layers[0].weight[:, 36:52:4].normal_()  # sines of the row: they read sin 0 = 0
    assert torch.equal(decoder(e), on)
    assert not torch.allclose(decoder(e, (10, 12)), paper_decoder()(e, (10, 12)))


@pytest.mark.parametrize("encoding", [True, False])
@pytest.mark.parametrize("interpolate", [True, False])
def test_paper_gradients_on_another_grid(encoding: bool, interpolate: bool) -> None:
    decoder = paper_decoder(inr_encoding=encoding, inr_interpolation=interpolate)
    decoder.requires_grad_(True)
    e = features(1, 4, 3, 3).requires_grad_()
    decoder(e, (5, 6)).square().sum().backward()
    assert e.grad is not None and (e.grad != 0).any(dim=(2, 3)).all()
    assert all((p.grad != 0).any() for p in decoder.parameters())


@pytest.mark.parametrize("fidelity", ["released", "paper"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [0, 1, 3])
def test_branch_shapes_and_dtypes(fidelity: str, dtype: torch.dtype, batch: int) -> None:
    config = CONFIG.with_changes(fidelity=fidelity)
    branch = INRBranch(config).to(dtype)
    assert branch.encoder is None
    e = branch(features(batch, 3, 4, 8, dtype=dtype), features(batch, 16, 1, 2, dtype=dtype))
    assert e.shape == (batch, 4, 4, 8) and e.dtype == dtype
    image = branch.decoder(e)
    assert image.shape == (batch, 3, 4, 8) and image.dtype == dtype
    if fidelity == "paper":
        image = branch.decoder(e, (7, 3))
        assert image.shape == (batch, 3, 7, 3) and image.dtype == dtype


@pytest.mark.parametrize("fidelity", ["released", "paper"])
def test_a_separate_encoder_reads_the_image_alone(fidelity: str) -> None:
    config = CONFIG.with_changes(fidelity=fidelity, inr_encoder="separate")
    branch = INRBranch(config)
    image = features(1, 3, 8, 8, dtype=torch.float32)
    branch.decoder(branch(image, None)).sum().backward()
    assert all(p.grad is not None for p in branch.parameters())
    assert torch.equal(branch(image, None), branch(image, torch.full((1, 16, 2, 2), torch.nan)))


def test_a_layer_on_neighbourhoods_is_a_layer_on_unfolded_features() -> None:
    e, layer = features(2, 3, 4, 5), mlp([27, 5])[0].double()
    expected = F.linear(F.unfold(e, 3, padding=1).movedim(1, 2), layer.weight, layer.bias)
    ours = neighbourhood_layer(e, layer.weight, layer.bias)
    torch.testing.assert_close(ours, expected.movedim(1, 2).reshape(2, 5, 4, 5))


@pytest.mark.parametrize("decoder", [PaperDecoder(PAPER), ReleasedDecoder(CONFIG)])
def test_features_of_another_width_are_refused(decoder: PaperDecoder | ReleasedDecoder) -> None:
    with pytest.raises(NerdrainError, match="reads features of 4 channels, and was given 5"):
        decoder(features(1, 5, 3, 3, dtype=torch.float32))
