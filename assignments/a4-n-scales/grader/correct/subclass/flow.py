"""The package's network with more scales: a subclass that replaces what the variant changes."""

import json
from itertools import pairwise
from pathlib import Path

import torch.nn.functional as F
from torch import nn

from nerdrain.model.config import NeRDRainConfig
from nerdrain.model.feedback import make_feedback
from nerdrain.model.inr import INRBranch
from nerdrain.model.network import NeRDRain, Scale

GIVEN = json.loads(Path(__file__).with_name("variant.json").read_text())


class Scaled(nn.Module):
    """A feedback unit whose message is multiplied by a factor. It keeps the unit's names."""

    def __init__(self, unit, factor):
        super().__init__()
        self.unit, self.factor = [unit], factor

    def forward(self, a, b):
        """The message."""
        return self.factor * self.unit[0](a, b)


class Recording(Scale):
    """A scale that returns the latents after the addition."""

    def advance(self, encoded, messages):
        """As the package's, but with the other latents."""
        latents, last = super().advance(encoded, messages)
        pairs = zip(latents, messages, strict=True)
        return [a if m is None else a + m for a, m in pairs], last


class Many(NeRDRain):
    """n scales."""

    def __init__(self, config, unets, rules):
        super().__init__(config)
        self.rules = rules
        kind = Recording if rules["latents"] == "after" else Scale
        names = [f"s{k + 1}" for k in range(len(unets))]
        counts = dict(zip(names, unets, strict=True))
        self.scales = nn.ModuleDict(
            {name: kind(config, n, borrow_reduction=False) for name, n in counts.items()}
        )
        self.inrs = nn.ModuleDict({name: INRBranch(config) for name in names[:-1]})
        self.feedback = nn.ModuleDict()
        for a, b in pairwise(names):
            units = range(min(counts[a], counts[b] - 1))
            self.feedback[a] = nn.ModuleList(make_feedback(config) for _ in units)

    def derain(self, x):
        """All images by kind."""
        images = self.pyramid(x)
        started, inr = self.encode(images)
        plain_units = self.feedback
        factor = self.rules["message"]
        wrapped = {
            name: [Scaled(unit, factor) for unit in units] for name, units in plain_units.items()
        }
        del self.feedback
        self.feedback = wrapped
        pending = self.feed_back(started)
        outputs = self.decode(pending, images)
        return {
            "outputs": [self.cut(outputs[name], name, x) for name in self.scales],
            "inr": [self.cut(inr[name], name, x) for name in self.inrs],
        }

    def pyramid(self, x):
        """The images, coarse to fine; halved by the variant's rule."""
        images = super().pyramid(x)
        names = list(images)
        for fine, coarse in pairwise(reversed(names)):
            image = images[fine]
            if self.rules["halving"] == "first":
                images[coarse] = image[:, :, 0::2, 0::2]
            if self.rules["halving"] == "largest":
                rows = image[:, :, 0::2].maximum(image[:, :, 1::2])
                images[coarse] = rows[..., 0::2].maximum(rows[..., 1::2])
        return images

    def encode(self, images):
        """As the package's, with a factor."""
        started, rendered, entry = {}, {}, None
        last, features = "", None
        for name, image in images.items():
            if entry is None:
                entry = image
            else:
                size = tuple(image.shape[2:])
                passed = self.render(last, features, entry, size)
                rendered[last] = self.resize(passed, tuple(entry.shape[2:]))
                entry = image + self.rules["entry"] * passed
            started[name] = self.scales[name].encode_first(entry)
            if name in self.inrs:
                features = self.inrs[name](entry, started[name].latent)
                last = name
        return started, rendered

    def decode(self, pending, images):
        """As the package's, with a factor."""
        outputs, features = {}, None
        for name, image in images.items():
            decoded = self.scales[name].decode_last(pending[name])
            if features is not None:
                size = tuple(decoded.shape[2:])
                decoded += self.rules["features"] * self.resize(features, size)
            features = decoded
            outputs[name] = self.scales[name].output(features) + image
        return outputs

    def cut(self, image, name, x):
        """The first rows and columns."""
        step = 1 << (len(self.scales) - int(name[1:]))
        height, width = (len(range(0, n, step)) for n in x.shape[2:])
        return F.pad(image, (0, width - image.shape[3], 0, height - image.shape[2]))


def derain(image, weights, config, plain=False):
    """Derain with the subclass."""
    neutral = {"entry": 1, "message": 1, "features": 1, "halving": "mean", "latents": "before"}
    parts = {name: config[name] for name in config if name != "unets"}
    settings = NeRDRainConfig(fidelity="paper", **parts)
    network = Many(settings, config["unets"], neutral if plain else GIVEN)
    network.load_state_dict(weights)
    return network.derain(image)
