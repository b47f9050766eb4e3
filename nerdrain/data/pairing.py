"""Find the clean file of every rainy file, in every layout in which the benchmarks are published.

Files are matched by name, not by their position in a listing. So a missing file gives an error with
its name, instead of a thousand wrong pairs.

nerdrain   `{split}/{input,target}/N.png`: the sets as the authors of NeRD-Rain repackaged them
rain200    `rain/X2/norain-Nx2.png` and `norain/norain-N.png`, or one name in `rain` and `norain`
rain100    `rainy/rain-NNN.png` and `norain-NNN.png`, beside the folder `rainy` or in `norain`
did        one file holds both halves: `Rain_{Heavy,Medium,Light}/train2018new/K.jpg`, or flat
ddn        `rainy_image/{i}_{j}.jpg` and `ground_truth/{i}.jpg`; without splits, test is i > 900
spa        a list of lines "rainy clean" (train), or `rain/NNN.png` and `gt/NNNgt.png` (test)

Known leakage: the test backgrounds of Rain100 and Rain200 come from the same photographs (BSDS500),
and training images of one contain test images of the other. Never train on one and report on the
other.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nerdrain.errors import NerdrainError
from nerdrain.files import list_images

Side = Literal["left", "right"]
DDN_FIRST_TEST = 901  # the test images of DDN-Data are made from photographs 901..1000


@dataclass(frozen=True)
class Pair:
    """A rainy image and its clean image."""

    name: str  #: unique within the folder, without suffix
    rainy: Path
    clean: Path
    rainy_side: Side | None = None  #: which half is rainy if one file holds both images


@dataclass(frozen=True)
class Request:
    """Where and how to look for pairs; the arguments of a layout."""

    root: Path
    split: str
    rainy_side: Side = "left"
    list_file: Path | None = None

    @property
    def folder(self) -> Path:
        """`root/split` if it exists; otherwise `root`, which then is the folder of one split."""
        return self.root / self.split if (self.root / self.split).is_dir() else self.root


def images_in(folder: Path) -> dict[str, Path]:
    """Return the images directly in a folder, by name without suffix, sorted.

    Raises:
        NerdrainError: The folder does not exist, holds no image or holds two images of one name.
    """
    found: dict[str, Path] = {}
    for path in list_images(folder):
        first = found.setdefault(path.stem, path)
        if first is not path:
            raise NerdrainError(f"{first} and {path.name} have the same name; keep only one.")
    return found


def _first_existing(*folders: Path) -> Path:
    """Return the first folder that exists; if none exists, the first of all, for the error."""
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def _refuse(files: Iterable[str | Path], problem: str) -> None:
    """Raise an error that names the first file, if there are any."""
    if wrong := list(files):
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise NerdrainError(f"{wrong[0]}{more} {problem}.")


def match_by_name(
    rainy: dict[str, Path], clean: dict[str, Path], clean_name: Callable[[str], str]
) -> list[Pair]:
    """Pair every rainy image with the clean image whose name `clean_name` gives for its name.

    Raises:
        NerdrainError: An image of either side has no partner; the message names the first.
    """
    partners = {name: clean_name(name) for name in rainy}
    rainy_folder, clean_folder = (next(iter(side.values())).parent for side in (rainy, clean))
    unmatched = [name for name, partner in partners.items() if partner not in clean]
    if unmatched:
        missing = f"{partners[unmatched[0]]!r} is missing in {clean_folder}"
        _refuse((rainy[name] for name in unmatched), f"has no clean image, because {missing}")
    used = set(partners.values())
    unused = (path for name, path in clean.items() if name not in used)
    _refuse(unused, f"has no rainy image in {rainy_folder}")
    return [Pair(name, rainy[name], clean[partner]) for name, partner in partners.items()]


def _nerdrain(request: Request) -> list[Pair]:
    """`{split}/{input,target}/N.png`: every set as the authors of NeRD-Rain repackaged it."""
    rainy, clean = images_in(request.folder / "input"), images_in(request.folder / "target")
    return match_by_name(rainy, clean, lambda name: name)


def _rain200(request: Request) -> list[Pair]:
    """`rain/X2/norain-Nx2.png` -> `norain/norain-N.png`, or one name in `rain` and `norain`."""
    rainy = images_in(_first_existing(request.folder / "rain" / "X2", request.folder / "rain"))
    clean = images_in(request.folder / "norain")
    return match_by_name(rainy, clean, lambda name: re.sub(r"^(norain-\d+)x2$", r"\1", name))


def _rain100(request: Request) -> list[Pair]:
    """`rainy/rain-NNN.png` -> `norain-NNN.png`, beside the folder `rainy` or in `norain`."""
    clean = images_in(_first_existing(request.folder / "norain", request.folder))
    rainy = images_in(request.folder / "rainy")
    return match_by_name(rainy, clean, lambda name: re.sub(r"^rain-", "norain-", name))


def _did(request: Request) -> list[Pair]:
    """One file holds both halves: `Rain_{Heavy,Medium,Light}/train2018new/K.jpg`, or flat."""
    levels = sorted(request.folder.glob("Rain_*/train2018new"))
    named = {f"{f.parent.name}/{k}": p for f in levels for k, p in images_in(f).items()}
    images = named or images_in(request.folder)
    return [Pair(name, path, path, request.rainy_side) for name, path in images.items()]


def _ddn(request: Request) -> list[Pair]:
    """`rainy_image/{i}_{j}.jpg` -> `ground_truth/{i}.jpg`; in one folder, test is i = 901..1000."""
    folder = request.folder
    rainy = images_in(_first_existing(folder / "rainy_image", folder / "rainy image"))
    clean = images_in(_first_existing(folder / "ground_truth", folder / "ground truth"))
    misnamed = (path for name, path in rainy.items() if not re.fullmatch(r"\d+_\d+", name))
    _refuse(misnamed, "is not named {i}_{j}, as DDN-Data's rainy images are")
    misnamed = (path for name, path in clean.items() if not re.fullmatch(r"\d+", name))
    _refuse(misnamed, "is not named {i}, as DDN-Data's clean images are")
    if folder == request.root:
        test = request.split == "test"
        rainy = {k: p for k, p in rainy.items() if (int(k.split("_")[0]) >= DDN_FIRST_TEST) == test}
        clean = {k: p for k, p in clean.items() if (int(k) >= DDN_FIRST_TEST) == test}
        if not rainy or not clean:
            raise NerdrainError(f"{folder} holds no image of the split {request.split!r}.")
    pairs = match_by_name(rainy, clean, lambda name: name.split("_")[0])
    versions = sorted({name.split("_")[1] for name in rainy}, key=int)
    missing = (f"{i}_{j}" for i in clean for j in versions if f"{i}_{j}" not in rainy)
    _refuse(missing, f"is missing in {pairs[0].rainy.parent}")
    return pairs


def _spa(request: Request) -> list[Pair]:
    """A list of lines "rainy clean" (train), or `rain/NNN.png` -> `gt/NNNgt.png` (test)."""
    folder = request.folder
    if request.list_file is None and (folder / "rain").is_dir():
        clean = images_in(folder / "gt")
        return match_by_name(images_in(folder / "rain"), clean, lambda name: f"{name}gt")
    lists = [request.list_file] if request.list_file else sorted(folder.glob("*.txt"))
    if len(lists) != 1 or not lists[0].is_file():
        raise NerdrainError(
            f"{folder} has neither the folders rain and gt nor one list file (*.txt) of lines "
            "'rainy clean'; keep one list in the folder, or give `PairedFolder` the list_file."
        )
    return list(_read_list(lists[0], request.root))


def _read_list(list_file: Path, root: Path) -> Iterator[Pair]:
    """Read the pairs of a list file with paths relative to `root`; a leading slash is ignored."""
    try:
        lines = list_file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise NerdrainError(f"{list_file} is not a text file; save it as UTF-8.") from None
    for number, line in enumerate(lines, start=1):
        parts = [part.lstrip("/") for part in line.split()]
        if len(parts) not in (0, 2):
            raise NerdrainError(f"{list_file}, line {number} must hold two paths, 'rainy clean'.")
        for part in parts:
            if not (root / part).is_file():
                raise NerdrainError(f"{list_file}, line {number}: {root / part} is missing.")
        if parts:
            yield Pair(str(Path(parts[0]).with_suffix("")), root / parts[0], root / parts[1])


LAYOUTS: dict[str, Callable[[Request], list[Pair]]] = {
    "nerdrain": _nerdrain,
    "rain200": _rain200,
    "rain100": _rain100,
    "did": _did,
    "ddn": _ddn,
    "spa": _spa,
}


def find_pairs(layout: str, request: Request) -> list[Pair]:
    """Find the pairs of a folder, in the order of the rainy images' names.

    Raises:
        NerdrainError: The layout is unknown, or a file or folder is missing; the message names it.
    """
    if layout not in LAYOUTS:
        raise NerdrainError(f"there is no layout {layout!r}; choose one of {', '.join(LAYOUTS)}.")
    if not request.root.is_dir():
        raise NerdrainError(f"there is no folder {request.root}; check the path.")
    pairs = LAYOUTS[layout](request)
    if not pairs:
        raise NerdrainError(
            f"{request.folder} holds no pair in the layout {layout!r}; check the path and layout."
        )
    return pairs
