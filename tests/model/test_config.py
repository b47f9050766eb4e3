"""config.py: every ablation is a value, and a value without meaning is refused in one sentence."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerdrain.errors import NerdrainError
from nerdrain.model.config import PRESETS, NeRDRainConfig

configs = st.builds(
    NeRDRainConfig,
    width=st.integers(2, 40).map(lambda n: 4 * n),
    blocks=st.tuples(*[st.integers(1, 4)] * 3),
    expansion=st.floats(0.5, 4),
    unets=st.sampled_from([(1, 2, 3), (2, 2, 2), (3, 2, 1), (0, 2, 3), (0, 0, 1)]),
    fidelity=st.sampled_from(["released", "paper"]),
    norm=st.sampled_from(["with_bias", "bias_free"]),
    inr=st.sampled_from(["adjacent", "none"]),
    inr_grid=st.sampled_from(["multi", "fixed"]),
    inr_encoding=st.booleans(),
    inr_interpolation=st.booleans(),
    inr_encoder=st.sampled_from(["shared", "separate"]),
    inr_hidden=st.integers(1, 300),
    feedback=st.sampled_from(["bfpu", "concat", "none"]),
    backbone=st.sampled_from(["transformer", "cnn"]),
)


def test_the_defaults_are_the_papers_network() -> None:
    config = NeRDRainConfig()  # section 4.1 and Table 4's M123
    assert (config.width, config.blocks, config.heads) == (48, (2, 3, 3), (1, 2, 4))
    assert (config.unets, config.inr_hidden, config.expansion) == ((1, 2, 3), 256, 2.66)
    assert PRESETS["nerd-rain"] == config
    assert PRESETS["nerd-rain-s"] == config.with_changes(width=32)
    assert set(PRESETS) == {"nerd-rain", "nerd-rain-s", "nerd-rain-tiny"}


@given(configs)
def test_json_and_back(config: NeRDRainConfig) -> None:
    assert NeRDRainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.with_changes() == config
    assert hash(config.with_changes()) == hash(config)


def test_lists_become_tuples_and_the_value_is_frozen() -> None:
    config = NeRDRainConfig(blocks=[1, 1, 2], heads=[1, 1, 1], unets=[0, 1, 1])  # type: ignore[arg-type]
    assert (config.blocks, config.heads, config.unets) == ((1, 1, 2), (1, 1, 1), (0, 1, 1))
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.width = 8  # type: ignore[misc]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"blocks": (1, 2)}, r"blocks=\(1, 2\): give three counts"),
    ({"blocks": 3}, r"blocks=3: give three counts"),
    ({"blocks": (1, 2, 0)}, "give three counts"),
    ({"blocks": (1, 2, 2.5)}, "give three counts"),
    ({"heads": (0, 1, 1)}, "give three counts"),
    ({"heads": (1, 2, 5)}, "level 3 has 192 channels, which 5 heads cannot share"),
    ({"unets": (1, 2, -1)}, "give three counts"),
    ({"unets": (1, 2, 0)}, "the full scale is always there"),
    ({"unets": (1, 0, 3)}, "dropped from the coarsest on"),
    ({"width": 7}, "width=7: level 1 is halved"),
    ({"width": 0}, "width=0: give a positive whole number"),
    ({"width": "48"}, "width='48': give a positive whole number"),
    ({"width": 16.0}, "width=16.0: give a positive whole number"),
    ({"width": True}, "width=True: give a positive whole number"),
    ({"width": 10**23}, r"width=1\d+: give a positive whole number, at most 65536"),
    ({"expansion": 1e300}, r"expansion=1e\+300: give a positive number, .* 1 to 65536 channels"),
    ({"inr_hidden": 0}, "inr_hidden=0: give a positive whole number"),
    ({"inr_encoding": "no"}, "inr_encoding='no': give true or false"),
    ({"inr_interpolation": 1}, "inr_interpolation=1: give true or false"),
    ({"expansion": 0}, "expansion=0: give a positive number"),
    ({"expansion": float("nan")}, "expansion=nan: give a positive number"),
    ({"expansion": "2.66"}, "expansion='2.66': give a positive number"),
    ({"width": 2, "heads": (1, 1, 1), "expansion": 0.3}, "expansion=0.3"),
    ({"fidelity": "exact"}, "fidelity='exact': choose one of released, paper"),
    ({"norm": None}, "norm=None: choose one of with_bias, bias_free"),
    ({"inr": "both"}, "choose one of adjacent, within, none"),
    ({"inr_grid": "x"}, "choose one of multi, fixed"),
    ({"inr_encoder": "x"}, "choose one of shared, separate"),
    ({"feedback": "sum"}, "choose one of bfpu, concat, none"),
    ({"backbone": "rnn"}, "choose one of transformer, cnn"),
    ({"inr": "within"}, 'needs inr_encoder="separate"'),
    ({"inr": "within", "inr_encoder": "separate", "inr_grid": "fixed"}, 'use inr_grid="multi"'),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_what_has_no_meaning_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(NerdrainError, match=message) as caught:
        NeRDRainConfig(**changes)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
    with pytest.raises(NerdrainError, match=message):
        NeRDRainConfig.from_dict(changes)


def test_an_unknown_field_is_named_with_the_known_ones() -> None:
    with pytest.raises(
        NerdrainError, match=r"No such configuration field: depth; .*backbone.*width"
    ):
        NeRDRainConfig().with_changes(depth=3)
