"""Public tests: forms, equality with the package at three scales, and which part reaches what."""

from itertools import pairwise

import flow
import pytest
import torch
from torch import Tensor, nn

from nerdrain.model.config import NeRDRainConfig
from nerdrain.model.feedback import make_feedback
from nerdrain.model.inr import INRBranch
from nerdrain.model.network import NeRDRain, Scale

SMALL = {"width": 4, "blocks": [1, 1, 1], "heads": [1, 2, 4], "expansion": 2.0, "inr_hidden": 8}
SETTINGS = NeRDRainConfig(fidelity="paper", **SMALL)


def make_weights(unets: list[int]) -> dict[str, Tensor]:
    """Random weights of n scales under their names."""
    torch.manual_seed(0)
    parts = nn.ModuleDict({name: nn.ModuleDict() for name in ("scales", "inrs", "feedback")})
    for number, count in enumerate(unets, 1):
        parts["scales"][f"s{number}"] = Scale(SETTINGS, count, borrow_reduction=False)
    for number, (own, finer) in enumerate(pairwise(unets), 1):
        units = range(min(own, finer - 1))
        parts["inrs"][f"s{number}"] = INRBranch(SETTINGS)
        parts["feedback"][f"s{number}"] = nn.ModuleList(make_feedback(SETTINGS) for _ in units)
    return parts.state_dict()


def run(image: Tensor, weights: dict[str, Tensor], unets: list[int], plain: bool = False) -> list:
    """All images, outputs first."""
    with torch.no_grad():
        result = flow.derain(image, weights, {**SMALL, "unets": unets}, plain=plain)
    assert set(result) == {"outputs", "inr"}
    return [*result["outputs"], *result["inr"]]


@pytest.mark.parametrize("unets", [[1, 2, 3], [2, 2, 2], [3, 2, 1]])
@pytest.mark.parametrize("size", [(16, 16), (13, 18)])
def test_the_plain_flow_of_three_scales_is_the_package(
    unets: list[int], size: tuple[int, int]
) -> None:
    """The package's own network is the reference."""
    weights, image = make_weights(unets), torch.rand(2, 3, *size)
    network = NeRDRain(NeRDRainConfig(fidelity="paper", **{**SMALL, "unets": unets}))
    network.load_state_dict(weights)
    with torch.no_grad():
        r = network(image)
    expected = [r.quarter, r.half, r.full, r.inr_quarter, r.inr_half]
    for ours, theirs in zip(run(image, weights, unets, plain=True), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_the_flow_of_the_variant_differs_from_the_package() -> None:
    """Every factor is smaller than 1."""
    weights, image = make_weights([1, 2, 3]), torch.rand(1, 3, 16, 16)
    own, plain = (run(image, weights, [1, 2, 3], plain) for plain in (False, True))
    assert (own[2] - plain[2]).abs().max() > 1e-4


@pytest.mark.parametrize("unets", [[2], [1, 2], [1, 2, 2], [1, 1, 2, 2], [1, 1, 1, 1, 1]])
@pytest.mark.parametrize("size", [(1, 1), (9, 14), (33, 20)])
def test_shapes_for_any_number_of_scales(unets: list[int], size: tuple[int, int]) -> None:
    """A side is rounded up at the coarse scales."""
    n = len(unets)
    images = run(torch.rand(1, 3, *size), make_weights(unets), unets)
    halvings = [*reversed(range(n)), *reversed(range(1, n))]
    expected = [(1, 3, *(-(-side // 2**k) for side in size)) for k in halvings]
    assert [tuple(image.shape) for image in images] == expected
    assert all(image.isfinite().all() for image in images)


def test_images_of_a_batch_do_not_mix() -> None:
    """Each image alone gives the same."""
    weights, image = make_weights([1, 2, 2, 2]), torch.rand(2, 3, 32, 32)
    both = run(image, weights, [1, 2, 2, 2])
    alone = run(image[1:], weights, [1, 2, 2, 2])
    for a, b in zip(both, alone, strict=True):
        torch.testing.assert_close(a[1:], b, atol=1e-5, rtol=1e-4)


def test_both_scales_and_the_feedback_act_on_both_outputs() -> None:
    """A part that acts on nothing is not used."""
    weights = make_weights([2, 3])
    image = torch.rand(1, 3, 8, 8)
    before = run(image, weights, [2, 3])
    for name in ("scales.s1.embed.weight", "scales.s2.embed.weight", "feedback.s1.1.merge.weight"):
        changed = {**weights, name: weights[name] + 0.5}
        after = run(image, changed, [2, 3])
        assert all((a - b).abs().max() > 0 for a, b in zip(after[:2], before[:2], strict=True)), (
            name
        )


def test_the_inrs_images_do_not_depend_on_finer_scales() -> None:
    """Feedback begins after the INRs."""
    unets = [1, 2, 2, 2]
    weights, image = make_weights(unets), torch.rand(1, 3, 32, 32)
    changed = {**weights, "scales.s4.embed.weight": weights["scales.s4.embed.weight"] + 0.5}
    before, after = (run(image, w, unets)[4:] for w in (weights, changed))
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b)
