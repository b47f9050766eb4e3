"""transformer.py against torch's own layers, numpy and what the attention must obey."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nerdrain.model.ablations import ChannelAttentionBlock
from nerdrain.model.config import NeRDRainConfig
from nerdrain.model.transformer import (
    ChannelLayerNorm,
    GatedFeedForward,
    TransformerBlock,
    TransposedAttention,
    make_blocks,
)

CONFIG = NeRDRainConfig(width=8, blocks=(1, 2, 3))
DTYPES = [torch.float32, torch.bfloat16, torch.float64]
seeds = st.integers(0, 10**6)


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def every_module() -> list[nn.Module]:
    torch.manual_seed(0)
    return [
        ChannelLayerNorm(8),
        ChannelLayerNorm(8, bias=False),
        TransposedAttention(8, 2),
        GatedFeedForward(8),
        TransformerBlock(8, 4, CONFIG),
        TransformerBlock(8, 1, CONFIG.with_changes(norm="bias_free")),
        ChannelAttentionBlock(8),
    ]


@pytest.mark.parametrize("module", every_module(), ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 8, 1, 1), (0, 8, 4, 4), (2, 8, 5, 3)])
def test_shapes_and_dtypes(module: nn.Module, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    y = module.to(dtype)(random(*shape, dtype=dtype))
    assert y.shape == shape and y.dtype == dtype
    assert y.isfinite().all()


@pytest.mark.parametrize("module", every_module(), ids=lambda m: type(m).__name__)
def test_every_parameter_has_a_gradient(module: nn.Module) -> None:
    (module.double()(random(2, 8, 4, 5)) * random(2, 8, 4, 5, seed=1)).sum().backward()
    assert all((p.grad != 0).any() for p in module.parameters())


@pytest.mark.parametrize("module", every_module(), ids=lambda m: type(m).__name__)
def test_images_of_a_batch_do_not_meet(module: nn.Module) -> None:
    x, module = random(3, 8, 4, 5), module.double()
    alone = torch.cat([module(image[None]) for image in x])
    torch.testing.assert_close(module(x), alone)


def test_layer_norm_is_torchs_over_channels() -> None:
    ours, reference = ChannelLayerNorm(6).double(), nn.LayerNorm(6).double()
    for parameter, values in ((ours.weight, random(6)), (ours.bias, random(6, seed=1))):
        parameter.data.copy_(values)
    reference.load_state_dict(ours.state_dict())
    x = random(2, 6, 3, 4)
    torch.testing.assert_close(ours(x), reference(x.movedim(1, -1)).movedim(-1, 1))


def test_layer_norm_without_bias_divides_by_the_deviation_over_channels() -> None:
    norm = ChannelLayerNorm(6, bias=False).double()
    norm.weight.data.copy_(random(6))
    x = random(2, 6, 3, 4).numpy()
    expected = x / np.sqrt(x.var(1, keepdims=True) + 1e-5) * random(6).numpy()[:, None, None]
    np.testing.assert_allclose(norm(torch.tensor(x)).detach().numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("bias", [True, False])
def test_layer_norm_in_closed_form(bias: bool) -> None:
    # The channels 1, 3: mean 2, biased variance 1; 1e-5 stands inside the root.
    norm = ChannelLayerNorm(2, bias=bias).double()
    norm.weight.data.copy_(torch.tensor([10.0, 100.0]))
    x = torch.tensor([1.0, 3.0]).double().view(1, 2, 1, 1)
    scale = 1 / math.sqrt(1 + 1e-5)
    expected = [-10 * scale, 100 * scale] if bias else [10 * scale, 300 * scale]
    assert norm(x).flatten().tolist() == pytest.approx(expected, rel=1e-12)
    assert (norm.bias is not None) == bias


@given(seeds, st.floats(-5, 5), st.floats(0.5, 20))
def test_layer_norm_ignores_level_and_contrast(seed: int, level: float, contrast: float) -> None:
    x = random(1, 6, 2, 2, seed=seed)
    norm = ChannelLayerNorm(6).double()
    torch.testing.assert_close(norm(100 * contrast * x + level), norm(100 * x), atol=1e-4, rtol=0)
    free = ChannelLayerNorm(6, bias=False).double()
    torch.testing.assert_close(free(100 * contrast * x), free(100 * x), atol=1e-3, rtol=0)


@given(seeds)
def test_attention_weights_are_shares(seed: int) -> None:
    attention = TransposedAttention(8, 2).double()
    q, k = random(3, 2, 4, 15, seed=seed), random(3, 2, 4, 15, seed=seed + 1)
    weights = attention.weights(q, k)
    assert weights.shape == (3, 2, 4, 4) and (weights > 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 2, 4).double())
    # The order of the pixels does not matter, nor does the length of a query or key.
    order = torch.randperm(15, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(attention.weights(q[..., order], k[..., order]), weights)
    torch.testing.assert_close(attention.weights(7 * q, 0.1 * k), weights)
    # Cosines lie in [-1, 1], so at temperature 1 no share is e^2 times another.
    assert (weights.amax(-1) / weights.amin(-1) <= math.e**2 + 1e-9).all()


def test_temperature_sharpens_each_head_on_its_own() -> None:
    attention = TransposedAttention(8, 2).double()
    q, k = random(1, 2, 4, 15), random(1, 2, 4, 15, seed=1)
    before = attention.weights(q, k)
    attention.temperature.data[1] = 50
    after = attention.weights(q, k)
    assert torch.equal(after[:, 0], before[:, 0])
    assert (after[:, 1].amax(-1) > before[:, 1].amax(-1)).all()
    attention.temperature.data[1] = 0
    torch.testing.assert_close(attention.weights(q, k)[:, 1], torch.full((1, 4, 4), 0.25).double())


@given(seeds)
def test_attention_moves_with_its_pixels(seed: int) -> None:
    """Without the depth-wise neighbourhoods, permuting pixels permutes the result."""
    attention = TransposedAttention(8, 2).double()
    attention.qkv_depthwise.weight.data.zero_()[:, :, 1, 1] = 1
    x = random(1, 8, 4, 5, seed=seed)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(seed))

    def permute(image: Tensor) -> Tensor:
        return image.flatten(2)[..., order].view_as(image)

    torch.testing.assert_close(attention(permute(x)), permute(attention(x)))


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_written_out(heads: int) -> None:
    torch.manual_seed(heads)
    c, h, w = 8, 3, 4
    attention = TransposedAttention(c, heads).double().requires_grad_(False)
    attention.temperature.copy_(random(heads, 1, 1).abs() + 0.5)
    x = random(1, c, h, w)
    qkv = attention.qkv_depthwise(attention.qkv(x))[0].numpy().reshape(3 * c, h * w)
    q, k, v = qkv[:c], qkv[c : 2 * c], qkv[2 * c :]
    mixed = np.zeros((c, h * w))
    each = c // heads
    for head in range(heads):
        own = range(head * each, (head + 1) * each)
        for i in own:
            scores = [
                np.dot(q[i], k[j]) / (np.linalg.norm(q[i]) * np.linalg.norm(k[j])) for j in own
            ]
            shares = np.exp(np.array(scores) * attention.temperature[head].item())
            mixed[i] = sum(s * v[j] for s, j in zip(shares / shares.sum(), own, strict=True))
    expected = attention.project.weight[:, :, 0, 0].numpy() @ mixed
    np.testing.assert_allclose(attention(x)[0].flatten(1).numpy(), expected, atol=1e-12)


def test_half_precision_does_not_overflow_over_many_pixels() -> None:
    attention = TransposedAttention(4, 2)
    q, k = (30 * random(1, 2, 2, 4096, seed=seed) for seed in (1, 2))
    expected = attention.double().weights(q, k)
    halves = attention.half().weights(q.half(), k.half())
    torch.testing.assert_close(halves.double(), expected, atol=1e-3, rtol=0)


def test_the_cost_of_attention_grows_with_pixels_alone() -> None:
    def cost(size: int) -> int:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            TransposedAttention(8, 2)(torch.zeros(1, 8, size, size))
        return counter.get_total_flops()

    # The matrix of attention and projection costs the same for any number of pixels.
    assert cost(32) - cost(16) == 4 * (cost(16) - cost(8))


def test_gated_feed_forward_written_out() -> None:
    layer = GatedFeedForward(6, 2.66).double()
    assert layer.project.weight.shape == (6, 15, 1, 1)  # int(2.66 * 6)
    layer.depthwise.weight.data.zero_()[:, :, 1, 1] = 1
    x = random(1, 6, 2, 3)
    wide = torch.einsum("dc,bchw->bdhw", layer.expand.weight[:, :, 0, 0], x)
    gate, value = wide[:, :15], wide[:, 15:]
    passed = gate * 0.5 * (1 + torch.erf(gate / math.sqrt(2))) * value  # exact gelu
    expected = torch.einsum("cd,bdhw->bchw", layer.project.weight[:, :, 0, 0], passed)
    torch.testing.assert_close(layer(x), expected)


def test_a_block_adds_attention_then_feed_forward() -> None:
    block = TransformerBlock(8, 2, CONFIG).double()
    x = random(1, 8, 4, 4)
    middle = x + block.attention(block.norm1(x))
    expected = middle + block.feed_forward(block.norm2(middle))
    torch.testing.assert_close(block(x), expected)
    for last in (block.attention.project, block.feed_forward.project):
        last.weight.data.zero_()
    assert torch.equal(block(x), x)


def test_channel_attention_block_written_out() -> None:
    block = ChannelAttentionBlock(8).double()
    x = random(2, 8, 4, 5)
    first, prelu, second = block.body
    y = F.conv2d(x, first.weight, padding=1)
    y = F.conv2d(torch.where(y > 0, y, prelu.weight * y), second.weight, padding=1)
    squeeze, _, excite, _ = block.gate
    assert squeeze.weight.shape[0] == 2  # a quarter of the channels
    mean = y.mean((2, 3)) @ squeeze.weight[:, :, 0, 0].T
    gate = 1 / (1 + (-(mean.relu() @ excite.weight[:, :, 0, 0].T)).exp())
    torch.testing.assert_close(block(x), x + gate[..., None, None] * y)
    assert ChannelAttentionBlock(2).gate[0].weight.shape[0] == 1


@pytest.mark.parametrize("level", [1, 2, 3])
def test_blocks_of_a_level(level: int) -> None:
    blocks = make_blocks(level, CONFIG)
    assert len(blocks) == level  # blocks=(1, 2, 3)
    for block in blocks:
        assert isinstance(block, TransformerBlock)
        assert block.attention.heads == CONFIG.heads[level - 1]
        assert block.norm1.weight.numel() == 8 * 2 ** (level - 1)
        assert block.norm1.bias is not None
    cnn = make_blocks(level, CONFIG.with_changes(backbone="cnn"))
    assert all(isinstance(block, ChannelAttentionBlock) for block in cnn)
    free = make_blocks(level, CONFIG.with_changes(norm="bias_free"))
    assert free[0].norm1.bias is None and free[0].norm2.bias is None


def test_channels_that_heads_cannot_share() -> None:
    with pytest.raises(Exception, match=r"heads|divisible|Shape|shape"):
        TransposedAttention(8, 3)(torch.zeros(1, 8, 2, 2))
