"""The items of assignment a7: the named convention, and hidden images in it."""

import base64
import itertools
from collections.abc import Sequence
from typing import Any

import a7_images
import a7_oracle
import numpy as np

from nerdrain.course.items import Answer, Call, Item, Verdict, all_or_nothing, compare
from nerdrain.course.keys import Variant

PAIRS = 4
"""Number of images in the published table."""
TOLERANCE = 1e-6
"""Of dB and of SSIM; rounding reaches 1e-11."""

Pair = tuple[np.ndarray, np.ndarray]
Convention = dict[str, Any]


def constants(variant: Variant) -> dict[str, Any]:
    """The published table, with three decimals of PSNR and five of SSIM, and its images."""
    c, given = hidden_convention(variant), published_pairs(variant)
    rows = [(f"image {i}", a7_oracle.metric(*pair, c)) for i, pair in enumerate(given)]
    rows.append(("all images", a7_oracle.table(*zip(*given, strict=True), c)))
    return {
        "table": [[name, round(row["psnr"], 3), round(row["ssim"], 5)] for name, row in rows],
        "pairs": [packed(*pair) for pair in given],
    }


def packed(image: np.ndarray, reference: np.ndarray) -> dict[str, Any]:
    """A pair as text, which `published` in the starter reads."""
    return {
        "shape": list(image.shape),
        "image": base64.b64encode(image.astype("<f4").tobytes()).decode(),
        "reference": base64.b64encode(reference.tobytes()).decode(),
    }


def hidden_convention(variant: Variant) -> Convention:
    """The convention of the table. The package crops nothing, so it never has this one."""
    settings = {name: variant.choice(name, given) for name, given in a7_oracle.OPTIONS.items()}
    return {**settings, "crop": variant.choice("crop", a7_oracle.OPTIONS["crop"][1:])}


def published_pairs(variant: Variant) -> list[Pair]:
    """The images of the table."""
    return pairs(variant.generator("published"), PAIRS)


def pairs(rng: np.random.Generator, count: int) -> list[Pair]:
    """Pairs of images of different sizes."""
    return [
        a7_images.pair(rng, int(rng.integers(33, 41)), int(rng.integers(33, 41)))
        for _ in range(count)
    ]


def items(variant: Variant) -> list[Item]:
    """All items of the assignment."""
    c = hidden_convention(variant)
    rng = variant.generator("hidden")
    hidden = pairs(rng, 4)
    return [
        convention_item(c),
        metric_item("psnr", 5, hidden, c),
        metric_item("ssim", 4, hidden, c),
        table_item([pairs(rng, 3), pairs(rng, 1)], c),
        identical_item(rng),
    ]


def convention_item(c: Convention) -> Item:
    """One share for each of the six settings."""
    calls = [Call("audit:convention")]

    def judge(answers: Sequence[Answer]) -> Verdict:
        named = answers[0].value
        if not isinstance(named, dict):
            return Verdict(0, "convention() must return a dictionary.")
        # A number as a string, or the reverse, is accepted.
        wrong = [name for name in c if str(named.get(name)) != str(c[name])]
        feedback = f"wrong or missing: {', '.join(wrong)}." if wrong else ""
        return Verdict(1 - len(wrong) / len(c), feedback)

    return Item("convention", 6, calls, judge)


def pair_call(image: np.ndarray, reference: np.ndarray) -> Call:
    """A call of `metric`."""
    return Call("audit:metric", {"image": image, "reference": reference})


def figure(answer: Answer, name: str, true: float) -> str | None:
    """The problem of one figure in an answer."""
    if not isinstance(answer.value, dict) or name not in answer.value:
        return f'the result must be a dictionary with the entry "{name}".'
    return compare(answer.value[name], true, TOLERANCE)


def metric_item(name: str, points: float, hidden: list[Pair], c: Convention) -> Item:
    """One of the two figures of hidden images."""
    calls = [pair_call(*pair) for pair in hidden]

    def judge(answers: Sequence[Answer]) -> Verdict:
        for number, (answer, pair) in enumerate(zip(answers, hidden, strict=True)):
            true = a7_oracle.metric(*pair, c)[name]
            if problem := figure(answer, name, true):
                return Verdict(0, f"{name} of hidden image {number}: {problem}")
        return Verdict(1)

    return Item(name, points, calls, judge)


def table_item(sets: list[list[Pair]], c: Convention) -> Item:
    """Both figures of hidden sets of images."""
    calls = []
    for given in sets:
        images, references = (list(part) for part in zip(*given, strict=True))
        arguments = {"images": images, "references": references}
        calls.append(Call("audit:table", arguments))

    def judge(answers: Sequence[Answer]) -> Verdict:
        for (answer, given), name in itertools.product(
            zip(answers, sets, strict=True), ("psnr", "ssim")
        ):
            true = a7_oracle.table(*zip(*given, strict=True), c)[name]
            if problem := figure(answer, name, true):
                return Verdict(0, f"{name} of a hidden set of {len(given)} images: {problem}")
        return Verdict(1)

    return Item("table", 3, calls, judge)


def identical_item(rng: np.random.Generator) -> Item:
    """Two equal images: an infinite PSNR, and an SSIM of 1.

    All values are 0 or 255, so the images are equal in every rounding and without rounding errors.
    """
    image = rng.integers(0, 2, size=(37, 41, 3)).astype(np.float64)
    calls = [pair_call(image, (255 * image).astype(np.uint8))]
    return Item("identical", 2, calls, judge_identical)


def judge_identical(answers: Sequence[Answer]) -> Verdict:
    """Whether the figures are those of equal images."""
    value = answers[0].value
    if not isinstance(value, dict) or not isinstance(value.get("psnr"), float):
        return Verdict(0, 'the result must be a dictionary with the number "psnr".')
    if value["psnr"] != np.inf:
        return Verdict(0, "the PSNR of two equal images must be infinite.")
    return all_or_nothing(figure(answers[0], "ssim", 1.0))
