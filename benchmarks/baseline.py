"""The released formulation of NeRD-Rain, operation by operation: the baseline of speed.

It computes the same numbers as `nerdrain.NeRDRain` of fidelity "released" and its loss, in the way
in which the authors' code computes them. It is written from the paper and from the behaviour of
that code, and it is independent of how the package computes: it reads only the package's parameters
and calls none of its layers. So the package may become faster, and the baseline stays as it is.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from nerdrain.errors import NerdrainError
from nerdrain.model.network import Derained, NeRDRain

MEMBERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))  # of the local ensemble, equation 3
OCTAVES = 4


def released_formulation(network: NeRDRain) -> ReleasedFormulation:
    """A module with a copy of the network's parameters, under the same names.

    Raises:
        NerdrainError: The network is not of fidelity "released" with one, two and three UNets
            (M123), or it is one of the ablations.
    """
    config = network.config
    shape = ("width", "blocks", "heads", "expansion", "inr_hidden")
    plain = type(config)(**{name: getattr(config, name) for name in shape})
    if config != plain:
        raise NerdrainError(
            'the baseline is the released network M123; use fidelity="released" and change only '
            f"{', '.join(shape)}."
        )
    parameter = next(network.parameters())
    baseline = ReleasedFormulation(config).to(parameter.device, parameter.dtype)
    baseline.load_state_dict(network.state_dict())
    return baseline


class ReleasedFormulation(NeRDRain):
    """The network M123; the package's parameters, and functions of this file that use them.

    Shape:
        ``(B, 3, H, W)`` to `Derained`; H and W are multiples of 16.
    """

    def forward(self, x: Tensor) -> Derained:
        """Derain; the order of section 3 and Figure 2, as released."""
        quarter, half, full = (self.scales[name] for name in ("s1", "s2", "s3"))
        x_half, x_quarter = shrink(x), shrink(shrink(x))

        # Coarse to fine: encode, render an image with the INR, add it to the next finer input.
        q = encode(quarter.unets[0].encoder, conv(x_quarter, quarter.embed))
        r_quarter = render(self.inrs["s1"], q[0]) + x_quarter
        entry = x_half + enlarge(r_quarter)
        h1 = encode(half.unets[0].encoder, conv(entry, half.embed))
        r_half = render(self.inrs["s2"], h1[0]) + entry
        f1 = encode(full.unets[0].encoder, conv(x + enlarge(r_half), full.embed))

        # Fine to coarse: take every scale to its last latent, and send messages to coarser scales.
        f2 = next_encoding(full, 0, f1)
        f3 = next_encoding(full, 1, f2)
        to_half, to_quarter = self.feedback["s2"], self.feedback["s1"]
        h1_heard = (h1[0] + shrink(feedback(to_half[0], f1[0], f2[0])), *h1[1:])
        h2 = next_encoding(half, 0, h1_heard)
        h2_heard = (h2[0] + shrink(feedback(to_half[1], f2[0], f3[0])), *h2[1:])
        q_heard = (q[0] + shrink(feedback(to_quarter[0], h1[0], h2[0])), *q[1:])

        # Coarse to fine: decode the last UNets. The last one borrows the reduction of the second.
        d_quarter = decode(quarter.unets[0].decoder, q_heard)
        d_half = decode(half.unets[1].decoder, h2_heard) + enlarge(d_quarter)
        borrowed = full.unets[1].decoder.reduce1
        d_full = decode(full.unets[2].decoder, f3, borrowed) + enlarge(d_half)
        return Derained(
            full=conv(d_full, full.output) + x,
            half=conv(d_half, half.output) + x_half,
            quarter=conv(d_quarter, quarter.output) + x_quarter,
            inr_half=r_half,
            inr_quarter=r_quarter,
        )


def conv(x: Tensor, layer: Any) -> Tensor:
    """A convolution that keeps the size, with the layer's parameters and groups."""
    same = layer.weight.shape[-1] // 2
    return F.conv2d(x, layer.weight, layer.bias, padding=same, groups=layer.groups)


def shrink(x: Tensor) -> Tensor:
    """Keep pixel [2i, 2j]."""
    return F.interpolate(x, scale_factor=0.5, mode="nearest")


def enlarge(x: Tensor) -> Tensor:
    """Repeat every pixel twice a side."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


def layer_norm(x: Tensor, norm: Any) -> Tensor:
    """Normalise the channels of each pixel, on a sequence of pixels."""
    height = x.shape[-2]
    sequence = rearrange(x, "b c h w -> b (h w) c")
    mean = sequence.mean(-1, keepdim=True)
    variance = torch.var(sequence, dim=-1, keepdim=True, unbiased=False)
    sequence = (sequence - mean) / torch.sqrt(variance + 1e-5) * norm.weight + norm.bias
    return rearrange(sequence, "b (h w) c -> b c h w", h=height)


def attention(x: Tensor, layer: Any) -> Tensor:
    """Attention between channels: unit queries and keys, then values, then a 1x1 convolution."""
    height, heads = x.shape[-2], layer.heads
    q, k, v = (
        rearrange(part, "b (k c) h w -> b k c (h w)", k=heads)
        for part in conv(conv(x, layer.qkv), layer.qkv_depthwise).chunk(3, dim=1)
    )
    q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
    matrix = ((q @ k.transpose(-2, -1)) * layer.temperature).softmax(dim=-1)
    return conv(rearrange(matrix @ v, "b k c (h w) -> b (k c) h w", h=height), layer.project)


def feed_forward(x: Tensor, layer: Any) -> Tensor:
    """The gelu of one half times the other half, after 1x1 and depth-wise convolutions."""
    gate, value = conv(conv(x, layer.expand), layer.depthwise).chunk(2, dim=1)
    return conv(F.gelu(gate) * value, layer.project)


def blocks(x: Tensor, level: Any) -> Tensor:
    """The Transformer blocks of one level."""
    for block in level:
        x = x + attention(layer_norm(x, block.norm1), block.attention)
        x = x + feed_forward(layer_norm(x, block.norm2), block.feed_forward)
    return x


def up(x: Tensor, layer: Any) -> Tensor:
    """Half the channels, twice the side."""
    return F.pixel_shuffle(conv(x, layer[0]), 2)


def down(x: Tensor, layer: Any) -> Tensor:
    """Twice the channels, half the side."""
    return F.pixel_unshuffle(conv(x, layer[0]), 2)


Encoding = tuple[Tensor, Tensor, Tensor]  # latent, skip of level 2, skip of level 1


def encode(encoder: Any, x: Tensor) -> Encoding:
    """The encoder of a UNet."""
    skip1 = blocks(x, encoder.level1)
    skip2 = blocks(down(skip1, encoder.down1), encoder.level2)
    return blocks(down(skip2, encoder.down2), encoder.level3), skip2, skip1


def decode(decoder: Any, encoding: Encoding, reduce1: nn.Module | None = None) -> Tensor:
    """The decoder of a UNet, with its own last reduction or with another one."""
    latent, skip2, skip1 = encoding
    x = torch.cat([up(latent, decoder.up2), skip2], dim=1)
    x = blocks(conv(x, decoder.reduce2), decoder.level2)
    x = torch.cat([up(x, decoder.up1), skip1], dim=1)
    return blocks(conv(x, reduce1 or decoder.reduce1), decoder.level1)


def next_encoding(scale: Any, number: int, encoding: Encoding) -> Encoding:
    """Decode UNet `number` of a scale, and encode with the next one."""
    decoded = decode(scale.unets[number].decoder, encoding)
    return encode(scale.unets[number + 1].encoder, conv(decoded, scale.contexts[number]))


def feedback(unit: Any, a: Tensor, b: Tensor) -> Tensor:
    """The BFPU: a gate from both latents, then two learned maps a side, then a sum."""
    gate = torch.sigmoid(conv(a, unit.gate.conv_a) * conv(b, unit.gate.conv_b))
    sides = []
    for side, layer in ((a, unit.maps_a), (b, unit.maps_b)):
        maps = conv(torch.cat([side, gate * side], dim=1), layer)
        sides.append(side * maps[:, :1] + gate * side * maps[:, 1:])
    return sides[0] + sides[1]


def render(branch: Any, latent: Tensor) -> Tensor:
    """An INR: two Ups, unfolded features, and four passes of the MLP over all pixels.

    Every member of the local ensemble gathers features and coordinates at the query's own position.
    So its relative coordinates, and the differences of their encodings, are exactly 0.
    """
    features = up(up(latent, branch.expand[0]), branch.expand[1])
    batch, _, height, width = features.shape
    unfolded = F.unfold(features, 3, padding=1).unflatten(-1, (height, width))  # (B, 9C, H, W)
    coordinates = grid(height, width, features)  # (H W, 2)
    queries = coordinates.expand(batch, -1, -1)  # (B, H W, 2)
    places = coordinates.T.unflatten(-1, (height, width)).expand(batch, -1, -1, -1)
    cells = torch.ones_like(queries) * features.new_tensor([2 / height, 2 / width])
    sides = features.new_tensor([height, width])
    values, areas = [], []
    for _ in MEMBERS:
        codes, found = gather(unfolded, queries), gather(places, queries)
        offset = (queries - found) * sides
        encoded = encode_position(queries) - encode_position(found)
        inputs = torch.cat([codes, offset, encoded, cells * sides], dim=-1)
        values.append(mlp(inputs.flatten(0, 1), branch.decoder.layers).unflatten(0, (batch, -1)))
        areas.append((offset[..., 0] * offset[..., 1]).abs() + 1e-9)
    total = torch.stack(areas).sum(dim=0)
    # The weight of a member is the area of the opposite cell.
    shares = [(area / total)[..., None] for area in reversed(areas)]
    image = sum(value * share for value, share in zip(values, shares, strict=True))
    return rearrange(image, "b (h w) c -> b c h w", h=height)


def grid(height: int, width: int, like: Tensor) -> Tensor:
    """The (row, column) centre of every pixel, in [-1, 1]."""
    rows, columns = (
        (2 * torch.arange(n, device=like.device, dtype=like.dtype) + 1) / n - 1
        for n in (height, width)
    )
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1).flatten(0, 1)


def gather(x: Tensor, queries: Tensor) -> Tensor:
    """The nearest values of (B, C, H, W) at (B, n, 2) coordinates, as (B, n, C)."""
    places = queries.flip(-1)[:, None]  # (B, 1, n, 2), as (x, y)
    return F.grid_sample(x, places, mode="nearest", align_corners=False)[:, :, 0].permute(0, 2, 1)


def encode_position(coordinates: Tensor) -> Tensor:
    """Sines and cosines at four octaves, with pi, (B, n, 2) to (B, n, 16)."""
    angles = [math.pi * 2**octave * coordinates for octave in range(OCTAVES)]
    return torch.cat([f(angle) for angle in angles for f in (torch.sin, torch.cos)], dim=-1)


def mlp(x: Tensor, layers: Any) -> Tensor:
    """Linear layers with ReLU between them, on (n, inputs)."""
    for number, layer in enumerate(layers):
        x = F.linear(x.relu() if number else x, layer.weight, layer.bias)
    return x


class ReleasedLoss(nn.Module):
    """Equation 6 as the released training computes it; returns its total."""

    binomial: Tensor
    burt_adelson: Tensor

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        for name, taps in (
            ("binomial", [1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16]),
            ("burt_adelson", [0.05, 0.25, 0.4, 0.25, 0.05]),
        ):
            line = torch.tensor(taps, dtype=dtype)
            self.register_buffer(name, torch.outer(line, line).repeat(3, 1, 1, 1))

    def forward(self, output: Derained, target: Tensor) -> Tensor:
        """Compare all five images with the target's Gaussian pyramid."""
        half = self.halve(target)
        quarter = self.halve(half)
        pairs = ((output.full, target), (output.half, half), (output.quarter, quarter))
        total = target.new_zeros(())
        for x, y in pairs:
            assert x is not None
            total = total + charbonnier(x, y)
            total = total + 0.01 * (torch.fft.fft2(x) - torch.fft.fft2(y)).abs().mean()
            total = total + 0.05 * charbonnier(self.laplacian(x), self.laplacian(y))
        for x, y in ((output.inr_half, half), (output.inr_quarter, quarter)):
            assert x is not None
            total = total + 0.1 * (x - y).abs().mean()
        return total

    def halve(self, x: Tensor) -> Tensor:
        """The next level of the pyramid: a blur, then bilinear halving."""
        x = F.conv2d(F.pad(x, [2] * 4, mode="reflect"), self.binomial, groups=3)
        return F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=False)

    def blur(self, x: Tensor) -> Tensor:
        """The blur of the edge loss."""
        return F.conv2d(F.pad(x, [2] * 4, mode="replicate"), self.burt_adelson, groups=3)

    def laplacian(self, x: Tensor) -> Tensor:
        """An image minus its blurred, subsampled and again enlarged copy."""
        low = self.blur(x)
        kept = torch.zeros_like(low)
        kept[:, :, ::2, ::2] = low[:, :, ::2, ::2] * 4
        return x - self.blur(kept)


def charbonnier(x: Tensor, y: Tensor) -> Tensor:
    """Mean of sqrt(d^2 + 1e-6)."""
    return torch.sqrt((x - y) ** 2 + 1e-6).mean()


def released_adam(network: nn.Module) -> torch.optim.Adam:
    """The optimiser of the released training: Adam, one parameter after the other."""
    return torch.optim.Adam(network.parameters(), lr=1e-4, foreach=False)
