"""`nerdrain derain`: photographs in, the same photographs without rain out."""

import io
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nerdrain.cli.console import (
    STREAM,
    Batch,
    check_free,
    note_unread,
    parse_path,
    protect_inputs,
    say,
)
from nerdrain.errors import NerdrainError
from nerdrain.files import (
    IMAGE_SUFFIXES,
    READ_ONLY_SUFFIXES,
    is_image_name,
    list_images,
    remove_leftovers,
)

if TYPE_CHECKING:
    from nerdrain.model.network import NeRDRain

FORMATS = [suffix[1:] for suffix in IMAGE_SUFFIXES if suffix not in (".jpeg", ".tiff")]
NETWORK, FILES, REPORT = "Network", "Files", "Report"  # panels of the help


def derain(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="IN", parser=parse_path, help="Photographs, folders, or - (stdin)."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            *("--output", "-o"),
            metavar="OUT",
            parser=parse_path,
            help="A folder; for one photograph also a file or - (stdout).",
        ),
    ],
    model: Annotated[
        str,
        typer.Option(help="A shipped model, or a model's file.", rich_help_panel=NETWORK),
    ] = "nerd-rain-tiny",
    device: Annotated[
        str | None,
        typer.Option(
            help="cpu, cuda, cuda:1 or mps; default: the fastest.", rich_help_panel=NETWORK
        ),
    ] = None,
    strength: Annotated[
        float,
        typer.Option(
            metavar="0..1", min=0, max=1, help="From 0 (no change) to 1.", rich_help_panel=NETWORK
        ),
    ] = 1.0,
    tile: Annotated[
        str,
        typer.Option(
            metavar="auto|whole|PIXELS",
            help="Side of the tiles; smaller needs less memory.",
            rich_help_panel=NETWORK,
        ),
    ] = "auto",
    overlap: Annotated[
        int,
        typer.Option(
            metavar="PIXELS", min=0, help="Pixels that tiles share.", rich_help_panel=NETWORK
        ),
    ] = 32,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Search subfolders.", rich_help_panel=FILES)
    ] = False,
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="|".join(FORMATS),
            help="Of results in a folder.",
            rich_help_panel=FILES,
        ),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(
            metavar="1..100",
            min=1,
            max=100,
            help="Of jpg, webp and avif; 95, avif 90.",
            rich_help_panel=FILES,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist.", rich_help_panel=FILES)
    ] = False,
    skip_existing: Annotated[
        bool,
        typer.Option("--skip-existing", help="Do only what is missing.", rich_help_panel=FILES),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list the files.", rich_help_panel=REPORT)
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print errors only.", rich_help_panel=REPORT)
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON.", rich_help_panel=REPORT)
    ] = False,
) -> None:
    """Take the rain out of photographs.

    The result keeps size, bit depth, transparency, EXIF, XMP and colour profile if the format can
    store them; a note names each loss. Inputs are never overwritten. Subfolders are not searched
    without `-r`.

    Examples:
    - `nerdrain derain photo.jpg -o dry.jpg`
    - `nerdrain derain holiday/ more/*.png -o dry/ --device cuda --skip-existing`
    - `curl -s https://... | nerdrain derain - -o - > dry.jpg`
    """
    if overwrite and skip_existing:
        raise typer.BadParameter("--overwrite and --skip-existing exclude each other.")
    if out == STREAM and (as_json or dry_run or sys.stdout.isatty()):
        raise NerdrainError("standard output takes only the image here; give -o a file.")
    size = parse_tile(tile)
    suffix = parse_format(file_format)
    photographs = plan_outputs(inputs, out, suffix, recursive)
    if not quiet:
        note_unread(inputs, recursive)
    work = Work(photographs, out, suffix, quality, overwrite, skip_existing, quiet, as_json)
    if dry_run:
        work.list_files()
    elif skip_existing and all(map(os.path.lexists, photographs)):
        work.run(None, f"Derained with {model}")
    else:
        work.run(Network(model, device, size, overlap, strength), f"Derained with {model}")


class Network:
    """A model with the settings of deraining, loaded and checked before the first photograph."""

    def __init__(
        self,
        model: str,
        device: str | None,
        tile: int | Literal["auto"] | None,
        overlap: int,
        strength: float,
    ) -> None:
        from nerdrain.checkpoints.weights import load_model
        from nerdrain.devices import pick_device
        from nerdrain.inference.derain import tile_size
        from nerdrain.inference.tiling import split_side

        self.device = pick_device(device)
        self.model: NeRDRain = load_model(model, self.device)
        self.tile, self.overlap, self.strength = tile, overlap, strength
        # Refuse tiles that do not fit their overlap now, and not at the first large photograph.
        if side := tile_size(2**30, 2**30, self.model, tile):
            split_side(side, side, overlap)


@dataclass(frozen=True)
class Work:
    """The photographs of one call of the command, where they go, and how it reports."""

    photographs: Mapping[Path, Path]  #: the photographs by output
    out: Path
    suffix: str | None
    quality: int | None
    overwrite: bool
    skip_existing: bool
    quiet: bool
    as_json: bool

    def run(self, network: Network | None, summary: str) -> None:
        """Derain all photographs and report; without network, all of them exist."""
        for folder in {target.parent for target in self.photographs}:
            remove_leftovers(folder)
        start = time.perf_counter()
        quiet = self.quiet or self.as_json
        batch = Batch(
            *("deraining", len(self.photographs)),
            quiet=quiet,
            hint="give --skip-existing to go on",
        )
        with batch:
            for target, source in self.photographs.items():
                with batch.file(source) as outcome:
                    if network is None or self.exists(target):
                        outcome.status = "skipped"
                        continue
                    try:
                        self.derain_file(source, target, network, batch)
                    except NerdrainError:
                        if not self.exists(target):  # another process was faster
                            raise
                        outcome.status = "skipped"
        seconds = time.perf_counter() - start
        if self.as_json:
            self.print_json(batch, seconds, network)
        if network:
            summary = f"{summary} on {network.device} in {seconds:.1f} s"
        batch.finish(summary, self.out, err=self.out == STREAM)

    def exists(self, target: Path) -> bool:
        """Whether a result exists and is to be skipped."""
        return self.skip_existing and target != STREAM and os.path.lexists(target)

    def derain_file(self, source: Path, target: Path, network: Network, batch: Batch) -> None:
        """Read, derain and write one photograph."""
        from nerdrain.data.images import encode_image, format_of, load_image, save_image
        from nerdrain.inference.derain import derain as derain_image

        if target != STREAM:
            check_free(target, self.overwrite)
        if source == STREAM:
            image = load_image(io.BytesIO(sys.stdin.buffer.read()))
        else:
            image = load_image(source)
        dry = derain_image(
            image,
            network.model,
            tile=network.tile,
            overlap=network.overlap,
            strength=network.strength,
            progress=batch.progress,
        )
        if target != STREAM:
            save_image(dry, target, overwrite=self.overwrite, quality=self.quality)
            return
        known = {format_of(Path(f"a.{name}")) for name in FORMATS if name != "avif"} | {"AVIF"}
        own = image.format if image.format in known else "PNG"
        kind = format_of(Path(f"a{self.suffix}")) if self.suffix else own
        content = encode_image(dry, kind or "PNG", quality=self.quality, name="standard output")
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()

    def list_files(self) -> None:
        """Print which photograph would become which file."""
        states = {
            target: "exists" if os.path.lexists(target) else "new" for target in self.photographs
        }
        if self.as_json:
            files = [
                {"input": str(source), "output": str(target), "status": states[target]}
                for target, source in self.photographs.items()
            ]
            say(json.dumps({"files": files}))
            return
        for target, source in self.photographs.items():
            say(f"{source} -> {target}" + " (exists)" * (states[target] == "exists"))

    def print_json(self, batch: Batch, seconds: float, network: Network | None) -> None:
        """Print counts, and the outcome of each photograph, as one JSON object."""
        files = [
            {
                "input": str(outcome.source),
                "output": str(target),
                "status": outcome.status,
                "error": outcome.error or None,
                "notes": outcome.notes,
            }
            for target, outcome in zip(self.photographs, batch.outcomes, strict=True)
        ]
        counts = {status: batch.number(status) for status in ("done", "skipped", "failed")}
        device = str(network.device) if network else None
        say(json.dumps({"seconds": round(seconds, 3), "device": device, **counts, "files": files}))


def parse_tile(text: str) -> int | Literal["auto"] | None:
    """Read the option ``--tile`` as the argument `tile` of `nerdrain.derain`."""
    if text == "auto":
        return "auto"
    if text == "whole":
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise typer.BadParameter(
            f"{text!r:.80} is neither auto, whole nor a number of pixels.", param_hint="--tile"
        )
    return int(text)


def parse_format(text: str | None) -> str | None:
    """Read the option ``--format`` as a suffix."""
    if text is not None and text.lower().removeprefix(".") not in (*FORMATS, "jpeg", "tiff"):
        raise typer.BadParameter(
            f"there is no format {text!r:.80}; choose one of {', '.join(FORMATS)}.",
            param_hint="--format",
        )
    return None if text is None else f".{text.lower().removeprefix('.')}"


def plan_outputs(
    inputs: Sequence[Path], out: Path, suffix: str | None = None, recursive: bool = False
) -> dict[Path, Path]:
    """Decide which file each photograph's result is written to; return photographs by output.

    If there is one photograph and `out` has the suffix of an image, the result is the file `out`.
    Otherwise every result is written to the folder `out`, under the photograph's name, and with
    `recursive` in the same subfolder. With `suffix`, results in a folder have this suffix. HEIC
    becomes JPEG.

    Raises:
        NerdrainError: A folder holds no photograph, two photographs have the same name, `out` is
            one file for several photographs, has the suffix of no image format, or would replace
            an input.
    """
    one_photo = len(inputs) == 1 and not inputs[0].is_dir()
    is_file = out == STREAM or (out.suffix.lower() in IMAGE_SUFFIXES and not out.is_dir())
    _check_output(out, one_photo, is_file, suffix)
    if STREAM in inputs and not is_file:
        raise NerdrainError("for a photograph from standard input, give -o a file or -.")
    outputs: dict[Path, Path] = {}
    for source, relative in _find_photographs(inputs, out, recursive):
        target = out if is_file else out / _rename(relative, suffix)
        first = outputs.setdefault(target, source)
        if first is not source:
            raise NerdrainError(
                f"{first} and {source} would both become {target}; derain them one by one, into "
                "two folders."
            )
    protect_inputs(
        (source for source in outputs.values() if source != STREAM),
        (target for target in outputs if target != STREAM),
    )
    return outputs


def _check_output(out: Path, one_photo: bool, is_file: bool, suffix: str | None) -> None:
    """Raise an error if ``--output`` does not fit the photographs or ``--format``."""
    if one_photo and out.suffix and not (is_file or out.is_dir()):
        raise NerdrainError(
            f"{out} has the suffix of no image format; choose one of {', '.join(IMAGE_SUFFIXES)}, "
            "or make the folder first if you want a folder."
        )
    if is_file and not one_photo:
        raise NerdrainError(
            f"{out} is one file, and a folder is needed for these photographs; give -o a folder."
        )
    if suffix and is_file and out != STREAM and not _same_format(out.suffix, suffix):
        raise NerdrainError(f"{out} is not a {suffix[1:]} file; leave out --format.")


def _find_photographs(
    inputs: Sequence[Path], out: Path, recursive: bool
) -> Iterator[tuple[Path, Path]]:
    """Yield each photograph, and its path relative to the folder that was given."""
    for path in inputs:
        if not path.is_dir():
            yield path, Path(path.name)
        elif not recursive:
            yield from ((photo, Path(photo.name)) for photo in list_images(path))
        else:
            yield from _walk(path, os.path.realpath(out))


def _walk(folder: Path, out: str) -> Iterator[tuple[Path, Path]]:
    """Yield the images below a folder, without hidden folders and the folder of the results."""

    def note(error: OSError) -> None:
        say(f"note: not read: {error.filename} ({error.strerror}).", err=True)

    found = False
    for root, folders, names in os.walk(folder, onerror=note):
        inside = {name: os.path.realpath(Path(root, name)) for name in sorted(folders)}
        folders[:] = [n for n, real in inside.items() if n[0] != "." and real != out]
        for path in (Path(root, name) for name in sorted(names)):
            if is_image_name(path):
                found = True
                yield path, path.relative_to(folder)
    if not found:
        raise NerdrainError(f"{folder} and its subfolders hold no image; check the path.")


def _rename(path: Path, suffix: str | None) -> Path:
    """Give a result in a folder its suffix."""
    if suffix is None and path.suffix.lower() in READ_ONLY_SUFFIXES:
        suffix = ".jpg"
    return path if suffix is None or _same_format(path.suffix, suffix) else path.with_suffix(suffix)


def _same_format(a: str, b: str) -> bool:
    other = {".jpeg": ".jpg", ".tiff": ".tif"}
    a, b = a.lower(), b.lower()
    return other.get(a, a) == other.get(b, b)
