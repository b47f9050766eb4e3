"""Measure the package's speed and memory against the released formulation.

    python benchmarks/bench_speed.py [--device cuda] [--rounds 5]

It prints one table of ratios, writes it to `benchmarks/results/`, and shows it on the book's page
`book/speed.md`. The page says how each value is measured. The machine should do nothing else.
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import torch
from contenders import (
    BASELINE,
    CHECKPOINTING,
    KERNELS,
    LAYERS,
    ON_CPU,
    ON_CUDA,
    PACKAGE,
    alternate,
    forwards,
    loading,
    loops,
    steps,
    with_kernels,
)
from PIL import Image, ImageOps
from report import ROOT, Results, Row, compared, rounded, table, update_page

from nerdrain.data.photos import photo_names, photo_path
from nerdrain.devices import (
    describe_device,
    free_memory,
    median_seconds,
    peak_memory_mib,
    reset_peak_memory,
    used_memory,
)
from nerdrain.evaluation.complexity import complexity
from nerdrain.model.config import PRESETS
from nerdrain.model.inr import ReleasedDecoder
from nerdrain.training.recipes import Recipe, read_recipe

QUIET = 10.0  # per cent of the processors that other programs may use
SAMPLES = 20  # of a program's memory, per second
OPTIONS: dict[str, dict[str, Any]] = {
    PACKAGE: {},
    LAYERS: {"grad_checkpointing": "feed_forward"},
    CHECKPOINTING: {"grad_checkpointing": "blocks"},
}
EVERY_OPTION: dict[str, dict[str, Any]] = OPTIONS | {
    "package, bf16": {"precision": "bf16"},
    "package, compile": {"compile": True},
    "package, compile, bf16": {"compile": True, "precision": "bf16"},
}
PLAIN = {
    "init_from": None,
    "precision": "fp32",
    "compile": False,
    "grad_checkpointing": "none",
}


@dataclass(frozen=True)
class Plan:
    """Sizes and numbers of repetitions; the tests use small ones."""

    device: str
    rounds: int = 5
    overrides: Mapping[str, Any] | None = None  #: of the networks' configurations
    forward: int = 256  #: sides of images, in pixels
    tiny: int = 512
    step: int = 128
    memory: tuple[int, ...] = (128, 256)
    batch: int = 1
    presets: tuple[str, ...] = tuple(PRESETS)
    photo: tuple[int, int] = (4000, 3000)
    matrices: tuple[int, ...] = (1024, 1536, 2048)

    def recipe(self, model: str, size: int, batch: int | None = None) -> Recipe:
        """A recipe for one network and size of batch; it only holds settings."""
        values: dict[str, Any] = {"model": model, "overrides": dict(self.overrides or {})}
        return Recipe(**values, max_steps=1, patch_size=size, batch_size=batch or self.batch)


def busy() -> float:
    """Per cent of the processors that other programs use now."""
    return psutil.cpu_percent(interval=2)


def step_memory(contender: str, recipe: Recipe, device: str) -> float:
    """MiB that the first training step of this process needs beside the weights."""
    torch.ones(1, device=device)  # starts CUDA
    step = steps(recipe, device, OPTIONS)[contender]()
    gc.collect()
    reset_peak_memory(device)
    before = used_memory(device)
    step()
    return peak_memory_mib(device) - before / 2**20


def memory_rows(plan: Plan) -> list[Row]:
    """Peak memory of one training step of each preset, each in a new process.

    This comes first, while the present process needs little memory itself. A step that would not
    fit is left out: the memory is predicted from the step on crops of half the side.
    """
    rows: list[Row] = []
    for model in plan.presets:
        smaller: dict[str, float] = {}
        for size in plan.memory:
            recipe = plan.recipe(model, size)
            values: dict[str, float | str] = {}
            for name in steps(recipe, plan.device, OPTIONS):
                need = 4 * smaller.get(name, 0.0)
                free = free_memory(plan.device) / 2**20
                if need > free:
                    values[name] = f"it needs about {need:,.0f} MiB, and {free:,.0f} are free"
                else:
                    values[name] = in_new_process(name, recipe, plan.device)
                    if isinstance(values[name], float):
                        smaller[name] = float(values[name])
            task = f"memory of a training step, {model}, {plan.batch} of {size}x{size}"
            rows += compared(task, "MiB", values)
    return rows


def in_new_process(contender: str, recipe: Recipe, device: str) -> float | str:
    """`step_memory` in a new process; a text if that failed."""
    asked = json.dumps([contender, recipe.model_dump(mode="json"), device])
    command = [sys.executable, __file__, "--step-memory", asked]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"its process ended with code {done.returncode}"
    return float(done.stdout.split()[-1])


def photo_rows(plan: Plan) -> list[Row]:
    """Seconds and peak memory of the command `nerdrain derain` on one large photograph."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "photo.jpg"), Path(folder, "derained.jpg")
        with Image.open(photo_path(photo_names("test")[0])) as photo:
            ImageOps.fit(photo.convert("RGB"), plan.photo).save(before)
        command = [sys.executable, "-m", "nerdrain", "derain", str(before), "-o", str(after)]
        start, largest = time.perf_counter(), 0
        process = subprocess.Popen([*command, "--quiet", "--device", plan.device], cwd=ROOT)
        while process.poll() is None:
            try:
                largest = max(largest, psutil.Process(process.pid).memory_info().rss)
            except psutil.Error:  # it has just ended
                break
            time.sleep(1 / SAMPLES)
        if process.wait():
            raise SystemExit("nerdrain derain failed; its message is above.")
        seconds = time.perf_counter() - start
    task = f"nerdrain derain, a photograph of {plan.photo[0]}x{plan.photo[1]}"
    return [
        Row(task, "the command with the shipped model", rounded(seconds), "s"),
        Row(task, "the same, largest resident memory", rounded(largest / 2**20), "MiB"),
    ]


def forward_rows(plan: Plan) -> list[Row]:
    """Forward passes of NeRD-Rain-S and of the tiny network."""
    networks = ON_CUDA if torch.device(plan.device).type == "cuda" else ON_CPU
    own = {name: network for name, network in networks.items() if name != BASELINE}
    rows: list[Row] = []
    for model, size, some in (
        ("nerd-rain-s", plan.forward, networks),
        ("nerd-rain-tiny", plan.tiny, own),
    ):
        recipe = plan.recipe(model, size)
        with torch.inference_mode():
            seconds = alternate(forwards(some, recipe, plan.device), plan.device, plan.rounds)
        rows += compared(f"forward pass, {model}, {plan.batch} of {size}x{size}", "s", seconds)
    return rows


def share_rows(plan: Plan, forward: list[Row]) -> list[Row]:
    """The machine's fastest matrix product, and the share of it that forward passes reach.

    It counts the multiply-adds that the network needs, not those that the baseline computes.
    """
    best = 0.0
    for n in plan.matrices:
        a, b = torch.rand(2, n, n, device=plan.device)
        for _ in range(5):
            seconds = median_seconds(partial(torch.mm, a, b), plan.device, repeat=1)
            best = max(best, n**3 / seconds)
    task = f"share of that speed, forward pass, nerd-rain-s at {plan.forward}x{plan.forward}"
    rows = [Row("fastest float32 matrix product", "torch.mm", rounded(best / 1e9), "Gmul/s")]
    macs = plan.batch * complexity(plan.recipe("nerd-rain-s", 1).config, plan.forward).macs
    timed = {r.contender: r.value for r in forward if r.task == forward[0].task and r.value}
    fastest = min((name for name in timed if "bfloat16" not in name), key=lambda n: timed[n])
    for name in dict.fromkeys([PACKAGE, fastest]):
        rows.append(Row(task, name, rounded(100 * macs / timed[name] / best), "%"))
    return rows


def training_rows(plan: Plan) -> list[Row]:
    """Training steps of NeRD-Rain-S, and of the tiny network with each option of a recipe."""
    rows: list[Row] = []
    tiny = plan.recipe("nerd-rain-tiny", 64, batch=4)
    for recipe, options in (
        (plan.recipe("nerd-rain-s", plan.step), OPTIONS),
        (tiny, EVERY_OPTION),
    ):
        made = steps(recipe, plan.device, options)
        seconds = alternate(made, plan.device, plan.rounds)
        size = f"{recipe.batch_size} of {recipe.patch_size}x{recipe.patch_size}"
        rows += compared(f"training step, {recipe.model}, {size}", "s", seconds)
    return rows


def loop_rows(plan: Plan) -> list[Row]:
    """Crops per second of the whole loop with the shipped model's first recipe, and of its data.

    That recipe trained the network before its last blocks were added; here it has them all.
    """
    recipe = read_recipe("nerd-rain-tiny-1").with_changes(**PLAIN, overrides={})
    threads = torch.get_num_threads()
    made = loops(recipe, plan.device, (1, 2)) | {"loading data alone": partial(loading, recipe)}
    seconds = alternate(made, plan.device, 4 * plan.rounds)
    torch.set_num_threads(threads)
    size = f"{recipe.batch_size} of {recipe.patch_size}x{recipe.patch_size}"
    rates = {
        name: s if isinstance(s, str) else recipe.batch_size / s for name, s in seconds.items()
    }
    return compared(f"whole training loop, nerd-rain-tiny, {size}", "crops/s", rates)


def inr_rows(plan: Plan) -> list[Row]:
    """The INR decoder of NeRD-Rain-S alone, at its larger size, fused and as the package has it."""
    config, side = plan.recipe("nerd-rain-s", 1).config, plan.forward // 2
    x = torch.rand(plan.batch, config.width, side, side, device=plan.device)
    decoder = ReleasedDecoder(config).to(plan.device).requires_grad_(False)
    made = {
        PACKAGE: lambda: partial(decoder, x),
        KERNELS: lambda: partial(with_kernels(copy.deepcopy(decoder)), x),
    }
    with torch.inference_mode():
        seconds = alternate(made, plan.device, 10 * plan.rounds)
    return compared(f"INR decoder, nerd-rain-s, {plan.batch} of {side}x{side}", "s", seconds)


def measure(plan: Plan) -> Results:
    """Run everything that the device has."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    others = busy()
    rows = memory_rows(plan)
    on_gpu = torch.device(plan.device).type == "cuda"
    rows += photo_rows(plan)
    forward = forward_rows(plan)
    rows = forward + share_rows(plan, forward) + training_rows(plan) + loop_rows(plan) + rows
    rows += inr_rows(plan) if on_gpu else []
    others = max(others, busy())
    warning = ""
    if others > QUIET:
        warning = (
            f"other programs used {others:.0f} % of the processors before or after this run, so "
            "its times are not reliable."
        )
    return Results(describe_device(plan.device), warning, tuple(rows))


def main() -> None:
    """Measure, print the table, save it, and update the book's page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--step-memory", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step_memory:
        contender, values, device = json.loads(arguments.step_memory)
        print(step_memory(contender, Recipe(**values), device))
        return
    gpu = arguments.device == "cuda"
    if gpu and not torch.cuda.is_available():
        raise SystemExit("No CUDA device was found: use a machine with an NVIDIA GPU.")
    results = measure(Plan(arguments.device, arguments.rounds, batch=8 if gpu else 1))
    results.save(arguments.device)
    update_page()
    print(table(results))


if __name__ == "__main__":
    main()
