"""config.py: every ablation is a value, and a value without meaning is refused in one sentence."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

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
    assert (config.fidelity, config.norm, config.backbone) == (
        "released",
        "with_bias",
        "transformer",
    )
    assert (config.inr, config.inr_grid, config.inr_encoder) == ("adjacent", "multi", "shared")
    assert (config.inr_encoding, config.inr_interpolation, config.feedback) == (True, True, "bfpu")
    assert PRESETS["nerd-rain"] == config
    assert PRESETS["nerd-rain-s"] == config.with_changes(width=32)
    assert set(PRESETS) == {"nerd-rain", "nerd-rain-s", "nerd-rain-tiny"}


LARGEST_OF_EACH: list[dict[str, Any]] = [
    {"width": 65536, "expansion": 1.0},
    {"inr_hidden": 65536},
    {"blocks": (16, 16, 16)},
    {"unets": (8, 8, 8)},
    {"width": 64, "heads": (64, 64, 64)},
]
SMALLEST_OF_EACH: list[dict[str, Any]] = [
    {"width": 2, "heads": (1, 1, 1), "expansion": 0.5},
    {"inr_hidden": 1},
    {"blocks": (1, 1, 1)},
    {"unets": (0, 0, 1)},
    {"heads": (1, 1, 1)},
]


@pytest.mark.parametrize("changes", LARGEST_OF_EACH + SMALLEST_OF_EACH, ids=str)
def test_the_largest_and_the_smallest_values_are_accepted(changes: dict[str, Any]) -> None:
    config = NeRDRainConfig(**changes)
    assert config.model_dump() | changes == config.model_dump()


@given(configs)
def test_json_and_back(config: NeRDRainConfig) -> None:
    assert NeRDRainConfig(**json.loads(json.dumps(config.model_dump()))) == config
    assert config.with_changes() == config
    assert hash(config.with_changes()) == hash(config)


def test_lists_become_tuples_and_the_value_is_frozen() -> None:
    config = NeRDRainConfig(blocks=[1, 1, 2], heads=[1, 1, 1], unets=[0, 1, 1])  # type: ignore[arg-type]
    assert (config.blocks, config.heads, config.unets) == ((1, 1, 2), (1, 1, 1), (0, 1, 1))
    with pytest.raises(ValidationError, match="frozen"):
        config.width = 8  # type: ignore[misc]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"blocks": (1, 2)}, r"blocks\[2\] is missing"),
    ({"blocks": 3}, "blocks=3: it should be a list"),
    ({"blocks": (1, 2, 0)}, r"blocks\[2\]=0: it should be greater than or equal to 1"),
    ({"blocks": (1, 2, 2.5)}, r"blocks\[2\]=2.5: it should be a valid integer"),
    ({"blocks": (1, 1, 3000)}, r"blocks\[2\]=3000: it should be less than or equal to 16"),
    ({"blocks": (17, 1, 1)}, r"blocks\[0\]=17: it should be less than or equal to 16"),
    ({"unets": (1, 2, 9)}, r"unets\[2\]=9: it should be less than or equal to 8"),
    ({"heads": (0, 1, 1)}, r"heads\[0\]=0: it should be greater than or equal to 1"),
    ({"heads": (65, 1, 1), "width": 130}, r"heads\[0\]=65: it should be less than or equal to 64"),
    ({"heads": (5, 1, 1)}, "level 1 has 48 channels, which 5 heads cannot share"),
    ({"heads": (1, 5, 1)}, "level 2 has 96 channels, which 5 heads cannot share"),
    ({"heads": (1, 2, 5)}, "level 3 has 192 channels, which 5 heads cannot share"),
    ({"unets": (1, 2, -1)}, r"unets\[2\]=-1: it should be greater than or equal to 0"),
    ({"unets": (1, 2, 0)}, "keep the full scale"),
    ({"unets": (1, 0, 3)}, "drop scales from the coarsest on"),
    ({"width": 7}, "width=7: level 1 is halved; use an even width"),
    ({"width": 0}, "width=0: it should be greater than or equal to 1"),
    ({"width": "48"}, "width='48': it should be a valid integer"),
    ({"width": 16.5}, "width=16.5: it should be a valid integer"),
    ({"width": True}, "width=True: it should be a valid integer"),
    ({"width": 10**23}, r"width=1\d+: it should be less than or equal to 65536"),
    (
        {"width": 10**5000},
        r"width=\(a very large number\): it should be less",
    ),
    (
        {"expansion": 1e300},
        r"expansion=1e\+300: make its product with the width 1 to 65536",
    ),
    ({"width": 65536}, r"expansion=2.66: make its product with the width 1 to 65536"),
    ({"width": 65538}, "width=65538: it should be less than or equal to 65536"),
    ({"inr_hidden": 65537}, "inr_hidden=65537: it should be less than or equal to 65536"),
    ({"inr_hidden": 0}, "inr_hidden=0: it should be greater than or equal to 1"),
    ({"inr_encoding": "no"}, "inr_encoding='no': it should be a valid boolean"),
    ({"inr_interpolation": 1}, "inr_interpolation=1: it should be a valid boolean"),
    ({"expansion": 0}, "expansion=0: it should be greater than 0"),
    ({"expansion": float("nan")}, "expansion=nan: it should be a finite number"),
    ({"expansion": "2.66"}, "expansion='2.66': it should be a valid number"),
    (
        {"width": 2, "heads": (1, 1, 1), "expansion": 0.3},
        "expansion=0.3: make its product with the width",
    ),
    ({"fidelity": "exact"}, "fidelity='exact': it should be 'released' or 'paper'"),
    ({"norm": None}, "norm=None: it should be 'with_bias' or 'bias_free'"),
    ({"inr": "both"}, "it should be 'adjacent', 'within' or 'none'"),
    ({"inr_grid": "x"}, "it should be 'multi' or 'fixed'"),
    ({"inr_encoder": "x"}, "it should be 'shared' or 'separate'"),
    ({"feedback": "sum"}, "it should be 'bfpu', 'concat' or 'none'"),
    ({"backbone": "rnn"}, "it should be 'transformer' or 'cnn'"),
    ({"inr": "within"}, 'needs inr_encoder="separate"'),
    ({"inr": "within", "inr_encoder": "separate", "inr_grid": "fixed"}, 'inr_grid="multi"'),
    ({"widht": 8}, "there is no setting widht; did you mean width"),
    ({"depth": 3}, "there is no setting depth; the settings are width, .*, backbone"),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_what_has_no_meaning_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(NerdrainError, match=message) as caught:
        NeRDRainConfig(**changes)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
    with pytest.raises(NerdrainError, match=message):
        NeRDRainConfig().with_changes(**changes)
