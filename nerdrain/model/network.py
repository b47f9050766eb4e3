"""NeRD-Rain: three scales, the INR between them, feedback fine to coarse (section 3, Figure 2)."""

# No postponed annotations here: the hub's mixin reads `config: NeRDRainConfig` at run time.
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from huggingface_hub import PyTorchModelHubMixin
from jaxtyping import Float
from torch import Tensor, nn

from nerdrain.errors import NerdrainError
from nerdrain.model import ablations
from nerdrain.model.config import NeRDRainConfig
from nerdrain.model.coordinates import Size, size_of
from nerdrain.model.feedback import make_feedback
from nerdrain.model.inr import INRBranch
from nerdrain.model.unet import Encoded, UNet, conv3x3

Image = Float[Tensor, "b 3 h w"]
Features = Float[Tensor, "b c h w"]

SCALES = {"s1": "quarter", "s2": "half", "s3": "full"}
"""The paper's names of the scales (section 3.1), coarse to fine, and how large they are."""


class Derained(NamedTuple):
    """The result of the network: RGB images, not clamped; None for a scale that is missing.

    Attributes:
        full: The derained image, ``(B, 3, H, W)``.
        half: The same at half size, ``(B, 3, ceil(H/2), ceil(W/2))``.
        quarter: At a quarter, ``(B, 3, ceil(H/4), ceil(W/4))``.
        inr_half: The image that the half scale's INR passes on, reduced to half size, which
            equation 5 supervises; shape as `half`.
        inr_quarter: The same for the quarter scale; shape as `quarter`.
    """

    full: Tensor
    half: Tensor | None = None
    quarter: Tensor | None = None
    inr_half: Tensor | None = None
    inr_quarter: Tensor | None = None


class Scale(nn.Module):
    """One scale: an embedding, its UNets one after the other, and an output convolution.

    Every scale of the network is this class. Context convolutions stand between its UNets. In the
    released network the last full-scale UNet decodes with the level-1 reduction of the UNet before
    it (`borrow_reduction`) and its own is never used.
    """

    unets: Sequence[UNet]  # nn.ModuleList, whose type does not say what it holds

    def __init__(self, config: NeRDRainConfig, unets: int, *, borrow_reduction: bool) -> None:
        super().__init__()
        c = config.width
        self.embed = conv3x3(3, c)
        self.unets = nn.ModuleList(UNet(config) for _ in range(unets))  # type: ignore[assignment]
        self.contexts = nn.ModuleList(conv3x3(c, c) for _ in range(unets - 1))
        self.output = conv3x3(c, 3)
        self.borrow_reduction = borrow_reduction

    def encode_first(self, image: Image) -> Encoded:
        """Embed an image and encode it with the first UNet."""
        return self.unets[0].encoder(self.embed(image))

    def advance(
        self, encoded: Encoded, messages: Sequence[Tensor | None]
    ) -> tuple[list[Tensor], Encoded]:
        """Go from the first UNet's latent to the last one's, adding a message to each on the way.

        Return every UNet's latent before the addition, and the last UNet's encoding.
        """
        latents: list[Tensor] = []
        for k, message in enumerate(messages):
            if k:
                features = self.contexts[k - 1](self.unets[k - 1].decoder(encoded))
                encoded = self.unets[k].encoder(features)
            latents.append(encoded.latent)
            if message is not None:
                encoded = encoded._replace(latent=encoded.latent + message)
        return latents, encoded

    def decode_last(self, encoded: Encoded) -> Features:
        """Decode the last UNet: ``(B, C, H, W)`` at this scale."""
        reduction = self.unets[-2].decoder.reduce1 if self.borrow_reduction else None
        return self.unets[-1].decoder(encoded, reduction)


class NeRDRain(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="nerdrain",
    tags=["image-deraining"],
    license="mit",
    coders={NeRDRainConfig: (NeRDRainConfig.model_dump, lambda values: NeRDRainConfig(**values))},
):
    """The network of the paper's Figure 2, in the fidelity that `config` names.

    ``"released"`` computes exactly what the authors' code computes. ``"paper"`` computes what the
    paper describes. Where the paper leaves something open, these are our choices: the INR predicts
    a residual to its scale's input, and their sum is added to the next scale's image, both as
    released; that image is queried once, on the next scale's grid, and its 2x2 means are what
    equation 5 supervises; quarter-size inputs are halved twice; feedback is halved bilinearly.
    `PaperDecoder` and `FeedbackUnit` name the others.

    Args:
        config: The whole network as a value; `PRESETS` names three.

    Shape:
        ``(B, 3, H, W)`` in [0, 1], any H and W from 1 up, to `Derained`. The image is padded on the
        right and below by repeating its border up to a multiple of 16 (of 8 or 4 with fewer
        scales), and the outputs are cropped.
    """

    # nn.ModuleDict, whose type does not say what it holds.
    scales: Mapping[str, Scale]
    inrs: Mapping[str, INRBranch]
    feedback: Mapping[str, Sequence[nn.Module]]

    def __init__(self, config: NeRDRainConfig) -> None:
        super().__init__()
        self.config = config
        released = config.fidelity == "released"
        counts = {name: n for name, n in zip(SCALES, config.unets, strict=True) if n}
        scales = {
            name: Scale(config, n, borrow_reduction=released and name == "s3" and n == 3)
            for name, n in counts.items()
        }
        self.scales = nn.ModuleDict(scales)  # type: ignore[assignment]
        with_inr = [] if config.inr == "none" else list(counts)[:-1]  # none in Table 3 (a)
        if config.inr_grid == "fixed":  # Table 3 (d)
            with_inr = with_inr[:1]
        inrs = {name: INRBranch(config) for name in with_inr}
        self.inrs = nn.ModuleDict(inrs)  # type: ignore[assignment]
        # The k-th UNet of a scale gets a message from UNets k and k + 1 of the finer scale. In M123
        # half has two units (full 1 and 2, full 2 and 3), quarter has one (half 1 and 2).
        units = {a: min(counts[a], counts[b] - 1) for a, b in pairwise(counts)}
        feedback = {
            name: nn.ModuleList(make_feedback(config) for _ in range(n))
            for name, n in units.items()
            if config.feedback != "none"
        }
        self.feedback = nn.ModuleDict(feedback)  # type: ignore[assignment]

    def forward(self, x: Image) -> Derained:
        """Derain; `.full` is the result."""
        if x.ndim != 4 or x.shape[1] != 3 or not x.is_floating_point() or 0 in x.shape[2:]:
            raise NerdrainError(
                f"The network takes floating-point RGB images (B, 3, H, W), at least 1x1, not "
                f"{x.dtype} {tuple(x.shape)}."
            )
        images = self.pyramid(x)
        started, inr_images = self.encode(images)
        pending = self.feed_back(started)
        outputs = self.decode(pending, images)
        return Derained(
            **{SCALES[name]: self.crop(image, name, x) for name, image in outputs.items()},
            **{f"inr_{SCALES[name]}": self.crop(i, name, x) for name, i in inr_images.items()},
        )

    def pyramid(self, x: Image) -> dict[str, Tensor]:
        """The padded image at every scale, coarse to fine, with channels last in memory."""
        multiple = 4 << (len(self.scales) - 1)  # two halvings in a UNet, one between scales
        height, width = size_of(x)
        padding = (0, -width % multiple, 0, -height % multiple)
        x = F.pad(x, padding, mode="replicate") if any(padding) else x
        # Channels are last in memory from here on: layer norm and 1x1 convolutions copy nothing.
        pixels = x.movedim(1, -1).clone(memory_format=torch.contiguous_format)
        images = [pixels.movedim(-1, 1)]
        for _ in range(len(self.scales) - 1):
            height, width = size_of(images[0])
            images.insert(0, self.resize(images[0], (height // 2, width // 2)))
        return dict(zip(self.scales, images, strict=True))

    def encode(self, images: dict[str, Tensor]) -> tuple[dict[str, Encoded], dict[str, Tensor]]:
        """Coarse to fine: encode with every scale's first UNet; the INR enriches the next input.

        Let x be a scale's image, m its input and INR(E) the output of its decoder. At quarter size
        m = x. Each scale renders r = INR(E) + m on the grid of the next finer scale, which reads
        m = x + r. So before training the input of the half scale is a sum of two images, and that
        of the full scale of three. Return the encodings and, for the loss, every r at the size of
        its own scale. Table 3 (a), (b) and (d) replace this method.
        """
        variant = ablations.encode_as_in_table_3(self.config)
        if variant is not None:
            return variant(self, images)
        coarsest = next(iter(images))
        entry = images[coarsest]
        started = {coarsest: self.scales[coarsest].encode_first(entry)}
        rendered: dict[str, Tensor] = {}
        for name, finer in pairwise(images):
            features = self.inrs[name](entry, started[name].latent)
            passed = self.render(name, features, entry, size_of(images[finer]))
            rendered[name] = self.resize(passed, size_of(entry))
            entry = images[finer] + passed
            started[finer] = self.scales[finer].encode_first(entry)
        return started, rendered

    def render(self, name: str, features: Features, entry: Image, size: Size) -> Image:
        """The image of a scale's INR on a grid of `size`, from its E and the scale's input m."""
        decoder = self.inrs[name].decoder
        if self.config.fidelity == "released":
            return self.resize(decoder(features) + entry, size)
        return decoder(features, size) + self.resize(entry, size)

    def feed_back(self, started: dict[str, Encoded]) -> dict[str, Encoded]:
        """Fine to coarse: take each scale to its last encoding, with the finer scale's messages."""
        pending: dict[str, Encoded] = {}
        latents: list[Tensor] = []
        for name in reversed(started):
            encoded = started[name]
            units = self.feedback[name] if name in self.feedback else []  # noqa: SIM401
            messages: list[Tensor | None] = [None] * len(self.scales[name].unets)
            for k, unit in enumerate(units):
                message = unit(latents[k], latents[k + 1])
                messages[k] = self.resize(message, size_of(encoded.latent))
            latents, pending[name] = self.scales[name].advance(encoded, messages)
        return pending

    def decode(self, pending: dict[str, Encoded], images: dict[str, Tensor]) -> dict[str, Tensor]:
        """Coarse to fine: decode every scale's last UNet; each adds its features to the next."""
        outputs: dict[str, Tensor] = {}
        features: Tensor | None = None
        for name, image in images.items():
            decoded = self.scales[name].decode_last(pending[name])
            if features is not None:
                decoded = decoded + self.resize(features, size_of(decoded))
            features = decoded
            outputs[name] = self.scales[name].output(features) + image
        return outputs

    def resize(self, x: Features, size: Size) -> Features:
        """Nearest neighbour in "released" (keep or repeat pixel [2i, 2j]), otherwise bilinear."""
        if size_of(x) == size:
            return x
        if self.config.fidelity == "released":
            return F.interpolate(x, size, mode="nearest")
        return F.interpolate(x, size, mode="bilinear", align_corners=False)

    def crop(self, image: Image, name: str, x: Image) -> Image:
        """Undo the padding; an odd size is rounded up at the coarse scales."""
        halvings = list(reversed(SCALES)).index(name)
        height, width = (-(-n >> halvings) for n in size_of(x))
        return image[..., :height, :width]
