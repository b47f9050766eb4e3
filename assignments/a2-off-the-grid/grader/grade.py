"""The items of assignment a2: properties of a local ensemble, and agreement with an oracle."""

import itertools
from collections.abc import Sequence
from typing import Any

import a2_oracle
import numpy as np

from nerdrain.course.items import Answer, Call, Item, Verdict, all_or_nothing, compare
from nerdrain.course.keys import Variant

PHASES = (0.125, 0.25, 0.375, 0.625, 0.75, 0.875)
"""Places of a code or a pixel in its cell; 1/2, the package's, is not among them."""
PITCHES = (0.5, 0.75, 1.25, 1.5, 2.0)
BORDERS = ("clamp", "mirror", "wrap")
TOLERANCE = 1e-8
"""Of values of size 1 in float64; rounding reaches 1e-14."""
SMOOTH = 10.0
"""How many times the largest step of the true values a step may be.

Other continuous weights reach 2 times, and a jump is at least 45 times as large (40 keys).
"""


def constants(variant: Variant) -> dict[str, Any]:
    """The student's convention. The two axes differ in everything but the power."""
    codes, pixels = variant.choice("phases", list(phase_pairs()))
    return {
        "code_phase": list(codes),
        "pixel_phase": list(pixels),
        "pitch": list(variant.choice("pitch", list(itertools.permutations(PITCHES, 2)))),
        "borders": list(variant.choice("borders", list(itertools.permutations(BORDERS, 2)))),
        "power": variant.choice("power", (1.5, 2.0, 2.5, 3.0)),
    }


def phase_pairs() -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
    """Phases of codes and of pixels in which no pixel lies on a code of an equal grid."""
    pairs = list(itertools.permutations(PHASES, 2))
    return [
        (codes, pixels)
        for codes, pixels in itertools.product(pairs, pairs)
        if all(c != p for c, p in zip(codes, pixels, strict=True))
    ]


def items(variant: Variant) -> list[Item]:
    """All items of the assignment."""
    given = constants(variant)
    rng = variant.generator("inputs")
    return [
        positions_item(given, rng),
        partition_item(rng),
        continuity_item(given, rng),
        borders_item(given, rng),
        flips_item(given, rng),
        oracle_item(given, rng),
    ]


def random_layers(rng: np.random.Generator, channels: int) -> list[dict[str, np.ndarray]]:
    """A network with three outputs of size about 1, in which the offsets matter."""
    sizes = [channels + 2, 12, 12, 3]
    return [
        {"weight": rng.normal(size=(m, n)) * np.sqrt(2 / n), "bias": rng.normal(size=m) * 0.3}
        for n, m in itertools.pairwise(sizes)
    ]


def positions_item(given: dict[str, Any], rng: np.random.Generator) -> Item:
    """Where the pixels lie."""
    cases = [(n, axis) for n in (1, 2, int(rng.integers(5, 40))) for axis in (0, 1)]
    calls = [
        Call("offgrid:pixel_positions", {"pixels": pixels, "axis": axis}) for pixels, axis in cases
    ]

    def judge(answers: Sequence[Answer]) -> Verdict:
        for answer, (pixels, axis) in zip(answers, cases, strict=True):
            expected = a2_oracle.pixel_positions(pixels, axis, given)
            if problem := compare(answer, expected, TOLERANCE):
                return Verdict(0, f"pixel_positions({pixels}, axis={axis}): {problem}")
        return Verdict(1)

    return Item("positions", 2, calls, judge)


def partition_item(rng: np.random.Generator) -> Item:
    """The weights are a partition of unity, so a constant network gives a constant picture."""
    points = rng.uniform(size=(60, 2))
    layers = random_layers(rng, 2)
    layers[-1]["weight"][:] = 0
    features = rng.normal(size=(1, 2, 4, 7))
    cases = [(5, 0), (3, 1), (1, 0)]
    calls = [
        Call("offgrid:neighbours", {"positions": points[:, axis], "codes": codes, "axis": axis})
        for codes, axis in cases
    ]
    arguments = {"features": features, "points": points, "layers": layers}
    calls.append(Call("offgrid:query_points", arguments))
    constant = np.broadcast_to(layers[-1]["bias"][:, None], (1, 3, 60)).copy()

    def judge(answers: Sequence[Answer]) -> Verdict:
        for answer, (codes, axis) in zip(answers[:-1], cases, strict=True):
            if problem := weights_problem(answer.value, len(points)):
                return Verdict(0, f"neighbours, codes={codes}, axis={axis}: {problem}")
        if problem := compare(answers[-1], constant, TOLERANCE):
            return Verdict(0, f"query_points with a constant network: {problem}")
        return Verdict(1)

    return Item("partition", 3, calls, judge)


def weights_problem(value: object, count: int) -> str | None:
    """The first property of weights that a result of `neighbours` lacks."""
    if problem := triple_problem(value, count):
        return problem
    weight = value[2]
    if (problem := compare(weight.sum(axis=0), np.ones(count), TOLERANCE)) is not None:
        return f"the sums of the weights are not 1; {problem}"
    if weight.min() < -TOLERANCE or weight.max() > 1 + TOLERANCE:
        return "a weight is not in [0, 1]."
    return "all weights are equal." if np.ptp(weight[1]) < 1e-3 else None


def triple_problem(value: object, count: int) -> str | None:
    """Whether a value has the form of a result of `neighbours`."""
    if not isinstance(value, list) or len(value) != 3:
        return "the result must be the three tensors index, offset and weight."
    for name, array in zip(("index", "offset", "weight"), value, strict=True):
        kind = np.int64 if name == "index" else np.float64
        # A comparison with itself finds a wrong shape, dtype, or a value that is not finite.
        if problem := compare(array, np.zeros((2, count), kind), np.inf):
            return f"{name}: {problem}"
    return None


def continuity_item(given: dict[str, Any], rng: np.random.Generator) -> Item:
    """No step along a fine line of points is much larger than the true values' largest."""
    features = rng.normal(size=(1, 3, 6, 5))
    layers = random_layers(rng, 3)
    paths = []
    for axis, codes in enumerate(features.shape[2:]):
        points = np.full((1500, 2), rng.uniform(0.3, 0.7))
        # From the first code to the last. Beyond them the item "borders" judges.
        cells = np.linspace(0.01, codes - 1.01, len(points))
        points[:, axis] = (cells + given["code_phase"][axis]) / codes
        paths.append(points)
    calls = [
        Call("offgrid:query_points", {"features": features, "points": points, "layers": layers})
        for points in paths
    ]

    def judge(answers: Sequence[Answer]) -> Verdict:
        for axis, (answer, points) in enumerate(zip(answers, paths, strict=True)):
            true = a2_oracle.query_points(features, points, layers, given)
            if problem := compare(answer, np.zeros_like(true), np.inf):
                return Verdict(0, f"query_points: {problem}")
            steps = np.abs(np.diff(answer.value, axis=-1)).max(axis=(0, 1))
            allowed = SMOOTH * np.abs(np.diff(true, axis=-1)).max()
            if steps.max() > allowed:
                place = points[int((steps > allowed).argmax()), axis]
                return Verdict(0, f"the values jump along axis {axis}, near {place:.3f}.")
            if np.ptp(answer.value, axis=-1).max() < 0.1 * np.ptp(true, axis=-1).max():
                return Verdict(0, f"the values hardly change along axis {axis}.")
        return Verdict(1)

    return Item("continuity", 3, calls, judge)


def borders_item(given: dict[str, Any], rng: np.random.Generator) -> Item:
    """Indices and offsets for positions beyond the outermost codes."""
    cases = []
    for axis, codes in itertools.product((0, 1), (1, 2, 5)):
        phase = given["code_phase"][axis]
        before = rng.uniform(0, phase, size=4) / codes
        behind = 1 - rng.uniform(0, 1 - phase, size=4) / codes
        cases.append((np.concatenate([before, behind, [0, 1]]), codes, axis))
    names = ("positions", "codes", "axis")
    calls = [Call("offgrid:neighbours", dict(zip(names, case, strict=True))) for case in cases]

    def judge(answers: Sequence[Answer]) -> Verdict:
        for answer, (positions, codes, axis) in zip(answers, cases, strict=True):
            where = f"neighbours, codes={codes}, axis={axis}, beyond the outermost codes: "
            if problem := triple_problem(answer.value, len(positions)):
                return Verdict(0, where + problem)
            true = [a2_oracle.neighbours(x, codes, axis, given) for x in positions]
            index, offset, _ = np.array(true).transpose(2, 1, 0)
            if problem := compare(answer.value[0], index.astype(np.int64), 0):
                return Verdict(0, f"{where}index: {problem}")
            if problem := compare(answer.value[1], offset, TOLERANCE):
                return Verdict(0, f"{where}offset: {problem}")
        return Verdict(1)

    return Item("borders", 4, calls, judge)


def flips_item(given: dict[str, Any], rng: np.random.Generator) -> Item:
    """A flipped picture, with a network that reads flipped offsets, has flipped values."""
    shape = (4, 6)
    features = rng.normal(size=(1, 3, *shape))
    layers = random_layers(rng, 3)
    points = rng.uniform(0.3, 0.7, size=(40, 2))
    given_arguments = {"features": features, "points": points, "layers": layers}
    calls = [Call("offgrid:query_points", given_arguments)]
    for axis, codes in enumerate(shape):
        flipped = points.copy()
        # Code j goes to m - 1 - j, so a position at u cells goes to m - 1 - u.
        centre = 1 + (2 * given["code_phase"][axis] - 1) / codes
        flipped[:, axis] = centre - points[:, axis]
        weight = layers[0]["weight"].copy()
        weight[:, 3 + axis] *= -1
        turned = [{"weight": weight, "bias": layers[0]["bias"]}, *layers[1:]]
        other = {"features": np.flip(features, 2 + axis).copy(), "points": flipped}
        calls.append(Call("offgrid:query_points", {**other, "layers": turned}))

    def judge(answers: Sequence[Answer]) -> Verdict:
        first = answers[0]
        if problem := compare(first, np.zeros((1, 3, len(points))), np.inf):
            return Verdict(0, f"query_points: {problem}")
        if np.ptp(first.value) < 1e-3:
            return Verdict(0, "all values are equal.")
        for axis, answer in enumerate(answers[1:]):
            if problem := compare(answer, first.value, TOLERANCE):
                return Verdict(0, f"a flip of axis {axis} does not flip the values; {problem}")
        return Verdict(1)

    return Item("flips", 3, calls, judge)


def oracle_item(given: dict[str, Any], rng: np.random.Generator) -> Item:
    """Whole pictures of many sizes agree with the oracle."""
    cases = []
    for shape, size in [
        ((4, 5), (4, 5)),
        ((3, 4), (6, 12)),
        ((5, 4), (7, 3)),
        ((1, 2), (3, 1)),
        ((6, 3), (1, 1)),
    ]:
        features = rng.normal(size=(2, 3, *shape))
        cases.append({"features": features, "size": list(size), "layers": random_layers(rng, 3)})
    calls = [Call("offgrid:query", case) for case in cases]

    def judge(answers: Sequence[Answer]) -> Verdict:
        for answer, case in zip(answers, cases, strict=True):
            problem = compare(answer, a2_oracle.query(**case, constants=given), TOLERANCE)
            if problem:
                shape = case["features"].shape
                return all_or_nothing(f"query of {shape} at size {case['size']}: {problem}")
        return Verdict(1)

    return Item("oracle", 5, calls, judge)
