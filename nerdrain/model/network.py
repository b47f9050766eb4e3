"""NeRD-Rain: three scales, the INR between them, feedback fine to coarse (section 3, Figure 2)."""

# No postponed annotations here: the hub's mixin reads `config: NeRDRainConfig` at run time.
from collections.abc import Callable
from typing import NamedTuple

import torch.nn.functional as F
from huggingface_hub import PyTorchModelHubMixin
from jaxtyping import Float
from torch import Tensor, nn

from nerdrain.errors import NerdrainError
from nerdrain.model.config import NeRDRainConfig
from nerdrain.model.feedback import make_feedback
from nerdrain.model.inr import INRBranch, Size
from nerdrain.model.modules import module_dict, module_list
from nerdrain.model.unet import Encoded, UNet

Image = Float[Tensor, "b 3 h w"]
Features = Float[Tensor, "b c h w"]

SCALES = {"s1": "quarter", "s2": "half", "s3": "full"}
"""The paper's names of the scales (section 3.1), coarse to fine, and how large they are."""


class Derained(NamedTuple):
    """What the network returns: RGB images, not clamped; a scale that is not there is None.

    Attributes:
        full: The derained image, ``(B, 3, H, W)``.
        half: The same at half size, ``(B, 3, ceil(H/2), ceil(W/2))``.
        quarter: At a quarter, ``(B, 3, ceil(H/4), ceil(W/4))``.
        inr_half: The INR's own image at half size, supervised by equation 5; shape as `half`.
        inr_quarter: The same at a quarter; shape as `quarter`.
    """

    full: Tensor
    half: Tensor | None = None
    quarter: Tensor | None = None
    inr_half: Tensor | None = None
    inr_quarter: Tensor | None = None


class Scale(nn.Module):
    """One scale: an embedding, its UNets one after the other, and an output convolution.

    Every scale of the network is this class. Context convolutions stand between its UNets. In the
    released network the last full-scale UNet decodes with its neighbour's level-1 reduction
    (`borrow_reduction`) and its own is never used.
    """

    def __init__(self, config: NeRDRainConfig, unets: int, *, borrow_reduction: bool) -> None:
        super().__init__()

        def conv(inputs: int, outputs: int) -> nn.Conv2d:
            return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)

        c = config.width
        self.embed = conv(3, c)
        self.unets = module_list(UNet(config) for _ in range(unets))
        self.contexts = module_list(conv(c, c) for _ in range(unets - 1))
        self.output = conv(c, 3)
        self.borrow_reduction = borrow_reduction

    def encode_first(self, image: Image) -> Encoded:
        """Embed an image and encode it with the first UNet."""
        return self.unets[0].encoder(self.embed(image))

    def advance(
        self, encoded: Encoded, feedback: list[Tensor | None]
    ) -> tuple[list[Tensor], Encoded]:
        """From the first UNet's latent to the last one's, adding feedback to each on the way.

        Returns:
            Every UNet's latent as it was before the addition, and the last UNet's encoding, which
            waits to be decoded.
        """
        latents: list[Tensor] = []
        for k, message in enumerate(feedback):
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
    paper describes; it leaves the following open, and these are our choices: the INR predicts a
    residual to its scale's image, and its result is added to the next scale's input, both as
    released; what it passes on is the same continuous image queried on the next scale's pixel grid;
    quarter-size inputs are halved twice; feedback is halved bilinearly; and what
    `nerdrain.model.inr.PaperDecoder` and `nerdrain.model.feedback.FeedbackUnit` name.

    Args:
        config: The whole network as a value; `PRESETS` names three.

    Shape:
        ``(B, 3, H, W)`` in [0, 1], any H and W from 1 up, to `Derained`. The image is padded on the
        right and below by repeating its border up to a multiple of 16 (of 8 or 4 with fewer
        scales), and the outputs are cropped.
    """

    def __init__(self, config: NeRDRainConfig) -> None:
        super().__init__()
        self.config = config
        released = config.fidelity == "released"
        counts = {name: n for name, n in zip(SCALES, config.unets, strict=True) if n}
        self.scales = module_dict(
            {
                name: Scale(config, n, borrow_reduction=released and name == "s3" and n == 3)
                for name, n in counts.items()
            }
        )
        names = list(counts)
        coarse = names[:-1]
        with_inr = coarse[:1] if config.inr_grid == "fixed" else coarse
        self.inrs = module_dict(
            {name: INRBranch(config) for name in with_inr if config.inr != "none"}
        )
        # The k-th UNet of a scale hears the k-th pair of latents of the next finer scale: in M123
        # half has two units (full 1 and 2, full 2 and 3), quarter has one (half 1 and 2).
        self.feedback = module_dict(
            {
                a: module_list(make_feedback(config) for _ in range(min(counts[a], counts[b] - 1)))
                for a, b in zip(coarse, names[1:], strict=True)
                if config.feedback != "none"
            }
        )

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

    def encode(self, images: dict[str, Tensor]) -> tuple[dict[str, Encoded], dict[str, Tensor]]:
        """Coarse to fine: encode with every scale's first UNet; the INR enriches the next input.

        With x a scale's image, m its input and INR(E) what its decoder adds: at quarter size m = x;
        at each scale r = INR(E) + m; at the next finer one m = x + r. So the half scale's input is
        a sum of two images, and the full scale's of three.
        """
        started: dict[str, Encoded] = {}
        rendered: dict[str, Tensor] = {}
        names = list(images)
        entry, query = images[names[0]], None
        for name, finer in zip(names, [*names[1:], None], strict=True):
            if self.config.inr == "within" and finer:
                rendered[name] = self.continuous(name, entry, None)(size_of(entry))
                entry = entry + rendered[name]  # a sum of two images here too
            started[name] = self.scales[name].encode_first(entry)
            if finer is None:
                break
            if self.config.inr == "adjacent":
                if name in self.inrs:  # on a fixed grid, the coarsest one answers for all
                    query = self.continuous(name, entry, started[name].latent)
                assert query is not None  # the coarsest scale always has an INR
                rendered[name] = query(size_of(entry))
                entry = images[finer] + query(size_of(images[finer]))
            else:
                entry = images[finer]
        return started, rendered

    def continuous(
        self, name: str, entry: Image, latent: Tensor | None
    ) -> Callable[[Size], Tensor]:
        """The image that a scale's INR represents, as a function of the grid it is seen on."""
        inr = self.inrs[name]
        e = inr(entry, latent)
        if self.config.fidelity == "paper":
            return lambda size: inr.decoder(e, size) + self.resize(entry, size)
        image = inr.decoder(e) + entry
        return lambda size: self.resize(image, size)

    def feed_back(self, started: dict[str, Encoded]) -> dict[str, Encoded]:
        """Fine to coarse: take each scale to its last latent, telling the coarser of each pair."""
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
        """Coarse to fine: decode every scale's last UNet, each adding its features to the next."""
        outputs: dict[str, Tensor] = {}
        features: Tensor | None = None
        for name, image in images.items():
            decoded = self.scales[name].decode_last(pending[name])
            features = (
                decoded if features is None else decoded + self.resize(features, size_of(decoded))
            )
            outputs[name] = self.scales[name].output(features) + image
        return outputs

    def pyramid(self, x: Image) -> dict[str, Tensor]:
        """The padded image at every scale, coarse to fine; each is half the next."""
        multiple = 4 << (len(self.scales) - 1)  # two halvings in a UNet, one between scales
        height, width = size_of(x)
        padding = (0, -width % multiple, 0, -height % multiple)
        image = F.pad(x, padding, mode="replicate") if any(padding) else x
        images = [image]
        for _ in range(len(self.scales) - 1):
            height, width = size_of(images[0])
            images.insert(0, self.resize(images[0], (height // 2, width // 2)))
        return dict(zip(self.scales, images, strict=True))

    def resize(self, x: Features, size: Size) -> Features:
        """Nearest neighbour as released (keep or repeat pixel [2i, 2j]), bilinear as described."""
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


def size_of(x: Tensor) -> Size:
    """Height and width of a ``(..., H, W)`` tensor."""
    return x.shape[-2], x.shape[-1]
