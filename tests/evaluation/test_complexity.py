"""complexity.py against Table 2 and a count written out by hand."""

from typing import Any

import pytest
import torch

from nerdrain.evaluation.complexity import PAPER_TABLE_2, Complexity, complexity
from nerdrain.model.config import PRESETS, NeRDRainConfig
from nerdrain.model.network import NeRDRain

PARAMETERS = {"nerd-rain": 22_893_146, "nerd-rain-s": 10_530_314}
RELEASED_GIGA = {"nerd-rain": 156.3, "nerd-rain-s": 79.3}  # as counted on the released code


def blocks(level: int, config: NeRDRainConfig) -> int:
    """Multiply-adds per pixel of a level's blocks."""
    c, heads = config.width * 2 ** (level - 1), config.heads[level - 1]
    hidden = int(config.expansion * c)
    attention = 3 * c * c + 9 * 3 * c + 2 * c * c // heads + c * c
    feed_forward = c * 2 * hidden + 9 * 2 * hidden + hidden * c
    return config.blocks[level - 1] * (attention + feed_forward)


def by_hand(config: NeRDRainConfig, size: int) -> tuple[int, int]:
    """One INR pass over the columns that are read; and the released four over all of them."""
    c = config.width
    total = inr_once = inr_released = 0
    for unets, shrink in zip(config.unets, (16, 4, 1), strict=True):
        pixels = size * size // shrink
        encoder = blocks(1, config) + blocks(2, config) / 4 + blocks(3, config) / 16
        encoder += 9 * c * c / 2 + 9 * 2 * c * c / 4  # two Downs
        decoder = blocks(1, config) + blocks(2, config) / 4
        decoder += 9 * 4 * c * 8 * c / 16 + 9 * 2 * c * 4 * c / 4  # two Ups
        decoder += 4 * c * 2 * c / 4 + 2 * c * c  # two reductions
        ends = 9 * 3 * c + (unets - 1) * 9 * c * c + 9 * c * 3
        total += pixels * (unets * (encoder + decoder) + ends)
        if shrink > 1:  # quarter and half: the INR and its two Ups
            total += pixels * (9 * 4 * c * 8 * c / 16 + 9 * 2 * c * 4 * c / 4)
            hidden = config.inr_hidden
            inr_once += pixels * (9 * c * hidden + 2 * hidden**2 + 3 * hidden)
            inr_released += pixels * 4 * ((9 * c + 18 + 2) * hidden + 2 * hidden**2 + 3 * hidden)
        if shrink < 16:  # half and full: feedback of each pair of latents
            unit = 2 * 9 * (4 * c) ** 2 + 2 * 9 * 8 * c * 2
            total += (unets - 1) * unit * pixels / 16
    return int(total + inr_once), int(total + inr_released)


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


def test_a_network_counts_as_its_configuration_does(capsys: pytest.CaptureFixture[str]) -> None:
    config = NeRDRainConfig(width=4, blocks=(1, 1, 1), inr_hidden=5)
    model = NeRDRain(config)
    counted = complexity(model, 16)
    assert counted == complexity(config, (16, 16))
    assert type(counted.macs) is type(counted.released_macs) is int
    assert capsys.readouterr().out == ""  # PyTorch's counter can print a table
    assert counted.parameters == sum(p.numel() for p in model.parameters())
    assert next(model.parameters()).device.type == "cpu"  # the network itself is left alone


def test_a_size_counts_as_what_it_is_padded_to() -> None:
    config = NeRDRainConfig(width=4, blocks=(1, 1, 1), inr_hidden=5)
    one = complexity(config, (1, 17))  # counts as 16x32
    assert complexity(config, (32, 64)) == Complexity(
        one.parameters, 4 * one.macs, 4 * one.released_macs
    )


def test_paper_fidelity_has_no_idle_passes() -> None:
    counted = complexity(PRESETS["nerd-rain-tiny"].with_changes(fidelity="paper"), 64)
    assert counted.macs == counted.released_macs > 0


def test_the_tiny_preset_is_tiny() -> None:
    with torch.device("meta"):
        parameters = sum(p.numel() for p in NeRDRain(PRESETS["nerd-rain-tiny"]).parameters())
    assert 2 * parameters < 5e6  # bytes of its checkpoint in float16
