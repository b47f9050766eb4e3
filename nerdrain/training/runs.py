"""The folder of a training run: its files, how they are written, and how a run resumes from it.

recipe.yaml          the whole recipe
log.csv              losses, learning rate and speed during the run, and PSNR at each validation
model.safetensors    the weights with the best validation PSNR
checkpoints/         the last complete states, to resume from
samples/             the same validation images at each validation: rainy, derained, clean
logs/                the log for TensorBoard and other trackers, if `log_with` names some
.lock                held by the process that trains here

A state in checkpoints/ holds the weights ("model"), their average ("ema", "updates"), "optimizer"
and, in half precision, "scaler"; the counters "step", "best", "recent", "broken", "skipped" and
"minutes"; and "images", which identifies the training images.
"""

from __future__ import annotations

import csv
import io
import signal
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from PIL import Image

from nerdrain.checkpoints.weights import WEIGHTS
from nerdrain.errors import NerdrainError
from nerdrain.files import explain_failure, remove_leftovers, write_atomically
from nerdrain.training.recipes import Recipe, read_recipe

CHECKPOINTS, SAMPLES = "checkpoints", "samples"
FREE = {"num_workers", "log_every", "log_with", "save_every_minutes", "keep_checkpoints"}
"""Settings that do not change the result of a run, so they may differ when it resumes."""


class RunFolder:
    """Reads and writes the folder of one run.

    Args:
        path: The folder.
        recipe: The recipe of the run.
        resume: Whether a run that is already in the folder resumes; otherwise it is an error.
        writes: False for all processes but the first, which only read.

    Attributes:
        log: The rows of ``log.csv``; `save` writes them, with a column for every name.

    Raises:
        NerdrainError: The folder holds a run that may not resume here, or cannot be used.
    """

    def __init__(self, path: Path, recipe: Recipe, *, resume: bool, writes: bool = True) -> None:
        self.path, self.recipe, self.writes = path, recipe, writes
        self.log: list[dict[str, str]] = []
        self.saved_at = time.monotonic()
        with explain_failure(path):  # such as a name that is too long
            begun = bool(self.states()) or (path / WEIGHTS).exists()  # else nothing can be lost
        if begun and (path / "recipe.yaml").exists():
            if not resume:
                raise NerdrainError(
                    f"{path}: it already holds a run; resume it with --resume, choose another "
                    "folder, or move it away."
                )
            self._check_same(read_recipe(path / "recipe.yaml"))

    def _check_same(self, before: Recipe) -> None:
        names = [name for name in Recipe.model_fields if name not in FREE]
        differ = [n for n in names if getattr(before, n) != getattr(self.recipe, n)]
        if differ:
            raise NerdrainError(
                f"{self.path}: its recipe differs in {', '.join(differ)}; resume with the same "
                "recipe, or begin a run in another folder."
            )

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Keep other processes out of the folder, and write the recipe.

        Raises:
            NerdrainError: Another process trains in the folder, or it cannot be written.
        """
        if not self.writes:
            yield
            return
        lock = FileLock(self.path / ".lock")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire(blocking=False)
        except Timeout:
            reason = "another process trains in it; wait for its end, or choose another folder."
            raise NerdrainError(f"{self.path}: {reason}") from None
        except OSError:  # a file system without locks; if it cannot be written, the recipe says so
            pass
        try:
            write_atomically(self.path / "recipe.yaml", self.recipe.to_yaml().encode())
            for folder in (self.path, self.path / CHECKPOINTS, self.path / SAMPLES):
                remove_leftovers(folder)
            yield
        finally:
            lock.release()

    def states(self) -> list[Path]:
        """The files of complete states, oldest first."""
        return sorted((self.path / CHECKPOINTS).glob("step-[0-9]*.pt"))

    def load(self, restore: Callable[[Mapping[str, Any]], object] = dict) -> dict[str, Any] | None:
        """The newest readable state, on the CPU; None if the run has no state.

        Args:
            restore: Called with the state; if it fails, the state counts as unreadable.

        Raises:
            NerdrainError: There are states, and none is readable.
        """
        broken: list[str] = []
        for path in reversed(self.states()):
            try:
                with zipfile.ZipFile(path) as archive:  # torch verifies no checksum
                    if archive.testzip():
                        raise zipfile.BadZipFile
                state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
                step = int(state["step"])
                restore(state)
            except Exception:  # a damaged file can make the reader fail in any way
                broken.append(path.name)
                continue
            self._read_log(step)
            return state
        if broken:
            raise NerdrainError(
                f"{self.path}: no checkpoint can be read ({', '.join(broken)}); start a new run in "
                "another folder, with `init_from` set to the run's model.safetensors."
            )
        return None

    def _read_log(self, step: int) -> None:
        """Read the log up to a step, so that a resumed run logs nothing twice."""
        path = self.path / "log.csv"
        if path.is_file():
            try:
                with path.open(encoding="utf-8", newline="") as file:
                    rows = list(csv.DictReader(file, strict=True))
                self.log = [row for row in rows if int(row["step"]) <= step]
                if any(None in row for row in rows):
                    raise ValueError("more values than columns")
            except (KeyError, TypeError, ValueError, csv.Error):
                raise NerdrainError(
                    f"{path}: not the log of a run; put the log back, or move the file away to "
                    "begin a new log."
                ) from None

    def _write_log(self) -> None:
        if self.log:
            text = io.StringIO()
            columns = dict.fromkeys(name for row in self.log for name in row)
            writer = csv.DictWriter(text, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.log)
            write_atomically(self.path / "log.csv", text.getvalue().encode())

    def is_save_due(self) -> bool:
        """Whether `save_every_minutes` have passed since the last save."""
        return time.monotonic() - self.saved_at >= 60 * self.recipe.save_every_minutes

    def save(self, state: Mapping[str, Any]) -> None:
        """Bring the log up to date, write a state, then remove the oldest states.

        No state is removed while steps are broken, because the older ones may be the last good
        ones.

        Raises:
            NerdrainError: The state could not be written; the states before it are whole.
        """
        self.saved_at = time.monotonic()
        if not self.writes:
            return
        self._write_log()  # first, because a run that resumes can cut the log but not extend it
        content = io.BytesIO()
        torch.save(dict(state), content)
        path = self.path / CHECKPOINTS / f"step-{state['step']:09d}.pt"
        write_atomically(path, content.getvalue())
        if not state["broken"]:  # states later than this one could not be read
            old = [p for p in self.states() if p <= path][: -self.recipe.keep_checkpoints]
            for other in old:
                other.unlink(missing_ok=True)

    def write_samples(self, step: int, rows: Sequence[Sequence[np.ndarray]]) -> None:
        """Write one picture of images (H, W, 3) in [0, 1]; the images of a row have one size."""
        if not self.writes:
            return
        lines = [np.concatenate(row, axis=1) for row in rows]
        width = max(line.shape[1] for line in lines)
        padded = [
            np.pad(line, [(0, 0), (0, width - line.shape[1]), (0, 0)], constant_values=1)
            for line in lines
        ]
        sheet = np.rint(np.concatenate(padded).clip(0, 1) * 255).astype(np.uint8)
        content = io.BytesIO()
        Image.fromarray(sheet).save(content, "JPEG", quality=90)
        write_atomically(self.path / SAMPLES / f"step-{step:09d}.jpg", content.getvalue())


@contextmanager
def catch_stop_signals() -> Iterator[list[int]]:
    """A list that gets the number of SIGTERM or Ctrl-C (SIGINT), instead of stopping the program.

    A second signal stops the program at once, because the first one restores its own handlers.
    Outside the main thread, where Python delivers no signals, the list stays empty.
    """
    received: list[int] = []
    before: dict[int, Any] = {}

    def restore() -> None:
        while before:
            signal.signal(*before.popitem())

    def receive(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        restore()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, receive)
    try:
        yield received
    finally:
        restore()
