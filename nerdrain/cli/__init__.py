"""The command `nerdrain`. Every subcommand is a module of this package, with the same name.

The commands import torch, NumPy and the rest of the package when they run, so ``--help`` is fast.
"""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer

import nerdrain
from nerdrain.cli import ablate, convert, course, derain, evaluate, export, info, plot, rain, train
from nerdrain.cli.console import print_notes, report_errors
from nerdrain.errors import Stopped

app = typer.Typer(
    name="nerdrain",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def print_version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        typer.echo(f"nerdrain {nerdrain.__version__}")
        raise typer.Exit


@contextmanager
def exit_when_stopped() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does, so that it removes its unfinished files.

    The exit code is 128 plus the number of the signal, as in shells. A training run saves first.
    """

    def stop(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    in_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, stop) if in_main_thread else None
    try:
        yield
    except Stopped as stopped:
        typer.echo(f"nerdrain: {stopped}", err=True)
        raise typer.Exit(128 + stopped.number) from None
    finally:
        if in_main_thread:
            signal.signal(signal.SIGTERM, before)


VersionFlag = typer.Option(
    "--version", callback=print_version, is_eager=True, help="Print the version and stop."
)


@app.callback()
def main(version: Annotated[bool, VersionFlag] = False) -> None:
    """NeRD-Rain (CVPR 2024): take rain out of photographs, measure how well, and study how.

    Try: `nerdrain derain photo.jpg -o dry.jpg`
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not every terminal can show every file name
            stream.reconfigure(errors="backslashreplace")


for command in (
    derain.derain,
    evaluate.evaluate,
    rain.rain,
    info.info,
    convert.convert,
    export.export,
    train.train,
    plot.plot,
    ablate.ablate,
):
    app.command()(report_errors()(exit_when_stopped()(print_notes()(command))))

course_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for subcommand in (
    course.bundle,
    course.check,
    course.grade,
    course.marks,
    course.export,
    course.verify,
    course.new_key,
):
    course_app.command()(report_errors()(exit_when_stopped()(print_notes()(subcommand))))
app.add_typer(course_app, name="course", help="Hand out and grade the assignments of a course.")
