"""The baseline of speed computes the same numbers as the package, and as the authors' network."""

from itertools import product

import baseline
import pytest
import torch
from baseline import ReleasedLoss, released_adam, released_formulation
from golden_recipe import DEEP, DIM8, Golden, difference
from torch import Tensor, nn

from nerdrain import PRESETS, Derained, NeRDRain, NeRDRainConfig
from nerdrain.errors import NerdrainError
from nerdrain.training.losses import HybridLoss

SMALL = NeRDRainConfig(width=8, blocks=(1, 1, 1), inr_hidden=16)
OUTPUTS = {torch.float32: 1e-5, torch.float64: 1e-12}  # relative to the largest number
GRADIENTS = {torch.float32: 1e-4, torch.float64: 1e-10}
PIXELS = {size: (2, 3, *size) for size in ((32, 32), (48, 80))}


def pair(dtype: torch.dtype = torch.float32) -> tuple[NeRDRain, nn.Module]:
    torch.manual_seed(0)
    network = NeRDRain(SMALL)
    for parameter in network.parameters():  # biases and temperatures that are not 0 and 1
        nn.init.normal_(parameter, std=0.2)
    network = network.to(dtype)
    return network, released_formulation(network)


def image(size: tuple[int, ...], seed: int, dtype: torch.dtype) -> Tensor:
    return torch.rand(size, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize(("dtype", "size"), list(product(OUTPUTS, PIXELS.values())))
def test_the_five_outputs_are_those_of_the_package(dtype, size):
    network, formulation = pair(dtype)
    x = image(size, 1, dtype)
    with torch.inference_mode():
        ours, theirs = network(x), formulation(x)
    for name in Derained._fields:
        assert difference(getattr(theirs, name), getattr(ours, name)) < OUTPUTS[dtype], name


@pytest.mark.parametrize("dtype", GRADIENTS)
def test_loss_and_gradients_are_those_of_the_package(dtype):
    """Relative to a gradient's largest number, above a floor of rounding in the whole gradient."""
    network, formulation = pair(dtype)
    size = PIXELS[32, 32]
    x, target = image(size, 1, dtype), image(size, 2, dtype)
    ours, theirs = (
        HybridLoss()(network(x), target).total,
        ReleasedLoss(dtype)(formulation(x), target),
    )
    assert difference(theirs.detach(), ours.detach()) < OUTPUTS[dtype]
    ours.backward()
    theirs.backward()
    expected = {name: parameter.grad for name, parameter in network.named_parameters()}
    found = {name: parameter.grad for name, parameter in formulation.named_parameters()}
    unused = [name for name, gradient in expected.items() if gradient is None]
    assert [name for name, gradient in found.items() if gradient is None] == unused
    largest = max(float(g.abs().max()) for g in expected.values() if g is not None)
    floor = torch.finfo(dtype).eps * largest
    for name, gradient in expected.items():
        if gradient is not None:
            apart = float((found[name] - gradient).abs().max())
            assert apart < GRADIENTS[dtype] * float(gradient.abs().max()) + floor, name


@pytest.mark.parametrize("golden", [DIM8, DEEP], ids=lambda golden: golden.name)
def test_the_baseline_has_the_numbers_of_the_authors_network(golden: Golden):
    io, formulation = golden.io(), released_formulation(golden.model())
    output = formulation(io["input"])
    for name in Derained._fields:
        assert difference(getattr(output, name), io[f"output.{name}"]) < 2e-5, name
    assert difference(ReleasedLoss()(output, io["target"]), io["loss.total"]) < 2e-5


def test_five_training_steps_have_the_losses_of_the_authors_training():
    io, formulation = DIM8.io(), released_formulation(DIM8.model())
    adam, loss = released_adam(formulation), ReleasedLoss()
    losses = []
    for _ in range(5):
        total = loss(formulation(io["input"]), io["target"])
        adam.zero_grad()
        total.backward()
        adam.step()
        losses.append(total.detach())
    assert difference(torch.stack(losses), io["train.losses5"]) < 1e-4
    assert adam.defaults["foreach"] is False


def test_the_inr_makes_four_passes_and_its_coordinates_are_zeros(monkeypatch):
    _, formulation = pair()
    inputs: list[Tensor] = []
    mlp = baseline.mlp
    monkeypatch.setattr(baseline, "mlp", lambda x, layers: inputs.append(x) or mlp(x, layers))
    with torch.inference_mode():
        formulation(image((1, 3, 32, 48), 1, torch.float32))
    assert [len(x) for x in inputs] == [8 * 12] * 4 + [16 * 24] * 4
    for x in inputs:
        assert x.shape[1] == 9 * SMALL.width + 20
        assert not x[:, -20:-2].any()
        assert (x[:, -2:] == 2).all()


def test_the_baseline_copies_the_parameters_and_calls_no_layer_of_the_package():
    network, formulation = pair()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with torch.no_grad():
        for parameter in formulation.parameters():
            parameter.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    for module in formulation.modules():
        if module is not formulation:
            module.forward = None  # a call would fail
    formulation(image((1, 3, 16, 16), 1, torch.float32))


@pytest.mark.parametrize("config", [PRESETS["nerd-rain-tiny"], SMALL.with_changes(unets=(2, 2, 2))])
def test_other_networks_are_refused(config):
    with pytest.raises(NerdrainError, match='use fidelity="released"'):
        released_formulation(NeRDRain(config))
