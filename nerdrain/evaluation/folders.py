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
    """Average scores of one convention, as the paper's tables do; no scores are an error."""
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


def evaluate_folders(
    restored_dir: str | Path, target_dir: str | Path, convention: str | Sequence[str] = "matlab-y"
) -> Iterator[Score]:
    """Compare restored images with their clean targets, in one or several keys of `METRICS`.

    Names are matched without suffix, so ``7.png`` is compared with ``7.jpg``. All names are matched
    before the first image is read, so a missing image is an error and not a smaller mean. The
    iterator gives one `Score` per image and convention, in the order of the names.

    Raises:
        NerdrainError: An image has no partner, or two images differ in size.
    """
    names = [convention] if isinstance(convention, str) else convention
    metrics = {name: metric(name) for name in names}
    restored, targets = images_in(Path(restored_dir)), images_in(Path(target_dir))
    if missing := targets.keys() - restored.keys():
        raise NerdrainError(f"{restored_dir} has no restored image for {_join_names(missing)}.")
    if missing := restored.keys() - targets.keys():
        raise NerdrainError(f"{target_dir} has no target for {_join_names(missing)}.")

    def measure() -> Iterator[Score]:
        for stem in sorted(restored):
            pair = read_image(restored[stem]), read_image(targets[stem])
            for name, (psnr, ssim) in metrics.items():
                try:
                    yield Score(stem, name, psnr(*pair), ssim(*pair))
                except NerdrainError as error:
                    both = f"{restored[stem]} and {targets[stem]}"
                    raise NerdrainError(f"{both}: {error}") from None

    return measure()
