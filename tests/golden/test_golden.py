"""The released fidelity against numbers from the authors' own network, loss and optimiser."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from golden_recipe import DEEP, DIM8, FOLDER, FULL, SMALL, Golden, difference
from safetensors.torch import load_file
from torch import Tensor

from nerdrain import Derained, NeRDRain
from nerdrain.checkpoints.released import config_from_shapes, released_name, without_prefix
from nerdrain.errors import NerdrainError
from nerdrain.training.losses import HybridLoss, LossTerms, gaussian_pyramid

OUTPUTS = 2e-5  # of outputs and losses, relative
GRADIENTS = 5e-3
TRAINING = 1e-4
# One gradient is a difference of large numbers: recomputed in float64, the golden float32 norm is
# itself 1.5 % off, and ours moves between 0.05 and 1.9 % of it with the convolution kernels in use
# (0.4 % where oneDNN computes on one thread). The others keep to GRADIENTS with all of them.
ILL_CONDITIONED = {("released_full", "encoder_level1_mid1.1.attn.temperature"): 4e-2}


@dataclass
class Run:
    """One forward and backward pass of our network on a golden pair."""

    golden: Golden
    io: dict[str, Tensor]
    model: NeRDRain
    output: Derained
    losses: LossTerms
    middle_input: Tensor


@pytest.fixture(scope="module", params=[DIM8, DEEP, SMALL, FULL], ids=lambda golden: golden.name)
def run(request: pytest.FixtureRequest) -> Run:
    golden: Golden = request.param
    io, model = golden.io(), golden.model()
    seen: list[Tensor] = []
    hook = model.scales["s2"].embed.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    output = model(io["input"])
    hook.remove()
    losses = HybridLoss()(output, io["target"])
    losses.total.backward()
    return Run(golden, io, model, output, losses, seen[0])


def test_the_images_are_the_recipes(run: Run) -> None:
    for name, offset in (("input", 1), ("target", 2)):
        rng = np.random.Generator(np.random.PCG64(run.golden.seed + offset))
        image = rng.random(tuple(run.io[name].shape)).astype(np.float32)
        np.testing.assert_array_equal(run.io[name].numpy(), image)


@pytest.mark.parametrize("field", Derained._fields)
def test_outputs(run: Run, field: str) -> None:
    assert difference(getattr(run.output, field), run.io[f"output.{field}"]) < OUTPUTS


def test_inputs_of_the_coarse_scales(run: Run) -> None:
    # x_Q, and half of m_H = x_H + up2(r_Q): the file holds the mean of the two images.
    assert difference(run.middle_input / 2, run.io["output.mid_input"]) < OUTPUTS
    assert torch.equal(run.model.pyramid(run.io["input"])["s1"], run.io["output.small_input"])


def test_targets_of_the_coarse_scales(run: Run) -> None:
    full, half, quarter = gaussian_pyramid(run.io["target"])
    assert torch.equal(full, run.io["target"])
    assert difference(half, run.io["target_pyramid.1"]) < OUTPUTS
    assert difference(quarter, run.io["target_pyramid.2"]) < OUTPUTS


@pytest.mark.parametrize("term", ["total", "char", "freq", "edge", "inr"])
def test_loss_terms(run: Run, term: str) -> None:
    assert difference(getattr(run.losses, term), run.io[f"loss.{term}"]) < OUTPUTS


def test_gradient_norm_of_every_parameter(run: Run) -> None:
    """Relative to each norm, above a floor of 5e-9 of the whole gradient's norm (about 3,500).

    The floor is for three temperatures of one-head attention in released_S, whose norms of 6e-4 to
    1.5e-3 are what is left when much larger terms cancel: recomputed in float64, the golden float32
    values of decoder_level1_mid2.0, _max2.0 and _max2.1 are themselves 0.66, 0.61 and 0.38 % off.
    """
    golden = run.golden.gradient_norms()
    floor = 5e-9 * np.sqrt(sum(norm**2 for norm in golden.values() if norm is not None))
    ours = {released_name(name): p.grad for name, p in run.model.named_parameters()}
    assert ours.keys() == golden.keys()
    assert [n for n, g in ours.items() if g is None] == [n for n, v in golden.items() if v is None]
    tolerance = {n: ILL_CONDITIONED.get((run.golden.name, n), GRADIENTS) for n in golden}
    wrong = {
        name: (float(ours[name].norm()), norm)
        for name, norm in golden.items()
        if norm and abs(float(ours[name].norm()) - norm) > tolerance[name] * norm + floor
    }
    assert not wrong


def test_the_one_parameter_without_a_gradient(run: Run) -> None:
    unused = [name for name, p in run.model.named_parameters() if p.grad is None]
    assert unused == ["scales.s3.unets.2.decoder.reduce1.weight"]
    assert released_name(unused[0]) == "reduce_chan_level1_max3.weight"


def test_whole_gradients() -> None:
    io, model = DIM8.io(), DIM8.model()
    HybridLoss()(model(io["input"]), io["target"]).total.backward()
    ours = {released_name(name): p.grad for name, p in model.named_parameters()}
    names = [name.removeprefix("grad.") for name in io if name.startswith("grad.")]
    assert len(names) == 4
    for name in names:
        assert difference(ours[name], io[f"grad.{name}"]) < GRADIENTS / 10, name


def test_five_steps_of_adam() -> None:
    io, model = DIM8.io(), DIM8.model()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    losses = []
    for _ in range(5):
        loss = HybridLoss()(model(io["input"]), io["target"]).total
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    np.testing.assert_allclose(losses, io["train.losses5"].numpy(), rtol=TRAINING)


@pytest.mark.parametrize("golden", [DIM8, DEEP, SMALL, FULL], ids=lambda golden: golden.name)
def test_names_and_configuration_of_a_released_file(golden: Golden) -> None:
    state = {name: torch.empty(shape, device="meta") for name, shape in golden.shapes().items()}
    assert config_from_shapes(state) == golden.config
    with torch.device("meta"):
        ours = NeRDRain(golden.config).state_dict()
    shapes = {released_name(name): list(tensor.shape) for name, tensor in ours.items()}
    assert shapes == golden.shapes()
    assert without_prefix({f"module.{name}": t for name, t in state.items()}) == state


def test_a_name_that_the_released_network_does_not_have() -> None:
    cnn = "scales.s1.unets.0.encoder.level1.0.body.0.weight"
    for name in (cnn, "inrs.s1.encoder.0.weight", "feedback.s1.5.maps_a.weight", "odd.s1.x", "x"):
        with pytest.raises(NerdrainError, match="no parameter like"):
            released_name(name)


def test_every_golden_file_is_used() -> None:
    names = {golden.name for golden in (DIM8, DEEP, SMALL, FULL)}
    kinds = ("io.safetensors", "keys.json", "gradnorms.json")
    assert {p.name for p in FOLDER.glob("released_*")} == {f"{n}_{k}" for n in names for k in kinds}
    known = ("output.", "loss.", "grad.", "target_pyramid.", "train.losses5", "input", "target")
    for path in FOLDER.glob("*_io.safetensors"):
        assert all(name.startswith(known) for name in load_file(path))
    for path in FOLDER.glob("*_gradnorms.json"):
        assert list(json.loads(path.read_text()).values()).count(None) == 1
