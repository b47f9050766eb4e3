"""The process that starts workers, and the code of a worker.

`python -m nerdrain.course.worker` imports torch once and then forks a new worker for each job. This
saves the time of the import. It holds no secret, because it reads only the folder of a job and the
limits. The fork closes the pipes, so a worker cannot write answers of this process.
"""

import contextlib
import importlib
import json
import os
import random
import select
import shutil
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import psutil
import pytest
import safetensors.torch
import torch

import nerdrain.model.network  # noqa: F401 (most hand-ins need it)
from nerdrain.course import confine, exchange

LONGEST_MESSAGE = 300
"""Characters of the message of a student's error."""


def serve() -> None:
    """Start a worker for each line of standard input, until it ends; one at a time."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    torch.set_num_threads(1)
    confine.adopt_orphans()
    confine.hide_memory()
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            out.close()
            _become_worker(Path(job["folder"]), job["limits"])
        status = _wait(pid)
        confine.kill_descendants(psutil.Process())
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        print(json.dumps(os.waitstatus_to_exitcode(status)), file=out)


def _wait(pid: int) -> int:
    """Wait until a worker ends; if the grader ends before, end everything."""
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        if select.select([sys.stdin], [], [], 0.005)[0]:
            confine.kill_descendants(psutil.Process())
            os._exit(1)


def _become_worker(folder: Path, limits: dict[str, float]) -> NoReturn:
    """Confine this process, run its job, and end without a return to the caller."""
    code = 1
    try:
        os.setsid()
        os.nice(5)  # the grader must be able to stop a worker that uses all cores
        confine.hide_memory(False)
        nothing = os.open(os.devnull, os.O_RDONLY)
        printed = os.open(folder / "printed.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(nothing, 0)
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        os.closerange(3, os.sysconf("SC_OPEN_MAX") if sys.platform != "linux" else 4096)
        layers = confine.confine(folder, limits)
        (folder / "layers.json").write_text(json.dumps(layers), encoding="ascii")
        run(folder)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
        os._exit(code)


def run(folder: Path) -> None:
    """Run the calls of a job, and write an answer for each.

    Args:
        folder: holds `job/` with the calls, `work/` with the student's files, and `answers/`.
    """
    job = folder / "job"
    if not job.is_dir():  # a probe of the layers
        return
    calls = json.loads((job / "calls.json").read_text(encoding="utf-8"))
    arrays = safetensors.torch.load_file(job / "arrays.safetensors")
    shutil.rmtree(job)
    work = folder / "work"
    os.chdir(work)
    home = folder / "home"
    home.mkdir()
    os.environ.update(HOME=str(home), TMPDIR=str(home))
    sys.path.insert(0, str(work))
    sys.argv = ["worker"]
    for number, call in enumerate(calls):
        answer = _answer(call, arrays, work)
        try:
            exchange.write(folder / "answers", str(number), answer)
        except (TypeError, ValueError, RecursionError) as error:
            exchange.write(folder / "answers", str(number), {"error": f"it returned {error}"})


def _answer(call: Mapping[str, Any], arrays: Mapping[str, Any], work: Path) -> dict[str, Any]:
    """Run one call; an error of the student's code is part of the answer."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 (for hand-ins that use the global generator)
    torch.manual_seed(0)
    try:
        if call["tests"]:
            return {"value": run_tests(work / call["tests"])}
        arguments = exchange.restore(call["arguments"], arrays, torch.view_as_complex)
        return run_function(call["function"], arguments, call["gradients"])
    except BaseException as error:
        return {"error": describe(error, work)}


def run_function(name: str, arguments: dict[str, Any], gradients: Sequence[str]) -> dict[str, Any]:
    """Call "module:function", and compute gradients of the sum of all floating outputs."""
    module, function = name.split(":")
    for each in gradients:
        arguments[each] = arguments[each].clone().requires_grad_()
    value = getattr(importlib.import_module(module), function)(**arguments)
    if not gradients:
        return {"value": value}
    inputs = [arguments[each] for each in gradients]
    outputs = [t for t in _tensors(value) if t.is_floating_point() and t.requires_grad]
    found: Sequence[torch.Tensor | None] = [None] * len(inputs)
    if outputs:
        total = torch.stack([t.double().sum() for t in outputs]).sum()
        found = torch.autograd.grad(total, inputs, allow_unused=True)
    filled = [torch.zeros_like(i) if g is None else g for i, g in zip(inputs, found, strict=True)]
    return {"value": value, "gradients": dict(zip(gradients, filled, strict=True))}


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    return [t for each in value for t in _tensors(each)] if isinstance(value, list | tuple) else []


class Outcomes:
    """A pytest plugin that notes which tests passed and failed."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.failed: list[str] = []
        self.errors = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the result of a test; a failing fixture fails its test."""
        name = report.nodeid.partition("::")[2]
        if report.failed:
            self.failed.append(name)
            self.passed = [each for each in self.passed if each != name]
        elif report.when == "call" and report.passed:
            self.passed.append(name)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count files that cannot be imported."""
        self.errors += report.failed


def run_tests(path: Path) -> dict[str, Any]:
    """Run pytest on one file of the hand-in."""
    outcomes = Outcomes()
    options = ["-q", "--import-mode=importlib", "-p", "no:cacheprovider", "-c", os.devnull]
    roots = [f"--rootdir={path.parent}", f"--confcutdir={path.parent}"]
    code = pytest.main([*options, *roots, str(path)], plugins=[outcomes])
    internal = code in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR)
    errors = outcomes.errors + internal
    failed = list(dict.fromkeys(outcomes.failed))
    return {"passed": outcomes.passed, "failed": failed, "errors": errors}


def describe(error: BaseException, work: Path) -> str:
    """An error of the student's code in one line, with the last line of the student's files."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(work)
    ]
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    try:
        message = " ".join(str(error).split())
    except BaseException:
        message = "its message cannot be printed"
    if len(message) > LONGEST_MESSAGE:
        message = f"{message[:LONGEST_MESSAGE]}..."
    return f"{type(error).__name__}{message and f': {message}'}{where}"


if __name__ == "__main__":
    serve()
