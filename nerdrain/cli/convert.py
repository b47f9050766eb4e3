"""`nerdrain convert`: the authors' checkpoint in, a safetensors file out."""

from pathlib import Path
from typing import Annotated

import typer

from nerdrain.cli.console import Overwrite, check_free, protect_inputs
from nerdrain.errors import NerdrainError


def convert(
    released: Annotated[Path, typer.Argument(metavar="RELEASED.pth", help="The authors' file.")],
    out: Annotated[Path, typer.Option("--output", "-o", help="The .safetensors file to write.")],
    overwrite: Overwrite = False,
) -> None:
    """Convert a checkpoint of the released code to a safetensors file with its configuration.

    Code in the checkpoint is never run. A file of PyTorch before 1.6 has no checksum; a note says
    so.

    Example:
    - `nerdrain convert model_best.pth -o nerd-rain.safetensors`
    """
    if out.suffix != ".safetensors":
        raise NerdrainError(f"{out}: give the output a name that ends in .safetensors.")
    protect_inputs([released], [out])
    check_free(out, overwrite)

    from nerdrain.checkpoints.weights import convert_released

    config = convert_released(released, out, overwrite=overwrite).config
    typer.echo(f"{out}: width {config.width}, blocks {config.blocks}, the same weights.")
