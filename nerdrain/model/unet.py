"""One UNet: three levels down to a latent and back (section 3.1; Restormer's layout [62])."""

from __future__ import annotations

from typing import NamedTuple

import torch
from einops.layers.torch import Rearrange
from jaxtyping import Float
from torch import Tensor, nn

from nerdrain.model.config import NeRDRainConfig
from nerdrain.model.transformer import make_blocks


def conv3x3(inputs: int, outputs: int, *, bias: bool = False) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)


class Down(nn.Sequential):
    """``(B, c, H, W)`` to ``(B, 2c, H/2, W/2)``: a convolution to c/2, then 2x2 pixels to channels.

    The second step is `torch.nn.PixelUnshuffle(2)`, but also works on an empty batch.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(
            conv3x3(channels, channels // 2),
            Rearrange("b c (h p) (w q) -> b h w (c p q)", p=2, q=2),
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 2*c h/2 w/2"]:
        """Halve the size; channels stay last in memory."""
        return super().forward(x).movedim(-1, 1)


class Up(nn.Sequential):
    """``(B, c, H, W)`` to ``(B, c/2, 2H, 2W)``: convolution to 2c, then channels to 2x2 pixels."""

    def __init__(self, channels: int) -> None:
        super().__init__(conv3x3(channels, 2 * channels), nn.PixelShuffle(2))


class Encoded(NamedTuple):
    """The output of the encoder, which the decoder reads.

    Attributes:
        latent: ``(B, 4C, H/4, W/4)``.
        skip2: ``(B, 2C, H/2, W/2)``.
        skip1: ``(B, C, H, W)``.
    """

    latent: Float[Tensor, "b 4*c h/4 w/4"]
    skip2: Float[Tensor, "b 2*c h/2 w/2"]
    skip1: Float[Tensor, "b c h w"]


class Encoder(nn.Module):
    """``(B, C, H, W)`` to `Encoded`; H and W are multiples of 4."""

    def __init__(self, config: NeRDRainConfig) -> None:
        super().__init__()
        c = config.width
        self.level1 = make_blocks(1, config)
        self.down1 = Down(c)
        self.level2 = make_blocks(2, config)
        self.down2 = Down(2 * c)
        self.level3 = make_blocks(3, config)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Encoded:
        """Encode features to a latent, and keep the skips for the decoder."""
        skip1 = self.level1(x)
        skip2 = self.level2(self.down1(skip1))
        return Encoded(self.level3(self.down2(skip2)), skip2, skip1)


class Decoder(nn.Module):
    """`Encoded` back to ``(B, C, H, W)``."""

    def __init__(self, config: NeRDRainConfig) -> None:
        super().__init__()
        c = config.width
        self.up2 = Up(4 * c)
        self.reduce2 = nn.Conv2d(4 * c, 2 * c, 1, bias=False)
        self.level2 = make_blocks(2, config)
        self.up1 = Up(2 * c)
        self.reduce1 = nn.Conv2d(2 * c, c, 1, bias=False)
        self.level1 = make_blocks(1, config)

    def forward(
        self, encoded: Encoded, reduce1: nn.Module | None = None
    ) -> Float[Tensor, "b c h w"]:
        """Decode, with this decoder's `reduce1` or with that of another one.

        The released network decodes its last full-scale UNet with another one's, probably by
        mistake; the decoder's own `reduce1` then never receives a gradient.
        """
        x = self.up2(encoded.latent)  # (B, 2C, H/2, W/2)
        x = self.level2(self.reduce2(torch.cat([x, encoded.skip2], dim=1)))
        x = self.up1(x)  # (B, C, H, W)
        reduce1 = self.reduce1 if reduce1 is None else reduce1
        return self.level1(reduce1(torch.cat([x, encoded.skip1], dim=1)))


class UNet(nn.Module):
    """Encoder and decoder with skips, ``(B, C, H, W)`` to the same; H and W are multiples of 4."""

    def __init__(self, config: NeRDRainConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Encode and decode (the network calls the two apart, with feedback in between)."""
        return self.decoder(self.encoder(x))
