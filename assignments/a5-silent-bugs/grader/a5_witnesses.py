"""Inputs that show that every faulty version is wrong, and every correct version is right."""

from collections.abc import Callable
from typing import Any

import numpy as np
from a5_render import PARTS, Constants, correct_versions, faulty_versions, hidden_module

TOLERANCE = 1e-6
"""The handout promises that correct versions agree with each other to this."""
FACTOR = 100
"""Every faulty version is wrong by at least this many tolerances."""

Part = Callable[..., Any]


def load(version: str, constants: Constants) -> Part:
    """The function of a version, with the values of the constants."""
    part = version.partition("__")[0]
    space: dict[str, Any] = {}
    exec(compile(hidden_module({part: version}, constants), version, "exec"), space)
    function: Part = space[part]
    return function


def arguments(part: str, constants: Constants) -> list[dict[str, Any]]:
    """Some inputs of a part."""
    rng, peak = np.random.default_rng(5), constants["PEAK"]
    image = rng.uniform(0, peak, (7, 6, 3))
    plane = rng.uniform(0, 0.05 * peak, (8, 8))
    cases: dict[str, list[dict[str, Any]]] = {
        "mix_windows": [{"x": rng.normal(size=(6, 9)), "size": 3, "shift": 1}],
        "channel_attention": [
            {**{n: rng.normal(size=(3, 5)) for n in "qkv"}, "temperature": 2.5},
        ],
        "gate": [
            {
                **{name: rng.normal(size=(2, 5)) for name in ("current", "feedback")},
                **{"weight": rng.normal(size=(2, 4)), "bias": np.array([1.0, -0.5])},
            }
        ],
        "centres": [{"count": 4}, {"count": 1}],
        "encode": [{"x": np.array([0.21, -0.37, 0.5]), "levels": 4}],
        "ensemble_weights": [{"offsets": np.array([[0.2, 0.7], [0.0, 0.1]])}],
        "resize": [{"x": rng.normal(size=(4, 5)), "height": 8, "width": 3}],
        "augment": [
            {"rainy": image, "clean": image[::-1] * 0.7, "code": code} for code in range(8)
        ],
        "frequency_loss": [{"x": rng.normal(size=(4, 6, 3)), "y": rng.normal(size=(4, 6, 3))}],
        "learning_rate": [
            {"step": step, "steps": 40, "warmup": 10, "peak": 2.0} for step in range(40)
        ],
        "luma": [{"image": rng.uniform(0, 1, (3, 4, 3))}],
        "psnr": [
            {"x": 0.5 * image, "y": 0.5 * image + peak * np.array([0.1, 0.01, 0.2])},
        ],
        "ssim": [{"x": plane, "y": 0.8 * plane.T}, {"x": plane, "y": plane.max() - plane}],
        "mean_psnr": [{"errors": peak**2 * np.array([0.1, 0.01, 1e-5])}],
    }
    return cases[part]


def _observe_stack(function: Part, constants: Constants) -> np.ndarray:
    """Properties of the weights of three layers, each 0 or 1."""
    layers = function(count=3, width=64, rng=np.random.default_rng(8))
    ratio = np.array([layer.std() for layer in layers]) * 8 / constants["GAIN"]
    flat = np.stack([layer.ravel() for layer in layers])
    correlations = np.corrcoef(flat)[np.triu_indices(3, 1)]
    layers[0][0, 0] = 7.0
    return np.array(
        [
            *(len(layers) == 3, (np.abs(ratio - 1) < 0.1).all()),
            *((np.abs(correlations) < 0.1).all(), layers[1][0, 0] != 7.0),
        ]
    ).astype(float)


def _observe_average(function: Part, constants: Constants) -> np.ndarray:
    """The new averages, and the arguments after the call."""
    old = {"a": np.array([1.0, 2.0]), "b": np.array([[3.0]])}
    new = {"a": np.array([5.0, -1.0]), "b": np.array([[0.5]])}
    result = function(average=old, value=new, decay=0.9)
    return np.concatenate([array.ravel() for each in (result, old, new) for array in each.values()])


def observe(part: str, function: Part, constants: Constants) -> np.ndarray:
    """All outputs of a part for its inputs, in one array."""
    if part == "make_stack":
        return _observe_stack(function, constants)
    if part == "update_average":
        return _observe_average(function, constants)
    values = []
    for case in arguments(part, constants):
        result = function(**case)
        results = result if isinstance(result, tuple) else (result,)
        values += [np.ravel(value).astype(np.float64) for value in results]
    return np.concatenate(values)


def find_problems(constants: Constants) -> list[str]:
    """A sentence for each version that is not as it must be."""
    problems = []
    for part in PARTS:
        expected = observe(part, load(part, constants), constants)
        for version in [*correct_versions(part)[1:], *faulty_versions(part)]:
            value = observe(part, load(version, constants), constants)
            same = value.shape == expected.shape
            error = float(np.abs(value - expected).max()) if same else np.inf
            if "__also_" in version and not error <= TOLERANCE:
                problems.append(f"{version} is wrong by {error:.2g}.")
            if "__fault_" in version and not error >= FACTOR * TOLERANCE:
                problems.append(f"{version} is wrong by only {error:.2g}.")
    return problems
