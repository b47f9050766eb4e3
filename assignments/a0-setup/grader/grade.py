"""The items of assignment a0: a smoke test of the installation, and two formulas."""

import platform
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

import nerdrain
from nerdrain.course.items import Answer, Call, Item, Verdict, compare
from nerdrain.course.keys import Variant

TOLERANCE = 1e-9
"""Rounding in float64 reaches 1e-13 for the phases of 100 that occur here."""


def constants(variant: Variant) -> dict[str, Any]:
    """An interval that is not symmetric around 0, and a frequency other than 1 and pi."""
    low = variant.choice("low", (-4.0, -2.5, 0.5, 1.25))
    return {
        "low": low,
        "high": low + variant.choice("length", (1.5, 3.0, 3.5, 5.0)),
        "omega": variant.choice("omega", (0.75, 1.5, 2.5, 3.5)),
    }


def items(variant: Variant) -> list[Item]:
    """All items of the assignment."""
    given, rng = constants(variant), variant.generator("inputs")
    return [versions_item(), positions_item(given, rng), encoding_item(given, rng)]


def plain(version: object) -> str:
    """A version without its local label: "2.13.0+cpu" is "2.13.0" in torch's metadata on PyPI."""
    return str(version).partition("+")[0]


def versions_item() -> Item:
    """The versions of the environment in which the function runs."""
    expected = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "nerdrain": nerdrain.__version__,
    }

    def judge(answers: Sequence[Answer]) -> Verdict:
        found = answers[0].value
        if not isinstance(found, dict) or set(found) != set(expected):
            return Verdict(0.0, "the result is not a dictionary with the three keys.")
        wrong = [name for name, version in expected.items() if plain(found[name]) != plain(version)]
        if wrong:
            return Verdict(0.0, f"the version of {wrong[0]} is not that of this environment.")
        return Verdict(1.0)

    return Item("versions", 1, [Call("first:versions")], judge)


def positions_item(given: dict[str, Any], rng: np.random.Generator) -> Item:
    """Centres of pixels."""
    sizes = [*(int(size) for size in rng.integers(5, 100, 2)), 2, 1]

    def judge(answers: Sequence[Answer]) -> Verdict:
        for answer, size in zip(answers, sizes, strict=True):
            ends = np.linspace(given["low"], given["high"], size + 1)
            centres = (ends[1:] + ends[:-1]) / 2
            if problem := compare(answer, centres, TOLERANCE):
                return Verdict(
                    0.0, f"positions({size}): {problem}{distances_hint(answer, centres)}"
                )
        return Verdict(1.0)

    calls = [Call("first:positions", {"size": size}) for size in sizes]
    return Item("positions", 2, calls, judge)


def distances_hint(answer: Answer, centres: np.ndarray) -> str:
    """Which half of the formula is wrong, if the form of the result is right."""
    if len(centres) < 2 or compare(answer, centres, np.inf):
        return ""
    wrong = compare(np.diff(answer.value), np.diff(centres), TOLERANCE)
    return f" The distance of neighbours is {'wrong' if wrong else 'right'}."


def encoding_item(given: dict[str, Any], rng: np.random.Generator) -> Item:
    """Sines and cosines of hidden positions."""
    cases = [(rng.uniform(-5, 5, count), levels) for count, levels in ((1, 1), (6, 4), (3, 5))]

    def judge(answers: Sequence[Answer]) -> Verdict:
        for answer, (x, levels) in zip(answers, cases, strict=True):
            expected = np.empty((len(x), 2 * levels))
            for level in range(levels):
                phase = given["omega"] * 2**level * x
                expected[:, 2 * level], expected[:, 2 * level + 1] = np.sin(phase), np.cos(phase)
            if problem := compare(answer, expected, TOLERANCE):
                return Verdict(0.0, f"encoding with levels={levels}: {problem}")
        return Verdict(1.0)

    calls = [Call("first:encoding", {"x": x, "levels": levels}) for x, levels in cases]
    return Item("encoding", 2, calls, judge)
