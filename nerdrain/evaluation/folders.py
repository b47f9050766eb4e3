"""Compare a folder of restored images with the folder of their targets."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nerdrain.data.images import read_image
from nerdrain.data.pairing import images_in
from nerdrain.errors import NerdrainError
from nerdrain.evaluation.metrics import metric


@dataclass(frozen=True)
class Score:
    """PSNR and SSIM of one image in one convention."""

    name: str
    convention: str
    psnr: float  #: dB
    ssim: float


def mean_score(scores: Iterable[Score], name: str = "mean") -> Score:
    """Average the scores of single images, as the paper's tables do.

    Raises:
        NerdrainError: There are no scores, or they have several conventions.
    """
    rows = list(scores)
    if len({row.convention for row in rows}) != 1:
        raise NerdrainError("a mean needs at least one score and only one convention.")
    psnr = float(np.mean([row.psnr for row in rows]))
    ssim = float(np.mean([row.ssim for row in rows]))
    return Score(name, rows[0].convention, psnr, ssim)


def _join_names(names: Iterable[str], limit: int = 5) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - limit} more" if len(ordered) > limit else ""
    return ", ".join(ordered[:limit]) + more


def _match(restored_dir: Path, target_dir: Path) -> list[tuple[str, Path, Path]]:
    restored, targets = images_in(restored_dir), images_in(target_dir)
    if missing := targets.keys() - restored.keys():
        raise NerdrainError(f"{restored_dir} has no restored image for {_join_names(missing)}.")
    if missing := restored.keys() - targets.keys():
        raise NerdrainError(f"{target_dir} has no target for {_join_names(missing)}.")
    return [(stem, restored[stem], targets[stem]) for stem in sorted(restored)]


def evaluate_folders(
    restored_dir: str | Path,
    target_dir: str | Path,
    convention: str | Sequence[str] = "matlab-y",
) -> Iterator[Score]:
    """Compare restored images with their targets, matched by name.

    Names are matched without suffix, so ``7.png`` is compared with ``7.jpg``. All names are matched
    before the first image is read, so a missing image is an error and not a smaller mean.

    Args:
        restored_dir: folder of the restored images.
        target_dir: folder of the clean images.
        convention: one or several keys of `METRICS`.

    Returns:
        An iterator with one `Score` per image and convention, in the order of the names.

    Raises:
        NerdrainError: An image has no partner, or two images differ in size; the message names
            them.
    """
    names = [convention] if isinstance(convention, str) else list(convention)
    for name in names:
        metric(name)
    return _measure(_match(Path(restored_dir), Path(target_dir)), names)


def _measure(pairs: list[tuple[str, Path, Path]], conventions: list[str]) -> Iterator[Score]:
    for stem, restored_path, target_path in pairs:
        restored, target = read_image(restored_path), read_image(target_path)
        for name in conventions:
            psnr, ssim = metric(name)
            try:
                yield Score(stem, name, psnr(restored, target), ssim(restored, target))
            except NerdrainError as error:
                raise NerdrainError(f"{restored_path} and {target_path}: {error}") from None
