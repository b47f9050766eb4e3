"""Which rainy file belongs to which clean one: every layout in which the benchmarks are published.

Files are matched by name, never by their place in a listing, so one missing file is an error that
names it and not a thousand wrong pairs.

Known leakage: the test backgrounds of Rain100 and Rain200 come from the same photographs (BSDS500),
and training images of one contain test images of the other. Never train on one and report on the
other.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nerdrain.errors import NerdrainError
from nerdrain.files import IMAGE_SUFFIXES

Side = Literal["left", "right"]
DDN_FIRST_TEST = 901  # DDN-Data's test images are made from photographs 901..1000


@dataclass(frozen=True)
class Pair:
    """One rainy image and its clean one.

    Attributes:
        name: tells the pair from the others of its folder, without suffix.
        rainy: the rainy image's file.
        clean: the clean image's file.
        rainy_side: where the rainy half is, when one file holds both side by side.
    """

    name: str
    rainy: Path
    clean: Path
    rainy_side: Side | None = None


@dataclass(frozen=True)
class Request:
    """What a layout needs to know to find its pairs."""

    root: Path
    split: str
    rainy_side: Side = "left"
    list_file: Path | None = None

    @property
    def folder(self) -> Path:
        """`root/split` where there is one, else `root` (given as one split's folder)."""
        return self.root / self.split if (self.root / self.split).is_dir() else self.root


def images_in(folder: Path) -> dict[str, Path]:
    """The images that lie directly in a folder, by name without suffix, sorted.

    Raises:
        NerdrainError: no such folder, no image in it, or two images of one name.
    """
    if not folder.is_dir():
        raise NerdrainError(f"no folder {folder}: check the path and the layout.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith(".")  # such as macOS's "._photo.jpg", which is no photo
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and not hidden:
            if path.stem in found:
                raise NerdrainError(
                    f"{found[path.stem]} and {path.name} have one name: keep one of them."
                )
            found[path.stem] = path
    if not found:
        raise NerdrainError(f"{folder} holds no image ({', '.join(IMAGE_SUFFIXES)}).")
    return found


def _first_folder(*folders: Path) -> Path:
    """The first that exists; the first of all if none does, so that an error names it."""
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def _stop_at(missing: list[str], what: str) -> None:
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise NerdrainError(f"{missing[0]}{more} {what}.")


def match(
    rainy: dict[str, Path], clean: dict[str, Path], clean_name: Callable[[str], str]
) -> list[Pair]:
    """Pairs every rainy image with the clean one that its name asks for.

    Raises:
        NerdrainError: an image of either side has no partner; the sentence names the first.
    """
    wanted = {name: clean_name(name) for name in rainy}
    lost = [f"{rainy[name]}" for name, of in wanted.items() if of not in clean]
    if lost:
        of = next(of for of in wanted.values() if of not in clean)
        folder = next(iter(clean.values())).parent
        _stop_at(lost, f"has no clean image: {of!r} is missing in {folder}")
    used = set(wanted.values())
    spare = [f"{path}" for name, path in clean.items() if name not in used]
    _stop_at(spare, f"has no rainy image in {next(iter(rainy.values())).parent}")
    return [Pair(name, rainy[name], clean[of]) for name, of in wanted.items()]


def _nerdrain(request: Request) -> list[Pair]:
    """`{split}/{input,target}/N.png`: every set as the authors of NeRD-Rain repackaged it."""
    rainy, clean = images_in(request.folder / "input"), images_in(request.folder / "target")
    return match(rainy, clean, lambda name: name)


def _rain200(request: Request) -> list[Pair]:
    """`rain/X2/norain-Nx2.png` -> `norain/norain-N.png`, or one name in `rain` and `norain`."""
    folder = request.folder
    rainy = images_in(_first_folder(folder / "rain" / "X2", folder / "rain"))
    return match(
        rainy, images_in(folder / "norain"), lambda name: re.sub(r"^(norain-\d+)x2$", r"\1", name)
    )


def _rain100(request: Request) -> list[Pair]:
    """`rainy/rain-NNN.png` -> `norain-NNN.png`, beside the folder `rainy` or in `norain`."""
    clean = images_in(_first_folder(request.folder / "norain", request.folder))
    rainy = images_in(request.folder / "rainy")
    return match(rainy, clean, lambda name: re.sub(r"^rain-", "norain-", name))


def _did(request: Request) -> list[Pair]:
    """One file holds both halves: `Rain_{Heavy,Medium,Light}/train2018new/K.jpg`, or flat."""
    levels = sorted(request.folder.glob("Rain_*/train2018new"))
    named = {f"{f.parent.name}/{k}": p for f in levels for k, p in images_in(f).items()}
    side: Side = request.rainy_side
    images = named or images_in(request.folder)
    return [Pair(name, path, path, side) for name, path in images.items()]


def _ddn(request: Request) -> list[Pair]:
    """`rainy_image/{i}_{j}.jpg` -> `ground_truth/{i}.jpg`; in one folder, test is i = 901..1000."""
    folder = request.folder
    rainy = images_in(_first_folder(folder / "rainy_image", folder / "rainy image"))
    clean = images_in(_first_folder(folder / "ground_truth", folder / "ground truth"))
    odd = [f"{path}" for name, path in rainy.items() if not re.fullmatch(r"\d+_\d+", name)]
    _stop_at(odd, "is not named {i}_{j}, as DDN-Data's rainy images are")
    odd = [f"{path}" for name, path in clean.items() if not re.fullmatch(r"\d+", name)]
    _stop_at(odd, "is not named {i}, as DDN-Data's clean images are")
    if folder == request.root:
        test = request.split == "test"
        rainy = {k: p for k, p in rainy.items() if (int(k.split("_")[0]) >= DDN_FIRST_TEST) == test}
        clean = {k: p for k, p in clean.items() if (int(k) >= DDN_FIRST_TEST) == test}
        if not rainy or not clean:
            raise NerdrainError(f"{folder} holds no image of the split {request.split!r}.")
    pairs = match(rainy, clean, lambda name: name.split("_")[0])
    versions = sorted({name.split("_")[1] for name in rainy}, key=int)
    holes = [f"{i}_{j}" for i in clean for j in versions if f"{i}_{j}" not in rainy]
    _stop_at(holes, f"is missing in {next(iter(rainy.values())).parent}")
    return pairs


def _spa(request: Request) -> list[Pair]:
    """A list of lines "rainy clean" (train), or `rain/NNN.png` -> `gt/NNNgt.png` (test)."""
    folder = request.folder
    if request.list_file is None and (folder / "rain").is_dir():
        clean = images_in(folder / "gt")
        return match(images_in(folder / "rain"), clean, lambda name: f"{name}gt")
    lists = [request.list_file] if request.list_file else sorted(folder.glob("*.txt"))
    if len(lists) != 1 or not lists[0].is_file():
        raise NerdrainError(
            f"{folder} has neither the folders rain and gt nor one list file (*.txt) of lines "
            "'rainy clean': name the list with list_file."
        )
    return list(_listed(lists[0], request.root))


def _listed(list_file: Path, root: Path) -> Iterable[Pair]:
    """The pairs of a list file, its paths relative to `root` (SPA-Data's begin with a slash)."""
    try:
        lines = list_file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise NerdrainError(f"{list_file}: not a text file; save it as UTF-8.") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        parts = line.split()
        if len(parts) != 2:
            raise NerdrainError(f"{list_file}, line {number}: expected 'rainy clean', two paths.")
        rainy, clean = (root / part.lstrip("/") for part in parts)
        for path in (rainy, clean):
            if not path.is_file():
                raise NerdrainError(f"{list_file}, line {number}: {path} is missing.")
        yield Pair(str(Path(parts[0].lstrip("/")).with_suffix("")), rainy, clean)


LAYOUTS: dict[str, Callable[[Request], list[Pair]]] = {
    "nerdrain": _nerdrain,
    "rain200": _rain200,
    "rain100": _rain100,
    "did": _did,
    "ddn": _ddn,
    "spa": _spa,
}


def find_pairs(layout: str, request: Request) -> list[Pair]:
    """The pairs of a folder, in the order of their rainy images' names.

    Raises:
        NerdrainError: no such layout, or something is missing; the sentence names it.
    """
    if layout not in LAYOUTS:
        raise NerdrainError(f"no layout {layout!r}: choose one of {', '.join(LAYOUTS)}.")
    if not request.root.is_dir():
        raise NerdrainError(f"no folder {request.root}: check the path.")
    pairs = LAYOUTS[layout](request)
    if not pairs:
        raise NerdrainError(f"{request.folder} holds no pair in the layout {layout!r}.")
    return pairs
