"""`nerdrain derain`: photographs in, the same photographs without rain out."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from nerdrain.cli.console import (
    Batch,
    Device,
    Overwrite,
    check_free,
    note_unread,
    protect_inputs,
)
from nerdrain.errors import NerdrainError
from nerdrain.files import IMAGE_SUFFIXES


def derain(
    inputs: Annotated[list[Path], typer.Argument(metavar="IN", help="Photographs, or folders.")],
    out: Annotated[
        Path, typer.Option("--output", "-o", help="A folder, or for one photograph a file.")
    ],
    model: Annotated[
        str, typer.Option(help="A shipped model's name, or a .safetensors or released .pth file.")
    ] = "nerd-rain-tiny",
    device: Device = None,
    tile: Annotated[
        str,
        typer.Option(
            metavar="auto|whole|PIXELS",
            help="Side of the square tiles in which a photograph is derained. whole: no tiles. "
            "auto: no tiles if about 1.6 GiB of memory is enough, otherwise tiles that need half "
            "of that.",
        ),
    ] = "auto",
    overlap: Annotated[int, typer.Option(min=0, help="Pixels that neighbouring tiles share.")] = 32,
    overwrite: Overwrite = False,
) -> None:
    """Take the rain out of photographs.

    The result has the size, bit depth, transparency, EXIF and colour profile of the photograph. An
    input is never overwritten. The subfolders of a folder are not searched.

    Examples:
    - `nerdrain derain photo.jpg -o dry.jpg`
    - `nerdrain derain holiday/ more/*.png -o dry/ --device cuda`
    """
    size = parse_tile(tile)
    jobs = plan_jobs(inputs, out)
    note_unread(inputs)

    from nerdrain.checkpoints.weights import load_model
    from nerdrain.data.images import load_image, save_image
    from nerdrain.devices import pick_device
    from nerdrain.inference.derain import derain as derain_image
    from nerdrain.inference.derain import tile_size

    if isinstance(size, int):
        check_tiles(f"--tile {size}", size, overlap)
    where = pick_device(device)
    network = load_model(model, where)
    if size == "auto" and (side := tile_size(2**30, 2**30, network)):
        check_tiles(f"--tile auto, here {side},", side, overlap)
    start = time.perf_counter()
    with Batch("deraining", len(jobs)) as batch:
        for job in jobs:
            with batch.file(job.source):
                check_free(job.target, overwrite)
                image = load_image(job.source)
                dry = derain_image(
                    image, network, tile=size, overlap=overlap, progress=batch.progress
                )
                save_image(dry, job.target)
    seconds = time.perf_counter() - start
    summary = f"Derained with {model} on {where} in {seconds:.1f} s"
    batch.finish(summary, out, "No photograph was derained")


def parse_tile(text: str) -> int | Literal["auto"] | None:
    """Read the option ``--tile`` as the argument `tile` of `nerdrain.derain`."""
    if text == "auto":
        return "auto"
    if text == "whole":
        return None
    if not text.isdecimal():
        raise typer.BadParameter(
            f"{text!r} is neither auto, whole nor a number of pixels.", param_hint="--tile"
        )
    return int(text)


def check_tiles(option: str, side: int, overlap: int) -> None:
    """Check the tiles once, before the first photograph, in the terms of the options.

    Args:
        option: the option as it was given, e.g. "--tile 64".
        side: of a tile, in pixels.
        overlap: pixels that neighbouring tiles share.

    Raises:
        NerdrainError: the tiles are too small for the network or for their overlap.
    """
    from nerdrain.inference.tiling import GRID

    most = math.ceil(side / GRID) // 2 * GRID  # both are rounded up to the network's grid
    if side < GRID:
        raise NerdrainError(
            f"{option} is too small; give at least {GRID} pixels and twice --overlap, "
            "or --tile whole."
        )
    if overlap > most:
        least = 2 * GRID * math.ceil(overlap / GRID)
        raise NerdrainError(
            f"{option} is too small for --overlap {overlap}; give --overlap {most} or less, "
            f"--tile {least} or more, or --tile whole."
        )


@dataclass(frozen=True)
class Job:
    """A photograph to read and the file to write its result to."""

    source: Path
    target: Path


def plan_jobs(inputs: Sequence[Path], out: Path) -> list[Job]:
    """Decide which file each photograph's result is written to.

    If there is one photograph and `out` has the suffix of an image, the result is the file `out`.
    Otherwise every result is written to the folder `out`, under the photograph's name.

    Raises:
        NerdrainError: a folder holds no photograph, two photographs have the same name, `out` is
            one file for several photographs, has the suffix of no image format, or would replace
            an input.
    """
    if len(inputs) == 1 and not (inputs[0].is_dir() or out.is_dir()):
        check_suffix(out)
    is_file = out.suffix.lower() in IMAGE_SUFFIXES and not out.is_dir()
    sources = [path for source in inputs for path in find_photos(source)]
    if is_file and (len(sources) > 1 or inputs[0].is_dir()):
        raise NerdrainError(
            f"{out} is one file, and a folder is needed for these photographs; give -o a folder."
        )
    jobs: dict[Path, Job] = {}
    for source in sources:
        job = Job(source, out if is_file else out / source.name)
        first = jobs.setdefault(job.target, job)
        if first is not job:
            raise NerdrainError(
                f"{first.source} and {source} would both become {job.target}; derain them one by "
                "one, into two folders."
            )
    protect_inputs(sources, jobs)
    return list(jobs.values())


def find_photos(source: Path) -> list[Path]:
    """The photographs directly in a folder, sorted by name; a file is returned as it is."""
    if not source.is_dir():
        return [source]
    found = sorted(
        path
        for path in source.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not path.name.startswith(".")
        and path.is_file()
    )
    if not found:
        kinds = ", ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
        raise NerdrainError(f"{source} holds no photograph ({kinds}); subfolders are not searched.")
    return found


def check_suffix(out: Path) -> None:
    """Refuse an output file that cannot be written as an image."""
    if out.suffix and out.suffix.lower() not in IMAGE_SUFFIXES:
        raise NerdrainError(
            f"{out} has the suffix of no image format; choose one of {', '.join(IMAGE_SUFFIXES)}, "
            "or make the folder first if you want a folder."
        )
