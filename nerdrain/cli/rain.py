"""`nerdrain rain`: clean photographs in, pairs of rainy and clean images out."""

import os
import zlib
from itertools import chain
from pathlib import Path
from typing import Annotated, cast

import typer

from nerdrain.cli.console import Batch, Overwrite, check_free, note_unread, protect_inputs
from nerdrain.errors import NerdrainError
from nerdrain.files import make_folder, remove_leftovers, write_in_order


def rain(
    clean: Annotated[Path, typer.Argument(metavar="CLEAN_DIR", help="Folder of clean photos.")],
    out: Annotated[Path, typer.Option("--output", "-o", help="Folder for input/ and target/.")],
    style: Annotated[
        str, typer.Option(metavar="light|heavy|mixed|extreme|wild|opaque", help="Rain style.")
    ] = "light",
    mode: Annotated[
        str, typer.Option(metavar="additive|screen|veil|opaque", help="How rain and photo combine.")
    ] = "additive",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same rain.")] = 0,
    overwrite: Overwrite = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Skip photographs whose pair exists.")
    ] = False,
) -> None:
    """Make pairs for training or tests: put synthetic rain on clean photographs.

    Writes OUT/input/NAME.png (rainy) and OUT/target/NAME.png (clean) as 8-bit RGB. Photographs of
    CLEAN_DIR are never overwritten, and its subfolders are not searched. The rain on a photograph
    depends only on the seed and on the photograph's name. An input never exists without its target.
    After Ctrl-C, the same command with `--skip-existing` makes the pairs that are missing.

    Example:
    - `nerdrain rain photos/ -o pairs/ --style heavy --seed 1`
    """
    import numpy as np

    from nerdrain.data.images import encode_image, read_image
    from nerdrain.data.pairing import images_in
    from nerdrain.data.rain import MODES, STYLES, add_rain
    from nerdrain.data.rain_styles import Mode

    for what, value, known in (("style", style, STYLES), ("mode", mode, MODES)):
        if value not in known:
            choices = ", ".join(known)
            raise NerdrainError(f"there is no rain {what} {value!r}; choose one of {choices}.")
    photos = images_in(clean)
    note_unread([clean])
    sides = (out / "input", out / "target")
    pairs = {name: [side / f"{name}.png" for side in sides] for name in photos}
    # The folder itself too: a.png beside the original a.jpg would give it two images of one name.
    protect_inputs([clean, *photos.values()], [*sides, *chain.from_iterable(pairs.values())])
    for side in sides:
        make_folder(side)
        remove_leftovers(side)
    if skip_existing:
        photos = {n: path for n, path in photos.items() if not os.path.lexists(pairs[n][0])}
        typer.echo(f"note: {len(pairs) - len(photos)} of {len(pairs)} pairs exist.", err=True)
    with Batch("making rain for", len(photos)) as batch:
        for name, path in photos.items():
            with batch.file(path):
                rainy_file, clean_file = pairs[name]
                check_free(rainy_file, overwrite, skippable=True)
                photo = read_image(path)
                # Seeded by the name, so a new photograph does not change the rain of the others.
                rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
                rainy, _ = add_rain(photo, style, rng, cast(Mode, mode))
                # The clean image first: if a rainy one exists, so does its clean one.
                images = {clean_file: photo, rainy_file: rainy}
                contents = {file: encode_image(image, "PNG") for file, image in images.items()}
                write_in_order(contents, overwrite=overwrite)
    batch.finish(f"Made pairs with {style} rain ({mode})", out)
