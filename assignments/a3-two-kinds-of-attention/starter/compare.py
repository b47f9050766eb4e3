"""Train a very small deraining network with one kind of attention, and print the gain in PSNR.

    python compare.py window 16 --seed 0
    python compare.py channel 20 --seed 0

The network is a convolution, two residual attention layers and a convolution. Both kinds get the
same crops and rain for the same seed. Change this file as you need, and say so in the report.
"""

import argparse
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from windows import WindowAttention

from nerdrain.data.photos import load_photo, photo_names
from nerdrain.data.rain import add_rain
from nerdrain.model.transformer import ChannelLayerNorm, TransposedAttention

KINDS = {"window": WindowAttention, "channel": TransposedAttention}
CROP = 48


class Layer(nn.Module):
    """x + attention(norm(x)), ``(B, C, H, W)`` to the same."""

    def __init__(self, kind: str, channels: int, heads: int) -> None:
        super().__init__()
        self.norm = ChannelLayerNorm(channels)
        self.attention = KINDS[kind](channels, heads)

    def forward(self, x: Tensor) -> Tensor:
        """Refine features."""
        return x + self.attention(self.norm(x))


def make_network(kind: str, channels: int, heads: int) -> nn.Sequential:
    """A network that predicts the rain of an image, ``(B, 3, H, W)`` to the same."""
    return nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1),
        Layer(kind, channels, heads),
        Layer(kind, channels, heads),
        nn.Conv2d(channels, 3, 3, padding=1),
    )


def crop_pairs(names: list[str], rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
    """Rainy and clean random crops of photographs, ``(B, 3, size, size)`` in [0, 1]."""
    rainy, clean = [], []
    for name in names:
        photo = load_photo(name)
        top, left = (int(rng.integers(n - size + 1)) for n in photo.shape[:2])
        crop = photo[top : top + size, left : left + size]
        rainy.append(add_rain(crop, "heavy", seed=rng)[0])
        clean.append(crop / 255)
    stacked = (torch.tensor(np.stack(part)).float() for part in (rainy, clean))
    first, second = (part.movedim(-1, 1) for part in stacked)
    return first, second


def psnr(image: Tensor, target: Tensor) -> float:
    """Mean peak signal-to-noise ratio of a batch, in dB, on RGB in [0, 1]."""
    errors = (image.clamp(0, 1) - target).square().mean(dim=(1, 2, 3))
    return float(-10 * errors.log10().mean())


def train(network: nn.Module, seed: int, steps: int) -> None:
    """Train on random crops with Adam and the mean absolute error."""
    rng, names = np.random.default_rng(seed), photo_names("train")
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(steps):
        rainy, clean = crop_pairs(list(rng.choice(names, 4)), rng, CROP)
        loss = F.l1_loss(rainy - network(rainy), clean)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def main() -> None:
    """Train and evaluate one network."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("channels", type=int)
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=300)
    given = parser.parse_args()
    torch.manual_seed(given.seed)
    network = make_network(given.kind, given.channels, given.heads)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, CROP, CROP))
    began = time.perf_counter()
    train(network, given.seed, given.steps)
    rainy, clean = crop_pairs(photo_names("validation") * 2, np.random.default_rng(1000), 96)
    with torch.no_grad():
        gain = psnr(rainy - network(rainy), clean) - psnr(rainy, clean)
    print(
        f"{given.kind}, {given.channels} channels, seed {given.seed}: gain {gain:.2f} dB, "
        f"{counter.get_total_flops() // 2:,} multiply-adds counted for {CROP}x{CROP} pixels, "
        f"{time.perf_counter() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
