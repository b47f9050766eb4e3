"""Measure a folder of restored images against the folder of their targets."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nerdrain.data.images import read_image
from nerdrain.data.pairing import images_in
from nerdrain.errors import NerdrainError
from nerdrain.evaluation.metrics import metric

__all__ = ["Score", "evaluate_folders", "mean_score"]


@dataclass(frozen=True)
class Score:
    """One image's result in one convention."""

    name: str
    convention: str
    psnr: float  #: dB
    ssim: float


def mean_score(scores: Iterable[Score], name: str = "mean") -> Score:
    """Average scores of one convention, as the paper's tables do: image by image.

    Raises:
        NerdrainError: for no scores, or for scores of several conventions.
    """
    rows = list(scores)
    if len({row.convention for row in rows}) != 1:
        raise NerdrainError("a mean needs at least one score, and all in one convention")
    psnr = float(np.mean([row.psnr for row in rows]))
    ssim = float(np.mean([row.ssim for row in rows]))
    return Score(name, rows[0].convention, psnr, ssim)


def _name_some(names: Iterable[str], most: int = 5) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return ", ".join(ordered[:most]) + more


def _pair(restored_dir: Path, target_dir: Path) -> list[tuple[str, Path, Path]]:
    restored, targets = images_in(restored_dir), images_in(target_dir)
    if missing := targets.keys() - restored.keys():
        raise NerdrainError(f"{restored_dir} lacks a restored image for {_name_some(missing)}")
    if missing := restored.keys() - targets.keys():
        raise NerdrainError(f"{target_dir} lacks a target for {_name_some(missing)}")
    return [(stem, restored[stem], targets[stem]) for stem in sorted(restored)]


def evaluate_folders(
    restored_dir: str | Path,
    target_dir: str | Path,
    convention: str | Sequence[str] = "matlab-y",
) -> Iterator[Score]:
    """Measure restored images against their targets, matched by name.

    Names match without their suffix, so that ``7.png`` is measured against ``7.jpg``. All names
    are matched before the first image is read, and an average over a part is never given.

    Args:
        restored_dir: folder of the restored images.
        target_dir: folder of the clean images.
        convention: a key of `METRICS`, or several: each gives a row an image.

    Returns:
        An iterator of a `Score` per image and convention, in the order of the names.

    Raises:
        NerdrainError: when an image has no partner, or two differ in size; the names are said.
    """
    names = [convention] if isinstance(convention, str) else list(convention)
    for name in names:
        metric(name)
    return _measure(_pair(Path(restored_dir), Path(target_dir)), names)


def _measure(pairs: list[tuple[str, Path, Path]], conventions: list[str]) -> Iterator[Score]:
    for stem, restored_path, target_path in pairs:
        restored, target = read_image(restored_path), read_image(target_path)
        for name in conventions:
            psnr, ssim = metric(name)
            try:
                yield Score(stem, name, psnr(restored, target), ssim(restored, target))
            except NerdrainError as error:
                raise NerdrainError(f"{restored_path} and {target_path}: {error}") from None
