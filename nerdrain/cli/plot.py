"""`nerdrain plot`: the curves of a training run as a picture."""

from pathlib import Path
from typing import Annotated

import typer

from nerdrain.cli.console import Overwrite
from nerdrain.errors import NerdrainError


def plot(
    run: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Folder of a training run.")],
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The picture; by default RUN_DIR/curves.png."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw a training run's losses, PSNR and learning rate. Needs the extra "book".

    Example:
    - `nerdrain plot runs/short`
    """
    try:
        from nerdrain.training.curves import plot_run
    except ModuleNotFoundError as error:
        raise NerdrainError(f'{error.name} is missing; run pip install "nerdrain[book]".') from None

    typer.echo(f"The curves are in {plot_run(run, out, overwrite=overwrite)}.")
