"""Compare a folder of restored images with the folder of their targets."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nerdrain.data.images import read_image
from nerdrain.data.pairing import images_in
from nerdrain.errors import NerdrainError
from nerdrain.evaluation.metrics import Metric, metric


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
    restored_dir: str | Path,
    target_dir: str | Path,
    convention: str | Sequence[str] = "matlab-y",
    on_error: Callable[[str, Exception], object] | None = None,
) -> Iterator[Score]:
    """Compare restored images with their clean targets, in one or several keys of `METRICS`.

    Names are matched without suffix, so ``7.png`` is compared with ``7.jpg``. All names are matched
    before the first image is read, so a missing image is an error and not a smaller mean. The
    iterator gives one `Score` per image and convention, in the order of the names.

    Args:
        restored_dir: folder of the restored images.
        target_dir: folder of the clean images.
        convention: one or several keys of `METRICS`.
        on_error: called with the name and the error of an image that cannot be compared, and the
            others go on; by default the error ends the iterator.

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
            try:
                scores = _measure(stem, restored[stem], targets[stem], metrics)
            except Exception as error:
                if on_error is None:
                    raise
                on_error(stem, error)
            else:
                yield from scores

    return measure()


def _measure(
    stem: str, restored: Path, target: Path, metrics: Mapping[str, tuple[Metric, Metric]]
) -> list[Score]:
    """Compare one image with its target in every convention."""
    pair = read_image(restored), read_image(target)
    try:
        return [Score(stem, key, psnr(*pair), ssim(*pair)) for key, (psnr, ssim) in metrics.items()]
    except NerdrainError as error:
        raise NerdrainError(f"{restored} and {target}: {error}") from None
