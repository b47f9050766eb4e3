"""The items of assignment a1: a bandwidth, a kernel, features, samples, and a standard error."""

from collections.abc import Callable, Sequence
from typing import Any

import a1_oracle
import numpy as np

from nerdrain.course.items import Answer, Call, Item, Verdict, all_or_nothing, compare
from nerdrain.course.keys import Variant

TOLERANCE = 1e-6
"""Relative to the variance and the bandwidth; rounding reaches 1e-10."""
SAMPLES = 40_000
SIGMAS = 5.0
"""How many standard errors a mean of the samples may be off.

A hand-in is compared at about 140 places, so a right one fails at most once in 12,000.
"""
SEEDS = (11, 12)
OWN = Call("bandwidth:bandwidth")
"""The student's s, for which the items kernel, spectrum and error are judged."""

Judge = Callable[..., Verdict]


def constants(variant: Variant) -> dict[str, Any]:
    """The student's spectrum. The degrees of freedom are odd, so the kernel is elementary."""
    dimension = variant.choice("dimension", (2, 3))
    return {
        "dimension": dimension,
        "decay": dimension + variant.choice("degrees", (1, 3, 5)),
        "half_power": round(variant.uniform("half power", 0.5, 4), 3),
        "unit": variant.choice("unit", ("cycles", "radians")),
        "variance": variant.choice("variance", (0.25, 0.5, 2.0, 3.0)),
    }


def items(variant: Variant) -> list[Item]:
    """All items of the assignment."""
    given = constants(variant)
    rng = variant.generator("inputs")
    # Distances at which the kernel is neither 1 nor 0.
    distances = rng.uniform(0.1, 4, size=12) / a1_oracle.bandwidth(given)
    return [
        bandwidth_item(given),
        kernel_item(np.concatenate([[0], distances]), given),
        features_item(rng, given),
        spectrum_item(rng, given),
        error_item(np.concatenate([[0], distances]), int(rng.integers(50, 500)), given),
    ]


def bandwidth_item(given: dict[str, Any]) -> Item:
    """The scale of the spectrum."""
    true = a1_oracle.bandwidth(given)

    def judge(answers: Sequence[Answer]) -> Verdict:
        problem = compare(answers[0], true, TOLERANCE * true)
        if problem and compare(answers[0], true, np.inf) is None:
            problem = "S is not half of S(0) at your half-power frequency, in its unit."
        return all_or_nothing(problem)

    return Item("bandwidth", 3, [Call("bandwidth:bandwidth")], judge)


def with_own_bandwidth(judge: Judge, given: dict[str, Any]) -> Judge:
    """Judge answers for the student's s, so that a wrong s costs the item bandwidth only.

    The first answer is that of `bandwidth`. If it is no number, or too far from the true s for the
    hidden distances, the true s counts.
    """
    true = a1_oracle.bandwidth(given)

    def judge_others(answers: Sequence[Answer]) -> Verdict:
        first, *others = answers
        for answer in others:
            if answer.error is not None:
                return Verdict(0, answer.error)
        near = compare(first, true, np.inf) is None and 0.1 < np.ravel(first.value)[0] / true < 10
        s = float(np.ravel(first.value)[0]) if near else true
        half = given["half_power"] * s / true
        return judge(others, {**given, "half_power": half})

    return judge_others


def kernel_item(distances: np.ndarray, given: dict[str, Any]) -> Item:
    """The limit of the kernel."""

    def judge(answers: Sequence[Answer], given: dict[str, Any]) -> Verdict:
        true = a1_oracle.kernel(distances, given)
        return all_or_nothing(compare(answers[0], true, TOLERANCE * given["variance"]))

    calls = [OWN, Call("bandwidth:kernel", {"distances": distances})]
    return Item("kernel", 5, calls, with_own_bandwidth(judge, given), tolerates_errors=True)


def features_item(rng: np.random.Generator, given: dict[str, Any]) -> Item:
    """The scalar products of features of known frequencies; their order does not matter."""
    cases = []
    for count, many in ((9, 7), (6, 1)):
        points = rng.normal(size=(count, given["dimension"]))
        frequencies = 2 * rng.normal(size=(many, given["dimension"]))
        cases.append({"points": points, "frequencies": frequencies})

    def judge(answers: Sequence[Answer]) -> Verdict:
        for answer, case in zip(answers, cases, strict=True):
            points, frequencies = case["points"], case["frequencies"]
            shape = (len(points), 2 * len(frequencies))
            if problem := compare(answer, np.zeros(shape), np.inf):
                return Verdict(0, f"features: {problem}")
            angles = (points[:, None] - points) @ frequencies.T
            true = given["variance"] * np.cos(angles).mean(axis=-1)
            products = answer.value @ answer.value.T
            if problem := compare(products, true, TOLERANCE * given["variance"]):
                return Verdict(0, f"the scalar products of all pairs of points: {problem}")
        return Verdict(1)

    return Item("features", 3, [Call("bandwidth:features", case) for case in cases], judge)


def directions(rng: np.random.Generator, dimension: int) -> np.ndarray:
    """Unit vectors: the axes, the diagonal, and random ones."""
    others = rng.normal(size=(3, dimension))
    every = np.concatenate([np.eye(dimension), np.ones((1, dimension)), others])
    return every / np.linalg.norm(every, axis=1, keepdims=True)


def spectrum_item(rng: np.random.Generator, given: dict[str, Any]) -> Item:
    """The sampled frequencies have the kernel as their characteristic function."""
    units = directions(rng, given["dimension"])
    calls = [
        Call("bandwidth:sample_frequencies", {"count": count, "seed": seed})
        for count, seed in [*((SAMPLES, seed) for seed in SEEDS), (5, 3), (5, 3)]
    ]

    def judge(answers: Sequence[Answer], given: dict[str, Any]) -> Verdict:
        for answer, count in zip(answers, (SAMPLES, SAMPLES, 5, 5), strict=True):
            if problem := compare(answer, np.zeros((count, given["dimension"])), np.inf):
                return Verdict(0, f"sample_frequencies({count}, ...): {problem}")
        first, second, small, again = (answer.value for answer in answers)
        if not np.array_equal(small, again):
            return Verdict(0, "equal seeds give different frequencies.")
        if np.array_equal(first, second):
            return Verdict(0, "different seeds give equal frequencies.")
        for samples in (first, second):
            if problem := samples_problem(samples, units, given):
                return Verdict(0, problem)
        return Verdict(1)

    judge_own = with_own_bandwidth(judge, given)
    return Item("spectrum", 5, [OWN, *calls], judge_own, tolerates_errors=True)


def samples_problem(samples: np.ndarray, units: np.ndarray, given: dict[str, Any]) -> str | None:
    """A direction and a distance at which the samples have another kernel."""
    distances = np.array([0.15, 0.4, 0.8, 1.5, 3.0]) / a1_oracle.bandwidth(given)
    true = a1_oracle.correlation(distances, given)
    errors = a1_oracle.standard_error(distances, len(samples), {**given, "variance": 1.0})
    for number, unit in enumerate(units):
        angles = distances[:, None] * (samples @ unit)
        wrong = np.abs(np.cos(angles).mean(axis=1) - true) > SIGMAS * errors
        odd = np.abs(np.sin(angles).mean(axis=1)) > SIGMAS / np.sqrt(2 * len(samples))
        if (wrong | odd).any():
            along = f"along axis {number}"
            if number >= given["dimension"]:
                along = "along a line between the axes, but not along the axes"
            return f"the samples have another kernel {along}, beyond chance."
    return None


def error_item(distances: np.ndarray, count: int, given: dict[str, Any]) -> Item:
    """The standard error of the estimate of the kernel."""
    calls = [
        Call("bandwidth:standard_error", {"distances": distances, "count": m}) for m in (1, count)
    ]

    def judge(answers: Sequence[Answer], given: dict[str, Any]) -> Verdict:
        for answer, m in zip(answers, (1, count), strict=True):
            true = a1_oracle.standard_error(distances, m, given)
            # At distance 0 a rounding error of 1e-16 in the variance is one of 1e-8 in its root.
            if problem := compare(answer, true, TOLERANCE * given["variance"]):
                return Verdict(0, f"standard_error with count={m}: {problem}")
        return Verdict(1)

    judge_own = with_own_bandwidth(judge, given)
    return Item("error", 4, [OWN, *calls], judge_own, tolerates_errors=True)
