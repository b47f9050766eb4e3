"""The network for any number of scales as functions of its weights, in float64.

It imports nothing of the package: every layer is written again from the equations.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


class Weights:
    """The tensors whose names begin with a prefix."""

    def __init__(self, tensors: Mapping[str, Tensor], prefix: str = "") -> None:
        self.tensors = tensors
        self.prefix = prefix

    def __truediv__(self, name: object) -> "Weights":
        """The part with a name."""
        return Weights(self.tensors, f"{self.prefix}{name}.")

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[self.prefix + name]

    def count(self) -> int:
        """How many numbered parts there are."""
        rest = (n.removeprefix(self.prefix) for n in self.tensors if n.startswith(self.prefix))
        return len({name.partition(".")[0] for name in rest})


class Flow(NamedTuple):
    """The constants that the key draws. The defaults are the flow of the package."""

    entry: float = 1.0
    message: float = 1.0
    features: float = 1.0
    halving: str = "mean"
    latents: str = "before"


def conv(x: Tensor, w: Weights, bias: bool = False) -> Tensor:
    """A convolution that keeps the size."""
    kernel = w["weight"]
    groups = x.shape[1] // kernel.shape[1]
    return F.conv2d(x, kernel, w["bias"] if bias else None, padding="same", groups=groups)


def norm(x: Tensor, w: Weights) -> Tensor:
    """Layer normalisation over the channels."""
    centred = x - x.mean(1, keepdim=True)
    variance = centred.pow(2).mean(1, keepdim=True)
    scale, bias = (w[name][:, None, None] for name in ("weight", "bias"))
    return centred / (variance + 1e-5).sqrt() * scale + bias


def attention(x: Tensor, w: Weights, heads: int) -> Tensor:
    """Attention between channels."""
    qkv = conv(conv(x, w / "qkv"), w / "qkv_depthwise").flatten(2)
    q, k, v = (part.unflatten(1, (heads, -1)) for part in qkv.chunk(3, 1))
    cosines = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-1, -2)
    shares = torch.softmax(cosines * w["temperature"], dim=-1)
    return conv((shares @ v).reshape(x.shape), w / "project")


def feed_forward(x: Tensor, w: Weights) -> Tensor:
    """The gated layer."""
    gate, value = conv(conv(x, w / "expand"), w / "depthwise").chunk(2, 1)
    return conv(F.gelu(gate) * value, w / "project")


def level(x: Tensor, w: Weights, heads: int) -> Tensor:
    """The blocks of a level."""
    for index in range(w.count()):
        block = w / index
        x = x + attention(norm(x, block / "norm1"), block / "attention", heads)
        x = x + feed_forward(norm(x, block / "norm2"), block / "feed_forward")
    return x


def down(x: Tensor, w: Weights) -> Tensor:
    """Half the size, twice the channels."""
    return F.pixel_unshuffle(conv(x, w / 0), 2)


def up(x: Tensor, w: Weights) -> Tensor:
    """Twice the size, half the channels."""
    return F.pixel_shuffle(conv(x, w / 0), 2)


def encode_unet(x: Tensor, w: Weights, heads: tuple[int, int, int]) -> list[Tensor]:
    """The features of levels 1, 2 and 3; the last are the latent."""
    one = level(x, w / "level1", heads[0])
    two = level(down(one, w / "down1"), w / "level2", heads[1])
    return [one, two, level(down(two, w / "down2"), w / "level3", heads[2])]


def decode_unet(encoded: list[Tensor], w: Weights, heads: tuple[int, int, int]) -> Tensor:
    """Features at the size of level 1."""
    one, two, latent = encoded
    x = torch.cat([up(latent, w / "up2"), two], 1)
    x = level(conv(x, w / "reduce2"), w / "level2", heads[1])
    x = torch.cat([up(x, w / "up1"), one], 1)
    return level(conv(x, w / "reduce1"), w / "level1", heads[0])


def axis(queries: int, codes: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Code, offset and weight of the lower and the upper neighbour of each query."""
    position = (torch.arange(queries, dtype=torch.float64) + 0.5) * codes / queries - 0.5
    found = []
    for neighbour in (position.floor(), position.floor() + 1):
        code = neighbour.clamp(0, codes - 1)
        found.append((code.long(), position - code, 1 - (position - neighbour).abs()))
    return found


def inr_image(features: Tensor, w: Weights, size: tuple[int, int]) -> Tensor:
    """The INR at the pixel centres of a grid: four neighbours, weighted by area."""
    batch, channels, height, width = features.shape
    unfolded = F.unfold(features, 3, padding=1).reshape(batch, 9 * channels, height, width)
    total = torch.zeros(batch, 3, *size, dtype=features.dtype)
    for row, row_offset, row_weight in axis(size[0], height):
        for column, column_offset, column_weight in axis(size[1], width):
            offset = torch.stack(torch.broadcast_tensors(row_offset[:, None], column_offset))
            waves = [f(2.0**octave * offset) for octave in range(4) for f in (torch.sin, torch.cos)]
            encoding = torch.cat(waves)[None].expand(batch, -1, -1, -1)
            x = torch.cat([unfolded[:, :, row][..., column], encoding], 1)
            for index in range((w / "layers").count()):
                x = x.relu() if index else x
                layer = w / "layers" / index
                x = torch.einsum("oi,bihw->bohw", layer["weight"], x)
                x = x + layer["bias"][:, None, None]
            total += row_weight[:, None] * column_weight * x
    return total


def message(a: Tensor, b: Tensor, w: Weights) -> Tensor:
    """The feedback unit, equation 4."""
    gate = w / "gate"
    s = torch.sigmoid(conv(a, gate / "conv_a", True) * conv(b, gate / "conv_b", True))
    return conv(torch.cat([a + s * a, b + s * b], 1), w / "merge", True)


def resize(x: Tensor, size: Any) -> Tensor:
    """Bilinear, with pixel centres."""
    return F.interpolate(x, tuple(size), mode="bilinear", align_corners=False)


def pyramid(image: Tensor, scales: int, halving: str) -> list[Tensor]:
    """The padded image, coarse to fine."""
    side = 2 ** (scales + 1)
    rows, columns = (torch.arange(-(-n // side) * side).clamp(max=n - 1) for n in image.shape[2:])
    images = [image[:, :, rows][..., columns]]
    while len(images) < scales:
        four = F.pixel_unshuffle(images[0], 2).unflatten(1, (3, 4))
        rules = {"mean": four.mean(2), "first": four[:, :, 0], "largest": four.amax(2)}
        images = [rules[halving], *images]
    return images


def run(
    image: np.ndarray, weights: Mapping[str, np.ndarray], config: Mapping[str, Any], flow: Flow
) -> dict[str, list[np.ndarray]]:
    """The outputs and the INRs' images, coarse to fine, as float32."""
    root = Weights({name: torch.from_numpy(w).double() for name, w in weights.items()})
    n, heads = len(config["unets"]), tuple(config["heads"])
    images = pyramid(torch.from_numpy(image).double(), n, flow.halving)
    scales = [root / "scales" / f"s{k + 1}" for k in range(n)]
    firsts, rendered, entry = [], [], images[0]
    for k in range(n):
        unet = scales[k] / "unets" / 0
        firsts.append(encode_unet(conv(entry, scales[k] / "embed"), unet / "encoder", heads))
        if k == n - 1:
            break
        inr = root / "inrs" / f"s{k + 1}"
        features = up(up(firsts[k][2], inr / "expand" / 0), inr / "expand" / 1)
        size = images[k + 1].shape[2:]
        passed = inr_image(features, inr / "decoder", size) + resize(entry, size)
        rendered.append(F.pixel_unshuffle(passed, 2).unflatten(1, (3, 4)).mean(2))
        entry = images[k + 1] + flow.entry * passed
    lasts = feed_back(root, firsts, config, flow)
    outputs, features = [], None
    for k in range(n):
        decoder = scales[k] / "unets" / (config["unets"][k] - 1) / "decoder"
        decoded = decode_unet(lasts[k], decoder, heads)
        if features is not None:
            decoded = decoded + flow.features * resize(features, decoded.shape[2:])
        features = decoded
        outputs.append(conv(features, scales[k] / "output") + images[k])
    sizes = [[-(-side // 2 ** (n - 1 - k)) for side in image.shape[2:]] for k in range(n)]
    return {
        name: [x[..., :h, :w].float().numpy() for x, (h, w) in zip(found, sizes, strict=False)]
        for name, found in (("outputs", outputs), ("inr", rendered))
    }


def feed_back(
    root: Weights, firsts: list[list[Tensor]], config: Mapping[str, Any], flow: Flow
) -> list[list[Tensor]]:
    """The last encodings, coarse to fine."""
    lasts, finer = list(firsts), []
    for k in reversed(range(len(firsts))):
        scale, units = root / "scales" / f"s{k + 1}", root / "feedback" / f"s{k + 1}"
        encoded, recorded = firsts[k], []
        for index in range(config["unets"][k]):
            if index:
                old, new = (scale / "unets" / i for i in (index - 1, index))
                decoded = decode_unet(encoded, old / "decoder", tuple(config["heads"]))
                features = conv(decoded, scale / "contexts" / (index - 1))
                encoded = encode_unet(features, new / "encoder", tuple(config["heads"]))
            one, two, before = encoded
            after = before
            if index < len(finer) - 1:
                sent = message(finer[index], finer[index + 1], units / index)
                after = before + flow.message * resize(sent, before.shape[2:])
            recorded.append(before if flow.latents == "before" else after)
            encoded = [one, two, after]
        lasts[k], finer = encoded, recorded
    return lasts
