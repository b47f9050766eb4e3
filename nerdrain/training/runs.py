"""The folder of a training run: what it holds, how it is written, and how a run goes on from it.

recipe.yaml          the recipe in full
log.csv              losses, rate and speed as the run went, and PSNR at each validation
model.safetensors    the weights that did best on the validation images
checkpoints/         the last few complete states, to go on from
samples/             the same validation images at each evaluation: rainy, derained, clean
tensorboard/         the log for TensorBoard, where it is installed
"""

from __future__ import annotations

import csv
import io
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import numpy as np
import torch
from PIL import Image

from nerdrain.checkpoints.weights import WEIGHTS
from nerdrain.errors import NerdrainError
from nerdrain.files import write_atomically
from nerdrain.training.recipes import Recipe, read_recipe

#: Settings that do not change what a run computes, and may differ when it goes on.
FREE = ("workers", "log_every", "save_minutes", "keep")


class RunFolder:
    """Reads and writes the folder of one run.

    Args:
        path: the folder.
        recipe: what the run does.
        resume: whether a run that is there already goes on; else it is an error.
        writes: False for the processes that only read, all but the first.

    Raises:
        NerdrainError: the folder holds a run that may not go on here.
    """

    def __init__(self, path: Path, recipe: Recipe, *, resume: bool, writes: bool = True) -> None:
        self.path, self.recipe, self.writes = path, recipe, writes
        self.log = Log(path / "log.csv")
        self.saved_at = time.monotonic()
        begun = bool(self.states()) or (path / WEIGHTS).exists()  # else there is nothing to lose
        if begun and (path / "recipe.yaml").exists():
            if not resume:
                raise NerdrainError(
                    f"{path}: it already holds a run; go on with it by --resume, choose another "
                    "folder, or move it away."
                )
            self._check_same(read_recipe(path / "recipe.yaml"))

    def begin(self) -> None:
        """Claim the folder until the process ends.

        Raises:
            NerdrainError: another process trains in it, or it cannot be written.
        """
        if self.writes:
            recipe = self.path / "recipe.yaml"
            if recipe.is_file():
                self._lock(recipe)
            write_atomically(recipe, self.recipe.to_yaml().encode())
            self._lock(recipe)
            for part in self.path.rglob(".*.part"):  # what a killed process was writing
                part.unlink(missing_ok=True)

    def _lock(self, file: Path) -> None:
        """Keep other processes out, where the system can: not on Windows, nor on every network."""
        with suppress(ImportError):
            import fcntl

            self._locked = file.open("r+b")
            try:
                fcntl.lockf(self._locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                reason = "another process trains in it; wait for its end, or choose another folder."
                raise NerdrainError(f"{self.path}: {reason}") from None
            except OSError:  # a file system without locks
                pass

    def _check_same(self, before: Recipe) -> None:
        names = [n for n in vars(before) if n not in FREE]
        differ = [n for n in names if getattr(before, n) != getattr(self.recipe, n)]
        if differ:
            raise NerdrainError(
                f"{self.path}: its recipe differs in {', '.join(differ)}; go on with the same "
                "recipe, or begin a run in another folder."
            )

    def states(self) -> list[Path]:
        """The files of complete states, oldest first."""
        return sorted((self.path / "checkpoints").glob("step-[0-9]*.pt"))

    def load(self, restore: Callable[[Mapping[str, Any]], object] = dict) -> dict[str, Any] | None:
        """The newest state that can be read, on the CPU; None where the run has none.

        Args:
            restore: Is given the state; one that it cannot take counts as one that cannot be read.

        Raises:
            NerdrainError: there are states and none can be read.
        """
        broken: list[str] = []
        for path in reversed(self.states()):
            try:
                state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
                step = int(state["step"])
                restore(state)
            except Exception:  # a damaged file can make the reader fail in any way
                broken.append(path.name)
                continue
            self.log.resume(step)
            return state
        if broken:
            raise NerdrainError(
                f"{self.path}: no checkpoint can be read ({', '.join(broken)}); begin anew in "
                "another folder, with `init` set to the run's model.safetensors."
            )
        return None

    def due(self) -> bool:
        """Whether it is time to save."""
        return time.monotonic() - self.saved_at >= 60 * self.recipe.save_minutes

    def save(self, state: Mapping[str, Any]) -> None:
        """Bring the log up to date and write a state whole, then remove the oldest ones.

        None is removed while steps are broken: those before may be the last good ones.

        Raises:
            NerdrainError: it could not be written; the states before it are whole.
        """
        self.saved_at = time.monotonic()
        if not self.writes:
            return
        self.log.flush()  # first: a run that goes on cuts what is too much, and cannot add
        content = io.BytesIO()
        torch.save(dict(state), content)
        path = self.path / "checkpoints" / f"step-{state['step']:09d}.pt"
        write_atomically(path, content.getvalue())
        if not state["broken"]:  # later states than this one could not be read
            for old in [p for p in self.states() if p <= path][: -self.recipe.keep]:
                old.unlink(missing_ok=True)

    def show(self, step: int, rows: Sequence[Sequence[np.ndarray]]) -> None:
        """Write a picture of images (H, W, 3) in [0, 1], row by row, each row of equal sizes."""
        if not self.writes:
            return
        lines = [np.concatenate(row, axis=1) for row in rows]
        sheet = np.full((sum(r.shape[0] for r in lines), max(r.shape[1] for r in lines), 3), 255)
        top = 0
        for line in lines:
            sheet[top : top + line.shape[0], : line.shape[1]] = np.rint(line.clip(0, 1) * 255)
            top += line.shape[0]
        content = io.BytesIO()
        Image.fromarray(sheet.astype(np.uint8)).save(content, "JPEG", quality=90)
        write_atomically(self.path / "samples" / f"step-{step:09d}.jpg", content.getvalue())


class Log:
    """``log.csv``, and the same for TensorBoard where that is installed.

    Columns are those of all lines; values that a line lacks stay empty.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, str]] = []
        self._board: Any = None

    def resume(self, step: int) -> None:
        """Keep what was logged up to a step, so that a run that goes on logs nothing twice.

        Raises:
            NerdrainError: the file is not a log.
        """
        if self.path.is_file():
            try:
                with self.path.open(encoding="utf-8", newline="") as file:
                    rows = list(csv.DictReader(file, strict=True))
                self.rows = [row for row in rows if int(row["step"]) <= step]
                if any(None in row for row in rows):
                    raise ValueError("more values than columns")
            except (KeyError, TypeError, ValueError, csv.Error):
                raise NerdrainError(
                    f"{self.path}: not the log of a run; put it back, or move it away and a new "
                    "one begins."
                ) from None

    def write(self, row: Mapping[str, str]) -> None:
        """Add a line."""
        self.rows.append(dict(row))
        board = self._tensorboard(int(row["step"]))
        for name, value in row.items():
            if value and name != "step" and board is not None:
                board.add_scalar(name, float(value), int(row["step"]))

    def flush(self) -> None:
        """Bring the file up to date; it is whole at any moment."""
        if not self.rows:
            return
        text = io.StringIO()
        columns = dict.fromkeys(name for row in self.rows for name in row)
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_atomically(self.path, text.getvalue().encode())
        if self._board is not None:
            self._board.flush()

    def _tensorboard(self, step: int) -> Any:
        if self._board is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                return None
            folder = str(self.path.parent / "tensorboard")
            self._board = SummaryWriter(folder, purge_step=step)  # type: ignore[no-untyped-call]
        return self._board


class StopRequest:
    """Whether SIGTERM or Ctrl-C asked the run to stop; a second one stops it at once.

    A context manager, so that the program's own handlers come back. Outside the main thread, where
    Python hands out no signals, it never asks.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()
