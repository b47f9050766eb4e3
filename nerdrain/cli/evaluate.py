"""`nerdrain evaluate`: PSNR and SSIM of restored images."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from nerdrain.cli.console import (
    Overwrite,
    as_sentence,
    check_free,
    note_unread,
    print_table,
    protect_inputs,
    repeat_errors,
    say,
)
from nerdrain.errors import NerdrainError
from nerdrain.files import list_images, write_atomically

if TYPE_CHECKING:
    from nerdrain.evaluation.folders import Score


def evaluate(
    restored: Annotated[Path, typer.Option(help="Folder of the restored images.")],
    target: Annotated[Path, typer.Option(help="Folder of the clean images, with the same names.")],
    metric: Annotated[
        str, typer.Option(metavar="matlab-y|rgb|full-y|all", help="The convention; see above.")
    ] = "matlab-y",
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Also write this file.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure PSNR and SSIM of restored images against clean images with the same names.

    There are three conventions. `matlab-y` uses MATLAB's Y, as the papers do. `rgb` uses the three
    channels. `full-y` uses the Y of JPEG. For the same images, `matlab-y` is about 1.3 dB higher
    than `full-y`, so compare numbers of one convention only. Subfolders are not searched.

    Example:
    - `nerdrain evaluate --restored dry/ --target clean/ --metric all --csv scores.csv`
    """
    from nerdrain.evaluation.folders import evaluate_folders, mean_score
    from nerdrain.evaluation.metrics import METRICS

    choices = [*METRICS, "all"]
    if metric not in choices:
        raise NerdrainError(f"there is no metric {metric!r}; choose one of {', '.join(choices)}.")
    inputs = [*list_images(restored), *list_images(target)]
    note_unread([restored, target])
    if csv_file:
        protect_inputs(inputs, [csv_file])
        check_free(csv_file, overwrite)
    names = list(METRICS) if metric == "all" else [metric]
    scores: list[Score] = []
    errors: list[str] = []

    def fail(name: str, error: Exception) -> None:
        text = as_sentence(error)
        errors.append(text if name in text else f"{name}: {text}")
        say(f"nerdrain: {errors[-1]}", err=True)

    with Console(stderr=True).status("measuring") as status:
        for count, score in enumerate(evaluate_folders(restored, target, names, fail)):
            status.update(f"measured {count // len(names) + 1} images")
            scores.append(score)
    # A mean of fewer images than there are would be compared with means of all.
    measured = [] if errors else names
    means = [mean_score(s for s in scores if s.convention == name) for name in measured]
    rows = [(s.name, s.convention, f"{s.psnr:.4f}", f"{s.ssim:.6f}") for s in [*scores, *means]]
    header = ("image", "metric", "PSNR (dB)", "SSIM")
    print_table(header, rows, numbers=2)
    note_identical(scores)
    if csv_file:
        write_csv(csv_file, [header, *rows], overwrite)
    if errors:
        say(
            f"nerdrain: {len(errors)} of {len(inputs) // 2} images failed, so there is no mean:",
            err=True,
        )
        repeat_errors(errors)
        raise typer.Exit(1)


def note_identical(scores: "Sequence[Score]") -> None:
    """Print on stderr how many images are identical to their targets."""
    if same := len({s.name for s in scores if math.isinf(s.psnr)}):
        what = "1 image is" if same == 1 else f"{same} images are"
        say(f"note: {what} identical to the target, so the PSNR is infinite.", err=True)


def write_csv(path: Path, rows: Sequence[Sequence[str]], overwrite: bool) -> None:
    """Write rows as a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    content = text.getvalue().encode(errors="backslashreplace")
    write_atomically(path, content, overwrite=overwrite)
