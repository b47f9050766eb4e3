"""complexity.py against Table 2 and a count written out by hand."""

from typing import Any

import pytest
import torch

from nerdrain.evaluation.complexity import PAPER_TABLE_2, complexity
from nerdrain.model.config import PRESETS, NeRDRainConfig
from nerdrain.model.network import NeRDRain

PARAMETERS = {"nerd-rain": 22_893_146, "nerd-rain-s": 10_530_314}
RELEASED_GIGA = {"nerd-rain": 156.3, "nerd-rain-s": 79.3}  # as counted on the released code


def blocks(level: int, config: NeRDRainConfig, pixels: int, *, merged: bool) -> int:
    """Multiply-adds of a level's blocks; attention and projection are one matrix if `merged`."""
    c, heads = config.width * 2 ** (level - 1), config.heads[level - 1]
    hidden = int(config.expansion * c)
    attention = 3 * c * c + 9 * 3 * c + c * c // heads + c * c
    feed_forward = c * 2 * hidden + 9 * 2 * hidden + hidden * c
    mixing = c * c // heads * (c if merged else pixels)
    return config.blocks[level - 1] * (pixels * (attention + feed_forward) + mixing)


def by_hand(config: NeRDRainConfig, size: int) -> tuple[int, int]:
    """Needed: one INR pass over the columns that are read. Released: four over all of them."""
    return count(config, size, released=False), count(config, size, released=True)


def count(config: NeRDRainConfig, size: int, *, released: bool) -> int:
    c = config.width
    total = 0.0
    for unets, shrink in zip(config.unets, (16, 4, 1), strict=True):
        pixels = size * size // shrink
        one, two, three = (
            blocks(level, config, pixels >> 2 * (level - 1), merged=not released)
            for level in (1, 2, 3)
        )
        convolutions = 9 * c * c / 2 + 9 * 2 * c * c / 4  # two Downs
        convolutions += 9 * 4 * c * 8 * c / 16 + 9 * 2 * c * 4 * c / 4  # two Ups
        convolutions += 4 * c * 2 * c / 4 + 2 * c * c  # two reductions
        ends = 9 * 3 * c + (unets - 1) * 9 * c * c + 9 * c * 3
        total += unets * (2 * one + 2 * two + three + pixels * convolutions) + pixels * ends
        if shrink > 1:  # quarter and half: the INR and its two Ups
            total += pixels * (9 * 4 * c * 8 * c / 16 + 9 * 2 * c * 4 * c / 4)
            hidden = config.inr_hidden
            passes, inputs = (4, 9 * c + 18 + 2) if released else (1, 9 * c)
            total += pixels * passes * (inputs * hidden + 2 * hidden**2 + 3 * hidden)
        if shrink < 16:  # half and full: feedback of each pair of latents
            unit = 2 * 9 * (4 * c) ** 2 + 2 * 9 * 8 * c * 2
            total += (unets - 1) * unit * pixels / 16
    return int(total)


@pytest.mark.parametrize("name", PARAMETERS)
def test_table_2(name: str) -> None:
    counted = complexity(PRESETS[name])
    assert counted.parameters == PARAMETERS[name]
    assert counted.parameters / 1e6 == pytest.approx(PAPER_TABLE_2[name][0], abs=0.005)
    assert counted.released_macs / 1e9 == pytest.approx(RELEASED_GIGA[name], rel=5e-3)
    assert counted.released_macs / 1e9 == pytest.approx(PAPER_TABLE_2[name][1], rel=5e-3)
    once, released = by_hand(PRESETS[name], 256)
    assert (counted.macs, counted.released_macs) == (once, released)
    assert counted.macs < counted.released_macs


@pytest.mark.parametrize(
    ("changes", "size"),
    [({"inr_hidden": 5, "heads": (1, 1, 2)}, 16), ({"blocks": (3, 1, 2), "expansion": 2.0}, 48)],
)
def test_small_networks_by_hand(changes: dict[str, Any], size: int) -> None:
    config = NeRDRainConfig(width=8, blocks=(1, 1, 1)).with_changes(**changes)
    counted = complexity(config, size)
    assert (counted.macs, counted.released_macs) == by_hand(config, size)


def test_a_network_counts_as_its_configuration_does() -> None:
    config = NeRDRainConfig(width=4, blocks=(1, 1, 1), inr_hidden=5)
    model = NeRDRain(config)
    counted = complexity(model, 16)
    assert counted == complexity(config, (16, 16))
    assert counted.parameters == sum(p.numel() for p in model.parameters())
    assert next(model.parameters()).device.type == "cpu"  # the network itself is left alone


def test_a_size_counts_as_what_it_is_padded_to() -> None:
    config = NeRDRainConfig(width=4, blocks=(1, 1, 1), inr_hidden=5)
    assert complexity(config, (1, 17)) == complexity(config, (16, 32))
    assert complexity(config, (16, 16)) != complexity(config, (16, 17))


def test_paper_fidelity_has_no_idle_passes() -> None:
    def saved(config: NeRDRainConfig) -> int:
        counted = complexity(config, 64)
        return counted.released_macs - counted.macs

    paper = PRESETS["nerd-rain-tiny"].with_changes(fidelity="paper")
    assert saved(paper) == saved(paper.with_changes(inr="none")) > 0  # attention alone


def test_the_tiny_preset_is_tiny() -> None:
    with torch.device("meta"):
        parameters = sum(p.numel() for p in NeRDRain(PRESETS["nerd-rain-tiny"]).parameters())
    assert 4 * parameters < 5e6  # bytes of its checkpoint
