"""The ways to compute the network that the speed benchmark compares, each as a function to call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from statistics import median
from typing import Any

import torch
from baseline import ReleasedFormulation, ReleasedLoss, released_adam, released_formulation
from torch import Tensor, nn

from nerdrain.devices import median_seconds
from nerdrain.errors import NerdrainError
from nerdrain.inference.engine import Engine
from nerdrain.inference.export import to_onnx
from nerdrain.kernels.attach import triton_works, use_kernels
from nerdrain.model.network import NeRDRain
from nerdrain.training.batches import TrainingData
from nerdrain.training.execution import make_accelerator, with_options
from nerdrain.training.loop import Trainer, take_steps
from nerdrain.training.recipes import Recipe

BASELINE = "released formulation"
PACKAGE = "package"
LAYERS = "package, feed-forward layers computed again"
CHECKPOINTING = "package, blocks computed again"
COMPILED = "package, torch.compile"
ENGINE = "package, fast engine"
KERNELS = "package, CUDA kernels"
BFLOAT16 = "package, bfloat16"
BOTH = "package, CUDA kernels, bfloat16"

Call = Callable[[], object]
Make = Callable[[], Call]  # what only prepares a contender is not timed
Network = Callable[[NeRDRain], Callable[[Tensor], Any]]

WARM_UP = 2  # calls that are not timed
FAILURES = (ImportError, MemoryError, NerdrainError, RuntimeError)
"""Errors that leave a contender out: not installed, out of memory, cannot be compiled here."""


def compiled(network: NeRDRain) -> NeRDRain:
    """The network with compiled blocks, as a recipe with `compile` trains it."""
    return with_options(network, Recipe(compile=True, max_steps=1))


def in_bfloat16(network: nn.Module) -> Callable[[Tensor], Any]:
    """The network under autocast."""

    def forward(x: Tensor) -> Any:
        with torch.autocast(x.device.type, torch.bfloat16):
            return network(x)

    return forward


def fast_engine(network: NeRDRain) -> Callable[[Tensor], Any]:
    """The engine of `nerdrain derain`, with the network exported in memory."""
    return Engine(network, to_onnx(network))


def with_kernels(network: nn.Module) -> nn.Module:
    """A network or a part of it, computed by the CUDA kernels of `nerdrain.kernels`.

    Raises:
        NerdrainError: They do not run on the network's device.
    """
    device = next(network.parameters()).device
    # Triton's interpreter, on a CPU, measures nothing.
    if device.type != "cuda" or not triton_works(device):
        raise NerdrainError(f"Triton does not run on {device.type}")
    use_kernels(network)
    return network


ON_CPU: dict[str, Network] = {
    BASELINE: released_formulation,
    PACKAGE: lambda network: network,
    COMPILED: compiled,
    ENGINE: fast_engine,
}
ON_CUDA: dict[str, Network] = {
    BASELINE: released_formulation,
    PACKAGE: lambda network: network,
    KERNELS: with_kernels,
    BFLOAT16: in_bfloat16,
    BOTH: lambda network: in_bfloat16(with_kernels(network)),
}


def forwards(networks: Mapping[str, Network], recipe: Recipe, device: str) -> dict[str, Make]:
    """Each network on the same random images of the recipe's batch and patch size."""
    x = torch.rand(recipe.batch_size, 3, recipe.patch_size, recipe.patch_size, device=device)

    def make(build: Network) -> Call:
        torch.manual_seed(0)
        network = build(NeRDRain(recipe.config).to(device).eval().requires_grad_(False))
        return partial(torch.inference_mode()(network), x)

    return {name: partial(make, build) for name, build in networks.items()}


def baseline_step(recipe: Recipe, image: Tensor, device: str) -> Call:
    """Forward pass, hybrid loss, backward pass and Adam of the released formulation."""
    network = ReleasedFormulation(recipe.config).to(device)
    loss, adam, image = ReleasedLoss().to(device), released_adam(network), image.to(device)

    def step() -> None:
        total = loss(network(image), image)
        adam.zero_grad()
        total.backward()
        adam.step()

    return step


def package_step(recipe: Recipe, image: Tensor, device: str) -> Call:
    """A training step of the package: the same, and its checks, logged values and average."""
    trainer = Trainer(recipe, make_accelerator(recipe, device))

    def step() -> None:
        trainer.compute_gradients(image, image)
        trainer.update()

    return step


def steps(recipe: Recipe, device: str, options: Mapping[str, Mapping[str, Any]]) -> dict[str, Make]:
    """Training steps on one batch, by name: with options of a recipe, and the baseline.

    Each of `options` replaces values of the recipe. The baseline is left out where it does not
    exist, for a network that is not the released one.
    """
    image = torch.rand(recipe.batch_size, 3, recipe.patch_size, recipe.patch_size)
    made: dict[str, Make] = {}
    if recipe.config.fidelity == "released":
        made[BASELINE] = partial(baseline_step, recipe, image, device)
    for name, changes in options.items():
        made[name] = partial(package_step, recipe.with_changes(**changes), image, device)
    return made


def loops(recipe: Recipe, device: str, threads: tuple[int, ...]) -> dict[str, Make]:
    """One step of the whole training loop with its data, on several numbers of threads."""

    def make(count: int) -> Call:
        taken: Iterator[object] = take_steps(
            Trainer(recipe, make_accelerator(recipe, device)), TrainingData(recipe)
        )

        def step() -> None:
            torch.set_num_threads(count)
            next(taken)

        return step

    return {f"package, {n} thread{'s' * (n > 1)}": partial(make, n) for n in threads}


def loading(recipe: Recipe) -> Call:
    """The data of one step of the loop alone."""
    batches = TrainingData(recipe).batches()
    return partial(next, batches)


def alternate(contenders: Mapping[str, Make], device: str, rounds: int) -> dict[str, float | str]:
    """Median seconds of each contender, or a text that says why it was left out.

    All are prepared and called twice first: the engine compiles in its second call. Then each round
    calls all of them, one after the other, so that a slow moment of the machine concerns all.
    """
    seconds: dict[str, list[float]] = {}
    calls: dict[str, Call] = {}
    failed: dict[str, str] = {}
    for name, make in contenders.items():
        try:
            calls[name] = make()
            seconds[name] = []
            for _ in range(WARM_UP):
                calls[name]()
        except FAILURES as error:
            calls.pop(name, None)
            lines = str(error).strip().splitlines() or [type(error).__name__]
            failed[name] = lines[0][:200].rstrip(".")
    for _ in range(rounds):
        for name, call in calls.items():
            seconds[name].append(median_seconds(call, device, repeat=1, warmup=0))
    return {name: failed.get(name) or median(seconds[name]) for name in contenders}
