"""Feedback from a finer scale to a coarser one: the BFPU (section 3.2, equation 4) and Table 5."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nerdrain.model.config import NeRDRainConfig

Latent = Float[Tensor, "b c h w"]


def conv3x3(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3x3 convolution with bias that keeps the size."""
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class FeedbackGate(nn.Module):
    """F_mid of equation 4: a gate in (0, 1) that opens where both latents respond alike.

    Shape:
        two ``(B, C, H, W)`` to one.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_a = conv3x3(channels, channels)
        self.conv_b = conv3x3(channels, channels)

    def forward(self, a: Latent, b: Latent) -> Latent:
        """sigmoid(conv(a) * conv(b))."""
        return torch.sigmoid(self.conv_a(a) * self.conv_b(b))


class FeedbackUnit(nn.Module):
    """The bidirectional feedback propagation unit (BFPU) as the paper writes it, equation 4.

    F_out = [F_a + F_mid F_a, F_b + F_mid F_b] has twice the channels of the latent it is added to;
    the 1x1 convolution that brings it back is our choice, the paper leaves it unsaid.

    Shape:
        two latents ``(B, C, H, W)`` of adjacent UNets to one.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = FeedbackGate(channels)
        self.merge = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, a: Latent, b: Latent) -> Latent:
        """What the coarser scale is told."""
        s = self.gate(a, b)
        return self.merge(torch.cat([a + s * a, b + s * b], dim=1))


class ReleasedFeedbackUnit(nn.Module):
    """The BFPU as the authors' code computes it: the same gate, then two learned maps a side.

    For each side z, convolutions of [z, s z] give two one-channel maps m0 and m1, and the side
    becomes m0 z + m1 s z; the sides are added, where equation 4 concatenates.

    Shape:
        two latents ``(B, C, H, W)`` of adjacent UNets to one.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = FeedbackGate(channels)
        self.maps_a = conv3x3(2 * channels, 2)
        self.maps_b = conv3x3(2 * channels, 2)

    def forward(self, a: Latent, b: Latent) -> Latent:
        """What the coarser scale is told."""
        s = self.gate(a, b)
        return self.side(a, s * a, self.maps_a) + self.side(b, s * b, self.maps_b)

    def side(self, z: Latent, gated: Latent, maps: nn.Module) -> Latent:
        """Mix one latent with its gated self, pixel by pixel."""
        plain, open_ = maps(torch.cat([z, gated], dim=1)).chunk(2, dim=1)  # (B, 1, H, W) each
        return z * plain + gated * open_


class ConcatFeedback(nn.Module):
    """Table 5's "Concat": both latents side by side, and a 1x1 convolution back (ours)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.merge = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, a: Latent, b: Latent) -> Latent:
        """What the coarser scale is told."""
        return self.merge(torch.cat([a, b], dim=1))


class SumFeedback(nn.Module):
    """What the released file for Table 5's "Concat" computes: a sum."""

    def forward(self, a: Latent, b: Latent) -> Latent:
        """What the coarser scale is told."""
        return a + b


def make_feedback(config: NeRDRainConfig) -> nn.Module:
    """The unit that `config` asks for, on latents of 4C channels; not for feedback "none"."""
    released = config.fidelity == "released"
    if config.feedback == "concat":
        return SumFeedback() if released else ConcatFeedback(4 * config.width)
    return (ReleasedFeedbackUnit if released else FeedbackUnit)(4 * config.width)
