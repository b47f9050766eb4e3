"""Choose the device of a computation, set seeds, and measure time and peak memory.

A program calls `pick_device` once, at its start. No other module chooses a device.
"""

import ctypes
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import torch

from nerdrain.errors import NerdrainError

DEVICE_VARIABLE = "NERDRAIN_DEVICE"


def pick_device(name: str | None = None) -> torch.device:
    """Choose the device once, at the start of a program or notebook.

    Args:
        name: "cpu", "cuda", "cuda:1" or "mps". None uses the environment variable NERDRAIN_DEVICE;
            if it is not set, the accelerator of this machine, or the CPU if it has none.

    Raises:
        NerdrainError: The name is misspelt, or this machine has no such device.
    """
    gpu = torch.accelerator.current_accelerator()  # the kind that this build of torch supports
    available = [gpu.type, "cpu"] if gpu and torch.accelerator.is_available() else ["cpu"]
    choices = f"use one of {', '.join(available)}"
    chosen = name or os.environ.get(DEVICE_VARIABLE) or available[0]
    origin = f"device '{chosen}'" if name else f"{DEVICE_VARIABLE}={chosen}"
    try:
        device = torch.device(chosen)
    except RuntimeError:
        raise NerdrainError(f"{origin} is not a valid device name; {choices}.") from None
    if device.type not in available:
        raise NerdrainError(f"{origin} is not available here; {choices}.")
    count = 1 if device.type == "cpu" else torch.accelerator.device_count()
    if (device.index or 0) >= count:
        raise NerdrainError(f"{origin} is not available here; the largest index is {count - 1}.")
    return device


def keep_freed_memory() -> None:
    """Let this process keep the memory of freed tensors for new ones; on Linux with glibc.

    By default glibc returns the memory of each large tensor to the system. For the next tensor the
    system must then map and clear every page again (chapter 9 measures this). The peak grows,
    because glibc does not reuse every block at once. On other systems the function does nothing.
    """
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(-4, 0)  # M_MMAP_MAX: take no block directly from the system
        libc.mallopt(-1, -1)  # M_TRIM_THRESHOLD: return nothing


def _processor_name() -> str:
    """Return the product name of the CPU if the system provides it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine() or "unknown processor"


def describe_device(device: torch.device | str) -> str:
    """Describe a device in one line, with its cores or memory and the version of torch."""
    device = torch.device(device)
    if device.type == "cuda":
        gpu = torch.cuda.get_device_properties(device)
        text = f"{gpu.name} ({gpu.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda})"
    elif device.type == "mps":
        text = f"Apple GPU of {_processor_name()}"
    else:
        cores, threads = os.cpu_count() or 1, torch.get_num_threads()
        plural = "" if threads == 1 else "s"
        text = f"{_processor_name()} ({cores} logical cores, {threads} torch thread{plural})"
    return f"{text}, torch {torch.__version__}"


def seed_everything(seed: int) -> np.random.Generator:
    """Seed Python, NumPy and torch on all devices, and return a new generator with that seed."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - some libraries still use the global state
    torch.manual_seed(seed)
    return np.random.default_rng(seed)


def _synchronise(device: torch.device) -> None:
    """Wait until a GPU has finished its queued work, because calls return before that."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def median_seconds(
    fn: Callable[[], object],
    device: torch.device | str = "cpu",
    *,
    repeat: int = 5,
    warmup: int = 1,
) -> float:
    """Time a function: the median wall-clock seconds of `repeat` calls, after warm-up calls.

    A GPU is synchronised before and after each timed call. The warm-up calls fill caches and choose
    kernels.

    Raises:
        NerdrainError: `repeat` is below 1 or `warmup` is below 0.
    """
    if repeat < 1 or warmup < 0:
        raise NerdrainError(
            f"repeat={repeat} and warmup={warmup} do not work; give repeat >= 1 and warmup >= 0."
        )
    device = torch.device(device)
    for _ in range(warmup):
        fn()
    seconds = []
    for _ in range(repeat):
        _synchronise(device)
        start = time.perf_counter()
        fn()
        _synchronise(device)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def reset_peak_memory(device: torch.device | str) -> None:
    """Start a new measurement of `peak_memory_mib` on CUDA; on other devices, do nothing."""
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_mib(device: torch.device | str = "cpu") -> float:
    """Return the peak memory in MiB; on Windows NaN, because Python has no function for it there.

    On CUDA it is the peak of all tensors since `reset_peak_memory`. On the CPU and on MPS it is the
    largest resident set of the process since it started, including Python and torch.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if sys.platform == "win32":
        return float("nan")
    with suppress(OSError):  # Linux: `getrusage` also counts the process that started this one
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(status.partition("VmHWM:")[2].split()[0]) / 2**10
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # macOS counts bytes, Linux KiB


def free_memory(device: torch.device | str = "cpu") -> int:
    """Return the bytes of memory that are free: of a CUDA GPU, or of the machine or container."""
    device = torch.device(device)
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    limits = [psutil.virtual_memory().available]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # of a Linux container
        with suppress(OSError, ValueError):
            limits.append(int(Path("/sys/fs/cgroup", name).read_text(encoding="ascii")))
    return min(limits)


def used_memory(device: torch.device | str = "cpu") -> int:
    """Return the bytes that this process uses now: on CUDA those of all tensors, else all of it."""
    if torch.device(device).type == "cuda":
        return torch.cuda.memory_allocated(device)
    return int(psutil.Process().memory_info().rss)


def report_cost(
    device: torch.device | str, *, seconds: float, mib: float, slack: float = 5.0
) -> None:
    """Print this process's CPU seconds and peak MiB, and compare them with a chapter's promise.

    Other programs on the machine do not change CPU time. `slack` allows for slower processors.

    Raises:
        AssertionError: The memory exceeds `mib`, or the time exceeds `slack` times `seconds`.
    """
    used, peak = time.process_time(), peak_memory_mib(device)
    print(f"this run took {used:.0f} processor seconds and at most {peak:.0f} MiB on")
    print(describe_device(device))
    assert used <= slack * seconds, f"{used:.0f} s, where {seconds:.0f} s are promised"
    assert not peak > mib, f"{peak:.0f} MiB, where {mib:.0f} MiB are promised"
