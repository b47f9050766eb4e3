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
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import numpy as np
import torch
from PIL import Image

from nerdrain.checkpoints import write_atomically
from nerdrain.errors import NerdrainError
from nerdrain.recipes import Recipe, read_recipe

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
        if (path / "recipe.yaml").exists():
            if not resume:
                raise NerdrainError(
                    f"{path}: it already holds a run; go on with it by --resume, choose another "
                    "folder, or move it away."
                )
            self._check_same(read_recipe(path / "recipe.yaml"))

    def begin(self) -> None:
        """Claim the folder."""
        if self.writes:
            write_atomically(self.path / "recipe.yaml", self.recipe.to_yaml().encode())

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
        return sorted((self.path / "checkpoints").glob("step-*.pt"))

    def load(self) -> dict[str, Any] | None:
        """The newest state that can be read, on the CPU; None where the run has none.

        Raises:
            NerdrainError: there are states and none can be read.
        """
        broken: list[str] = []
        for path in reversed(self.states()):
            try:
                state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            except Exception:  # a damaged file can make the reader fail in any way
                broken.append(path.name)
                continue
            self.log.resume(state["step"])
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
        """Write a state whole, then remove the oldest ones.

        Raises:
            NerdrainError: it could not be written; the states before it are whole.
        """
        self.saved_at = time.monotonic()
        if not self.writes:
            return
        content = io.BytesIO()
        torch.save(dict(state), content)
        write_atomically(
            self.path / "checkpoints" / f"step-{state['step']:09d}.pt", content.getvalue()
        )
        self.log.flush()
        for old in self.states()[: -self.recipe.keep]:
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

    Columns are those of the first line; values that a later line lacks stay empty.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, str]] = []
        self._board: Any = None

    def resume(self, step: int) -> None:
        """Keep what was logged up to a step, so that a run that goes on logs nothing twice."""
        if self.path.is_file():
            with self.path.open(encoding="utf-8", newline="") as file:
                self.rows = [row for row in csv.DictReader(file) if int(row["step"]) <= step]

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
        writer = csv.DictWriter(text, self.rows[0].keys(), lineterminator="\n")
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
