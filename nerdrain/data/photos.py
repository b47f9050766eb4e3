"""The photographs that come with the repository: where they are, whose they are, their split.

84 public-domain and CC0 photographs live in `data/photos/` of the repository, with an index
(`index.csv`: author, licence, source, sha256) and a fixed split by name (`split.csv`). They are too
many megabytes for a wheel, so they are found beside the package or through `NERDRAIN_DATA`.
"""

import csv
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from nerdrain.errors import NerdrainError
from nerdrain.files import PACKAGE

SPLITS = ("train", "validation", "test")
DATA_VARIABLE = "NERDRAIN_DATA"


@dataclass(frozen=True)
class Photo:
    """One row of the index: what a caption needs, and what checks the file.

    Attributes:
        name: the file's name without its suffix, e.g. "astronaut".
        width: pixels across.
        height: pixels down.
        licence: "Public domain" or "CC0-1.0".
        author: the photographer, as the source names them.
        source: where the photograph was published (may be empty).
        changes: what was done to it before scaling, other than nothing (may be empty).
        sha256: the digest of the file's bytes.
        split: "train", "validation" or "test".
    """

    name: str
    width: int
    height: int
    licence: str
    author: str
    source: str
    changes: str
    sha256: str
    split: str

    @property
    def credit(self) -> str:
        """A caption's credit, e.g. "NASA, Public domain"."""
        return f"{self.author}, {self.licence}"


def data_dir() -> Path:
    """The repository's `data` folder: `NERDRAIN_DATA` if it is set, else beside the package.

    Raises:
        NerdrainError: neither has `photos/index.csv`.
    """
    named = os.environ.get(DATA_VARIABLE)
    folder = Path(named).expanduser() if named else PACKAGE.parent / "data"
    if (folder / "photos" / "index.csv").is_file():
        return folder
    if named:
        raise NerdrainError(
            f"{DATA_VARIABLE} is {named!r}, which has no photos/index.csv: "
            "point it at the 'data' folder of a clone of the nerdrain repository."
        )
    raise NerdrainError(
        f"no photographs at {folder / 'photos'}: they come with the repository, not with the "
        f"installed package, so clone it, or set {DATA_VARIABLE} to the 'data' folder of a clone."
    )


def photos_dir() -> Path:
    """The folder that holds the photographs, their index and their split.

    Raises:
        NerdrainError: there is no such folder (see `data_dir`).
    """
    return data_dir() / "photos"


def _read_table(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))
    except OSError as error:
        raise NerdrainError(f"cannot read {path}: restore it from the repository.") from error


def photo_index() -> dict[str, Photo]:
    """Every photograph by name, in the order of the index.

    Raises:
        NerdrainError: the folder is missing, or the index and the split disagree.
    """
    folder = photos_dir()
    splits = {row["file"]: row["split"] for row in _read_table(folder / "split.csv")}
    rows = _read_table(folder / "index.csv")
    odd = {row["file"] for row in rows} ^ set(splits)
    if odd:
        raise NerdrainError(
            f"{folder}: index.csv and split.csv do not list the same files ({min(odd)} is in one "
            "only): restore both from the repository."
        )
    return {
        (name := Path(row["file"]).stem): Photo(
            name=name,
            width=int(row["width"]),
            height=int(row["height"]),
            licence=row["licence"],
            author=row["author"],
            source=row["source"],
            changes=row["changes"],
            sha256=row["sha256"],
            split=splits[row["file"]],
        )
        for row in rows
    }


def photo_names(split: str | None = None) -> list[str]:
    """The photographs' names, all 84 or those of one split.

    Args:
        split: "train" (60), "validation" (8), "test" (16), or None for all.

    Raises:
        NerdrainError: no such split, or no photographs (see `data_dir`).
    """
    if split is not None and split not in SPLITS:
        raise NerdrainError(f"no split {split!r}: choose one of {', '.join(SPLITS)}.")
    return [name for name, photo in photo_index().items() if split in (None, photo.split)]


def photo_path(name: str) -> Path:
    """The file of one photograph; `name` with or without `.jpg`.

    Raises:
        NerdrainError: no photograph of that name, or its file is missing.
    """
    stem = name.removesuffix(".jpg")
    if stem not in photo_index():
        raise NerdrainError(f"no photograph {name!r}: photo_names() lists them.")
    path = photos_dir() / f"{stem}.jpg"
    if not path.is_file():
        raise NerdrainError(f"{path} is missing: restore it from the repository.")
    return path


def load_photo(name: str) -> UInt8[np.ndarray, "h w 3"]:
    """One photograph as an RGB array.

    Args:
        name: with or without `.jpg`, e.g. "chelsea".

    Returns:
        (H, W, 3) uint8, RGB, 0..255.

    Raises:
        NerdrainError: no photograph of that name, or its file is missing or broken.
    """
    path = photo_path(name)
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise NerdrainError(f"{path} is broken: restore it from the repository.") from error


def changed_photos() -> list[str]:
    """The names whose file is missing or no longer has the sha256 of the index."""
    folder = photos_dir()
    changed = []
    for name, photo in photo_index().items():
        path = folder / f"{name}.jpg"
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        if digest != photo.sha256:
            changed.append(name)
    return changed
