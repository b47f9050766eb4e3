"""The flow as recursions over the scales; each part is made and loaded when it is used."""

import json
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from nerdrain.model.config import NeRDRainConfig
from nerdrain.model.feedback import FeedbackUnit
from nerdrain.model.inr import INRBranch
from nerdrain.model.network import Scale

CHANGES = json.loads(Path(__file__).with_name("variant.json").read_text(encoding="utf-8"))


def double(x: Tensor) -> Tensor:
    """Twice the size, bilinear."""
    return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)(x)


def half(x: Tensor) -> Tensor:
    """Half the size: the mean of 2x2 pixels."""
    rows = (x[..., ::2, :] + x[..., 1::2, :]) / 2
    return (rows[..., ::2] + rows[..., 1::2]) / 2


class Flow:
    """The parts of one call."""

    def __init__(self, weights, config, plain):
        self.weights, self.unets, self.plain = weights, config["unets"], plain
        values = {name: value for name, value in config.items() if name != "unets"}
        self.settings = NeRDRainConfig(fidelity="paper", **values)
        self.n = len(self.unets)
        self.scales = [
            self.load(Scale(self.settings, count, borrow_reduction=False), f"scales.s{k + 1}.")
            for k, count in enumerate(self.unets)
        ]

    def factor(self, name):
        """A factor of the flow."""
        return 1.0 if self.plain else CHANGES[name]

    def load(self, module, prefix):
        """Give a module its weights."""
        own = {k[len(prefix) :]: w for k, w in self.weights.items() if k.startswith(prefix)}
        module.load_state_dict(own)
        return module

    def images(self, image, n):
        """The last n images of the pyramid, coarse to fine."""
        if n == 1:
            return [image]
        rule = "mean" if self.plain else CHANGES["halving"]
        four = [image[..., i::2, j::2] for i in (0, 1) for j in (0, 1)]
        if rule == "first":
            smaller = four[0]
        elif rule == "largest":
            smaller = four[0].maximum(four[1]).maximum(four[2].maximum(four[3]))
        else:
            smaller = sum(four) / 4
        return [*self.images(smaller, n - 1), image]

    def enter(self, k, images):
        """The input m of scale k, with the encodings and the INRs' images of the coarser ones."""
        if k == 0:
            return images[0], [], []
        m, started, rendered = self.enter(k - 1, images)
        encoded = self.scales[k - 1].encode_first(m)
        branch = self.load(INRBranch(self.settings), f"inrs.s{k}.")
        features = branch(m, encoded.latent)
        finer = double(m) + branch.decoder(features, tuple(images[k].shape[2:]))
        entry = images[k] + finer * self.factor("entry")
        return entry, [*started, encoded], [*rendered, half(finer)]

    def answer(self, k, started):
        """The latents of scale k, and the last encodings of the scales k to n - 1."""
        finer, rest = self.answer(k + 1, started) if k + 1 < self.n else ([], [])
        units = min(self.unets[k], len(finer) - 1) if finer else 0
        messages = [None] * self.unets[k]
        for i in range(units):
            unit = FeedbackUnit(4 * self.settings.width)
            unit = self.load(unit, f"feedback.s{k + 1}.{i}.")
            messages[i] = self.factor("message") * half(unit(finer[i], finer[i + 1]))
        latents, last = self.scales[k].advance(started[k], messages)
        if not self.plain and CHANGES["latents"] == "after":
            latents = [a if b is None else a + b for a, b in zip(latents, messages, strict=True)]
        return latents, [last, *rest]

    def run(self, image):
        """All images."""
        side = 2 ** (self.n + 1)
        height, width = image.shape[2:]
        full = [-(-size // side) * side for size in (height, width)]
        padded = F.pad(image, (0, full[1] - width, 0, full[0] - height), mode="replicate")
        images = self.images(padded, self.n)
        entry, started, rendered = self.enter(self.n - 1, images)
        started.append(self.scales[-1].encode_first(entry))
        _, lasts = self.answer(0, started)
        outputs, features = [], None
        for scale, last, own in zip(self.scales, lasts, images, strict=True):
            below, features = features, scale.decode_last(last)
            if below is not None:
                features = features + double(below) * self.factor("features")
            outputs.append(own + scale.output(features))
        sizes = [(height, width)]
        while len(sizes) < self.n:
            sizes.insert(0, tuple((s + 1) // 2 for s in sizes[0]))
        crop = [lambda x, s=s: x[:, :, : s[0], : s[1]] for s in sizes]
        return {
            "outputs": [cut(x) for cut, x in zip(crop, outputs, strict=True)],
            "inr": [cut(x) for cut, x in zip(crop[:-1], rendered, strict=True)],
        }


def derain(image, weights, config, plain=False):
    """Derain with a network of n scales."""
    return Flow(weights, config, plain).run(image)
