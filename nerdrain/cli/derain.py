"""`nerdrain derain`: photographs in, the same photographs without rain out."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from nerdrain.cli.console import Batch, Device, Overwrite, check_free, note_unread, protect_inputs
from nerdrain.errors import NerdrainError
from nerdrain.files import IMAGE_SUFFIXES, list_images

TILE_HELP = (
    "Side of the square tiles in which a photograph is derained. whole: no tiles. auto: no tiles "
    "if about 1.6 GiB of memory is enough, otherwise tiles that need half of that."
)


def derain(
    inputs: Annotated[list[Path], typer.Argument(metavar="IN", help="Photographs, or folders.")],
    out: Annotated[
        Path, typer.Option("--output", "-o", help="A folder, or for one photograph a file.")
    ],
    model: Annotated[
        str, typer.Option(help="A shipped model's name, or a .safetensors or released .pth file.")
    ] = "nerd-rain-tiny",
    device: Device = None,
    tile: Annotated[str, typer.Option(metavar="auto|whole|PIXELS", help=TILE_HELP)] = "auto",
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
    photographs = plan_outputs(inputs, out)
    note_unread(inputs)

    from nerdrain.checkpoints.weights import load_model
    from nerdrain.data.images import load_image, save_image
    from nerdrain.devices import pick_device
    from nerdrain.inference.derain import derain as derain_image
    from nerdrain.inference.derain import tile_size
    from nerdrain.inference.tiling import split_side

    where = pick_device(device)
    network = load_model(model, where)
    # Refuse tiles that do not fit their overlap now, and not at the first large photograph.
    if side := tile_size(2**30, 2**30, network, size):
        split_side(side, side, overlap)
    start = time.perf_counter()
    with Batch("deraining", len(photographs)) as batch:
        for target, source in photographs.items():
            with batch.file(source):
                check_free(target, overwrite)
                image = load_image(source)
                dry = derain_image(
                    image, network, tile=size, overlap=overlap, progress=batch.progress
                )
                save_image(dry, target)
    seconds = time.perf_counter() - start
    batch.finish(f"Derained with {model} on {where} in {seconds:.1f} s", out)


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


def plan_outputs(inputs: Sequence[Path], out: Path) -> dict[Path, Path]:
    """Decide which file each photograph's result is written to; return photographs by output.

    If there is one photograph and `out` has the suffix of an image, the result is the file `out`.
    Otherwise every result is written to the folder `out`, under the photograph's name.

    Raises:
        NerdrainError: A folder holds no photograph, two photographs have the same name, `out` is
            one file for several photographs, has the suffix of no image format, or would replace
            an input.
    """
    one_photo = len(inputs) == 1 and not inputs[0].is_dir()
    is_image = out.suffix.lower() in IMAGE_SUFFIXES and not out.is_dir()
    if one_photo and out.suffix and not (is_image or out.is_dir()):
        raise NerdrainError(
            f"{out} has the suffix of no image format; choose one of {', '.join(IMAGE_SUFFIXES)}, "
            "or make the folder first if you want a folder."
        )
    if is_image and not one_photo:
        raise NerdrainError(
            f"{out} is one file, and a folder is needed for these photographs; give -o a folder."
        )
    sources = [s for path in inputs for s in (list_images(path) if path.is_dir() else [path])]
    outputs: dict[Path, Path] = {}
    for source in sources:
        target = out if is_image else out / source.name
        first = outputs.setdefault(target, source)
        if first is not source:
            raise NerdrainError(
                f"{first} and {source} would both become {target}; derain them one by one, into "
                "two folders."
            )
    protect_inputs(sources, outputs)
    return outputs
