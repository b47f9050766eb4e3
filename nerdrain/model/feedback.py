"""Feedback from a finer scale to a coarser one: the BFPU (section 3.2, equation 4)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nerdrain.model import ablations
from nerdrain.model.config import NeRDRainConfig
from nerdrain.model.unet import conv3x3

Latent = Float[Tensor, "b c h w"]


class FeedbackGate(nn.Module):
    """F_mid of equation 4: a gate in (0, 1), large where both latents ``(B, C, H, W)`` agree."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_a = conv3x3(channels, channels, bias=True)
        self.conv_b = conv3x3(channels, channels, bias=True)

    def forward(self, a: Latent, b: Latent) -> Latent:
        """sigmoid(conv(a) * conv(b))."""
        return torch.sigmoid(self.conv_a(a) * self.conv_b(b))


class FeedbackUnit(nn.Module):
    """The bidirectional feedback propagation unit (BFPU) as the paper writes it, equation 4.

    Two latents ``(B, C, H, W)`` of adjacent UNets to one. F_out = [F_a + F_mid F_a, F_b + F_mid
    F_b] has 2C channels. The paper does not say how they are reduced; we use a 1x1 convolution.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = FeedbackGate(channels)
        self.merge = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, a: Latent, b: Latent) -> Latent:
        """The message to the coarser scale."""
        s = self.gate(a, b)
        return self.merge(torch.cat([a + s * a, b + s * b], dim=1))


class ReleasedFeedbackUnit(nn.Module):
    """The BFPU as the authors' code computes it: the same gate s, then two learned maps a side.

    Two latents ``(B, C, H, W)`` of adjacent UNets to one. For each side z, convolutions of [z, s z]
    give two one-channel maps p and q, and the side becomes p z + q s z. The sides are added,
    where equation 4 concatenates them.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = FeedbackGate(channels)
        self.maps_a = conv3x3(2 * channels, 2, bias=True)
        self.maps_b = conv3x3(2 * channels, 2, bias=True)

    def forward(self, a: Latent, b: Latent) -> Latent:
        """The message to the coarser scale."""
        s = self.gate(a, b)
        return self.side(a, s * a, self.maps_a) + self.side(b, s * b, self.maps_b)

    def side(self, z: Latent, gated: Latent, maps: nn.Module) -> Latent:
        """Mix one latent with its gated copy, pixel by pixel."""
        p, q = maps(torch.cat([z, gated], dim=1)).chunk(2, dim=1)  # (B, 1, H, W) each
        return p * z + q * gated


def make_feedback(config: NeRDRainConfig) -> nn.Module:
    """The feedback unit of `config`, on latents of 4C channels; not for feedback "none"."""
    released = config.fidelity == "released"
    if config.feedback == "concat":
        return ablations.SumFeedback() if released else ablations.ConcatFeedback(4 * config.width)
    return (ReleasedFeedbackUnit if released else FeedbackUnit)(4 * config.width)
