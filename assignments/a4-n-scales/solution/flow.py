"""The flow of NeRD-Rain for any number of scales."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nerdrain.model.config import NeRDRainConfig
from nerdrain.model.feedback import make_feedback
from nerdrain.model.inr import INRBranch
from nerdrain.model.network import Scale

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
    change = PLAIN if plain else VARIANT
    network = make_network(config)
    network.load_state_dict(dict(weights))
    images = make_pyramid(image, len(config["unets"]), change)
    started, rendered = encode(network, images, change)
    pending = feed_back(network, started, change)
    outputs = decode(network, pending, images, change)
    return {"outputs": crop(outputs, image), "inr": crop([*rendered, image], image)[:-1]}


def make_network(config: Mapping[str, Any]) -> nn.ModuleDict:
    """The parts of the network under the package's names; the parts do not read `unets`."""
    unets = config["unets"]
    parts = {name: value for name, value in config.items() if name != "unets"}
    settings = NeRDRainConfig(fidelity="paper", **parts)
    scales, inrs, feedback = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
    for number, count in enumerate(unets, start=1):
        scales[f"s{number}"] = Scale(settings, count, borrow_reduction=False)
    for number, (own, finer) in enumerate(pairwise(unets), start=1):
        inrs[f"s{number}"] = INRBranch(settings)
        units = min(own, finer - 1)
        feedback[f"s{number}"] = nn.ModuleList(make_feedback(settings) for _ in range(units))
    return nn.ModuleDict({"scales": scales, "inrs": inrs, "feedback": feedback})


def make_pyramid(image: Tensor, n: int, change: Mapping[str, Any]) -> list[Tensor]:
    """The padded image at n scales, coarse to fine."""
    multiple = 4 * 2 ** (n - 1)
    height, width = image.shape[2:]
    images = [F.pad(image, (0, -width % multiple, 0, -height % multiple), mode="replicate")]
    for _ in range(n - 1):
        images.insert(0, halve(images[0], change["halving"]))
    return images


def halve(image: Tensor, rule: str) -> Tensor:
    """Half the height and width, by one number for each 2x2 pixels."""
    if rule == "first":
        return image[..., ::2, ::2]
    return F.max_pool2d(image, 2) if rule == "largest" else F.avg_pool2d(image, 2)


def resize(x: Tensor, like: Tensor) -> Tensor:
    """Resize bilinearly to the height and width of another tensor."""
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=False)


def encode(
    network: nn.ModuleDict, images: Sequence[Tensor], change: Mapping[str, Any]
) -> tuple[list[Any], list[Tensor]]:
    """Coarse to fine: the encoding of each scale's first UNet, and the INRs' images."""
    scales, inrs = network["scales"].values(), list(network["inrs"].values())
    started, rendered = [], []
    entry = images[0]
    for k, scale in enumerate(scales):
        started.append(scale.encode_first(entry))
        if k < len(inrs):
            features = inrs[k](entry, started[k].latent)
            size = tuple(images[k + 1].shape[2:])
            passed = inrs[k].decoder(features, size) + resize(entry, images[k + 1])
            rendered.append(resize(passed, entry))
            entry = images[k + 1] + change["entry"] * passed
    return started, rendered


def feed_back(
    network: nn.ModuleDict, started: Sequence[Any], change: Mapping[str, Any]
) -> list[Any]:
    """Fine to coarse: the last encoding of each scale, coarse to fine."""
    pending: list[Any] = []
    latents: list[Tensor] = []
    for name, encoded in reversed(list(zip(network["scales"], started, strict=True))):
        scale, units = network["scales"][name], []
        if name in network["feedback"]:
            units = network["feedback"][name]
        messages = [unit(*latents[k : k + 2]) for k, unit in enumerate(units)]
        latents = []
        for k, unet in enumerate(scale.unets):
            if k:
                decoded = scale.unets[k - 1].decoder(encoded)
                encoded = unet.encoder(scale.contexts[k - 1](decoded))
            before = after = encoded.latent
            if k < len(messages):
                after = before + change["message"] * resize(messages[k], before)
            latents.append(before if change["latents"] == "before" else after)
            encoded = encoded._replace(latent=after)
        pending.insert(0, encoded)
    return pending


def decode(
    network: nn.ModuleDict,
    pending: Sequence[Any],
    images: Sequence[Tensor],
    change: Mapping[str, Any],
) -> list[Tensor]:
    """Coarse to fine: decode each scale's last UNet; its features go on to the next scale."""
    outputs: list[Tensor] = []
    features: Tensor | None = None
    for scale, encoded, image in zip(network["scales"].values(), pending, images, strict=True):
        decoded = scale.decode_last(encoded)
        if features is not None:
            decoded = decoded + change["features"] * resize(features, decoded)
        features = decoded
        outputs.append(scale.output(features) + image)
    return outputs


def crop(images: Sequence[Tensor], image: Tensor) -> list[Tensor]:
    """Undo the padding of images, coarse to fine."""
    cropped = []
    for halvings, padded in zip(reversed(range(len(images))), images, strict=True):
        height, width = (-(-n // 2**halvings) for n in image.shape[2:])
        cropped.append(padded[..., :height, :width])
    return cropped


def main() -> None:
    """Derain noise with random weights, as an example of the arguments."""
    config = {"width": 4, "blocks": [1, 1, 1], "heads": [1, 1, 1], "expansion": 2.0}
    config |= {"inr_hidden": 8, "unets": [1, 1, 2, 2]}
    weights = make_network(config).state_dict()
    with torch.no_grad():
        result = derain(torch.rand(1, 3, 33, 41), weights, config)
    for name, images in result.items():
        print(name, *(tuple(image.shape) for image in images))


if __name__ == "__main__":
    main()
