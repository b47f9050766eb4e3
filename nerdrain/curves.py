"""The curves of a training run, drawn from its log. Needs the extra "book", as `plotting` does."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from nerdrain.errors import NerdrainError
from nerdrain.plotting import STYLE


def read_log(run: Path) -> dict[str, list[tuple[int, float]]]:
    """A run's ``log.csv`` as curves: each column's (step, value), empty cells left out.

    Raises:
        NerdrainError: there is no log, or nothing in it.
    """
    path = run / "log.csv"
    if not path.is_file():
        raise NerdrainError(f"{path}: no such log; give the folder of a training run.")
    curves: dict[str, list[tuple[int, float]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                step = int(row["step"])
                for name, value in row.items():
                    if value and name != "step":
                        curves.setdefault(name, []).append((step, float(value)))
            except (KeyError, TypeError, ValueError):
                raise NerdrainError(f"{path}, line {number}: not a line of a log.") from None
    if not curves:
        raise NerdrainError(f"{path} is empty: nothing was logged yet.")
    return curves


def plot_run(run: Path, out: Path | None = None) -> Path:
    """Draw a run's losses, PSNR and learning rate into one picture, and return where it is."""
    curves = read_log(run)
    figure = draw_curves(curves)
    path = out or run / "curves.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


def draw_curves(curves: Mapping[str, Sequence[tuple[int, float]]]) -> Figure:
    """A matplotlib figure of `read_log`'s curves."""
    panels = {
        "loss": ["total", "char", "freq", "edge", "inr"],
        "PSNR (dB)": [n for n in curves if n.startswith("psnr_")],
        "learning rate": ["rate"],
    }
    with plt.rc_context(STYLE):
        figure = Figure(figsize=(8, 2.6 * len(panels)), layout="constrained")
        axes = figure.subplots(len(panels), 1, sharex=True)
    for axis, (label, names) in zip(axes, panels.items(), strict=True):
        for name in names:
            if name in curves:
                steps, values = zip(*curves[name], strict=True)
                axis.plot(steps, values, label=name.removeprefix("psnr_"))
        axis.set(ylabel=label)
        if label == "loss":
            axis.set_yscale("log")
        if len(names) > 1:
            axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    axes[-1].set_xlabel("step")
    return figure
