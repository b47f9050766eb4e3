"""Items of a3: window attention against an oracle, its locality, and its counts."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import a3_oracle as oracle
import numpy as np

from nerdrain.course.items import Answer, Call, Item, Verdict, all_or_nothing, compare
from nerdrain.course.keys import Variant

TOLERANCE = {np.dtype(np.float32): 1e-4, np.dtype(np.float64): 1e-8}
COUNTER = (Path(__file__).parent / "a3_count.py").read_bytes()
MOST = 1.6
"""An implementation that pads the image counts up to 1.5 times the closed form."""


def constants(variant: Variant) -> dict[str, Any]:
    """The student's convention, as in the handout."""
    rows = variant.integer("rows", 3, 6)
    columns = variant.choice("columns", [n for n in range(3, 7) if n != rows])
    return {
        "window": [rows, columns],
        "shift": [
            variant.choice(f"{axis} shift", [n for n in range(1, size) if 2 * n != size])
            for axis, size in (("row", rows), ("column", columns))
        ],
        "sharpness": round(variant.uniform("sharpness", 1.1, 1.9), 3),
        "offset": variant.choice("offset", ["query_minus_key", "key_minus_query"]),
        "border": variant.choice("border", ["exclude", "zeros", "replicate"]),
    }


def items(variant: Variant) -> list[Item]:
    """The automatic items, in the order of the handout."""
    values = constants(variant)
    pairs = {name: tuple(values[name]) for name in ("window", "shift")}
    convention = oracle.Convention(**(values | pairs))
    return [
        window_item(variant, convention),
        border_item(variant, convention),
        local_item(variant, convention),
        *count_items(variant, convention),
    ]


def make_weights(
    rng: np.random.Generator, channels: int, heads: int, convention: oracle.Convention, dtype: Any
) -> dict[str, np.ndarray]:
    """Random weights of the layer. Logits are a few units large, so no part of them is idle."""
    a, b = convention.window
    scale = channels**-0.5
    weights = {
        "qkv.weight": rng.normal(0, 1.2 * scale, (3 * channels, channels, 1, 1)),
        "project.weight": rng.normal(0, scale, (channels, channels, 1, 1)),
        "bias_table": rng.normal(0, 0.8, (heads, 2 * a - 1, 2 * b - 1)),
    }
    return {name: value.astype(dtype) for name, value in weights.items()}


def attend_call(x: np.ndarray, weights: dict[str, np.ndarray], heads: int) -> Call:
    """A call of the student's adapter."""
    return Call("windows:attend", {"x": x, "weights": weights, "heads": heads})


def window_item(variant: Variant, convention: oracle.Convention) -> Item:
    """Agreement in complete windows."""
    (a, b), rng = convention.window, variant.generator("window")
    calls = []
    for batch, channels, heads, dtype in ((2, 8, 2, np.float32), (1, 9, 3, np.float64)):
        height, width = 2 * a + int(rng.integers(a)) + 1, 3 * b + int(rng.integers(b)) + 1
        x = rng.normal(0, 1, (batch, channels, height, width)).astype(dtype)
        calls.append(attend_call(x, make_weights(rng, channels, heads, convention, dtype), heads))
    judge = partial(judge_attention, calls, convention, True)
    without = {**calls[0].arguments["weights"]}
    without["bias_table"] = np.zeros_like(without["bias_table"])
    plain = [attend_call(calls[0].arguments["x"], without, 2)]
    judge_plain = partial(judge_attention, plain, convention, True)

    def judge_both(answers: Sequence[Answer]) -> Verdict:
        verdict = judge(answers[:-1])
        if verdict.share == 1 or judge_plain(answers[-1:]).share < 1:
            return verdict
        more = "With a bias_table of zeros the values are right, so look at the bias."
        return Verdict(verdict.share, f"{verdict.feedback} {more}")

    return Item("window", 3, [*calls, *plain], judge_both)


def border_item(variant: Variant, convention: oracle.Convention) -> Item:
    """Agreement at all pixels, at odd sizes."""
    (a, b), rng = convention.window, variant.generator("borders")
    sizes = (1, 1), (a - 1, b + 1), (2 * a + 1, 3 * b - 1), (a, 2 * b)
    calls = []
    for number, size in enumerate(sizes):
        dtype = np.float64 if number % 2 else np.float32
        x = rng.normal(0, 1, (2, 6, *size)).astype(dtype)
        calls.append(attend_call(x, make_weights(rng, 6, 2, convention, dtype), 2))
    return Item("borders", 3, calls, partial(judge_attention, calls, convention, False))


def judge_attention(
    calls: Sequence[Call],
    convention: oracle.Convention,
    only_complete: bool,
    answers: Sequence[Answer],
) -> Verdict:
    """Compare with the oracle, in complete windows or everywhere."""
    for call, answer in zip(calls, answers, strict=True):
        x = call.arguments["x"]
        value = answer.value
        expected = oracle.attend(x, call.arguments["weights"], call.arguments["heads"], convention)
        fits = isinstance(value, np.ndarray) and value.shape == expected.shape
        if only_complete and fits:
            inside = oracle.complete(*x.shape[2:], convention)
            value = np.where(inside, value, expected).astype(value.dtype)
        problem = compare(value, expected, TOLERANCE[x.dtype])
        if problem:
            heads = call.arguments["heads"]
            where = " in complete windows" if only_complete else ""
            return Verdict(0.0, f"shape {x.shape}, {heads} heads, {x.dtype}{where}: {problem}")
    return Verdict(1.0)


def local_item(variant: Variant, convention: oracle.Convention) -> Item:
    """A pixel acts in its own window only, and a shift by one window shifts the result."""
    (a, b), (s, t), rng = convention.window, convention.shift, variant.generator("local")
    x = rng.normal(0, 1, (1, 6, 3 * a, 3 * b))
    weights = make_weights(rng, 6, 2, convention, np.float64)
    pixels = (s + int(rng.integers(a)), t + int(rng.integers(b))), (0, 0), (3 * a - 1, t)
    images = [x]
    for row, column in pixels:
        changed = x.copy()
        changed[:, :, row, column] += rng.choice([-1.0, 1.0], 6)
        images.append(changed)
    images.append(x[:, :, a:, b:])
    calls = [attend_call(image, weights, 2) for image in images]
    return Item("local", 3, calls, partial(judge_local, x.shape, pixels, convention))


def judge_local(
    shape: tuple[int, ...],
    pixels: Sequence[tuple[int, int]],
    convention: oracle.Convention,
    answers: Sequence[Answer],
) -> Verdict:
    """Judge the properties from the answers alone."""
    (a, b), size = convention.window, shape[2:]
    shapes = [shape] * (len(answers) - 1) + [(*shape[:2], size[0] - a, size[1] - b)]
    values = [answer.value for answer in answers]
    for value, wanted in zip(values, shapes, strict=True):
        problem = compare(value, np.full(wanted, 0.0), np.inf)
        if problem:
            return Verdict(0.0, problem)
    for pixel, value in zip(pixels, values[1:-1], strict=True):
        change = np.abs(value - values[0]).max(axis=(0, 1))
        own = oracle.own_window(pixel, size, convention)
        if change[~own].max() > 1e-9:
            return Verdict(0.0, f"a change of pixel {pixel} acts outside its window.")
        if change[own].min() < 1e-8:
            return Verdict(0.0, f"a change of pixel {pixel} does not reach all of its window.")
    inside = oracle.complete(size[0] - a, size[1] - b, convention)
    moved = np.abs(values[-1] - values[0][:, :, a:, b:]).max(axis=(0, 1))
    if moved[inside].max() > 1e-9:
        where = f"the first {a} rows and {b} columns are cut off"
        return Verdict(0.0, f"if {where}, the results in complete windows change.")
    return Verdict(1.0)


def count_items(variant: Variant, convention: oracle.Convention) -> list[Item]:
    """Predicted, counted and equal multiply-adds."""
    rng = variant.generator("counts")
    asked = []
    for _ in range(6):
        heads = int(rng.integers(1, 5))
        channels = heads * int(rng.integers(2, 25))
        height, width = (int(n) for n in rng.integers(1, 60, 2))
        asked.append({"channels": channels, "heads": heads, "height": height, "width": width})
    counts = [oracle.window_cost(a["channels"], a["height"], a["width"], convention) for a in asked]
    equal = [oracle.equal_channels(**a, convention=convention) for a in asked]
    seen = {"channels": 8, "heads": 2, "height": 48, "width": int(rng.integers(40, 48))}
    counter = Call("a3_count:count", seen, files={"a3_count.py": COUNTER})
    return [
        Item(
            "counts",
            2,
            [Call("windows:multiply_adds", a) for a in asked],
            partial(judge_numbers, asked, counts),
        ),
        Item("cost", 1, [counter], partial(judge_cost, seen, convention)),
        Item(
            "equal",
            2,
            [Call("windows:equal_channels", a) for a in asked],
            partial(judge_numbers, asked, equal),
        ),
    ]


def judge_numbers(
    asked: Sequence[dict[str, int]], expected: Sequence[int], answers: Sequence[Answer]
) -> Verdict:
    """All whole numbers must be exact."""
    for arguments, answer, number in zip(asked, answers, expected, strict=True):
        problem = compare(answer, number, 0)
        if problem:
            words = ", ".join(f"{name}={value}" for name, value in arguments.items())
            return Verdict(0.0, f"{words}: {problem}")
    return Verdict(1.0)


def judge_cost(
    seen: dict[str, int], convention: oracle.Convention, answers: Sequence[Answer]
) -> Verdict:
    """The layer must do its 1x1 convolutions and not many more products than the closed form."""
    counted = answers[0].value
    if isinstance(counted, bool) or not isinstance(counted, int):
        return Verdict(0.0, "the layer's operations could not be counted.")
    channels, height, width = seen["channels"], seen["height"], seen["width"]
    least = 0.9 * 4 * channels**2 * height * width  # one fused kernel is invisible to the counter
    most = MOST * oracle.window_cost(channels, height, width, convention)
    problem = None
    if counted < least:
        problem = "the counter saw fewer multiply-adds than the 1x1 convolutions need."
    elif counted > most:
        problem = "the layer does many more multiply-adds than window attention needs."
    return all_or_nothing(problem)
