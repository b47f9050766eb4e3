"""The command `nerdrain`: derain photographs, measure, make rain, and look at networks.

Every command imports what it needs when it runs, so that ``--help`` answers at once.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

import nerdrain
from nerdrain.cli.console import check_free, note_unread, plan, protect, reported
from nerdrain.cli.training_cli import Device
from nerdrain.cli.training_cli import app as training_app
from nerdrain.errors import NerdrainError

app = typer.Typer(
    name="nerdrain",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

DEFAULT_MODEL = "nerd-rain-tiny"

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nerdrain {nerdrain.__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """NeRD-Rain (CVPR 2024): take rain out of photographs, measure how well, and study how.

    Try: `nerdrain derain photo.jpg -o dry.jpg`
    """


def _tile(text: str) -> Any:
    if text in ("auto", "whole"):
        return "auto" if text == "auto" else None
    if not text.isdecimal():
        raise typer.BadParameter(f"{text!r} is neither auto, whole nor a number of pixels.")
    return int(text)


@app.command()
@reported
def derain(
    inputs: Annotated[list[Path], typer.Argument(metavar="IN", help="Photographs, or folders.")],
    out: Annotated[
        Path, typer.Option("--output", "-o", help="A folder; or a file, for one photograph.")
    ],
    model: Annotated[
        str, typer.Option(help="A shipped model's name, or a .safetensors or released .pth file.")
    ] = DEFAULT_MODEL,
    device: Device = None,
    tile: Annotated[
        str,
        typer.Option(
            metavar="auto|whole|PIXELS",
            help="Derain in tiles of so many pixels a side. "
            "auto: whole while it fits in about 1.6 GiB, else in tiles that take half of that.",
        ),
    ] = "auto",
    overlap: Annotated[int, typer.Option(min=0, help="Pixels that neighbouring tiles share.")] = 32,
    overwrite: Overwrite = False,
) -> None:
    """Take the rain out of photographs.

    Size, depth, transparency, EXIF and colour profile stay; an input is never overwritten.
    The subfolders of a folder are not searched.

    Examples:
    - `nerdrain derain photo.jpg -o dry.jpg`
    - `nerdrain derain holiday/ more/*.png -o dry/ --device cuda`
    """
    side = _tile(tile)
    jobs = plan(inputs, out)
    note_unread(inputs)

    from nerdrain.cli.commands import derain_files

    derain_files(jobs, out, model, device, side, overlap, overwrite)


@app.command()
@reported
def evaluate(
    restored: Annotated[Path, typer.Option(help="Folder of the restored images.")],
    target: Annotated[Path, typer.Option(help="Folder of the clean images, of the same names.")],
    metric: Annotated[
        str, typer.Option(metavar="matlab-y|rgb|full-y|all", help="The convention; see above.")
    ] = "matlab-y",
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write the rows to this file too.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure PSNR and SSIM of restored images against clean ones of the same names.

    Conventions: `matlab-y` is MATLAB's Y, which the papers report; `rgb` takes the three channels;
    `full-y` is the Y of JPEG. The same images read about 1.3 dB more in `matlab-y` than in
    `full-y`: never compare across conventions. Subfolders are not searched.

    Example:
    - `nerdrain evaluate --restored dry/ --target clean/ --metric all --csv scores.csv`
    """
    from nerdrain.cli.commands import measure

    measure(restored, target, metric, csv_file, overwrite)


@app.command()
@reported
def rain(
    clean: Annotated[
        Path, typer.Argument(metavar="CLEAN_DIR", help="Folder of clean photographs.")
    ],
    out: Annotated[Path, typer.Option("--output", "-o", help="Gets input/ and target/.")],
    style: Annotated[
        str, typer.Option(metavar="light|heavy|mixed", help="How it rains.")
    ] = "light",
    mode: Annotated[
        str, typer.Option(metavar="additive|screen|veil", help="How rain is put on.")
    ] = "additive",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same rain.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Make paired data: put rain on clean photographs.

    Writes OUT/input/NAME.png (rainy) and OUT/target/NAME.png (clean), both as 8-bit RGB, and never
    over a photograph of CLEAN_DIR, whose subfolders are not searched. The rain of a photograph
    depends on the seed and on its name alone.

    Example:
    - `nerdrain rain photos/ -o pairs/ --style heavy --seed 1`
    """
    from nerdrain.cli.commands import make_pairs

    make_pairs(clean, out, style, mode, seed, overwrite)


@app.command()
@reported
def info(
    model: Annotated[str, typer.Argument(help="nerd-rain, nerd-rain-s, nerd-rain-tiny or a file.")],
    size: Annotated[int, typer.Option(min=1, help="Pixels a side for the multiply-adds.")] = 256,
) -> None:
    """Print a network's parameters and multiply-adds, beside the paper's Table 2.

    The released code evaluates its INR four times over and multiplies zeros; "as released" counts
    that, as the paper does, and "needed" counts what is enough for the same numbers.

    Example:
    - `nerdrain info nerd-rain-s --size 256`
    """
    from nerdrain.cli.commands import describe

    describe(model, size)


@app.command()
@reported
def convert(
    released: Annotated[Path, typer.Argument(metavar="RELEASED.pth", help="The authors' file.")],
    out: Annotated[Path, typer.Option("--output", "-o", help="The .safetensors file to write.")],
    overwrite: Overwrite = False,
) -> None:
    """Convert a checkpoint of the released code to a safetensors file with its configuration.

    Code in the file is never run.

    Example:
    - `nerdrain convert model_best.pth -o nerd-rain.safetensors`
    """
    if out.suffix != ".safetensors":
        raise NerdrainError(f"{out}: name a file that ends in .safetensors.")
    protect([released], [out])
    check_free(out, overwrite)

    from nerdrain.checkpoints.weights import convert_released

    config = convert_released(released, out).config
    typer.echo(f"{out}: width {config.width}, blocks {config.blocks}, the same weights.")


app.add_typer(training_app)
