"""A module for n scales, whose loops run over the names of the scales."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from nerdrain.model.config import NeRDRainConfig
from nerdrain.model.feedback import FeedbackUnit
from nerdrain.model.inr import INRBranch
from nerdrain.model.unet import UNet, conv3x3


@dataclass
class Rules:
    """The flow's constants."""

    entry: float = 1.0
    message: float = 1.0
    features: float = 1.0
    halving: str = "mean"
    latents: str = "before"

    @classmethod
    def read(cls):
        """The constants of the variant."""
        given = json.loads((Path(__file__).parent / "variant.json").read_text())
        return cls(**{name: given[name] for name in cls.__dataclass_fields__})


class Branch(nn.Module):
    """One scale."""

    def __init__(self, settings, unets):
        super().__init__()
        c = settings.width
        self.embed, self.output = conv3x3(3, c), conv3x3(c, 3)
        self.unets = nn.ModuleList([UNet(settings) for _ in range(unets)])
        self.contexts = nn.ModuleList([conv3x3(c, c) for _ in range(unets - 1)])


class Network(nn.Module):
    """n scales, s1 the coarsest."""

    def __init__(self, settings, unets, rules):
        super().__init__()
        self.n, self.rules = len(unets), rules
        self.names = [f"s{i}" for i in range(1, self.n + 1)]
        self.scales = nn.ModuleDict()
        self.inrs = nn.ModuleDict()
        self.feedback = nn.ModuleDict()
        for i, name in enumerate(self.names):
            self.scales[name] = Branch(settings, unets[i])
            if i + 1 < self.n:
                self.inrs[name] = INRBranch(settings)
                units = min(unets[i], unets[i + 1] - 1)
                units = [FeedbackUnit(4 * settings.width) for _ in range(units)]
                self.feedback[name] = nn.ModuleList(units)

    def forward(self, x):
        """All images, cropped."""
        images = self.pyramid(x)
        entries, first, inr = {"s1": images["s1"]}, {}, []
        for here, after in zip(self.names, [*self.names[1:], None], strict=True):
            branch, m = self.scales[here], entries[here]
            first[here] = branch.unets[0].encoder(branch.embed(m))
            if after:
                e = self.inrs[here](m, first[here].latent)
                decoder = self.inrs[here].decoder
                size = images[after].shape[-2:]
                up = decoder(e, size) + F.interpolate(m, size, mode="bilinear")
                inr.append(F.avg_pool2d(up, 2))
                entries[after] = images[after] + self.rules.entry * up
        last = self.last_encodings(first)
        outputs, carried = [], 0
        for name in self.names:
            branch = self.scales[name]
            f = branch.unets[-1].decoder(last[name])
            if name != "s1":
                f = f + F.interpolate(carried, f.shape[-2:], mode="bilinear") * self.rules.features
            carried = f
            outputs.append(branch.output(f) + images[name])
        return {"outputs": self.crop(outputs, x), "inr": self.crop(inr, x)}

    def last_encodings(self, first):
        """Fine to coarse, with messages."""
        last, below = {}, []
        for name in self.names[::-1]:
            branch, encoded, mine = self.scales[name], first[name], []
            units = dict(self.feedback.items()).get(name, [])
            for k in range(len(branch.unets)):
                mine.append(encoded.latent)
                if k < len(units):
                    sent = F.interpolate(
                        units[k](below[k], below[k + 1]), mine[k].shape[-2:], mode="bilinear"
                    )
                    encoded = encoded._replace(
                        latent=torch.add(mine[k], sent, alpha=self.rules.message)
                    )
                    if self.rules.latents == "after":
                        mine[k] = encoded.latent
                if k + 1 < len(branch.unets):
                    context = branch.contexts[k](branch.unets[k].decoder(encoded))
                    encoded = branch.unets[k + 1].encoder(context)
            last[name], below = encoded, mine
        return last

    def pyramid(self, x):
        """Padded images by name, in the order of the names."""
        h, w = x.shape[-2:]
        multiple = 2 << self.n
        image = F.pad(x, (0, -w % multiple, 0, -h % multiple), mode="replicate")
        images = {self.names[-1]: image}
        for name in self.names[-2::-1]:
            if self.rules.halving == "mean":
                image = F.interpolate(image, scale_factor=0.5, mode="bilinear")
            elif self.rules.halving == "first":
                image = F.interpolate(image, scale_factor=0.5, mode="nearest")
            else:
                image = F.adaptive_max_pool2d(image, [s // 2 for s in image.shape[-2:]])
            images[name] = image
        return {name: images[name] for name in self.names}

    def crop(self, images, x):
        """Round odd sizes up."""
        h, w = x.shape[-2:]
        cut = []
        for i, image in enumerate(images):
            step = 2 ** (self.n - 1 - i)
            cut.append(image[:, :, : (h + step - 1) // step, : (w + step - 1) // step])
        return cut


def derain(image, weights, config, plain=False):
    """Make the module, load it, run it."""
    config = dict(config)
    unets = config.pop("unets")
    rules = Rules() if plain else Rules.read()
    network = Network(NeRDRainConfig(fidelity="paper", **config), unets, rules)
    network.load_state_dict(weights)
    return network(image)
