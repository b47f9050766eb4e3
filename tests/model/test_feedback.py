"""feedback.py against equation 4 and Table 5, written out."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import correlate
from torch import Tensor, nn

from nerdrain.model.ablations import ConcatFeedback, SumFeedback
from nerdrain.model.config import NeRDRainConfig
from nerdrain.model.feedback import (
    FeedbackGate,
    FeedbackUnit,
    ReleasedFeedbackUnit,
    make_feedback,
)

DTYPES = [torch.float32, torch.bfloat16, torch.float64]
UNITS = [FeedbackUnit, ReleasedFeedbackUnit, ConcatFeedback]


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def convolve(x: np.ndarray, layer: nn.Conv2d) -> np.ndarray:
    """A convolution with zero padding and bias, by scipy, channel by channel."""
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    return np.stack(
        [
            sum(correlate(x[i], w, mode="constant") for i, w in enumerate(kernels)) + b
            for kernels, b in zip(weight, bias, strict=True)
        ]
    )


def gate_of(unit: nn.Module, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    gate = unit.gate
    return 1 / (1 + np.exp(-convolve(a, gate.conv_a) * convolve(b, gate.conv_b)))


@pytest.mark.parametrize("unit", [*[u(4) for u in UNITS], SumFeedback()], ids=lambda u: str(u)[:12])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 4, 1, 1), (0, 4, 2, 2), (2, 4, 3, 5)])
def test_shapes_and_dtypes(unit: nn.Module, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    out = unit.to(dtype)(random(*shape, dtype=dtype), random(*shape, seed=1, dtype=dtype))
    assert out.shape == shape and out.dtype == dtype


@pytest.mark.parametrize("kind", UNITS)
def test_every_parameter_has_a_gradient(kind: type[nn.Module]) -> None:
    unit = kind(4).double()
    unit(random(1, 4, 3, 3), random(1, 4, 3, 3, seed=1)).square().sum().backward()
    assert all((p.grad != 0).any() for p in unit.parameters())


@given(st.integers(0, 10**6), st.floats(0.1, 30))
def test_the_gate_lies_between_zero_and_one(seed: int, scale: float) -> None:
    gate = FeedbackGate(3).double()
    a, b = random(1, 3, 4, 4, seed=seed), random(1, 3, 4, 4, seed=seed + 1)
    s = gate(a, b)
    assert ((s > 0) & (s < 1)).all()
    # Alike in sign, it opens; two silent layers leave it half open.
    response = gate.conv_a(a) * gate.conv_b(b)
    assert torch.equal(s > 0.5, response > 0)
    loud = gate(scale * a, b)
    assert ((loud >= 0) & (loud <= 1)).all()
    for parameter in gate.parameters():
        nn.init.zeros_(parameter)
    assert torch.equal(gate(a, b), torch.full_like(a, 0.5))


def test_equation_4() -> None:
    unit = FeedbackUnit(4).double()
    a, b = random(1, 4, 5, 3), random(1, 4, 5, 3, seed=1)
    x, y = a[0].numpy(), b[0].numpy()
    s = gate_of(unit, x, y)
    both = np.concatenate([x + s * x, y + s * y])  # 8 channels, brought back to 4 by 1x1
    merge = unit.merge.weight.detach().numpy()[:, :, 0, 0]
    expected = (
        np.einsum("oi,ihw->ohw", merge, both) + unit.merge.bias.detach().numpy()[:, None, None]
    )
    np.testing.assert_allclose(unit(a, b)[0].detach().numpy(), expected, atol=1e-12)


def test_equation_4_in_closed_form() -> None:
    """Silent convolutions open the gate by half, so each side is scaled by 3/2."""
    unit = FeedbackUnit(2).double().requires_grad_(False)
    for parameter in unit.parameters():
        parameter.zero_()
    unit.merge.weight[:, :, 0, 0] = torch.eye(2).repeat(1, 2)  # add the two sides
    a, b = random(1, 2, 3, 3), random(1, 2, 3, 3, seed=1)
    torch.testing.assert_close(unit(a, b), 1.5 * (a + b))


@given(st.integers(0, 10**6))
def test_equation_4_never_suppresses(seed: int) -> None:
    """The gate scales a feature by more than 1 and less than 2, whatever it says."""
    unit = FeedbackUnit(2).double().requires_grad_(False)
    unit.merge.weight[:, :, 0, 0] = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0]])  # side a alone
    unit.merge.bias.zero_()
    a, b = random(1, 2, 4, 4, seed=seed), 5 * random(1, 2, 4, 4, seed=seed + 1)
    ratio = unit(a, b) / a
    assert ((ratio > 1) & (ratio < 2)).all()


def test_the_released_unit() -> None:
    unit = ReleasedFeedbackUnit(4).double()
    a, b = random(1, 4, 5, 3), random(1, 4, 5, 3, seed=1)
    x, y = a[0].numpy(), b[0].numpy()
    s = gate_of(unit, x, y)
    expected = np.zeros_like(x)
    for z, maps in ((x, unit.maps_a), (y, unit.maps_b)):
        m = convolve(np.concatenate([z, s * z]), maps)
        expected += m[0] * z + m[1] * s * z
    np.testing.assert_allclose(unit(a, b)[0].detach().numpy(), expected, atol=1e-12)


def test_table_5s_alternatives() -> None:
    a, b = random(2, 4, 3, 3), random(2, 4, 3, 3, seed=1)
    assert torch.equal(SumFeedback()(a, b), a + b)
    unit = ConcatFeedback(4).double()
    merge, bias = unit.merge.weight[:, :, 0, 0], unit.merge.bias[:, None, None]
    expected = torch.einsum("oi,bihw->bohw", merge, torch.cat([a, b], dim=1)) + bias
    torch.testing.assert_close(unit(a, b), expected)


@pytest.mark.parametrize(
    ("fidelity", "feedback", "kind"),
    [
        ("released", "bfpu", ReleasedFeedbackUnit),
        ("released", "concat", SumFeedback),
        ("paper", "bfpu", FeedbackUnit),
        ("paper", "concat", ConcatFeedback),
    ],
)
def test_the_unit_that_a_configuration_asks_for(fidelity: str, feedback: str, kind: type) -> None:
    config = NeRDRainConfig(width=4, fidelity=fidelity, feedback=feedback)
    unit = make_feedback(config)
    assert type(unit) is kind
    latent = random(1, 16, 2, 2, dtype=torch.float32)  # of 4C channels
    assert unit(latent, latent).shape == latent.shape


def test_latents_of_different_sizes_are_refused() -> None:
    for kind in UNITS:
        with pytest.raises(RuntimeError, match=r"[Ss]ize"):
            kind(4)(
                random(1, 4, 3, 3, dtype=torch.float32), random(1, 4, 2, 2, dtype=torch.float32)
            )
