"""NeRD-Rain (Chen, Pan and Dong, CVPR 2024) in one file, to be read from top to bottom.

`python examples/one_file.py` trains a small network (the paper's has width 48, blocks (2, 3, 3) and
inr_hidden 256) for two minutes on data/photos. It prints the gain in PSNR on photographs that were
held back, and writes a picture, rainy on the left and derained on the right. The package computes
the same from the same weights, with fidelity="paper". Shapes are (images, channels, rows, columns).
"""

import argparse
import csv
import os
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from PIL import Image
from torch import nn

Derained = namedtuple("Derained", "full half quarter inr_half inr_quarter")


# Transformer blocks, which keep (B, C, H, W) (section 3.1; Restormer)
def conv(inputs, outputs, size=3, groups=1, bias=False):
    """A convolution that keeps height and width."""
    return nn.Conv2d(inputs, outputs, size, padding=size // 2, groups=groups, bias=bias)


class Block(nn.Module):
    """Attention between channels, then a gated feed-forward layer, each added to its input."""

    def __init__(self, c, heads, n):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(c), nn.LayerNorm(c)
        a, f = self.attention, self.feed_forward = nn.Module(), nn.Module()
        a.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        a.qkv, a.qkv_depthwise = conv(c, 3 * c, 1), conv(3 * c, 3 * c, groups=3 * c)
        f.expand, f.depthwise = conv(c, 2 * n, 1), conv(2 * n, 2 * n, groups=2 * n)
        a.project, f.project = conv(c, c, 1), conv(n, c, 1)

    def forward(self, x):
        x = x + self.attend(self.norm1(x.movedim(1, -1)).movedim(-1, 1))
        return x + self.feed(self.norm2(x.movedim(1, -1)).movedim(-1, 1))

    def attend(self, x):
        """Each head mixes its channels, weighted by the cosine similarity of whole channels."""
        a = self.attention
        qkv, heads = a.qkv_depthwise(a.qkv(x)), len(a.temperature)
        q, k, v = rearrange(qkv, "b (t k c) h w -> t b k c (h w)", t=3, k=heads)
        cosines = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).mT  # (B, heads, C/heads, C/heads)
        mixed = (cosines * a.temperature).softmax(dim=-1) @ v
        return a.project(rearrange(mixed, "b k c (h w) -> b (k c) h w", h=x.shape[-2]))

    def feed(self, x):
        """Two branches of n channels each; one is the gate of the other."""
        f = self.feed_forward
        gate, value = f.depthwise(f.expand(x)).chunk(2, dim=1)
        return f.project(F.gelu(gate) * value)


# UNets and scales (section 3)
def up(c):
    """(B, c, H, W) to (B, c/2, 2H, 2W)."""
    return nn.Sequential(conv(c, 2 * c), nn.PixelShuffle(2))


class UNet(nn.Module):
    """Three levels of blocks down to a latent, and back; feedback reaches the latent in between."""

    def __init__(self, c, blocks):
        super().__init__()
        e, d = self.encoder, self.decoder = nn.Module(), nn.Module()
        e.level1, e.level2, e.level3 = blocks(1), blocks(2), blocks(3)
        e.down1 = nn.Sequential(conv(c, c // 2), nn.PixelUnshuffle(2))  # to (B, 2c, H/2, W/2)
        e.down2 = nn.Sequential(conv(2 * c, c), nn.PixelUnshuffle(2))
        d.up2, d.reduce2, d.level2 = up(4 * c), conv(4 * c, 2 * c, 1), blocks(2)
        d.up1, d.reduce1, d.level1 = up(2 * c), conv(2 * c, c, 1), blocks(1)

    def encode(self, x):
        """(B, C, H, W) to a latent (B, 4C, H/4, W/4) and skips (B, 2C, H/2, W/2), (B, C, H, W)."""
        skip1 = self.encoder.level1(x)
        skip2 = self.encoder.level2(self.encoder.down1(skip1))
        return self.encoder.level3(self.encoder.down2(skip2)), skip2, skip1

    def decode(self, latent, skip2, skip1):
        """Back to (B, C, H, W)."""
        d = self.decoder
        x = d.level2(d.reduce2(torch.cat([d.up2(latent), skip2], dim=1)))
        return d.level1(d.reduce1(torch.cat([d.up1(x), skip1], dim=1)))


class Scale(nn.Module):
    """One scale: an embedding, UNets with a convolution between each two, an output convolution."""

    def __init__(self, unets, c, blocks):
        super().__init__()
        self.embed, self.output = conv(3, c), conv(c, 3)
        self.unets = nn.ModuleList(UNet(c, blocks) for _ in range(unets))
        self.contexts = nn.ModuleList(conv(c, c) for _ in range(unets - 1))

    def advance(self, e, feedback):
        """Add feedback to every latent; return latents without it, and the last UNet's encoding."""
        latents = []
        for k, message in enumerate(feedback):
            if k:
                e = self.unets[k].encode(self.contexts[k - 1](self.unets[k - 1].decode(*e)))
            latents.append(e[0])
            e = (e[0] + message, *e[1:])
        return latents, e


# What passes between the scales: an implicit neural representation, and feedback
def encode_position(x, octaves=4):
    """Equation 2: coordinates (..., 2) to sines and cosines of 1, 2, 4, 8 times each, (..., 16)."""
    angles = 2.0 ** torch.arange(octaves).to(x)[:, None] * x[..., None, :]
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def neighbours(queries, codes):
    """For `queries` pixel centres over `codes` cells: indices, offsets, weights of both sides."""
    position = (torch.arange(queries) + 0.5) * codes / queries - 0.5  # in cells
    for side in (0, 1):
        code = position.floor() + side
        index = code.clamp(0, codes - 1)  # beyond the border the outermost code repeats
        yield index.long(), position - index, 1 - (position - code).abs()


class INR(nn.Module):
    """Equations 1 and 3: a scale's continuous image, seen on the pixel grid of the finer scale.

    An MLP reads each of the four nearest codes (3x3 features) and the encoded offset from it; its
    four values are averaged by area. The first layer is linear, so it reads each code only once.
    """

    def __init__(self, c, hidden):
        super().__init__()
        layers = nn.Linear(9 * c + 16, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, 3)
        self.expand = nn.Sequential(up(4 * c), up(2 * c))
        self.decoder = nn.ModuleDict({"layers": nn.ModuleList(layers)})

    def forward(self, latent, image, finer):
        features, (first, *rest) = self.expand(latent), self.decoder.layers
        kernel, on_offset = first.weight[:, :-16].unflatten(1, (-1, 3, 3)), first.weight[:, -16:]
        codes = F.conv2d(features, kernel, first.bias, padding=1)  # (B, hidden, h, w)
        size = finer.shape[-2:]
        value = F.interpolate(image, size, mode="bilinear")  # the MLP predicts a residual
        for iy, dy, wy in neighbours(size[0], codes.shape[-2]):
            for ix, dx, wx in neighbours(size[1], codes.shape[-1]):
                offset = torch.stack(torch.meshgrid(dy, dx, indexing="ij"), dim=-1)
                x = (encode_position(offset.to(codes)) @ on_offset.T).movedim(-1, 0)
                x = x + codes.index_select(-2, iy).index_select(-1, ix)  # (B, hidden, *size)
                for layer in rest:
                    x = F.conv2d(x.relu(), layer.weight[..., None, None], layer.bias)
                value = value + torch.outer(wy, wx).to(x) * x
        return value


class FeedbackUnit(nn.Module):
    """Equation 4 (BFPU): two latents (B, 4C, H, W) of a scale to one for the coarser scale."""

    def __init__(self, c):
        super().__init__()
        self.gate, self.merge = nn.Module(), conv(2 * c, c, 1, bias=True)
        self.gate.conv_a, self.gate.conv_b = conv(c, c, bias=True), conv(c, c, bias=True)

    def forward(self, a, b):
        s = torch.sigmoid(self.gate.conv_a(a) * self.gate.conv_b(b))
        return F.avg_pool2d(self.merge(torch.cat([a + s * a, b + s * b], dim=1)), 2)


class NeRDRain(nn.Module):
    """M123 (Figure 2): 1, 2 and 3 UNets at a quarter, half and full size of (B, 3, H, W)."""

    def __init__(self, width=8, blocks=(1, 1, 1), heads=(1, 2, 4), expansion=2.66, inr_hidden=16):
        super().__init__()

        def level(n):
            c, k = width << (n - 1), heads[n - 1]
            return nn.Sequential(*(Block(c, k, int(c * expansion)) for _ in range(blocks[n - 1])))

        self.scales = nn.ModuleDict({f"s{n}": Scale(n, width, level) for n in (1, 2, 3)})
        self.inrs = nn.ModuleDict({f"s{n}": INR(width, inr_hidden) for n in (1, 2)})
        units = {f"s{n}": [FeedbackUnit(4 * width) for _ in range(n)] for n in (1, 2)}
        self.feedback = nn.ModuleDict({s: nn.ModuleList(units[s]) for s in units})

    def forward(self, x):
        s1, s2, s3 = self.scales.values()
        height, width = x.shape[-2:]
        full = F.pad(x, (0, -width % 16, 0, -height % 16), mode="replicate")
        half, quarter = F.avg_pool2d(full, 2), F.avg_pool2d(full, 4)

        # Coarse to fine: encode each scale, and add its continuous image to the next one's input.
        e1 = s1.unets[0].encode(s1.embed(quarter))
        passed_on = self.inrs.s1(e1[0], quarter, half)
        inr_quarter, input2 = F.avg_pool2d(passed_on, 2), half + passed_on
        e2 = s2.unets[0].encode(s2.embed(input2))
        passed_on = self.inrs.s2(e2[0], input2, full)
        inr_half = F.avg_pool2d(passed_on, 2)
        e3 = s3.unets[0].encode(s3.embed(full + passed_on))

        # Fine to coarse: two successive latents of a scale make one message to the coarser scale.
        z3, e3 = s3.advance(e3, [0, 0, 0])
        z2, e2 = s2.advance(e2, [unit(*z3[k : k + 2]) for k, unit in enumerate(self.feedback.s2)])
        _, e1 = s1.advance(e1, [self.feedback.s1[0](*z2)])

        # Coarse to fine again: decode each scale and add its features to the next one's.
        f1 = s1.unets[-1].decode(*e1)
        f2 = s2.unets[-1].decode(*e2) + F.interpolate(f1, scale_factor=2, mode="bilinear")
        f3 = s3.unets[-1].decode(*e3) + F.interpolate(f2, scale_factor=2, mode="bilinear")
        images = s3.output(f3) + full, s2.output(f2) + half, s1.output(f1) + quarter
        scaled = zip((*images, inr_half, inr_quarter), (1, 2, 4, 2, 4), strict=True)
        return Derained(*(i[..., : -(-height // n), : -(-width // n)] for i, n in scaled))


# The hybrid loss (section 3.3)
def blur(x, taps, border):
    """Blur each channel of (B, C, H, W) with the outer product of five taps."""
    kernel = torch.outer(taps, taps).to(x).expand(x.shape[1], 1, 5, 5)
    return F.conv2d(F.pad(x, [2] * 4, mode=border), kernel, groups=x.shape[1])


def laplacian(x):
    """An image minus its coarse copy: blurred, every second pixel kept, blurred again."""
    taps = torch.tensor([0.05, 0.25, 0.4, 0.25, 0.05])
    kept = torch.zeros_like(x)
    kept[..., ::2, ::2] = 4 * blur(x, taps, "replicate")[..., ::2, ::2]
    return x - blur(kept, taps, "replicate")


def hybrid_loss(output, target, alphas=(1, 0.01, 0.05, 0.1)):
    """Equation 6, L_char + 0.01 L_freq + 0.05 L_edge + 0.1 L_inr; target (B, 3, H, W)."""
    taps = torch.tensor([1, 4, 6, 4, 1]) / 16
    half = F.avg_pool2d(blur(target, taps, "reflect"), 2)
    quarter = F.avg_pool2d(blur(half, taps, "reflect"), 2)
    *main, inr_half, inr_quarter = map(torch.sub, output, (target, half, quarter, half, quarter))
    edges = [laplacian(d) for d in main]  # it is linear, so this compares both Laplacians
    char, edge = (sum((d.square() + 1e-6).sqrt().mean() for d in ds) for ds in (main, edges))
    freq = sum(torch.fft.fft2(d).abs().mean() for d in main)
    inr = inr_half.abs().mean() + inr_quarter.abs().mean()  # equation 5
    return alphas[0] * char + alphas[1] * freq + alphas[2] * edge + alphas[3] * inr


# Rain and training (section 4.1, with synthetic rain)
def make_rain(rng, height, width):
    """Heavy rain (1, H, W) in [0, 1]: points convolved with soft streaks and, often, hard lines."""
    y, x = np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in (height, width)), indexing="ij")
    angles = rng.normal(0, 13) + rng.uniform(-12, 12, rng.integers(1, 4))  # degrees from vertical
    soft, hard = (0.014, 45, rng.uniform(0.05, 0.1), 0.6), (0.004, 75, rng.uniform(0.2, 0.35), 0)
    rain = 0
    for density, length, peak, spread in 4 * [soft] + 4 * [hard] * (rng.random() < 0.6):
        angle = np.deg2rad(rng.choice(angles) + rng.normal(0, 1.6))
        z = (y + 1j * x) * np.exp(-1j * angle)  # real part along the streak, imaginary across
        end = 1 - 2 * np.abs(z.real) / (length * rng.lognormal(0, 0.4))  # 0 at both ends
        streak = np.clip(3 * end, 0, 1) * 2 ** -((2 * z.imag / rng.uniform(1.2, 2.2)) ** 2)
        points = peak * rng.lognormal(0, spread, z.shape) * (rng.random(z.shape) < density / 4)
        streaks = np.fft.irfft2(np.fft.rfft2(points) * np.fft.rfft2(streak), z.shape)
        rain += np.clip(streaks, 0, 1 if spread else peak)  # hard lines have one brightness
    return torch.tensor(rain).float().clamp(max=1)[None]


def crop(rng, images, size):
    """A random square of a random image: (C, H, W) to (C, size, size)."""
    image = images[rng.integers(len(images))]
    y, x = rng.integers(0, np.array(image.shape[1:]) - size + 1)
    return image[:, y : y + size, x : x + size]


def train(model, photos, rng, minutes, lr=2e-3, size=64, count=2):
    """Adam, for `minutes`, at a rate that rises and then falls as a cosine; returns the losses."""
    start, done, losses = time.monotonic(), 0, []
    layers = [make_rain(rng, 256, 256) for _ in range(100)]
    optimizer = torch.optim.Adam(model.parameters())
    while done < 1:
        clean = torch.stack([crop(rng, photos, size) for _ in range(count)]) / 255
        rain = torch.stack([crop(rng, layers, size) for _ in range(count)])
        loss = hybrid_loss(model((clean + rain).clamp(max=1)), clean)
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = lr * min(20 * done, (1 + np.cos(np.pi * done)) / 2)
        optimizer.step()
        losses.append(loss.item())
        done = (time.monotonic() - start) / (60 * minutes)
        if len(losses) % 100 == 0:
            print(f"step {len(losses)}, {done:.0%} of the time, loss {np.mean(losses[-100:]):.3f}")
    return losses


@torch.inference_mode()
def derain(model, rainy):
    """Remove the rain from an image (3, H, W) in [0, 1], of any size."""
    return model(rainy[None]).full[0].clamp(0, 1)


def psnr(image, target):
    """PSNR in dB over MATLAB's Y, as in the paper's tables, of two (3, H, W) in [0, 1]."""
    weights = torch.tensor([65.481, 128.553, 24.966]) / 255
    y, t = (16 + torch.tensordot(weights, (255 * x).round(), 1) for x in (image, target))
    return 10 * torch.log10(255**2 / (y.round() - t.round()).square().mean()).item()


def read_photos(folder, split):
    """Images (3, H, W) of bytes: those of a split in folder/split.csv (columns file, split)."""
    photos, path = [], folder / "split.csv"
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
        for path in [folder / row["file"] for row in rows if row["split"] == split]:
            photos.append(torch.tensor(np.array(Image.open(path).convert("RGB"))).movedim(-1, 0))
    except Exception as error:  # Pillow raises many kinds
        raise SystemExit(f"{path} cannot be read: restore it ({error}).") from None
    if min((n for photo in photos for n in photo.shape[1:]), default=0) < 64:
        raise SystemExit(f"{folder}/split.csv: list only {split} pictures of 64x64 pixels or more.")
    return photos


def main():
    """Train, print the gain on photographs that were held back, and write a picture."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--minutes", type=float, default=2, help="of training; 2 by default")
    parser.add_argument("--photos", type=Path, default=Path(__file__).parents[1] / "data/photos")
    parser.add_argument("--out", type=Path, default=Path("one_file.jpg"), help="a new .jpg or .png")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if not (0 < args.minutes < np.inf and 0 <= args.seed < 2**63):
        parser.error("--minutes must be more than 0, and --seed 0 or a whole number below 2**63.")
    new = args.out.suffix in (".jpg", ".png") and not args.out.exists()
    if not new or not os.access(f"{args.out.parent}/.", os.W_OK):
        parser.error(f"--out {args.out}: name a new .jpg or .png in a folder you can write to.")
    seen, held_back = (read_photos(args.photos, split) for split in ("train", "test"))
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)  # small crops gain little from more cores, and lose if those are busy
    model = NeRDRain()
    losses = train(model, seen, np.random.default_rng(args.seed), args.minutes)
    scores, rng = [], np.random.default_rng(args.seed + 1)
    for clean in (photo[:, -256:, :256] / 255 for photo in held_back):
        rainy = (clean + make_rain(rng, *clean.shape[1:])).clamp(max=1)
        derained = derain(model, rainy)
        scores.append((psnr(rainy, clean), psnr(derained, clean)))
    before, after = np.mean(scores, axis=0)
    print(f"{len(losses)} steps. PSNR over MATLAB's Y of {len(scores)} photographs held back:")
    print(f"rainy {before:.2f} dB, derained {after:.2f} dB, gain {after - before:.2f} dB.")
    picture = (255 * torch.cat([rainy, derained], dim=2)).round().byte().movedim(0, -1).numpy()
    with args.out.open("xb") as file:
        Image.fromarray(picture).save(file, quality=95)


if __name__ == "__main__":
    main()
