"""The cost and the savings of training options, and whether the data keeps up with the network.

    python benchmarks/bench_training.py [RECIPE] [--repeat 5] [--skip-compile]

The first table trains the recipe's network on crops of the recipe's first size. It times the
options in turn, step by step, so that other work on the machine slows all of them alike: read the
ratios. Memory is the peak of a separate process for each option. The second table times the loader
alone: crops per second with their rain, against the crops per second of training with all cores.
"""

import argparse
import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch

import nerdrain
from nerdrain.devices import describe_device, peak_memory_mib, reset_peak_memory
from nerdrain.training.batches import TrainingData
from nerdrain.training.execution import make_accelerator
from nerdrain.training.loop import Trainer
from nerdrain.training.recipes import Recipe, read_recipe

OPTIONS: dict[str, dict[str, object]] = {
    "float32": {},
    "bf16": {"precision": "bf16"},
    "channels_last": {"channels_last": True},
    "grad_checkpointing": {"grad_checkpointing": True},
    "compile": {"compile": True},
    "compile, bf16": {"compile": True, "precision": "bf16"},
}
PLAIN = {
    "precision": "fp32", "channels_last": False, "grad_checkpointing": False, "compile": False,
}  # fmt: skip


def stepper(recipe: Recipe, image: torch.Tensor) -> Callable[[], None]:
    """One training step of the recipe's options on one batch."""
    trainer = Trainer(recipe, make_accelerator(recipe))

    def step() -> None:
        trainer.compute_gradients(image, image)
        trainer.update()

    return step


def memory_of(name: str, recipe_file: str) -> float:
    """Peak memory of three steps with an option, in a process of its own, in MiB."""
    command = [sys.executable, __file__, recipe_file, "--only", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def seconds_of(step: Callable[[], None]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def loader_rate(recipe: Recipe, workers: int, crops: int) -> float:
    """Crops a second that the loader delivers alone, its start left out."""
    data = TrainingData(recipe.with_changes(num_workers=workers))
    batches = data.batches()
    first = next(batches)[0]
    start = time.perf_counter()
    count = sum(len(rainy) for rainy, _ in itertools.islice(batches, crops // len(first)))
    return count / (time.perf_counter() - start)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", nargs="?", default="nerd-rain-tiny-1")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--skip-compile", action="store_true")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    recipe = read_recipe(arguments.recipe).with_changes(init_from=None, **PLAIN)
    stage = TrainingData(recipe).stages[0]
    image = torch.rand(stage.batch_size, 3, stage.patch_size, stage.patch_size)
    device = nerdrain.pick_device()
    if arguments.only:
        step = stepper(recipe.with_changes(**OPTIONS[arguments.only]), image)
        reset_peak_memory(device)
        for _ in range(3):
            step()
        print(peak_memory_mib(device))
        return

    names = [n for n in OPTIONS if not (arguments.skip_compile and "compile" in n)]
    # First, while this process is small: Linux counts a parent's memory into its child's peak.
    memory = {name: memory_of(name, arguments.recipe) for name in names}
    size = f"{stage.batch_size} crops of {stage.patch_size}x{stage.patch_size}"
    print(f"{recipe.model}, {size}; {describe_device(device)}\n")
    steps = {name: stepper(recipe.with_changes(**OPTIONS[name]), image) for name in names}
    first = {name: seconds_of(step) for name, step in steps.items()}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(arguments.repeat):
        for name, step in steps.items():
            seconds[name].append(seconds_of(step))
    base = statistics.median(seconds["float32"])
    print("| option | seconds a step | against float32 | first step (s) | peak memory (MiB) |")
    print("|---|---|---|---|---|")
    for name in names:
        median = statistics.median(seconds[name])
        row = (f"{median:.3f}", f"{median / base:.2f}", f"{first[name]:.1f}", f"{memory[name]:.0f}")
        print(f"| {name} | {' | '.join(row)} |", flush=True)

    trained = stage.batch_size / base
    print("\n| loader | crops a second | against training in float32 |\n|---|---|---|")
    for workers in (0, 2):
        rate = loader_rate(recipe, workers, 40 * stage.batch_size)
        print(f"| {workers} workers | {rate:.1f} | {rate / trained:.1f} |", flush=True)


if __name__ == "__main__":
    main()
