"""The package's network, for as many scales as it has, without the variant's changes."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from nerdrain.model.config import NeRDRainConfig
from nerdrain.model.network import NeRDRain


def derain(
    image: Tensor, weights: Mapping[str, Tensor], config: Mapping[str, Any], plain: bool = False
) -> dict[str, list[Tensor]]:
    """Derain with the package; it names the scales from the finest on."""
    missing = 3 - len(config["unets"])
    unets = (*(0,) * missing, *config["unets"])
    network = NeRDRain(NeRDRainConfig(fidelity="paper", **{**config, "unets": unets}))
    renamed = {}
    for name, value in weights.items():
        part, scale, rest = name.split(".", 2)
        renamed[f"{part}.s{int(scale[1:]) + missing}.{rest}"] = value
    network.load_state_dict(renamed)
    result = network(image)
    outputs = [result.quarter, result.half, result.full]
    return {"outputs": outputs[missing:], "inr": [result.inr_quarter, result.inr_half][missing:]}
