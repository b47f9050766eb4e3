"""The paper's ablations at a small scale: Tables 3 to 6 on the repository's own photographs.

Every row trains the same small network with the row's change, in both fidelities, with several
seeds; all runs of one seed see the same crops and the same rain. What is measured is the derained
middle of each test photograph, which no run has seen, under rain like the table's data set.
"""

from __future__ import annotations

import csv
import io
import math
import multiprocessing
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from scipy.stats import t as students_t

from nerdrain.data.photos import load_photo, photo_names
from nerdrain.data.rain import add_rain
from nerdrain.errors import NerdrainError, Stopped
from nerdrain.evaluation.metrics import psnr_matlab_y
from nerdrain.evaluation.paper import Ablation, Variant, ablation
from nerdrain.files import write_atomically
from nerdrain.model.network import NeRDRain
from nerdrain.training.batches import middle
from nerdrain.training.loop import train
from nerdrain.training.recipes import Recipe, read_recipe
from nerdrain.training.runs import RunFolder, StopRequest

FIDELITIES = ("paper", "released")
GRACE = 10
"""Seconds in which runs save that were told to stop, before they are told again."""


@dataclass(frozen=True)
class Result:
    """What one run of one row came to.

    Attributes:
        table: the paper's number.
        row: the row's name.
        fidelity: "paper" or "released".
        seed: of the run.
        psnr: mean over the test photographs' middles, in dB (MATLAB's Y).
        minutes: that the training took.
    """

    table: int
    row: str
    fidelity: str
    seed: int
    psnr: float
    minutes: float


@dataclass(frozen=True)
class Run:
    """One run that an ablation needs."""

    table: int
    variant: Variant
    style: str
    fidelity: str
    seed: int
    recipe: Recipe

    @property
    def name(self) -> str:
        """Of the run's folder."""
        return f"{self.variant.name}-{self.fidelity}-{self.seed}"

    def finish(self, out: Path, threads: int, device: str | None) -> Result:
        """Train, or go on with what is there; then measure."""
        torch.set_num_threads(threads)
        folder = out / self.name
        file = out / f"{self.name}.yaml"
        write_atomically(file, self.recipe.to_yaml().encode())
        train(file, run_dir=folder, device=device, resume=True)
        state = RunFolder(folder, self.recipe, resume=True, writes=False).load()
        if state is None:
            raise NerdrainError(f"{folder}: its last checkpoint is gone; run the ablation again.")
        model = NeRDRain(self.recipe.config).eval()
        model.load_state_dict(state["average"])
        psnr = measure(model, self.style)
        return Result(
            self.table, self.variant.name, self.fidelity, self.seed, psnr, state["minutes"]
        )


def plan_ablation(table: int, recipe_file: str | Path, seeds: int) -> list[Run]:
    """Every run of an ablation: rows, fidelities and seeds.

    Raises:
        NerdrainError: no such table or recipe, or no seeds.
    """
    if seeds < 1:
        raise NerdrainError(f"{seeds} seeds: give 1 or more, and 3 or more for a spread.")
    which = ablation(table)
    base = read_recipe(recipe_file)
    runs = []
    for seed in range(seeds):
        for variant in which.trainable:
            for fidelity in FIDELITIES:
                changes = base.changes | dict(variant.changes or {}) | {"fidelity": fidelity}
                changed = {"changes": changes, "style": which.style, "seed": seed}
                recipe = Recipe(**(asdict(base) | changed))
                _ = recipe.config  # says now that a row is not possible
                runs.append(Run(table, variant, which.style, fidelity, seed, recipe))
    return runs


@torch.inference_mode()
def measure(model: torch.nn.Module, style: str) -> float:
    """Mean PSNR in MATLAB's Y over the middles of the test photographs, in dB."""
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
    """Finish every run, a few at once, each on one thread then; results as they come.

    An ablation that was stopped goes on where it was.

    Args:
        runs: of `plan_ablation`.
        out: a folder; it gets a folder for each run, and ``results.csv``.
        jobs: runs at once.
        device: as for `nerdrain.pick_device`.

    Raises:
        NerdrainError: it was asked to stop, or a run failed; those under way are finished first.
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
        with StopRequest() as stop, ProcessPoolExecutor(jobs, mp_context=fresh) as pool:
            waiting, running = list(runs), set[Future[Result]]()
            while waiting or running:
                if stop.received:
                    wait(running, timeout=GRACE)  # Ctrl-C reaches them too, SIGTERM may not
                    for process in multiprocessing.active_children():
                        process.terminate()
                    raise Stopped
                while waiting and len(running) < jobs:  # no more: what has begun cannot be undone
                    running.add(pool.submit(waiting.pop(0).finish, out, 1, device))
                done, running = wait(running, timeout=1, return_when=FIRST_COMPLETED)
                yield from (note(future.result()) for future in done)
    except Stopped:
        raise NerdrainError(f"stopped, and saved in {out}; the same command goes on.") from None
    except BrokenProcessPool:
        reason = "a run was killed, perhaps for memory; lower --jobs, and the command goes on."
        raise NerdrainError(f"{out}: {reason}") from None


def write_results(results: Iterable[Result], path: Path) -> None:
    """Write results as CSV, whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [f.name for f in fields(Result)], lineterminator="\n")
    writer.writeheader()
    for result in sorted(results, key=lambda r: (r.table, r.row, r.fidelity, r.seed)):
        writer.writerow(
            asdict(result) | {"psnr": f"{result.psnr:.4f}", "minutes": f"{result.minutes:.2f}"}
        )
    write_atomically(path, text.getvalue().encode())


def read_results(path: str | Path) -> list[Result]:
    """The inverse of `write_results`; lines that begin with # are comments."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return [
        Result(
            int(row["table"]),
            row["row"],
            row["fidelity"],
            int(row["seed"]),
            float(row["psnr"]),
            float(row["minutes"]),
        )
        for row in rows
    ]


@dataclass(frozen=True)
class Comparison:
    """A row against the whole method, of one fidelity.

    Attributes:
        mean: PSNR, the mean over seeds, in dB.
        spread: its standard deviation over seeds; NaN with one.
        gap: the mean difference from the whole method, seed by seed, in dB.
        half_width: of that difference's 95 % interval (Student's t); NaN with one seed.
    """

    mean: float
    spread: float
    gap: float
    half_width: float

    @property
    def told_apart(self) -> bool:
        """Whether the interval leaves out 0: only then do the seeds support a difference."""
        return abs(self.gap) > self.half_width  # False for NaN


def compare(results: Sequence[Result], which: Ablation, row: str, fidelity: str) -> Comparison:
    """A row of an ablation against the whole method, over the seeds that both have."""
    mine = {r.seed: r.psnr for r in results if (r.row, r.fidelity) == (row, fidelity)}
    ours = {r.seed: r.psnr for r in results if (r.row, r.fidelity) == (which.ours, fidelity)}
    values = np.array(list(mine.values()))
    gaps = np.array([mine[seed] - ours[seed] for seed in mine.keys() & ours.keys()])
    n = len(gaps)
    many = n > 1
    width = students_t.ppf(0.975, n - 1) * gaps.std(ddof=1) / math.sqrt(n) if many else math.nan
    return Comparison(
        float(values.mean()) if len(values) else math.nan,
        float(values.std(ddof=1)) if len(values) > 1 else math.nan,
        float(gaps.mean()) if n else math.nan,
        float(width),
    )


def table_rows(results: Sequence[Result], table: int) -> list[list[str]]:
    """The ablation as cells of text: a heading, then a line for each row of the paper's table."""
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
                verdict = "" if c.told_apart else ", not told apart"
                text += f" ({c.gap:+.2f} ± {c.half_width:.2f}{verdict})"
            cells.append(text)
        lines.append(cells)
    return lines
