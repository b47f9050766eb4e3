"""The command `nerdrain`. Every subcommand is a module of this package, with the same name.

The commands import torch, NumPy and the rest of the package when they run, so ``--help`` is fast.
"""

from typing import Annotated

import typer

import nerdrain
from nerdrain.cli import ablate, convert, derain, evaluate, info, plot, rain, train
from nerdrain.cli.console import print_notes, report_errors

app = typer.Typer(
    name="nerdrain",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def print_version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        typer.echo(f"nerdrain {nerdrain.__version__}")
        raise typer.Exit


VersionFlag = typer.Option(
    "--version", callback=print_version, is_eager=True, help="Print the version and stop."
)


@app.callback()
def main(version: Annotated[bool, VersionFlag] = False) -> None:
    """NeRD-Rain (CVPR 2024): take rain out of photographs, measure how well, and study how.

    Try: `nerdrain derain photo.jpg -o dry.jpg`
    """


for command in (
    derain.derain,
    evaluate.evaluate,
    rain.rain,
    info.info,
    convert.convert,
    train.train,
    plot.plot,
    ablate.ablate,
):
    app.command()(report_errors()(print_notes()(command)))
