"""devices.py: the choice, its errors, seeds, times and memory, with other machines imitated."""

import math
import platform
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nerdrain import devices
from nerdrain.devices import (
    describe_device,
    free_memory,
    median_seconds,
    peak_memory_mib,
    pick_device,
    report_cost,
    reset_peak_memory,
    seed_everything,
)
from nerdrain.errors import NerdrainError


@pytest.fixture
def machine(monkeypatch):
    """Imitate a machine with some devices of one accelerator, or with a CPU only."""

    def build(accelerator: str = "cpu", count: int = 0) -> None:
        monkeypatch.delenv("NERDRAIN_DEVICE", raising=False)
        device = torch.device(accelerator)
        monkeypatch.setattr(torch.accelerator, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: device)
        monkeypatch.setattr(torch.accelerator, "device_count", lambda: count)

    build()
    return build


def test_the_fastest_is_taken(machine):
    assert pick_device() == torch.device("cpu")
    for accelerator in ("mps", "cuda"):
        machine(accelerator, 1)
        assert pick_device() == torch.device(accelerator)
        assert pick_device("cpu") == torch.device("cpu")


def test_a_name_beats_the_environment_which_beats_the_default(machine, monkeypatch):
    machine("cuda", 2)
    monkeypatch.setenv("NERDRAIN_DEVICE", "cuda:1")
    assert pick_device() == torch.device("cuda:1")
    assert pick_device("cpu") == torch.device("cpu")
    monkeypatch.setenv("NERDRAIN_DEVICE", "")
    assert pick_device() == torch.device("cuda")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cpuu", "device 'cpuu' is not a valid device name; use one of cuda, cpu"),
        ("gpu", "is not a valid device name"),
        ("mps", "device 'mps' is not available here; use one of cuda, cpu"),
        ("meta", "not available here"),
        ("cuda:2", "'cuda:2' is not available here; the largest index is 1"),
        ("cpu:1", "'cpu:1' is not available here; the largest index is 0"),
    ],
)
def test_bad_names(machine, monkeypatch, name, message):
    machine("cuda", 2)
    with pytest.raises(NerdrainError, match=message):
        pick_device(name)
    monkeypatch.setenv("NERDRAIN_DEVICE", name)
    with pytest.raises(NerdrainError, match=f"NERDRAIN_DEVICE={name}"):
        pick_device()


def test_description_of_the_cpu():
    text = describe_device("cpu")
    assert torch.__version__ in text
    assert "1 torch thread)" in text  # tests/conftest.py sets one


def test_description_without_proc(monkeypatch):
    def refuse(self, **_):
        raise FileNotFoundError

    monkeypatch.setattr(devices.Path, "read_text", refuse)
    monkeypatch.setattr(devices.platform, "processor", lambda: "")
    monkeypatch.setattr(devices.platform, "machine", lambda: "riscv64")
    assert describe_device("cpu").startswith("riscv64 (")
    assert describe_device("mps").startswith("Apple GPU of riscv64, torch")


def test_description_of_a_gpu(monkeypatch):
    gpu = SimpleNamespace(name="Test GPU", total_memory=24 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: gpu)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    assert describe_device("cuda").startswith("Test GPU (24 GiB, CUDA 12.8), torch")


@given(st.integers(0, 2**32 - 1))
def test_seeds_repeat(seed):
    def draw():
        rng = seed_everything(seed)
        numpy_global = np.random.random()  # noqa: NPY002 - the state that is tested
        return random.random(), numpy_global, torch.rand(1).item(), rng.random()

    assert draw() == draw()


@pytest.mark.parametrize("kind", ["cpu", "cuda", "mps"])
def test_median_of_the_timed_calls(monkeypatch, kind):
    clock = iter([0, 5, 10, 11, 20, 22])  # three timed calls: 5, 1 and 2 seconds
    monkeypatch.setattr(devices.time, "perf_counter", lambda: next(clock))
    log = []
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda device: log.append(device.type))
    seconds = median_seconds(lambda: log.append("call"), kind, repeat=3, warmup=2)
    assert seconds == 2
    around = [] if kind == "cpu" else [kind]
    assert log == ["call", "call", *[*around, "call", *around] * 3]


def test_bad_counts():
    with pytest.raises(NerdrainError, match="repeat >= 1"):
        median_seconds(lambda: None, repeat=0)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_of_the_process_agrees_with_the_kernel():
    status = Path("/proc/self/status").read_text()
    kib = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
    assert peak_memory_mib("cpu") == pytest.approx(kib / 1024, rel=0.02)


def test_memory_on_other_systems(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert math.isnan(peak_memory_mib())
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 3 * 2**20)
    assert peak_memory_mib("cuda") == 3


def test_reset_concerns_cuda_only(monkeypatch):
    log = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", log.append)
    reset_peak_memory("cpu")
    reset_peak_memory("cuda:1")
    assert log == ["cuda:1"]


def test_a_chapter_is_held_to_the_cost_that_it_quotes(capsys, monkeypatch):
    monkeypatch.setattr(devices.time, "process_time", lambda: 60.0)
    monkeypatch.setattr(devices, "peak_memory_mib", lambda device: 900.0)
    report_cost("cpu", seconds=12, mib=900)
    assert "took 60 processor seconds and at most 900 MiB" in capsys.readouterr().out
    with pytest.raises(AssertionError, match="60 s, where 11 s are promised"):
        report_cost("cpu", seconds=11, mib=900)
    with pytest.raises(AssertionError, match="900 MiB, where 899 MiB are promised"):
        report_cost("cpu", seconds=60, mib=899)
    monkeypatch.setattr(devices, "peak_memory_mib", lambda device: math.nan)  # Windows cannot tell
    report_cost("cpu", seconds=60, mib=1)


def test_free_memory_is_that_of_the_device(monkeypatch, tmp_path):
    monkeypatch.setattr(
        devices.psutil, "virtual_memory", lambda: SimpleNamespace(available=5 * 2**30)
    )
    monkeypatch.setattr(devices, "Path", lambda *parts: tmp_path / parts[-1].replace("/", "-"))
    assert free_memory() == 5 * 2**30
    for name in ("memory.max", "memory-memory.limit_in_bytes"):  # two generations of containers
        (tmp_path / name).write_text("max\n")
        assert free_memory("cpu") == 5 * 2**30
        (tmp_path / name).write_text("1000\n")
        assert free_memory("cpu") == 1000
        (tmp_path / name).unlink()
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (7, 9))
    assert free_memory("cuda") == 7


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the setting")
def test_freed_memory_is_used_again() -> None:
    """New tensors get pages that are mapped already; a page fault maps one."""
    code = """
import resource, torch
from nerdrain.devices import keep_freed_memory
keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(sum(faults() for _ in range(40)))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # Of 40 tensors of 16,384 pages, the first few get new pages: glibc reuses a block late.
    assert int(run.stdout) < 20 * 16_384
