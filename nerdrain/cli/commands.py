"""What the commands do, once `nerdrain.cli` has read their options."""

import csv
import io
import math
import time
import zlib
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import cast

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from nerdrain.checkpoints.weights import load_model
from nerdrain.cli.console import Batch, Job, check_free, note_unread, protect
from nerdrain.data.images import load_image, read_image, save_image
from nerdrain.data.pairing import images_in
from nerdrain.data.rain import MODES, STYLES, Mode, add_rain
from nerdrain.devices import pick_device
from nerdrain.errors import NerdrainError
from nerdrain.evaluation.complexity import PAPER_TABLE_2, complexity
from nerdrain.evaluation.folders import Score, evaluate_folders, mean_score
from nerdrain.evaluation.metrics import METRICS
from nerdrain.files import IMAGE_SUFFIXES, write_atomically
from nerdrain.inference.derain import Tile, derain, tile_size
from nerdrain.inference.tiling import GRID
from nerdrain.model.config import PRESETS
from nerdrain.model.network import NeRDRain

Rows = Sequence[Sequence[str]]


def derain_files(
    jobs: Sequence[Job],
    out: Path,
    model: str,
    device: str | None,
    tile: Tile,
    overlap: int,
    overwrite: bool,
) -> None:
    """Derain every job's photograph; one that fails does not stop the others."""
    if isinstance(tile, int):
        check_tiles(f"--tile {tile}", tile, overlap)
    where = pick_device(device)
    network = load_model(model, where)
    if tile == "auto" and (side := tile_size(2**30, 2**30, network)):
        check_tiles(f"--tile auto, here {side},", side, overlap)
    start = time.perf_counter()
    with Batch("deraining", len(jobs)) as batch:
        for job in jobs:
            with batch.file(job.source):
                check_free(job.target, overwrite)
                _derain_file(job, network, tile, overlap, batch)
    seconds = time.perf_counter() - start
    summary = f"Derained with {model} on {where} in {seconds:.1f} s"
    batch.finish(summary, out, "No photograph was derained")


def check_tiles(what: str, side: int, overlap: int) -> None:
    """Refuse tiles too small for the network or for their overlap, once and in the options' terms.

    Args:
        what: the option as it was given, e.g. "--tile 64".
        side: of a tile, in pixels.
        overlap: pixels that neighbouring tiles share.
    """
    most = math.ceil(side / GRID) // 2 * GRID  # both are rounded up to the network's grid
    if side < GRID:
        raise NerdrainError(
            f"{what} is too small: give at least {GRID} pixels and twice --overlap, "
            "or --tile whole."
        )
    if overlap > most:
        least = 2 * GRID * math.ceil(overlap / GRID)
        raise NerdrainError(
            f"{what} is too small for --overlap {overlap}: give --overlap {most} or less, "
            f"--tile {least} or more, or --tile whole."
        )


def _derain_file(job: Job, network: NeRDRain, tile: Tile, overlap: int, batch: Batch) -> None:
    image = load_image(job.source)
    dry = derain(image, network, tile=tile, overlap=overlap, progress=batch.progress)
    save_image(dry, job.target)


def make_pairs(clean: Path, out: Path, style: str, mode: str, seed: int, overwrite: bool) -> None:
    """Put rain on a folder's photographs, in the layout that `PairedFolder` reads by default."""
    for what, value, known in (("style", style, STYLES), ("mode", mode, MODES)):
        if value not in known:
            raise NerdrainError(f"no rain {what} {value!r}: choose one of {', '.join(known)}.")
    (photos,) = _images(clean)
    sides = (out / "input", out / "target")
    pairs = {name: [side / f"{name}.png" for side in sides] for name in photos}
    # The folder itself too: a.png beside the original a.jpg would give it two images of one name.
    protect([clean, *photos.values()], [*sides, *chain.from_iterable(pairs.values())])
    with Batch("raining on", len(photos)) as batch:
        for name, path in photos.items():
            with batch.file(path):
                for file in pairs[name]:
                    check_free(file, overwrite)
                photo = read_image(path)
                # By name, so that a photograph added to the folder changes no other's rain.
                rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
                rainy, _ = add_rain(photo, style, rng, cast(Mode, mode))
                for file, image in zip(pairs[name], (rainy, photo), strict=True):
                    save_image(image, file)
    batch.finish(f"Made pairs with {style} rain ({mode})", out, "No pair was made")


def _images(*folders: Path) -> list[dict[str, Path]]:
    """Each folder's images by name; what else the folders hold is said in one note."""
    for folder in folders:
        if folder.is_file():
            raise NerdrainError(f"{folder} is a file: give the folder that holds the images.")
        if not folder.is_dir():
            raise NerdrainError(f"no folder {folder}: check the path.")
    found = [images_in(folder) for folder in folders]
    note_unread(folders, IMAGE_SUFFIXES)
    return found


def measure(
    restored: Path, target: Path, metric: str, csv_file: Path | None, overwrite: bool
) -> None:
    """Print every image's PSNR and SSIM and their means, and write them to a CSV file."""
    if metric not in (*METRICS, "all"):
        raise NerdrainError(f"no metric {metric!r}: choose one of {', '.join(METRICS)}, all.")
    inputs = _images(restored, target)
    if csv_file:
        protect(chain.from_iterable(images.values() for images in inputs), [csv_file])
        check_free(csv_file, overwrite)
    names = list(METRICS) if metric == "all" else [metric]
    scores: list[Score] = []
    with Console(stderr=True).status("measuring") as status:
        for score in evaluate_folders(restored, target, names):
            status.update(f"measured {len(scores) // len(names) + 1} images")
            scores.append(score)
    means = [mean_score(s for s in scores if s.convention == name) for name in names]
    rows = [(s.name, s.convention, f"{s.psnr:.4f}", f"{s.ssim:.6f}") for s in [*scores, *means]]
    header = ("image", "metric", "PSNR (dB)", "SSIM")
    print_table(header, rows, numbers=2, rule_after=len(scores))
    if same := len({s.name for s in scores if math.isinf(s.psnr)}):
        what = "1 image is" if same == 1 else f"{same} images are"
        typer.echo(f"note: {what} identical to the target: the PSNR is infinite.", err=True)
    if csv_file:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([header, *rows])
        write_atomically(csv_file, text.getvalue().encode())


def describe(model: str, size: int) -> None:
    """Print a network's parameters and multiply-adds, and what the paper says of it."""
    config = PRESETS[model] if model in PRESETS else load_model(model).config
    cost = complexity(config, size)
    row = next((PAPER_TABLE_2[n] for n in PAPER_TABLE_2 if PRESETS[n] == config), None)
    paper = (f"{row[0]:.2f} M", f"{row[1]:.1f} G at 256x256") if row else ("not in it", "")
    typer.echo(
        f"{model}: width {config.width}, blocks {config.blocks}, UNets {config.unets}, "
        f"fidelity {config.fidelity}"
    )
    rows = [
        ("parameters", f"{cost.parameters:,}", paper[0]),
        (f"multiply-adds at {size}x{size}, as released", gigas(cost.released_macs), paper[1]),
        (f"multiply-adds at {size}x{size}, needed", gigas(cost.macs), ""),
    ]
    if config.fidelity == "paper":
        del rows[1]  # such a network was never released
    print_table(("", "this network", "paper, Table 2"), rows, numbers=1)


def gigas(count: int) -> str:
    """A count in billions, with a decimal where that says something."""
    return f"{count / 1e9:.1f} G" if count >= 1e8 else f"{count / 1e9:.4f} G"


def print_table(header: Sequence[str], rows: Rows, numbers: int, rule_after: int = 0) -> None:
    """Print aligned columns to stdout, never folded.

    Args:
        header: the columns' names.
        rows: their cells.
        numbers: the first column that is aligned to the right.
        rule_after: a blank line follows so many rows.
    """
    table = Table(box=None, pad_edge=False)
    for index, title in enumerate(header):
        table.add_column(title, justify="right" if index >= numbers else "left", no_wrap=True)
    for number, row in enumerate(rows, start=1):
        table.add_row(*row)
        if number == rule_after:
            table.add_row()
    width = sum(max(map(len, column)) + 2 for column in zip(header, *rows, strict=True))
    Console(width=max(80, width), markup=False, highlight=False).print(table)
