"""Where a computation runs: chosen once, here, so that no other module names a device.

Also what a fair measurement needs: seeds, times and peak memory.
"""

import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from nerdrain.errors import NerdrainError

__all__ = [
    "describe_device",
    "median_seconds",
    "peak_memory_mib",
    "pick_device",
    "report_cost",
    "reset_peak_memory",
    "seed_everything",
]

DEVICE_VARIABLE = "NERDRAIN_DEVICE"


def available_devices() -> list[str]:
    """What this machine has, fastest first: some of "cuda", "mps", "cpu"."""
    found = ["cuda"] if torch.cuda.is_available() else []
    if torch.backends.mps.is_available():
        found.append("mps")
    return [*found, "cpu"]


def pick_device(name: str | None = None) -> torch.device:
    """Choose the device once, at the start of a program or notebook.

    Args:
        name: "cpu", "cuda", "cuda:1" or "mps". None reads the environment variable
            NERDRAIN_DEVICE, and where that is not set takes CUDA before MPS before the CPU.

    Raises:
        NerdrainError: the name is misspelt, or this machine has no such device.
    """
    wanted = name or os.environ.get(DEVICE_VARIABLE) or available_devices()[0]
    origin = f"{DEVICE_VARIABLE}={wanted}" if not name else f"device '{wanted}'"
    have = available_devices()
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise NerdrainError(f"{origin} is no device: use one of {', '.join(have)}.") from None
    if device.type not in have:
        raise NerdrainError(f"{origin} is not available here: use one of {', '.join(have)}.")
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if device.index is not None and device.index >= count:
        raise NerdrainError(f"{origin} is not available here: there are only {count}, from 0.")
    return device


def _processor() -> str:
    """The CPU's marketing name, where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine() or "unknown processor"


def describe_device(device: torch.device | str) -> str:
    """One line for beside a measurement: the processor, its cores, and torch's version."""
    device = torch.device(device)
    if device.type == "cuda":
        gpu = torch.cuda.get_device_properties(device)
        what = f"{gpu.name} ({gpu.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda})"
    elif device.type == "mps":
        what = f"Apple GPU of {_processor()}"
    else:
        cores, threads = os.cpu_count() or 1, torch.get_num_threads()
        plural = "" if threads == 1 else "s"
        what = f"{_processor()} ({cores} logical cores, {threads} torch thread{plural})"
    return f"{what}, torch {torch.__version__}"


def seed_everything(seed: int) -> np.random.Generator:
    """Seed Python, NumPy and torch (all devices).

    Returns:
        A fresh NumPy generator of that seed, for code that takes one.
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - for libraries that still draw from the global state
    torch.manual_seed(seed)
    return np.random.default_rng(seed)


def _synchronise(device: torch.device) -> None:
    """Wait for what a GPU still has queued; calls return before their work is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def median_seconds(
    fn: Callable[[], object],
    device: torch.device | str = "cpu",
    *,
    repeat: int = 5,
    warmup: int = 1,
) -> float:
    """Time a call: the median wall-clock seconds of several, after some that do not count.

    Args:
        fn: the call, without arguments.
        device: where it computes; a GPU is waited for before and after each call.
        repeat: calls that are timed, at least 1.
        warmup: calls before them, that fill caches and choose kernels.
    """
    if repeat < 1 or warmup < 0:
        raise NerdrainError("timing needs repeat >= 1 and warmup >= 0.")
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
    """Begin a new measurement of `peak_memory_mib` on CUDA; a process's own peak stays."""
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_mib(device: torch.device | str = "cpu") -> float:
    """Peak memory in MiB: of CUDA's tensors since `reset_peak_memory`, else of the whole process.

    On the CPU and on MPS this is the largest resident set of the process since it started, Python
    and torch included. It is NaN on Windows, whose Python cannot tell.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if sys.platform == "win32":
        return float("nan")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # macOS counts bytes, Linux KiB


def report_cost(
    device: torch.device | str, *, seconds: float, mib: float, slack: float = 5.0
) -> None:
    """Print what this process took, and hold it against what a chapter promises its reader.

    Time is the processor's, which other work on the machine does not stretch; `slack` leaves room
    for slower processors. Memory is held as it is promised.

    Args:
        device: where the chapter computes.
        seconds: promised processor seconds since the process started.
        mib: promised peak memory, in MiB.
        slack: how many times the promised time is still accepted.

    Raises:
        AssertionError: the run took more than the promise.
    """
    took, peak = time.process_time(), peak_memory_mib(device)
    print(f"this run took {took:.0f} processor seconds and at most {peak:.0f} MiB on")
    print(describe_device(device))
    assert took <= slack * seconds, f"{took:.0f} s, where {seconds:.0f} s are promised"
    assert not peak > mib, f"{peak:.0f} MiB, where {mib:.0f} MiB are promised"
