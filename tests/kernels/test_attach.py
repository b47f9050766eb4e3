"""A network with kernels computes as without, and falls back where they do not run."""

import copy
import warnings
from importlib.metadata import PackageNotFoundError

import pytest
import torch
import torch.nn.functional as F
from kernel_help import DEVICE, assert_near, needs_gpu, random
from torch import Tensor

from nerdrain.kernels import attach
from nerdrain.kernels.attach import FUSED, padded_weights, use_kernels
from nerdrain.model.config import PRESETS, NeRDRainConfig
from nerdrain.model.network import NeRDRain
from nerdrain.model.transformer import GatedFeedForward, TransformerBlock

SMALL = NeRDRainConfig(
    width=4, blocks=(1, 1, 1), heads=(1, 2, 2), unets=(0, 1, 1), inr_hidden=8, feedback="none"
)


@pytest.fixture
def kernels_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU, in Triton's interpreter, as they would on CUDA."""
    if DEVICE.type == "cpu":
        monkeypatch.setattr(attach, "runs_kernels", lambda x: True)


def make_network(config: NeRDRainConfig) -> NeRDRain:
    torch.manual_seed(0)
    return NeRDRain(config)


def total(outputs: tuple[Tensor | None, ...]) -> Tensor:
    return sum((y * random(*y.shape, seed=9).to(y)).sum() for y in outputs if y is not None)


@pytest.mark.usefixtures("kernels_run")
@pytest.mark.parametrize("fidelity", ["released", "paper"])
@pytest.mark.parametrize("norm", ["with_bias", "bias_free"])
def test_network_equals_the_eager_one_in_float64(fidelity: str, norm: str) -> None:
    network = make_network(SMALL.with_changes(fidelity=fidelity, norm=norm))
    reference, x = copy.deepcopy(network).double(), random(1, 3, 7, 8)
    network.to(DEVICE)
    use_kernels(network)
    outputs, expected = network(x.to(DEVICE)), reference(x.double())
    for ours, theirs in zip(outputs, expected, strict=True):
        if theirs is not None:
            assert_near(ours, theirs, torch.float32, "an output")
    total(outputs).backward()
    total(expected).backward()
    for (name, ours), theirs in zip(
        network.named_parameters(), reference.parameters(), strict=True
    ):
        assert (ours.grad is None) == (theirs.grad is None)
        if theirs.grad is not None:
            assert_near(ours.grad, theirs.grad, torch.float32, f"the gradient of {name}")


def test_every_block_and_decoder_is_attached_and_the_state_is_the_same() -> None:
    for config in (SMALL, PRESETS["nerd-rain-tiny"]):
        network = make_network(config)
        before, state = list(network.modules()), network.state_dict()
        expected = [FUSED.get(type(m), type(m)) for m in before]
        use_kernels(network)
        assert list(network.modules()) == before
        assert [type(m) for m in before] == expected
        assert network.state_dict().keys() == state.keys()
        use_kernels(network)  # a second call changes nothing
        assert [type(m) for m in before] == expected


def test_modules_too_large_for_a_kernel_stay_as_they_are() -> None:
    network = make_network(SMALL.with_changes(inr_hidden=257))
    use_kernels(network)
    assert not any(type(m) is attach.FusedReleasedDecoder for m in network.modules())
    block = TransformerBlock(258, 1, SMALL)
    use_kernels(block)
    assert type(block) is TransformerBlock


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_cpu_computes_as_without_kernels(dtype: torch.dtype) -> None:
    for fidelity in ("released", "paper"):
        network = make_network(SMALL.with_changes(fidelity=fidelity)).to(dtype)
        x = random(1, 3, 8, 8).to(dtype)
        expected = network(x).full
        use_kernels(network)
        assert torch.equal(network(x).full, expected)


def test_a_network_without_triton_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attach, "TRITON", False)
    network = make_network(SMALL)
    use_kernels(network)
    assert not {type(m) for m in network.modules()} & set(FUSED.values())


@pytest.mark.parametrize(
    ("installed", "works"), [("3.2.0", False), ("3.3.1", True), ("3.10.0", True), (None, False)]
)
def test_old_versions_of_triton_are_not_used(
    installed: str | None, works: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        if installed is None:
            raise PackageNotFoundError(name)
        return installed

    monkeypatch.setattr(attach, "version", version)
    assert attach.has_triton() is works


def test_a_failure_of_triton_is_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("Failed to find C compiler.")

    monkeypatch.setattr(attach, "depthwise", fail)
    attach.triton_works.cache_clear()
    with pytest.warns(UserWarning, match=r"Failed to find C compiler.*needs a C compiler"):
        assert not attach.triton_works(DEVICE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not attach.triton_works(DEVICE)
    attach.triton_works.cache_clear()


def test_triton_works_here() -> None:
    assert attach.triton_works(DEVICE)


def test_more_hidden_channels_change_nothing() -> None:
    layer = GatedFeedForward(8, expansion=2.66).double()
    x = random(2, 8, 5, 6).double()
    expand, taps, project = padded_weights(layer)
    assert (expand.shape[0], taps.shape[0], project.shape[1]) == (64, 64, 32)
    gate, value = F.conv2d(F.conv2d(x, expand), taps, padding=1, groups=64).chunk(2, dim=1)
    torch.testing.assert_close(F.conv2d(F.gelu(gate) * value, project), layer(x))


@needs_gpu
def test_an_empty_batch_and_float64_fall_back() -> None:
    network = make_network(SMALL).to(DEVICE)
    use_kernels(network)
    assert network(torch.zeros(0, 3, 8, 8, device=DEVICE)).full.shape == (0, 3, 8, 8)
    assert network.double()(torch.zeros(1, 3, 8, 8, device=DEVICE).double()).full.isfinite().all()


@needs_gpu
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("preset", ["nerd-rain-tiny", "nerd-rain-s"])
def test_presets_in_half_precision_on_a_gpu(preset: str, dtype: torch.dtype) -> None:
    network = make_network(PRESETS[preset]).to(DEVICE).eval()
    x = random(2, 3, 64, 80).to(DEVICE).sigmoid()
    with torch.no_grad():
        expected = network(x).full
        use_kernels(network)
        assert_near(network(x).full, expected.double().cpu(), torch.float32, "float32")
        with torch.autocast("cuda", dtype):
            assert_near(network(x).full, expected.double().cpu(), dtype, str(dtype))
