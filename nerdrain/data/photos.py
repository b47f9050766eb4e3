"""The photographs of the repository: their files, authors, licences and split.

The folder `data/photos/` of the repository holds 84 public-domain and CC0 photographs. `index.csv`
lists author, licence, source and sha256 of each; `split.csv` fixes the split by name. They are too
large for a wheel, so this module finds them beside the package or through `NERDRAIN_DATA`.
"""

import csv
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from nerdrain.data.images import read_image
from nerdrain.errors import NerdrainError
from nerdrain.files import PACKAGE

SPLITS = ("train", "validation", "test")
DATA_VARIABLE = "NERDRAIN_DATA"


@dataclass(frozen=True)
class Photo:
    """One row of the index, with the data for a caption and a checksum of the file."""

    name: str  #: file name without suffix, e.g. "astronaut"
    width: int  #: in pixels
    height: int  #: in pixels
    licence: str  #: "Public domain" or "CC0-1.0"
    author: str  #: the photographer, as named by the source
    source: str  #: where the photograph was published (may be empty)
    changes: str  #: edits made before scaling (may be empty)
    sha256: str  #: digest of the file
    split: str  #: "train", "validation" or "test"

    @property
    def credit(self) -> str:
        """Credit for a caption, e.g. "NASA, Public domain"."""
        return f"{self.author}, {self.licence}"


def data_dir() -> Path:
    """Return the `data` folder: `NERDRAIN_DATA` if it is set, otherwise beside the package.

    Raises:
        NerdrainError: The folder has no `photos/index.csv`.
    """
    named = os.environ.get(DATA_VARIABLE)
    folder = Path(named).expanduser() if named else PACKAGE.parent / "data"
    if (folder / "photos" / "index.csv").is_file():
        return folder
    if named:
        raise NerdrainError(
            f"{DATA_VARIABLE} is {named!r}, which has no photos/index.csv; "
            "set it to the 'data' folder of a clone of the nerdrain repository."
        )
    raise NerdrainError(
        f"there are no photographs at {folder / 'photos'}, because an installed package does not "
        f"include them; clone the repository, or set {DATA_VARIABLE} to its 'data' folder."
    )


def photos_dir() -> Path:
    """Return the folder of the photographs, their index and their split; see `data_dir`."""
    return data_dir() / "photos"


def _read_table(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))
    except OSError as error:
        raise NerdrainError(f"{path} cannot be read; restore it from the repository.") from error


def photo_index() -> dict[str, Photo]:
    """Return every photograph by name, in the order of the index.

    Raises:
        NerdrainError: The folder is missing, or the index and the split list different files.
    """
    folder = photos_dir()
    splits = {row["file"]: row["split"] for row in _read_table(folder / "split.csv")}
    rows = {row["file"]: row for row in _read_table(folder / "index.csv")}
    if in_one_only := rows.keys() ^ splits.keys():
        raise NerdrainError(
            f"index.csv and split.csv in {folder} list different files ({min(in_one_only)} is in "
            "one only); restore both from the repository."
        )
    index = {}
    for file, row in rows.items():
        size = int(row["width"]), int(row["height"])
        row["split"] = splits[file]
        keys = ("licence", "author", "source", "changes", "sha256", "split")
        photo = Photo(Path(file).stem, *size, *(row[key] for key in keys))
        index[photo.name] = photo
    return index


def photo_names(split: str | None = None) -> list[str]:
    """Return the names of a split: "train" (60), "validation" (8), "test" (16); None for all 84.

    Raises:
        NerdrainError: The split is unknown, or there are no photographs (see `data_dir`).
    """
    if split is not None and split not in SPLITS:
        raise NerdrainError(f"there is no split {split!r}; choose one of {', '.join(SPLITS)}.")
    return [name for name, photo in photo_index().items() if split in (None, photo.split)]


def photo_path(name: str) -> Path:
    """Return the file of one photograph; `name` with or without `.jpg`.

    Raises:
        NerdrainError: There is no photograph of that name, or its file is missing.
    """
    stem = name.removesuffix(".jpg")
    if stem not in photo_index():
        raise NerdrainError(f"there is no photograph {name!r}; photo_names() lists all names.")
    path = photos_dir() / f"{stem}.jpg"
    if not path.is_file():
        raise NerdrainError(f"{path} is missing; restore it from the repository.")
    return path


def load_photo(name: str) -> UInt8[np.ndarray, "h w 3"]:
    """Read one photograph, e.g. "chelsea", as RGB; errors are those of `photo_path` and reading."""
    return read_image(photo_path(name))


def find_changed_photos() -> list[str]:
    """Return the names of files that are missing or differ from the sha256 in the index."""

    def digest(path: Path) -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""

    folder = photos_dir()
    photos = photo_index().values()
    return [p.name for p in photos if digest(folder / f"{p.name}.jpg") != p.sha256]
