"""`nerdrain derain`: photographs in, the same photographs without rain out."""

import io
import json
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, ParamSpec, TypeVar, cast

import typer

from nerdrain.cli.console import (
    STREAM,
    Batch,
    Outcome,
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
    from PIL import Image

    from nerdrain.inference.engine import Engine
    from nerdrain.model.network import NeRDRain

P = ParamSpec("P")
T = TypeVar("T")

FORMATS = [suffix[1:] for suffix in IMAGE_SUFFIXES if suffix not in (".jpeg", ".tiff")]
LOSSY = (".avif", ".jpeg", ".jpg", ".webp")  #: suffixes of the formats with a quality
NETWORK, FILES, REPORT = "Network", "Files", "Report"  # panels of the help


def option(panel: str, *names: str, **settings: Any) -> Any:
    """An option in a panel of the help; its text states the default."""
    return typer.Option(*names, rich_help_panel=panel, show_default=False, **settings)


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
        str, option(NETWORK, help="A shipped model or a model's file; default: nerd-rain-tiny.")
    ] = "nerd-rain-tiny",
    device: Annotated[
        str | None, option(NETWORK, help="cpu, cuda, cuda:1 or mps; default: the fastest.")
    ] = None,
    engine: Annotated[
        Literal["auto", "torch"],
        option(NETWORK, help="Default auto: OpenVINO if the model was exported (CPU)."),
    ] = "auto",
    strength: Annotated[
        float,
        option(NETWORK, metavar="0..1", min=0, max=1, help="From 0 (no change) to 1; default: 1."),
    ] = 1.0,
    max_memory: Annotated[
        str | None,
        option(NETWORK, metavar="SIZE", help="At most e.g. 1GiB or 800MB; chooses the tiles."),
    ] = None,
    tile: Annotated[
        str,
        option(NETWORK, metavar="auto|whole|PIXELS", help="Side of the tiles; default: auto."),
    ] = "auto",
    overlap: Annotated[
        int, option(NETWORK, metavar="PIXELS", min=0, help="Pixels that tiles share; default: 32.")
    ] = 32,
    recursive: Annotated[
        bool, option(FILES, "--recursive", "-r", help="Search and keep subfolders.")
    ] = False,
    file_format: Annotated[
        str | None,
        option(FILES, "--format", metavar="|".join(FORMATS), help="Of results in a folder."),
    ] = None,
    quality: Annotated[
        int | None,
        option(
            FILES, metavar="1..100", min=1, max=100, help="Of jpg, webp, avif; default 95, avif 90."
        ),
    ] = None,
    overwrite: Annotated[
        bool, option(FILES, "--overwrite", help="Replace files that exist.")
    ] = False,
    skip_existing: Annotated[
        bool, option(FILES, "--skip-existing", help="Do what is missing, as after Ctrl-C.")
    ] = False,
    dry_run: Annotated[bool, option(REPORT, "--dry-run", help="Only list the files.")] = False,
    verbose: Annotated[
        bool, option(REPORT, "--verbose", "-v", help="Print a line for each photograph.")
    ] = False,
    quiet: Annotated[bool, option(REPORT, "--quiet", "-q", help="Print errors only.")] = False,
    as_json: Annotated[bool, option(REPORT, "--json", help="Print the summary as JSON.")] = False,
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
    if quiet and verbose:
        raise typer.BadParameter("--quiet and --verbose exclude each other.")
    if out == STREAM and (as_json or dry_run or sys.stdout.isatty()):
        raise NerdrainError("standard output takes only the image here; give -o a file.")
    size = parse_tile(tile)
    if max_memory is not None and size != "auto":
        raise typer.BadParameter("--tile and --max-memory exclude each other.")
    suffix = parse_format(file_format)
    photographs = plan_outputs(inputs, out, suffix, recursive)
    check_quality(quality, photographs)
    if not quiet:
        note_unread(inputs, recursive, hint="; give -r to search subfolders")
    if dry_run:
        list_files(photographs, as_json)
        return
    network = None
    if not (skip_existing and all(map(os.path.lexists, photographs))):
        network = Network(model, device, size, overlap, max_memory, strength)
        if engine == "auto":
            network.use_engine(model)
    for folder in {target.parent for target in photographs}:
        remove_leftovers(folder)
    start = time.perf_counter()
    batch = Batch(
        *("deraining", len(photographs)),
        quiet=quiet or as_json,
        verbose=verbose,
        hint="give --skip-existing to go on",
    )
    with batch:
        files = Files(photographs, suffix, quality, overwrite, skip_existing)
        derain_files(files, network, batch)
    seconds = time.perf_counter() - start
    if as_json:
        print_json(photographs, batch, seconds, network)
    where = f" on {network.computes} in {seconds:.1f} s" if network else ""
    batch.finish(f"Derained with {model}{where}", out, err=out == STREAM)


class Network:
    """A model with the settings of deraining, loaded and checked before the first photograph."""

    def __init__(
        self,
        model: str,
        device: str | None,
        tile: int | Literal["auto"] | None,
        overlap: int,
        max_memory: str | None,
        strength: float,
    ) -> None:
        from nerdrain.checkpoints.weights import load_model
        from nerdrain.devices import keep_freed_memory, pick_device
        from nerdrain.inference.derain import parse_memory, tile_size
        from nerdrain.inference.tiling import split_side

        memory = None if max_memory is None else parse_memory(max_memory)
        self.device = pick_device(device)
        if memory is None:
            keep_freed_memory()
        self.model: NeRDRain | Engine = load_model(model, self.device)
        self.engine: Engine | None = None
        self.tile, self.overlap, self.max_memory, self.strength = tile, overlap, memory, strength
        # Refuse tiles that do not fit their overlap now, and not at the first large photograph.
        if side := tile_size(10**4, 10**4, self.model, tile):
            split_side(side, side, overlap)

    def use_engine(self, model: str) -> None:
        """Compute with OpenVINO on the CPU, if the model was exported and memory has no bound."""
        from nerdrain.checkpoints.weights import find_weights
        from nerdrain.inference.engine import find_engine

        network = cast("NeRDRain", self.model)
        if self.device.type == "cpu" and self.max_memory is None:
            try:
                self.engine = find_engine(network, find_weights(model))
            except NerdrainError as error:
                say(f"note: {error} Until then PyTorch computes.", err=True)
        self.model = self.engine or network

    @property
    def computes(self) -> str:
        """The device, with the engine if it computed anything; it leaves single sizes to torch."""
        if self.engine is not None and self.engine.compiled:
            return f"{self.device} with {self.engine.name}"
        return str(self.device)

    def derain(self, job: "Job", batch: Batch) -> None:
        """Replace the photograph of a job by its result, and describe the work."""
        from nerdrain.inference.derain import derain as derain_image

        counts = [0]

        def progress(done: int, count: int) -> None:
            counts[0] = count
            batch.progress(job.outcome.source, done / count)

        assert job.image is not None
        width, height = job.image.size
        start = time.perf_counter()
        job.image = derain_image(
            job.image,
            self.model,
            tile=self.tile,
            overlap=self.overlap,
            max_memory=self.max_memory,
            strength=self.strength,
            progress=progress,
        )
        seconds = time.perf_counter() - start
        tiles = f"{counts[0]} tiles" if counts[0] > 1 else "whole"
        job.outcome.detail = f"{width}x{height}, {tiles}, {seconds:.1f} s on {self.computes}"


@dataclass
class Job:
    """A photograph on its way from its file to the file of its result."""

    target: Path
    outcome: Outcome
    image: "Image.Image | None" = None  #: the photograph, then the result
    format: str | None = None  #: Pillow's name of the photograph's format


@dataclass(frozen=True)
class Files:
    """The photographs of one call of the command, and how their results are written."""

    photographs: Mapping[Path, Path]  #: the photographs by output
    suffix: str | None
    quality: int | None
    overwrite: bool
    skip_existing: bool

    def exists(self, target: Path) -> bool:
        """Whether a result exists and is to be skipped."""
        return self.skip_existing and target != STREAM and os.path.lexists(target)

    def read(self, target: Path, source: Path) -> Job:
        """Read a photograph; its job has no image if that fails or if the result exists."""
        from nerdrain.data.images import load_image

        job = Job(target, Outcome(source))
        with job.outcome.attempt(), job.outcome.note_warnings():
            if self.exists(target):
                job.outcome.status = "skipped"
                return job
            if target != STREAM:
                check_free(target, self.overwrite, skippable=True)
            if source == STREAM:
                job.image = load_image(io.BytesIO(sys.stdin.buffer.read()))
            else:
                job.image = load_image(source)
            job.format = job.image.format
        return job

    def write(self, job: Job) -> Job:
        """Write the result of a job, completely or not at all; without a result, do nothing."""
        from nerdrain.data.images import save_image

        if job.image is None:
            return job
        with job.outcome.attempt(), job.outcome.note_warnings():
            try:
                if job.target == STREAM:
                    sys.stdout.buffer.write(self.encode(job.image, job.format))
                    sys.stdout.buffer.flush()
                else:
                    overwrite, quality = self.overwrite, self.quality
                    save_image(job.image, job.target, overwrite=overwrite, quality=quality)
                job.outcome.status = "done"
            except NerdrainError:
                if not self.exists(job.target):  # another process was faster
                    raise
                job.outcome.status = "skipped"
        job.image = None  # the job outlives the memory that it needs
        return job

    def encode(self, image: "Image.Image", own: str | None) -> bytes:
        """Encode a result for standard output, in the photograph's own format if possible."""
        from nerdrain.data.images import encode_image, format_of

        if self.suffix:
            kind = format_of(Path(f"a{self.suffix}"))
        else:
            known = {format_of(Path(f"a.{name}")) for name in FORMATS if name != "avif"} | {"AVIF"}
            kind = own if own in known else "PNG"
        return encode_image(image, kind, quality=self.quality, name="standard output")


class Now(Executor):
    """Does the work at once, in the same thread."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Do the work and return its result; an exception is raised at once."""
        future: Future[T] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def derain_files(files: Files, network: Network | None, batch: Batch) -> None:
    """Derain all photographs and record their outcomes in order; without network, all exist.

    While the network computes, one thread reads the next photograph and writes the last result. If
    the command is stopped, the thread ends this work first. With a bound on the memory of the CPU
    everything is done in turn, so that only one photograph is in memory.
    """
    items = list(files.photographs.items())
    bounded = network and network.max_memory is not None and network.device.type == "cpu"
    ahead = len(items) > 1 and not bounded
    # At most two, because the one thread reads a photograph after it has written the last but one.
    writes: deque[Future[Job]] = deque()

    def record_finished() -> None:
        while writes and writes[0].done():
            batch.record(writes.popleft().result().outcome)

    with ThreadPoolExecutor(1) if ahead else Now() as worker:
        try:
            read: Future[Job] | None = None
            for item, following in zip_longest(items, items[1:]):
                job = (read or worker.submit(files.read, *item)).result()
                read = worker.submit(files.read, *following) if ahead and following else None
                batch.progress(job.outcome.source)
                if job.image and network:
                    with job.outcome.attempt():
                        network.derain(job, batch)
                    if job.outcome.error:
                        job.image = None
                writes.append(worker.submit(files.write, job))
                record_finished()
        finally:
            wait(writes)
            record_finished()


def list_files(photographs: Mapping[Path, Path], as_json: bool) -> None:
    """Print which photograph would become which file."""
    states = {t: "exists" if os.path.lexists(t) else "new" for t in photographs}
    if as_json:
        files = [
            {"input": str(source), "output": str(target), "status": states[target]}
            for target, source in photographs.items()
        ]
        say(json.dumps({"files": files}))
        return
    for target, source in photographs.items():
        say(f"{source} -> {target}" + " (exists)" * (states[target] == "exists"))


def print_json(
    targets: Iterable[Path], batch: Batch, seconds: float, network: Network | None
) -> None:
    """Print counts, and the outcome of each photograph, as one JSON object."""
    files = [
        {
            "input": str(outcome.source),
            "output": str(target),
            "status": outcome.status,
            "error": outcome.error or None,
            "notes": outcome.notes,
        }
        for target, outcome in zip(targets, batch.outcomes, strict=True)
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


def check_quality(quality: int | None, targets: Iterable[Path]) -> None:
    """Raise an error if ``--quality`` would change no result."""
    if quality and not any(t == STREAM or t.suffix.lower() in LOSSY for t in targets):
        raise NerdrainError(
            "--quality is for jpg, webp and avif, and no result has such a format; leave it out, "
            "or choose a format."
        )


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
