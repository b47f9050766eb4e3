"""The benchmark of speed, with tiny sizes, and the page that shows its results."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import bench_speed
import contenders
import pytest
import report
import torch
from bench_speed import Plan
from report import NOT_MEASURED, PAGE, RESULTS, Results, Row, compared, load, page_with, table
from torch.nn.utils import parameters_to_vector

from nerdrain import NeRDRain
from nerdrain.errors import NerdrainError

PLAN = Plan(
    "cpu",
    rounds=1,
    overrides={"width": 4, "blocks": (1, 1, 1), "inr_hidden": 8, "heads": (1, 1, 2)},
    forward=32,
    tiny=16,
    step=16,
    memory=(16, 32),
    presets=("nerd-rain-s",),
    photo=(64, 48),
    matrices=(64,),
)
RESULT = Results(
    machine="A processor (2 logical cores, 2 torch threads), torch 2.13.0",
    warning="",
    rows=(
        *compared("forward pass", "s", {"released formulation": 6.2, "package": 3.1}),
        *compared("data", "crops/s", {"1 thread": 10.0, "2 threads": 15.0, "GPU": "is missing"}),
    ),
)


def test_seconds_are_better_when_smaller_and_rates_when_larger():
    assert [row.ratio for row in RESULT.rows] == [1, 2, 1, 1.5, None]
    assert RESULT.rows[-1] == Row("data", "GPU", None, "crops/s", note="is missing")
    without = compared("a task", "s", {"first": "is missing", "second": 1.23456})
    assert [(row.value, row.ratio) for row in without] == [(None, None), (1.235, None)]


def test_the_table_names_every_task_once_and_what_is_missing():
    assert table(RESULT).splitlines() == [
        "Measured on: A processor (2 logical cores, 2 torch threads), torch 2.13.0.",
        "",
        "| task | computed by | measured | ratio |",
        "|---|---|---:|---:|",
        "| forward pass | released formulation | 6.20 s | 1.00 |",
        "|  | package | 3.10 s | 2.00 |",
        "| data | 1 thread | 10.0 crops/s | 1.00 |",
        "|  | 2 threads | 15.0 crops/s | 1.50 |",
        "|  | GPU | left out | - |",
        "",
        "- Left out: data, GPU: is missing.",
    ]
    busy = Results(RESULT.machine, "the machine is busy.", RESULT.rows)
    assert "**Warning: the machine is busy.**" in table(busy)


def test_values_have_three_digits():
    numbers = {0.012345: "0.0123", 3.1: "3.10", 99.9: "99.9", 612.4: "612", 12345.6: "12,346"}
    assert {value: report.digits(value) for value in numbers} == numbers


def test_results_are_saved_and_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    assert load("cpu") is None
    RESULT.save("cpu")
    assert load("cpu") == RESULT


def test_the_page_shows_what_was_saved():
    """`python benchmarks/bench_speed.py` writes both."""
    page = PAGE.read_text(encoding="utf-8")
    saved = {kind: load(kind) for kind in NOT_MEASURED}
    assert page == page_with(page, saved)
    assert len([line for line in page.splitlines() if line and line[0] not in "|-<"]) <= 40
    for kind, results in saved.items():
        shown = table(results) if results else NOT_MEASURED[kind]
        assert page.count(shown) == 1
    assert {path.stem for path in RESULTS.glob("*")} <= saved.keys()


def test_a_table_replaces_the_old_one_and_nothing_else():
    page = "a\n<!-- cpu -->\nold\n<!-- end of cpu -->\nb\n"
    once = page_with(page, {"cpu": RESULT})
    assert once == f"a\n<!-- cpu -->\n\n{table(RESULT)}\n\n<!-- end of cpu -->\nb\n"
    assert page_with(once, {"cpu": None}) == (
        f"a\n<!-- cpu -->\n\n{NOT_MEASURED['cpu']}\n\n<!-- end of cpu -->\nb\n"
    )


def test_contenders_alternate_and_one_that_fails_is_left_out():
    called = []

    def make(name):
        return lambda: lambda: called.append(name)

    def fail():
        raise NerdrainError("it is not installed.\nmore")

    seconds = contenders.alternate({"a": make("a"), "c": fail, "b": make("b")}, "cpu", 2)
    assert called == ["a", "a", "b", "b"] + ["a", "b"] * 2
    assert list(seconds) == ["a", "c", "b"]
    assert seconds["c"] == "it is not installed"
    assert 0 <= seconds["a"] < 60


def test_an_engine_that_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr("nerdrain.inference.export.is_installed", lambda: False)
    only = {contenders.ENGINE: contenders.ON_CPU[contenders.ENGINE]}
    made = contenders.forwards(only, PLAN.recipe("nerd-rain-s", 16), "cpu")
    (reason,) = contenders.alternate(made, "cpu", 1).values()
    assert "pip install nerdrain[fast]" in str(reason)


def test_a_step_of_the_baseline_and_of_the_package_change_the_weights_alike(monkeypatch):
    recipe, image, made = PLAN.recipe("nerd-rain-s", 32), torch.rand(1, 3, 32, 32), []
    for name in ("ReleasedFormulation", "Trainer"):
        kind = getattr(contenders, name)
        monkeypatch.setattr(
            contenders, name, lambda *a, kind=kind: made.append(kind(*a)) or made[-1]
        )
    torch.manual_seed(recipe.seed)
    before = parameters_to_vector(NeRDRain(recipe.config).parameters())
    for step in (contenders.baseline_step, contenders.package_step):
        torch.manual_seed(recipe.seed)
        step(recipe, image, "cpu")()
    baseline, package = (parameters_to_vector(n.parameters()) for n in (made[0], made[1].model))
    # Adam's first step has the size of the learning rate, 1e-4, where there is a gradient.
    assert float((baseline - before).detach().abs().mean()) > 5e-5
    assert float((baseline - package).detach().abs().mean()) < 1e-6


@pytest.fixture(scope="module")
def measured():
    """Everything that the benchmark measures, without torch.compile and new processes: slow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench_speed, "in_new_process", bench_speed.step_memory)
        patch.delitem(contenders.ON_CPU, contenders.COMPILED)
        patch.setattr(bench_speed, "EVERY_OPTION", bench_speed.OPTIONS)
        patch.setattr(bench_speed, "busy", lambda: 50.0)
        threads = torch.get_num_threads()
        result = bench_speed.measure(PLAN)
        assert torch.get_num_threads() == threads
        return result


def test_every_task_is_measured(measured):
    tasks = {re.sub(r", \d.*| at \d.*", "", row.task) for row in measured.rows}
    assert tasks == {
        "forward pass, nerd-rain-s",
        "forward pass, nerd-rain-tiny",
        "fastest float32 matrix product",
        "share of that speed, forward pass, nerd-rain-s",
        "training step, nerd-rain-s",
        "training step, nerd-rain-tiny",
        "whole training loop, nerd-rain-tiny",
        "memory of a training step, nerd-rain-s",
        "nerdrain derain, a photograph of 64x48",
    }
    for row in measured.rows:
        assert row.value is None or row.value > 0 or row.unit == "MiB", row
        assert row.value is not None or row.contender == contenders.ENGINE, row
    assert "other programs used 50 %" in measured.warning


def test_a_process_that_fails_is_a_reason():
    bad = PLAN.recipe("nerd-rain-tiny", 16)
    reason = bench_speed.in_new_process("no contender", bad, "cpu")
    assert reason == "its process ended with code 1"


def test_results_name_no_machine(measured):
    text = json.dumps(asdict(measured))
    assert str(Path.home()) not in text
    assert str(report.ROOT) not in text


def test_the_memory_of_a_step_is_that_of_a_new_process():
    """It grows with the number of pixels, by far more than the process's own noise."""
    recipes = [PLAN.recipe("nerd-rain-tiny", size) for size in (16, 256)]
    small, large = (
        bench_speed.in_new_process(contenders.PACKAGE, recipe, "cpu") for recipe in recipes
    )
    assert isinstance(small, float) and isinstance(large, float)
    assert 0 <= small < large - 20


def test_a_step_that_does_not_fit_is_left_out(monkeypatch):
    monkeypatch.setattr(bench_speed, "in_new_process", lambda name, recipe, device: 100.0)
    monkeypatch.setattr(bench_speed, "free_memory", lambda device: 399 * 2**20)
    rows = bench_speed.memory_rows(PLAN)
    assert [row.value for row in rows] == [100.0] * 4 + [None] * 4
    assert rows[-1].note == "it needs about 400 MiB, and 399 are free"


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
def test_without_a_gpu_one_sentence_says_so():
    done = subprocess.run(
        [sys.executable, bench_speed.__file__, "--device", "cuda"],
        cwd=report.ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "No CUDA device was found: use a machine with an NVIDIA GPU.\n"


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_gpu_says_that_there_is_no_gpu():
    command = ["make", "gpu", "INSTALLED=", f"BIN={Path(sys.executable).parent}"]
    done = subprocess.run(command, cwd=report.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "make gpu: no CUDA device was found; use a machine with an NVIDIA GPU" in done.stderr
    assert "pytest" not in done.stdout


def test_the_contenders_of_a_gpu_run_on_the_cpu_but_for_the_kernels():
    made = contenders.forwards(contenders.ON_CUDA, PLAN.recipe("nerd-rain-s", 16), "cpu")
    seconds = contenders.alternate(made, "cpu", 1)
    inr = bench_speed.inr_rows(PLAN)
    kernels = {contenders.KERNELS, contenders.BOTH}
    assert {name for name, value in seconds.items() if isinstance(value, str)} <= kernels
    assert [row.value is None for row in inr] == [False, True]
