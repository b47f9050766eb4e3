"""The flow of NeRD-Rain for any number of scales."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

VARIANT = json.loads(Path(__file__).with_name("variant.json").read_text(encoding="utf-8"))
PLAIN = {"entry": 1.0, "message": 1.0, "features": 1.0, "halving": "mean", "latents": "before"}
"""The package's own flow."""


def derain(
    image: Tensor, weights: Mapping[str, Tensor], config: Mapping[str, Any], plain: bool = False
) -> dict[str, list[Tensor]]:
    """Derain with a network of n scales, where n is the length of `config["unets"]`.

    Args:
        image: ``(B, 3, H, W)``, float32, H and W from 1 up.
        weights: the network's weights, under the names of the handout.
        config: width, blocks, heads, expansion, inr_hidden and unets, as in `NeRDRainConfig`.
        plain: use the package's flow in place of the one in `variant.json`.

    Returns:
        "outputs": n images, coarse to fine. "inr": the images of the n - 1 INRs, coarse to fine.
        An image at scale k has ceil(H / 2^(n - k)) rows and ceil(W / 2^(n - k)) columns.
    """
    raise NotImplementedError("write the flow")
