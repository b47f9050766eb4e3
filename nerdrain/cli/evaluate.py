"""`nerdrain evaluate`: PSNR and SSIM of restored images."""

import csv
import io
import math
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from nerdrain.cli.console import Overwrite, check_free, note_unread, print_table, protect_inputs
from nerdrain.errors import NerdrainError
from nerdrain.files import list_images, write_atomically


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
    scores = []
    with Console(stderr=True).status("measuring") as status:
        for count, score in enumerate(evaluate_folders(restored, target, names)):
            status.update(f"measured {count // len(names) + 1} images")
            scores.append(score)
    means = [mean_score(s for s in scores if s.convention == name) for name in names]
    rows = [(s.name, s.convention, f"{s.psnr:.4f}", f"{s.ssim:.6f}") for s in [*scores, *means]]
    header = ("image", "metric", "PSNR (dB)", "SSIM")
    print_table(header, rows, numbers=2)
    if same := len({s.name for s in scores if math.isinf(s.psnr)}):
        what = "1 image is" if same == 1 else f"{same} images are"
        typer.echo(f"note: {what} identical to the target, so the PSNR is infinite.", err=True)
    if csv_file:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([header, *rows])
        write_atomically(csv_file, text.getvalue().encode())
