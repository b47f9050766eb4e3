"""The paper's ablations at a small scale: Tables 3 to 6 on the repository's own photographs.

Every row trains the same small network with the change of the row, in both fidelities and with
several seeds. All runs with one seed see the same crops and the same rain. The result is the PSNR
on the middles of the test photographs, which no run has seen, under rain like the table's data set.
"""

from __future__ import annotations

import csv
import io
import math
import multiprocessing
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ConfigDict
from scipy.stats import t as students_t

from nerdrain.data.photos import load_photo, photo_names
from nerdrain.data.rain import add_rain
from nerdrain.errors import NerdrainError, Settings, Stopped
from nerdrain.evaluation.metrics import psnr_matlab_y
from nerdrain.evaluation.paper import Ablation, Variant, ablation
from nerdrain.files import write_atomically
from nerdrain.model.network import NeRDRain
from nerdrain.training.batches import middle
from nerdrain.training.loop import train
from nerdrain.training.recipes import Recipe, read_recipe
from nerdrain.training.runs import RunFolder, catch_stop_signals

FIDELITIES = ("paper", "released")
GRACE = 10
"""Seconds that runs have to save after a stop request, before they are stopped again."""


class Result(Settings):
    """The result of one run."""

    model_config = ConfigDict(strict=False)  # numbers are text in a CSV file

    table: int
    """Number of the paper's table."""
    row: str
    """Name of the row."""
    fidelity: str
    """Fidelity of the network, "paper" or "released"."""
    seed: int
    """Seed of the run."""
    psnr: float
    """Mean PSNR over the middles of the test photographs, in dB (MATLAB's Y)."""
    minutes: float
    """Minutes of training."""


@dataclass(frozen=True)
class Run:
    """One run of an ablation."""

    table: int
    variant: Variant
    style: str
    recipe: Recipe

    @property
    def fidelity(self) -> str:
        """Fidelity of the network, "paper" or "released"."""
        return self.recipe.config.fidelity

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        return f"{self.variant.name}-{self.fidelity}-{self.recipe.seed}"

    def finish(self, out: Path, threads: int, device: str | None) -> Result:
        """Train, or resume the run in its folder, then measure its network."""
        torch.set_num_threads(threads)
        folder, file = out / self.name, out / f"{self.name}.yaml"
        write_atomically(file, self.recipe.to_yaml().encode())
        train(file, run_dir=folder, device=device, resume=True)
        state = RunFolder(folder, self.recipe, resume=True, writes=False).load()
        if state is None:
            raise NerdrainError(f"{folder}: its last checkpoint is gone; run the ablation again.")
        model = NeRDRain(self.recipe.config).eval()
        model.load_state_dict(state["ema"])
        return Result(
            table=self.table,
            row=self.variant.name,
            fidelity=self.fidelity,
            seed=self.recipe.seed,
            psnr=measure(model, self.style),
            minutes=state["minutes"],
        )


def plan_ablation(table: int, recipe_file: str | Path, seeds: int) -> list[Run]:
    """Every run of an ablation: rows, fidelities and seeds.

    Raises:
        NerdrainError: There is no such table or recipe, or no seeds.
    """
    if seeds < 1:
        raise NerdrainError(f"{seeds} seeds: give 1 or more, and 3 or more for a spread.")
    which, base = ablation(table), read_recipe(recipe_file)
    varied = {name for row in which.trainable for name in row.changes or {}} | {"fidelity"}
    if fixed := sorted(varied & base.overrides.keys()):
        raise NerdrainError(
            f"{recipe_file}: the rows of table {table} set {', '.join(fixed)}; leave it out of "
            "overrides."
        )
    if not base.max_steps or base.pairs is not None:
        raise NerdrainError(
            f"{recipe_file}: an ablation trains on photographs for max_steps; leave out pairs and "
            "epochs."
        )
    runs = []
    for seed in range(seeds):
        for variant in which.trainable:
            for fidelity in FIDELITIES:
                overrides = base.overrides | dict(variant.changes or {}) | {"fidelity": fidelity}
                recipe = base.with_changes(overrides=overrides, rain_style=which.style, seed=seed)
                runs.append(Run(table, variant, which.style, recipe))
    return runs


@torch.inference_mode()
def measure(model: torch.nn.Module, style: str) -> float:
    """Mean PSNR (MATLAB's Y) over the middles of the test photographs, in dB."""
    values = []
    for number, name in enumerate(photo_names("test")):
        clean = middle(load_photo(name))
        rainy, _ = add_rain(clean, style, seed=number)
        x = torch.from_numpy(rainy).movedim(-1, 0)[None]  # (1, 3, H, W)
        restored = model(x).full[0].clamp(0, 1).movedim(0, -1).numpy()
        values.append(psnr_matlab_y(restored, clean))
    return float(np.mean(values))


def run_ablation(
    runs: Sequence[Run], out: Path, jobs: int = 1, device: str | None = None
) -> Iterable[Result]:
    """Finish every run, and yield the results as they come; a stopped ablation resumes.

    Args:
        runs: The runs of `plan_ablation`.
        out: A folder; it gets a folder for each run, and ``results.csv``.
        jobs: Runs at the same time; if there are several, each uses one thread.
        device: As for `nerdrain.pick_device`.

    Raises:
        Stopped: The ablation was asked to stop, and has saved.
        NerdrainError: A run failed.
    """
    results: list[Result] = []

    def note(result: Result) -> Result:
        results.append(result)
        write_results(results, out / "results.csv")
        return result

    try:
        if jobs == 1:
            for run in runs:
                yield note(run.finish(out, torch.get_num_threads(), device))
            return
        fresh = multiprocessing.get_context("spawn")
        with catch_stop_signals() as stop, ProcessPoolExecutor(jobs, mp_context=fresh) as pool:
            waiting, running = list(runs), set[Future[Result]]()
            while waiting or running:
                if stop:
                    wait(running, timeout=GRACE)  # Ctrl-C reaches the runs too, SIGTERM may not
                    for process in multiprocessing.active_children():
                        process.terminate()
                    raise Stopped("", *stop)
                while waiting and len(running) < jobs:  # a run that has begun cannot be withdrawn
                    running.add(pool.submit(waiting.pop(0).finish, out, 1, device))
                done, running = wait(running, timeout=1, return_when=FIRST_COMPLETED)
                yield from (note(future.result()) for future in done)
    except Stopped as stopped:
        reason = f"stopped, and saved in {out}; the same command continues it."
        raise Stopped(reason, stopped.number) from None
    except BrokenProcessPool:
        reason = "a run was killed, perhaps because memory is full; lower --jobs and run it again."
        raise NerdrainError(f"{out}: {reason}") from None


def write_results(results: Iterable[Result], path: Path) -> None:
    """Write results as CSV; the file is whole at any moment."""
    text = io.StringIO()
    writer = csv.DictWriter(text, Result.model_fields, lineterminator="\n")
    writer.writeheader()
    for result in sorted(results, key=lambda r: (r.table, r.row, r.fidelity, r.seed)):
        numbers = {"psnr": f"{result.psnr:.4f}", "minutes": f"{result.minutes:.2f}"}
        writer.writerow(result.model_dump() | numbers)
    write_atomically(path, text.getvalue().encode())


def read_results(path: str | Path) -> list[Result]:
    """Read a file of `write_results`; lines that begin with # are comments."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    rows: Any = csv.DictReader(line for line in lines if not line.startswith("#"))
    return [Result(**row) for row in rows]


@dataclass(frozen=True)
class Comparison:
    """A row compared with the whole method, in one fidelity.

    Attributes:
        mean: Mean PSNR over seeds, in dB.
        spread: Standard deviation of the PSNR over seeds, in dB; NaN with one seed.
        gap: Mean difference from the whole method, seed by seed, in dB.
        half_width: Half the width of that difference's 95 % interval (Student's t), in dB; NaN with
            one seed.
    """

    mean: float
    spread: float
    gap: float
    half_width: float

    @property
    def significant(self) -> bool:
        """Whether the interval excludes 0, so that the seeds support a difference."""
        return abs(self.gap) > self.half_width  # False for NaN


def compare(results: Sequence[Result], which: Ablation, row: str, fidelity: str) -> Comparison:
    """Compare a row of an ablation with the whole method, over the seeds of both."""
    mine = {r.seed: r.psnr for r in results if (r.row, r.fidelity) == (row, fidelity)}
    ours = {r.seed: r.psnr for r in results if (r.row, r.fidelity) == (which.ours, fidelity)}
    mean, spread, _ = _mean_and_deviation(list(mine.values()))
    gaps = [mine[seed] - ours[seed] for seed in mine.keys() & ours.keys()]
    gap, deviation, count = _mean_and_deviation(gaps)
    half_width = students_t.ppf(0.975, count - 1) * deviation / math.sqrt(max(count, 1))
    return Comparison(mean, spread, gap, float(half_width))


def _mean_and_deviation(values: list[float]) -> tuple[float, float, int]:
    """Mean (NaN of none), standard deviation (NaN of fewer than two), and count."""
    count = len(values)
    mean = float(np.mean(values)) if count else math.nan
    return mean, float(np.std(values, ddof=1)) if count > 1 else math.nan, count


def table_rows(results: Sequence[Result], table: int) -> list[list[str]]:
    """The ablation as cells of text: a heading, then one line for each row of the paper's table."""
    which = ablation(table)
    heading = ["row", "what it changes", f"paper, {which.dataset}"]
    lines = [[*heading, *(f'here, "{fidelity}"' for fidelity in FIDELITIES)]]
    for row in which.rows:
        cells = [row.name, row.description, f"{row.psnr:.2f}"]
        for fidelity in FIDELITIES:
            c = compare(results, which, row.name, fidelity)
            if math.isnan(c.mean):
                cells.append("-")
                continue
            text = f"{c.mean:.2f}" + ("" if math.isnan(c.spread) else f" ± {c.spread:.2f}")
            if row.name != which.ours and not math.isnan(c.half_width):
                verdict = "" if c.significant else ", not significant"
                text += f" ({c.gap:+.2f} ± {c.half_width:.2f}{verdict})"
            cells.append(text)
        lines.append(cells)
    return lines
