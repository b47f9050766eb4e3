"""network.py: any size, every ablation, the data flow of Figure 2, and what stays readable."""

import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nerdrain import PRESETS, Derained, NeRDRain, NeRDRainConfig
from nerdrain.errors import NerdrainError
from nerdrain.model.network import SCALES
from nerdrain.training.losses import HybridLoss

CONFIG = NeRDRainConfig(width=4, blocks=(1, 1, 1), inr_hidden=6)
DTYPES = [torch.float32, torch.bfloat16, torch.float64]
FIDELITIES = ["released", "paper"]

ABLATIONS: dict[str, dict[str, Any]] = {
    "Table 3 (a): no INR": {"inr": "none"},
    "Table 3 (b): INR within branches": {"inr": "within", "inr_encoder": "separate"},
    "Table 3 (d): fixed grid": {"inr_grid": "fixed"},
    "Table 3 (e): no encoding": {"inr_encoding": False},
    "Table 3 (f): no interpolation": {"inr_interpolation": False},
    "Table 3 (g): separate encoder": {"inr_encoder": "separate"},
    "Table 3 (h): all of it": {},
    "Table 4: M222": {"unets": (2, 2, 2)},
    "Table 4: M321": {"unets": (3, 2, 1)},
    "Table 4: M023": {"unets": (0, 2, 3)},
    "one scale": {"unets": (0, 0, 3)},
    "Table 5: no feedback": {"feedback": "none"},
    "Table 5: concat": {"feedback": "concat"},
    "Table 6: CNN": {"backbone": "cnn"},
    "norm without bias": {"norm": "bias_free"},
}


def network(fidelity: str = "released", seed: int = 0, **changes: Any) -> NeRDRain:
    torch.manual_seed(seed)
    return NeRDRain(CONFIG.with_changes(fidelity=fidelity, **changes))


def rainy(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.fixture(scope="module", params=FIDELITIES)
def model(request: pytest.FixtureRequest) -> NeRDRain:
    return network(request.param).requires_grad_(False)


@given(st.integers(0, 2), st.integers(1, 37), st.integers(1, 37))
@settings(max_examples=12)
def test_any_size_and_batch(model: NeRDRain, batch: int, height: int, width: int) -> None:
    output = model(rainy(batch, 3, height, width))
    for name, halvings in zip(Derained._fields, (0, 1, 2, 1, 2), strict=True):
        size = (-(-height >> halvings), -(-width >> halvings))  # halved and rounded up
        assert getattr(output, name).shape == (batch, 3, *size)
        assert getattr(output, name).isfinite().all()


@pytest.mark.parametrize("size", [(1, 1), (1, 16), (17, 5)])
@pytest.mark.parametrize("fidelity", FIDELITIES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(fidelity: str, dtype: torch.dtype, size: tuple[int, int]) -> None:
    x = rainy(1, 3, *size)
    exact = network(fidelity).double()(x.double())
    output = network(fidelity).to(dtype)(x.to(dtype))
    for ours, image in zip(output, exact, strict=True):
        assert ours.dtype == dtype
        tolerance = 0.2 if dtype is torch.bfloat16 else 1e-4
        torch.testing.assert_close(ours.double(), image, atol=tolerance, rtol=0)


@given(st.integers(1, 33), st.integers(1, 33), st.integers(0, 10**6))
@settings(max_examples=8)
def test_padding_repeats_the_border_and_is_cut_off(
    model: NeRDRain, height: int, width: int, seed: int
) -> None:
    """What is padded inside is what one would pad outside: an image and its padded self agree."""
    x = rainy(1, 3, height, width, seed=seed)
    padded = F.pad(x, (0, -width % 16, 0, -height % 16), mode="replicate")
    for ours, whole in zip(model(x), model(padded), strict=True):
        assert torch.equal(ours, whole[..., : ours.shape[-2], : ours.shape[-1]])


def test_images_of_a_batch_do_not_meet(model: NeRDRain) -> None:
    x = rainy(2, 3, 16, 20)
    for both, one, two in zip(model(x), model(x[:1]), model(x[1:]), strict=True):
        torch.testing.assert_close(both, torch.cat([one, two]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("fidelity", FIDELITIES)
@pytest.mark.parametrize("changes", ABLATIONS.values(), ids=ABLATIONS)
def test_every_ablation_runs_and_learns(fidelity: str, changes: dict[str, Any]) -> None:
    """Every parameter gets a gradient, but for the released network's two known defects.

    Its last full-scale UNet decodes with its neighbour's reduction and leaves its own unused; and
    the columns of its INR that read the encoding of zero offsets get a gradient of exactly 0.
    """
    model = network(fidelity, **changes)
    config = model.config
    output = model(rainy(2, 3, 32, 32))
    quarter, half, _ = config.unets
    assert (output.quarter is None, output.half is None) == (not quarter, not half)
    with_inr = config.inr != "none"
    assert (output.inr_quarter is not None) == (with_inr and quarter > 0)
    assert (output.inr_half is not None) == (with_inr and half > 0)
    HybridLoss()(output, rainy(2, 3, 32, 32, seed=1)).total.backward()

    gradients = {name: p.grad for name, p in model.named_parameters()}
    borrowed = fidelity == "released" and config.unets[2] == 3
    unused = [name for name, gradient in gradients.items() if gradient is None]
    assert unused == ["scales.s3.unets.2.decoder.reduce1.weight"] * borrowed
    some = {name: gradient for name, gradient in gradients.items() if gradient is not None}
    assert all(gradient.isfinite().all() for gradient in some.values())
    # At width 4 the CNN's gates have one ReLU each, which may be shut.
    idle = [name for name, gradient in some.items() if not gradient.any()]
    assert [n for n in idle if config.backbone == "transformer" or ".gate." not in n] == []
    if fidelity == "released":
        for inr in model.inrs.values():
            coordinates = inr.decoder.layers[0].weight.grad[:, 9 * config.width : -2]
            assert coordinates.shape[1] == (18 if config.inr_encoding else 2)
            assert not coordinates.any()


def test_the_number_of_parts_follows_the_configuration() -> None:
    model = network()
    assert {name: len(scale.unets) for name, scale in model.scales.items()} == dict(
        zip(SCALES, (1, 2, 3), strict=True)
    )
    assert {n: len(units) for n, units in model.feedback.items()} == {"s1": 1, "s2": 2}  # 3 BFPUs
    assert list(model.inrs) == ["s1", "s2"]
    assert list(network(inr_grid="fixed").inrs) == ["s1"]
    assert len(network(feedback="none").feedback) == len(network(inr="none").inrs) == 0
    assert list(network(unets=(0, 2, 3)).inrs) == ["s2"]


def test_parameters_of_the_papers_networks() -> None:
    for name, expected in (("nerd-rain", 22_893_146), ("nerd-rain-s", 10_530_314)):
        with torch.device("meta"):
            assert sum(p.numel() for p in NeRDRain(PRESETS[name]).parameters()) == expected


def section_2(model: NeRDRain, x: Tensor) -> Derained:
    """The data flow of M123, unrolled, in either fidelity; sizes are multiples of 16."""
    paper = model.config.fidelity == "paper"
    q, h, f = (model.scales[name] for name in SCALES)

    def half(t: Tensor) -> Tensor:
        # Bilinear halving of an even size is the mean of each 2x2 block.
        return F.avg_pool2d(t, 2) if paper else t[..., ::2, ::2]

    def twice(t: Tensor) -> Tensor:
        if paper:
            return F.interpolate(t, scale_factor=2.0, mode="bilinear", align_corners=False)
        return t.repeat_interleave(2, -1).repeat_interleave(2, -2)

    def restore(name: str, latent: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """The INR's supervised image, and the image that the next scale is given."""
        inr = model.inrs[name]
        e = inr.expand(latent)
        if not paper:
            r = inr.decoder(e) + image
            return r, twice(r)
        size = (2 * image.shape[-2], 2 * image.shape[-1])
        passed = inr.decoder(e, size) + twice(image)
        return half(passed), passed

    def decode(scale: Any, k: int, encoded: Any, latent: Tensor) -> Tensor:
        encoded = encoded._replace(latent=latent)
        if scale is f and k == 2 and not paper:
            return scale.unets[2].decoder(encoded, scale.unets[1].decoder.reduce1)
        return scale.unets[k].decoder(encoded)

    x_f, x_h = x, half(x)
    x_q = half(x_h)
    q1 = q.unets[0].encoder(q.embed(x_q))
    r_q, passed = restore("s1", q1.latent, x_q)
    m_h = x_h + passed
    h1 = h.unets[0].encoder(h.embed(m_h))
    r_h, passed = restore("s2", h1.latent, m_h)
    f1 = f.unets[0].encoder(f.embed(x_f + passed))
    f2 = f.unets[1].encoder(f.contexts[0](decode(f, 0, f1, f1.latent)))
    f3 = f.unets[2].encoder(f.contexts[1](decode(f, 1, f2, f2.latent)))

    (bfpu3,), (bfpu1, bfpu2) = model.feedback["s1"], model.feedback["s2"]
    fed = decode(h, 0, h1, h1.latent + half(bfpu1(f1.latent, f2.latent)))
    h2 = h.unets[1].encoder(h.contexts[0](fed))
    d_q = decode(q, 0, q1, q1.latent + half(bfpu3(h1.latent, h2.latent)))
    d_h = decode(h, 1, h2, h2.latent + half(bfpu2(f2.latent, f3.latent))) + twice(d_q)
    d_f = decode(f, 2, f3, f3.latent) + twice(d_h)
    return Derained(f.output(d_f) + x_f, h.output(d_h) + x_h, q.output(d_q) + x_q, r_h, r_q)


def test_the_data_flow(model: NeRDRain) -> None:
    x = rainy(2, 3, 32, 48)
    for ours, expected in zip(model(x), section_2(model, x), strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


def test_without_a_last_convolution_the_image_passes(model: NeRDRain) -> None:
    model = network(model.config.fidelity)
    for scale in model.scales.values():
        torch.nn.init.zeros_(scale.output.weight)
    x = rainy(1, 3, 20, 7)
    assert torch.equal(model(x).full, x)


def test_coarse_inputs_keep_every_second_pixel_or_average() -> None:
    x = rainy(1, 3, 16, 32)
    released = network("released").pyramid(x)
    assert list(released) == ["s1", "s2", "s3"] and torch.equal(released["s3"], x)
    assert torch.equal(released["s2"], x[..., ::2, ::2])
    assert torch.equal(released["s1"], x[..., ::4, ::4])
    paper = network("paper").pyramid(x)
    torch.testing.assert_close(paper["s2"], F.avg_pool2d(x, 2))
    torch.testing.assert_close(paper["s1"], F.avg_pool2d(x, 4))


# An array (H, W, C) turned into a batch of one has an ambiguous layout.
@pytest.mark.parametrize("x", [rainy(2, 3, 32, 48), rainy(32, 48, 3).movedim(-1, 0)[None]])
@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_channels_are_last_in_memory_from_the_first_layer_to_the_last(
    fidelity: str, x: Tensor
) -> None:
    """A layer that returns another layout makes all later layers copy."""
    model = network(fidelity)
    others: list[str] = []

    def look(name: str, output: Any) -> None:
        for t in output if isinstance(output, tuple) else (output,):
            is_features = t is not None and t.ndim == 4 and t.shape[1] > 3  # RGB is small
            if is_features and not t.is_contiguous(memory_format=torch.channels_last):
                others.append(name)

    for name, module in model.named_modules():
        if name:
            module.register_forward_hook(lambda _, __, output, name=name: look(name, output))
    model(x)
    # The rearrangement in Down has channels last in its shape, too.
    assert [name for name in others if not re.search(r"down[12]\.1$", name)] == []


@pytest.mark.parametrize(("unets", "multiple"), [((1, 2, 3), 16), ((0, 2, 3), 8), ((0, 0, 3), 4)])
def test_padding_goes_up_to_a_multiple(unets: tuple[int, int, int], multiple: int) -> None:
    model = network(unets=unets)
    assert model.pyramid(rainy(1, 3, 1, multiple + 1))["s3"].shape == (1, 3, multiple, 2 * multiple)
    whole = rainy(1, 3, multiple, 2 * multiple)
    assert torch.equal(model.pyramid(whole)["s3"], whole)


def test_released_encoding_and_interpolation_change_nothing_but_unread_columns() -> None:
    """Table 3 (c), (e) and (f) are one family of functions in the released code."""
    with_all, x = network(), rainy(1, 3, 16, 16)
    without = network(inr_encoding=False)
    state = with_all.state_dict()
    for name in ("s1", "s2"):
        key = f"inrs.{name}.decoder.layers.0.weight"
        weight = state[key]
        state[key] = torch.cat([weight[:, :36], weight[:, :2], weight[:, -2:]], dim=1)
    without.load_state_dict(state)
    nearest = network(inr_interpolation=False)
    nearest.load_state_dict(with_all.state_dict())
    for a, b, c in zip(with_all(x), without(x), nearest(x), strict=True):
        assert torch.equal(a, b) and torch.equal(a, c)


def test_paper_interpolation_acts_between_the_scales() -> None:
    with_all, x = network("paper"), rainy(1, 3, 16, 16)
    nearest = network("paper", inr_interpolation=False)
    nearest.load_state_dict(with_all.state_dict())
    a, b = with_all(x), nearest(x)
    assert not torch.allclose(a.inr_quarter, b.inr_quarter)
    assert not torch.allclose(a.full, b.full)


@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(3, 16, 16),
        torch.zeros(16, 3, 16),
        torch.zeros(1, 3, 16, 16, 16),
        torch.zeros(1, 1, 16, 16),
        torch.zeros(1, 4, 16, 16),
        torch.zeros(1, 3, 0, 16),
        torch.zeros(1, 3, 16, 0),
        torch.zeros(1, 3, 16, 16, dtype=torch.uint8),
    ],
    ids=lambda x: f"{x.dtype} {tuple(x.shape)}",
)
def test_what_is_no_image_is_refused(x: Tensor) -> None:
    message = (
        r"takes floating-point RGB images \(B, 3, H, W\), at least 1x1, not torch\.\w+ \(.*\)\.$"
    )
    with pytest.raises(NerdrainError, match=message):
        network()(x)
