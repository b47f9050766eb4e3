"""ablations.py: the encodings of Table 3 (a), (b), (d) and (g), written out."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nerdrain import NeRDRain, NeRDRainConfig
from nerdrain.model.ablations import ChannelAttentionBlock
from nerdrain.model.coordinates import size_of
from nerdrain.model.inr import INRBranch

FIDELITIES = ["released", "paper"]


def network(fidelity: str, **changes: Any) -> NeRDRain:
    torch.manual_seed(0)
    config = NeRDRainConfig(
        width=4, blocks=(1, 1, 1), inr_hidden=6, fidelity=fidelity, unets=(1, 1, 1), **changes
    )
    return NeRDRain(config).requires_grad_(False)


def images(model: NeRDRain) -> dict[str, Tensor]:
    return model.pyramid(torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(1)))


def enlarge(x: Tensor, times: int, fidelity: str) -> Tensor:
    if fidelity == "released":
        return x.repeat_interleave(times, -1).repeat_interleave(times, -2)
    return F.interpolate(x, scale_factor=times, mode="bilinear", align_corners=False)


def halve(x: Tensor, fidelity: str) -> Tensor:
    return x[..., ::2, ::2] if fidelity == "released" else F.avg_pool2d(x, 2)


def check(model: NeRDRain, entries: dict[str, Tensor], rendered: dict[str, Tensor]) -> None:
    """Every scale's first UNet encodes its entry, and the INR images are those of `rendered`."""
    ours, our_images = model.encode(images(model))
    assert list(ours) == ["s1", "s2", "s3"] and our_images.keys() == rendered.keys()
    for name, entry in entries.items():
        scale = model.scales[name]
        for part, expected in zip(
            ours[name], scale.unets[0].encoder(scale.embed(entry)), strict=True
        ):
            torch.testing.assert_close(part, expected)
    for name, image in rendered.items():
        torch.testing.assert_close(our_images[name], image)


@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_table_3a_reads_the_rainy_images_alone(fidelity: str) -> None:
    model = network(fidelity, inr="none")
    check(model, images(model), {})


@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_table_3b_adds_each_inr_to_its_own_scale(fidelity: str) -> None:
    model = network(fidelity, inr="within", inr_encoder="separate")
    entries, rendered = images(model), {}
    for name, inr in model.inrs.items():
        x = entries[name]
        rendered[name] = inr.decoder(inr.expand(inr.encoder(x).latent)) + x
        entries[name] = x + rendered[name]
    assert list(rendered) == ["s1", "s2"]
    check(model, entries, rendered)


def render(inr: INRBranch, latent: Tensor, m: Tensor, times: int, fidelity: str) -> Tensor:
    """INR(E) + m on a grid that is `times` as fine, with E from a latent."""
    features = inr.expand(latent)
    if fidelity == "released":
        return enlarge(inr.decoder(features) + m, times, fidelity)
    height, width = size_of(m)
    image = inr.decoder(features, (times * height, times * width))
    return image + enlarge(m, times, fidelity)


@pytest.mark.parametrize("encoder", ["shared", "separate"])
@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_table_3d_queries_one_inr_on_every_grid(fidelity: str, encoder: str) -> None:
    model = network(fidelity, inr_grid="fixed", inr_encoder=encoder)
    (inr,), entries, coarsest = model.inrs.values(), images(model), model.scales["s1"]
    x = entries["s1"]
    own = coarsest.unets[0].encoder(coarsest.embed(x))
    latent = (inr.encoder(x) if encoder == "separate" else own).latent
    second, third = (render(inr, latent, x, times, fidelity) for times in (2, 4))
    entries["s2"] = entries["s2"] + second
    entries["s3"] = entries["s3"] + third
    check(model, entries, {"s1": halve(second, fidelity), "s2": halve(third, fidelity)})


@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_table_3g_reads_each_entry_with_an_encoder_of_its_own(fidelity: str) -> None:
    model = network(fidelity, inr_encoder="separate")
    entries, rendered = images(model), {}
    for name, finer in (("s1", "s2"), ("s2", "s3")):
        inr, m = model.inrs[name], entries[name]
        latent = inr.encoder(m).latent
        passed = render(inr, latent, m, 2, fidelity)
        rendered[name] = halve(passed, fidelity)
        entries[finer] = entries[finer] + passed
    check(model, entries, rendered)


@pytest.mark.parametrize(("channels", "squeezed"), [(1, 1), (7, 1), (8, 2), (12, 3), (20, 5)])
def test_the_gate_of_the_cnn_block_reads_a_quarter_of_the_channels(
    channels: int, squeezed: int
) -> None:
    assert ChannelAttentionBlock(channels).gate[0].weight.shape == (squeezed, channels, 1, 1)
