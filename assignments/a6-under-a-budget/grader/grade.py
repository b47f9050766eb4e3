"""Grade a recipe and its weights: the budget, the file, and the gain on hidden pairs."""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from a6_measure import Measured, find_excess, load_weights, measure, rain_of, read

from nerdrain.course.items import Answer, Item, Verdict
from nerdrain.course.keys import Variant
from nerdrain.errors import NerdrainError

READS = ("recipe.yaml", "model.safetensors", "variant.json")
SPREAD = 0.15
"""Standard deviation of the baseline's gain over three seeds, in dB, rounded up."""
BANDS = (5, 7, 9, 11)
"""Margins over the baseline, in spreads; each gives a quarter of the points.

Networks of this size with random weights have margins of up to 0.5 dB, so the first band is above.
"""

Judge = Callable[[bytes, bytes, Variant], Verdict]


def constants(variant: Variant) -> dict[str, Any]:
    """The seed of the student's training run, and the rain of the hidden pairs."""
    return {"seed": variant.integer("seed", 0, 2**31 - 1), "pairs": rain_of(variant)}


def items(variant: Variant) -> list[Item]:
    """No code of the student runs, so the items have no calls."""
    judges = {"budget": (2, judge_budget), "weights": (2, judge_weights), "gain": (16, judge_gain)}
    return [
        Item(name, points, [], _with_files(judge, variant), reads=READS)
        for name, (points, judge) in judges.items()
    ]


def _with_files(judge: Judge, variant: Variant) -> Callable[[Sequence[Answer]], Verdict]:
    """Read the files for a judge; a problem with one of them gives no points."""

    def judge_files(answers: Sequence[Answer]) -> Verdict:
        recipe, weights, given = (answer.value for answer in answers)
        for name, content in zip(READS, (recipe, weights, given), strict=True):
            if content is None:
                return Verdict(0.0, f"{name} is missing.")
        if not _is_own(given, variant):
            return Verdict(0.0, "variant.json is not the file of this student's bundle.")
        try:
            return judge(recipe, weights, variant)
        except NerdrainError as error:
            return Verdict(0.0, str(error))

    return judge_files


def _is_own(content: bytes, variant: Variant) -> bool:
    own = {"assignment": variant.assignment, "student": variant.student, **constants(variant)}
    try:
        return bool(json.loads(content) == own)
    except (ValueError, RecursionError):
        return False


def judge_budget(recipe: bytes, weights: bytes, variant: Variant) -> Verdict:
    """All points within the budget; another seed than the student's is only mentioned."""
    settings = read(recipe)
    if (problem := find_excess(settings)) is not None:
        return Verdict(0.0, problem)
    if settings.seed != constants(variant)["seed"]:
        return Verdict(1.0, "The seed of the recipe is not that of variant.json.")
    return Verdict(1.0)


def judge_weights(recipe: bytes, weights: bytes, variant: Variant) -> Verdict:
    """All points for a complete file with finite weights that fit the recipe."""
    load_weights(weights, read(recipe))
    return Verdict(1.0)


def judge_gain(recipe: bytes, weights: bytes, variant: Variant) -> Verdict:
    """A quarter of the points for each band that the margin over the baseline reaches."""
    if find_excess(read(recipe)) is not None:
        return Verdict(0.0, "the gain counts only within the budget and the rules.")
    found = _measure(recipe, weights, variant)
    reached = sum(found.margin >= band * SPREAD for band in BANDS)
    text = f"mean gain {found.gain:.2f} dB, margin over the baseline {found.margin:.2f} dB."
    return Verdict(reached / len(BANDS), text)


@lru_cache(maxsize=8)
def _measure(recipe: bytes, weights: bytes, variant: Variant) -> Measured:
    return measure(load_weights(weights, read(recipe)), variant)
