"""Run calls of a hand-in in worker processes, and end the workers that exceed their limits.

This is the trusted side. It writes a job into a temporary folder, starts a worker there, watches
the whole tree of its processes, and reads the answers after every process has ended.
"""

import json
import os
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import safetensors.numpy

from nerdrain.course import exchange
from nerdrain.course.assignment import Limits
from nerdrain.course.confine import MIB, descendants, kill_descendants
from nerdrain.course.items import Answer, Call
from nerdrain.errors import NerdrainError, shorten
from nerdrain.files import PACKAGE

ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "LANG": "C.UTF-8",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "NERDRAIN_DEVICE": "cpu",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTHONHASHSEED": "0",
}
"""All variables of a worker, besides its paths."""
ENDING, PROBE = 20.0, 30.0  # seconds
INTERVAL = 0.02
"""Seconds between two looks at a worker; every fifth look covers all of its processes."""
WATCHED = ("clock of the whole process tree", "resident memory", "printed text", "disk space")
LONGEST_FEEDBACK = 500


class Launcher:
    """A process that starts workers, and the temporary folder in which they work.

    Use it in a `with` statement, in one thread at a time. If a worker ends the process, a new one
    takes over.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="nerdrain-course-"))
        self._numbers = count()
        self._process = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process and all workers, and remove the temporary folder."""
        self._stop()
        remove(self._folder)

    def probe(self) -> list[str]:
        """The layers of protection that are active in a worker, in words.

        Raises:
            NerdrainError: No worker could be started.
        """
        with self._temporary() as folder:
            ended = self._run(folder, Limits(seconds=PROBE))
            try:
                layers = json.loads((folder / "layers.json").read_text(encoding="ascii"))
            except OSError:
                printed = (folder / "printed.txt").read_text(errors="replace").strip()
                reason = shorten(f"{ended} {printed.splitlines()[-1:]}", 300)
                raise NerdrainError(f"no worker could be started: {reason}") from None
        return [*WATCHED, *layers]

    def run(
        self, calls: Sequence[Call], files: Mapping[str, bytes], limits: Limits
    ) -> list[Answer]:
        """Run the calls of an item with the files of a hand-in; returns an answer for each."""
        answers: list[Answer] = []
        deadline = time.monotonic() + limits.seconds
        for group in groups(calls):
            left = max(deadline - time.monotonic(), 0.01)
            answers += self._run_group(group, files, limits, left)
        return answers

    def _run_group(
        self, calls: Sequence[Call], files: Mapping[str, bytes], limits: Limits, left: float
    ) -> list[Answer]:
        with self._temporary() as folder:
            write_job(folder, calls, {**files, **calls[0].files})
            ended = self._run(folder, limits, left)
            largest = int(limits.file_mib * MIB)
            return [read_answer(folder, str(n), largest, ended) for n in range(len(calls))]

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        folder = self._folder / str(next(self._numbers))
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            remove(folder)

    def _run(self, folder: Path, limits: Limits, left: float = PROBE) -> str:
        """Run a worker in a folder until it ends; returns why it ended, in words."""
        if self._process.poll() is not None:
            self._process = self._start()
        job = {"folder": str(folder), "limits": limits.model_dump()}
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            self._stop()
            return "the process that starts workers was ended."
        watched = Watched(psutil.Process(self._process.pid), folder, limits, left)
        while (line := self._read(INTERVAL)) is None:
            if (problem := watched.problem()) is not None:
                return self._end(problem)
        if not line:
            self._stop()
            return "it ended the process that starts workers."
        if too_much := watched.too_much_text():  # the worker was faster than the watch
            remove(folder / "answers")
            return too_much
        return explain_exit(int(line), limits)

    def _end(self, problem: str) -> str:
        """End all processes of a worker, and the launcher too if that is not enough."""
        if not kill_descendants(psutil.Process(self._process.pid)) or self._read(ENDING) is None:
            self._stop()
        return problem

    def _read(self, seconds: float) -> bytes | None:
        """A line of the launcher, nothing if it has ended, None if it takes longer."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            return None
        return self._process.stdout.readline()

    def _start(self) -> subprocess.Popen[bytes]:
        kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        paths = {"PATH": os.defpath, "PYTHONPATH": str(PACKAGE.parent), "HOME": str(self._folder)}
        return subprocess.Popen(
            [sys.executable, "-s", "-P", "-m", "nerdrain.course.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            env={**ENVIRONMENT, **kept, **paths},
            start_new_session=True,
        )

    def _stop(self) -> None:
        with suppress(psutil.Error):
            kill_descendants(psutil.Process(self._process.pid))
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


@contextmanager
def launch(count: int) -> Iterator[list[Launcher]]:
    """Start several launchers at once, and close them at the end."""
    with ExitStack() as stack:
        yield [stack.enter_context(Launcher()) for _ in range(count)]


class Watched:
    """The processes of one worker, and what they have used."""

    def __init__(
        self, launcher: psutil.Process, folder: Path, limits: Limits, seconds: float
    ) -> None:
        self.launcher, self.folder, self.limits = launcher, folder, limits
        self.deadline = time.monotonic() + seconds
        self.looks = 0
        self.tree: list[psutil.Process] = []

    def problem(self) -> str | None:
        """Which limit is exceeded, in a sentence, or None."""
        limits = self.limits
        if time.monotonic() > self.deadline:
            return f"it took longer than {limits.seconds:g} s."
        if self.looks % 5 == 0:
            self.tree = descendants(self.launcher)
            if len(self.tree) > limits.processes:
                return f"it had more than {limits.processes} processes."
            if size_of(self.folder, limits.disk_mib * MIB) > limits.disk_mib * MIB:
                return f"it wrote more than {limits.disk_mib:g} MiB."
        self.looks += 1
        memory, cpu = self._use()
        if memory > limits.memory_mib * MIB:
            return f"it used more than {limits.memory_mib} MiB of memory."
        if cpu > limits.cpu_seconds:
            return f"it used more than {limits.cpu_seconds:g} s of processor time."
        return self.too_much_text()

    def too_much_text(self) -> str | None:
        """Whether too much was printed, in a sentence, or None."""
        with suppress(OSError):
            if os.lstat(self.folder / "printed.txt").st_size > self.limits.output_kib * 1024:
                return f"it printed more than {self.limits.output_kib:g} KiB."
        return None

    def _use(self) -> tuple[int, float]:
        """Resident bytes and processor seconds of all processes."""
        memory, cpu = 0, 0.0
        for process in self.tree:
            with suppress(psutil.Error):
                memory += process.memory_info().rss
                cpu += sum(process.cpu_times()[:4])
        return memory, cpu


def groups(calls: Sequence[Call]) -> list[list[Call]]:
    """Split calls into processes: one for each call with files or tests, shared by the others."""
    found: list[list[Call]] = []
    alone = True
    for call in calls:
        if alone or call.files or call.tests:
            found.append([])
        found[-1].append(call)
        alone = bool(call.files or call.tests)
    return found


def write_job(folder: Path, calls: Sequence[Call], files: Mapping[str, bytes]) -> None:
    """Write the calls and the files of a hand-in for a worker."""
    for name, content in files.items():
        path = folder / "work" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for name in ("work", "job", "answers"):
        (folder / name).mkdir(exist_ok=True)
    arrays: exchange.Arrays = {}
    described = [
        {
            "function": call.function,
            "tests": call.tests,
            "arguments": exchange.flatten(call.arguments, arrays),
            "gradients": list(call.gradients),
        }
        for call in calls
    ]
    safetensors.numpy.save_file(arrays, folder / "job" / "arrays.safetensors")
    (folder / "job" / "calls.json").write_text(json.dumps(described), encoding="utf-8")


def read_answer(folder: Path, name: str, largest: int, ended: str) -> Answer:
    """Read one answer. `ended` says why the worker ended, if there is none."""
    try:
        content = exchange.read(folder / "answers", name, largest)
    except FileNotFoundError:
        return Answer(error=ended)
    except ValueError as error:
        return Answer(error=f"{error}.")
    if not isinstance(content, dict) or not {"value", "error"} & content.keys():
        return Answer(error="its result is damaged.")
    if (problem := content.get("error")) is not None:
        return Answer(error=shorten(str(problem), LONGEST_FEEDBACK))
    gradients = content.get("gradients", {})
    return Answer(content["value"], gradients if isinstance(gradients, dict) else {})


def explain_exit(code: int, limits: Limits) -> str:
    """Why a worker ended before it had written an answer."""
    if code == -getattr(signal, "SIGXCPU", 24):
        return f"it used more than {limits.cpu_seconds:g} s of processor time."
    if code < 0:
        with suppress(ValueError):
            return f"it ended with the signal {signal.Signals(-code).name}."
    return f"it ended without a result (exit code {code})."


def size_of(folder: Path, most: float) -> float:
    """Bytes of all files below a folder; the count stops above `most`."""
    total, waiting = 0.0, [folder]
    while waiting and total <= most:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                total += 4096  # an empty file needs space, too
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                else:
                    with suppress(OSError):
                        total += entry.stat(follow_symlinks=False).st_size
                if total > most:
                    break
    return total


def remove(folder: Path) -> None:
    """Remove a folder, even if its permissions were changed. It never follows a link."""

    def allow(function: Any, path: str, error: object) -> None:
        with suppress(OSError):
            parent = Path(path).parent
            parent.chmod(stat.S_IRWXU)
            if not os.path.islink(path):
                os.chmod(path, stat.S_IRWXU)
            function(path)

    with suppress(OSError, RecursionError):
        shutil.rmtree(folder, onerror=allow)
    if folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
