"""Items of a4: the flow against an oracle, and the directions in which information goes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import a4_oracle as oracle
import numpy as np
import torch
from torch import nn

from nerdrain.course.items import Answer, Call, Item, Verdict, compare
from nerdrain.course.keys import Variant
from nerdrain.model.config import NeRDRainConfig
from nerdrain.model.feedback import make_feedback
from nerdrain.model.inr import INRBranch
from nerdrain.model.network import NeRDRain, Scale

TOLERANCE = 2e-3
NAMES = ("outputs", "inr")
CHANGED = 1e-5
"""The least change of a pixel that counts as an effect. Real effects are far larger."""


def constants(variant: Variant) -> dict[str, Any]:
    """The student's flow, as in the handout."""
    factors = {
        name: round(variant.uniform(name, 0.3, 0.8), 3) for name in ("entry", "message", "features")
    }
    return {
        **factors,
        "halving": variant.choice("halving", ["mean", "first", "largest"]),
        "latents": variant.choice("latents", ["before", "after"]),
    }


def items(variant: Variant) -> list[Item]:
    """The automatic items, in the order of the handout."""
    own, package = oracle.Flow(**constants(variant)), oracle.Flow()
    three, rng = [1, 2, 3], variant.generator("networks")
    package_cases = [
        make_case(rng, three, (1, 16, 32), package),
        make_case(rng, [2, 2, 2], (2, 16, 16), package),
        make_case(rng, three, (1, 13, 19), package),
    ]
    return [
        flow_item("package", 4, package_cases),
        flow_item("three", 3, [make_case(rng, [2, 2, 3], (2, 32, 16), own)]),
        flow_item(
            "scales",
            4,
            [
                make_case(rng, [2], (1, 8, 4), own),
                make_case(rng, [2, 3], (1, 16, 24), own),
                make_case(rng, [1, 2, 2, 3], (1, 32, 32), own),
            ],
        ),
        flow_item(
            "sizes",
            2,
            [
                make_case(rng, [1, 2], (1, 1, 1), own),
                make_case(rng, [1, 2], (2, 11, 18), own),
                make_case(rng, [1, 1, 2], (1, 7, 21), own),
                make_case(rng, [1, 1, 2, 1], (1, 33, 5), own),
            ],
        ),
        reach_item(variant),
    ]


@dataclass(frozen=True)
class Case:
    """A call of the hand-in, and the expected images by name, coarse to fine."""

    call: Call
    expected: Mapping[str, list[np.ndarray]]


def make_config(unets: list[int]) -> dict[str, Any]:
    """A very small network."""
    return {
        "width": 4,
        "blocks": [1, 1, 1],
        "heads": [1, 2, 4],
        "expansion": 2.0,
        "inr_hidden": 8,
        "unets": unets,
    }


def make_weights(rng: np.random.Generator, config: dict[str, Any]) -> dict[str, np.ndarray]:
    """Random weights, large enough that every part acts on the result."""
    weights = {}
    for name, shape in shapes(config).items():
        fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 16
        value = rng.normal(0, fan_in**-0.5, shape)
        if ("norm" in name and name.endswith("weight")) or name.endswith("temperature"):
            value = 1 + 0.3 * value
        weights[name] = value.astype(np.float32)
    return weights


def shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """The names and shapes of the weights, from the package's parts."""
    unets = config["unets"]
    settings = NeRDRainConfig(
        fidelity="paper", **{name: value for name, value in config.items() if name != "unets"}
    )
    parts = nn.ModuleDict({name: nn.ModuleDict() for name in ("scales", "inrs", "feedback")})
    with torch.device("meta"):
        for k, count in enumerate(unets, 1):
            parts["scales"][f"s{k}"] = Scale(settings, count, borrow_reduction=False)
        for k, (own, finer) in enumerate(pairwise(unets), 1):
            units = range(min(own, finer - 1))
            parts["inrs"][f"s{k}"] = INRBranch(settings)
            parts["feedback"][f"s{k}"] = nn.ModuleList(make_feedback(settings) for _ in units)
    return {name: tuple(value.shape) for name, value in parts.state_dict().items()}


def make_case(
    rng: np.random.Generator, unets: list[int], size: tuple[int, int, int], flow: oracle.Flow
) -> Case:
    """A random network, a random image ``(B, 3, H, W)`` and the expected result."""
    config = make_config(unets)
    weights = make_weights(rng, config)
    image = rng.random((size[0], 3, *size[1:]), dtype=np.float32)
    plain = flow == oracle.Flow()
    if plain:
        expected = run_package(image, weights, config)
    else:
        expected = oracle.run(image, weights, config, flow)
    return Case(make_call(image, weights, config, plain), expected)


def make_call(
    image: np.ndarray, weights: dict[str, np.ndarray], config: dict[str, Any], plain: bool
) -> Call:
    """A call of the hand-in's function."""
    arguments = {"image": image, "weights": weights, "config": config, "plain": plain}
    return Call("flow:derain", arguments)


def run_package(
    image: np.ndarray, weights: dict[str, np.ndarray], config: dict[str, Any]
) -> dict[str, list[np.ndarray]]:
    """The package's network for three scales."""
    network = NeRDRain(NeRDRainConfig(fidelity="paper", **config))
    network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    with torch.no_grad():
        result = network(torch.from_numpy(image))
    outputs, inr = (result.quarter, result.half, result.full), (result.inr_quarter, result.inr_half)
    return {"outputs": [x.numpy() for x in outputs], "inr": [x.numpy() for x in inr]}


def flow_item(name: str, points: float, cases: list[Case]) -> Item:
    """Agreement of all images of all cases."""
    return Item(name, points, [case.call for case in cases], partial(judge_flow, cases))


def judge_flow(cases: Sequence[Case], answers: Sequence[Answer]) -> Verdict:
    """Compare every image of every case."""
    for case, answer in zip(cases, answers, strict=True):
        problem = compare_images(answer.value, case.expected, TOLERANCE)
        if problem:
            unets, size = case.call.arguments["config"]["unets"], case.call.arguments["image"].shape
            right = name_right(answer.value, case.expected)
            return Verdict(0.0, f"unets {unets}, image {size}: {problem}{right}")
    return Verdict(1.0)


def name_right(value: object, expected: Mapping[str, list[np.ndarray]]) -> str:
    """A sentence that names the images that agree, so that a student knows where to look."""
    if not isinstance(value, dict):
        return ""
    right = [
        f"{name}[{k}]"
        for name in NAMES
        if isinstance(value.get(name), list)
        for k, (image, wanted) in enumerate(zip(value[name], expected[name], strict=False))
        if not compare(image, wanted, TOLERANCE)
    ]
    return f" Right: {', '.join(right)}." if right else " No image is right."


def compare_images(
    value: object, expected: Mapping[str, list[np.ndarray]], tolerance: float
) -> str | None:
    """The first problem of a result, or None."""
    for name in NAMES:
        images = value.get(name) if isinstance(value, dict) else None
        if not isinstance(images, list) or len(images) != len(expected[name]):
            return f"{name!r} must be a list of {len(expected[name])} images in a dict."
        for k, (image, wanted) in enumerate(zip(images, expected[name], strict=True)):
            problem = compare(image, wanted, tolerance)
            if problem:
                return f"{name}[{k}]: {problem}"
    return None


REACH = {
    # A changed weight, and the images that must change (outputs, then INRs); no others may.
    "scales.s1.embed.weight": ("1111", "111"),
    "scales.s4.embed.weight": ("1111", "000"),
    "inrs.s2.decoder.layers.0.weight": ("1111", "011"),
    "feedback.s2.0.merge.weight": ("1111", "000"),
    "scales.s2.unets.1.decoder.reduce1.weight": ("0111", "000"),
    "scales.s3.output.weight": ("0010", "000"),
}


def reach_item(variant: Variant) -> Item:
    """Each part acts on the images that it reaches in a network of four scales, and no others."""
    rng, config = variant.generator("reach"), make_config([2, 2, 2, 3])
    weights = make_weights(rng, config)
    image = rng.random((1, 3, 32, 32), dtype=np.float32)
    calls = [make_call(image, weights, config, False)]
    for name in REACH:
        noise = rng.normal(0, 1, weights[name].shape).astype(np.float32)
        calls.append(make_call(image, weights | {name: weights[name] + noise}, config, False))
    return Item("reach", 3, calls, judge_reach)


def judge_reach(answers: Sequence[Answer]) -> Verdict:
    """Judge from the answers alone."""
    sides = {"outputs": (4, 8, 16, 32), "inr": (4, 8, 16)}
    zeros = {
        name: [np.zeros((1, 3, side, side), np.float32) for side in found]
        for name, found in sides.items()
    }
    for answer in answers:
        problem = compare_images(answer.value, zeros, np.inf)
        if problem:
            return Verdict(0.0, problem)
    before = answers[0].value
    for (weight, expected), answer in zip(REACH.items(), answers[1:], strict=True):
        for name, digits in zip(NAMES, expected, strict=True):
            for k, digit in enumerate(digits):
                change = np.abs(answer.value[name][k] - before[name][k]).max()
                if (change > CHANGED) != (digit == "1"):
                    does = "reaches" if digit == "0" else "does not reach"
                    return Verdict(0.0, f"a change of {weight} {does} {name}[{k}].")
    return Verdict(1.0)
