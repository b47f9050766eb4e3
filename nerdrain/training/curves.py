"""The curves of a training run, drawn from its log. They need the extra "book", like `plotting`."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from nerdrain.errors import NerdrainError
from nerdrain.files import write_atomically
from nerdrain.plotting.figures import STYLE
from nerdrain.training.losses import LossTerms


def read_log(run: Path) -> dict[str, list[tuple[int, float]]]:
    """A run's ``log.csv`` as curves: each column's (step, value), empty cells left out.

    Raises:
        NerdrainError: There is no log, it is empty, or it is not the log of a training run.
    """
    path = run / "log.csv"
    if not path.is_file():
        raise NerdrainError(f"{path}: no such log; give the folder of a training run.")
    curves: dict[str, list[tuple[int, float]]] = {}
    number = 1
    try:
        for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
            number += 1
            step = int(row["step"])
            for name, value in row.items():
                if value and name != "step":
                    curves.setdefault(name, []).append((step, float(value)))
    except (KeyError, TypeError, ValueError, csv.Error):
        raise NerdrainError(f"{path}, line {number}: not a line of a log.") from None
    if not curves:
        raise NerdrainError(f"{path} is empty: nothing was logged yet.")
    if "total" not in curves:
        raise NerdrainError(f"{path}: it has no losses; give the folder of a training run.")
    return curves


def plot_run(run: Path, out: Path | None = None, *, overwrite: bool = False) -> Path:
    """Draw a run's losses, PSNR and learning rate into one picture, and return its path.

    Args:
        run: The folder of the run.
        out: The picture, .png, .pdf or .svg; by default ``curves.png`` in the folder, where an
            older picture is replaced.
        overwrite: Whether `out` may be replaced.

    Raises:
        NerdrainError: As for `read_log`, or the picture exists or cannot be written.
    """
    figure = draw_curves(read_log(run))
    path = out or run / "curves.png"
    kind = path.suffix[1:].lower()
    if kind not in figure.canvas.get_supported_filetypes() or path.is_dir():
        raise NerdrainError(f"{path}: name a file that ends in .png, .pdf or .svg.")
    content = io.BytesIO()
    figure.savefig(content, format=kind)
    write_atomically(path, content.getvalue(), overwrite=overwrite or out is None)
    return path


def draw_curves(curves: Mapping[str, Sequence[tuple[int, float]]]) -> Figure:
    """A matplotlib figure of `read_log`'s curves."""
    panels = {
        "loss": list(LossTerms._fields),
        "PSNR (dB)": [n for n in curves if n.startswith("psnr_")],
        "learning rate": ["lr"],
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
