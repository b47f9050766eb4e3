"""The INR decoders, each in one kernel that writes nothing but RGB.

PyTorch writes every layer's output, `hidden` numbers for each pixel, and reads it again in the next
layer. On another grid the paper's decoder does so four times, once for each of the nearest codes. A
program of these kernels keeps the hidden layers of its pixels on the chip.

A program cannot cut a block that it has computed into parts. So two layers are one loop: it
computes some units of the first from all inputs, applies the ReLU, and adds their share to all
outputs of the second (`two_layers`).

On another grid, the part of the first layer that reads features is computed once for each code, as
in `PaperDecoder`, because many queries share a code. The backward pass computes the layers again
with PyTorch, which also gives their gradients; so a training step keeps only the features.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor, nn

from nerdrain.kernels.launch import compute_dtype, float_precision, launch, power_of_two
from nerdrain.model.coordinates import Size, size_of
from nerdrain.model.inr import PaperDecoder, ReleasedDecoder, neighbourhood_layer


@triton.jit
def relu_of(z, bias, unit, hidden):
    """relu(z + bias), with zeros for units that a block has beyond the layer's."""
    return tl.maximum(z + tl.load(bias + unit, mask=unit < hidden, other=0.0)[None, :], 0.0)


@triton.jit
def two_layers(
    h, first, bias, second, hidden, outputs,
    PRECISION: tl.constexpr, PIXELS: tl.constexpr, HIDDEN: tl.constexpr,
    CHUNK: tl.constexpr, OUTPUTS: tl.constexpr,
):  # fmt: skip
    """Compute second relu(first h + bias), from a block (PIXELS, HIDDEN) to (PIXELS, OUTPUTS)."""
    unit = tl.arange(0, HIDDEN)
    output = tl.arange(0, OUTPUTS)
    total = tl.zeros((PIXELS, OUTPUTS), tl.float32)
    for start in range(0, hidden, CHUNK):
        middle = start + tl.arange(0, CHUNK)
        present = middle < hidden
        into = tl.load(  # matrices are stored (outputs, inputs), as in torch.nn.Linear
            first + middle[None, :] * hidden + unit[:, None],
            mask=present[None, :] & (unit < hidden)[:, None],
            other=0.0,
        )
        z = relu_of(tl.dot(h, into, input_precision=PRECISION), bias, middle, hidden)
        out_of = tl.load(
            second + output[None, :] * hidden + middle[:, None],
            mask=(output < outputs)[None, :] & present[:, None],
            other=0.0,
        )
        total = tl.dot(z.to(h.dtype), out_of, total, input_precision=PRECISION)
    return total


@triton.jit
def store_rgb(out, rgb, bias, pixel, pixels, OUTPUTS: tl.constexpr):
    """Add the last bias and write three numbers for each pixel."""
    colour = tl.arange(0, OUTPUTS)
    rgb += tl.load(bias + colour, mask=colour < 3, other=0.0)[None, :]
    mask = (pixel < pixels)[:, None] & (colour < 3)[None, :]
    tl.store(out + pixel[:, None] * 3 + colour[None, :], rgb.to(out.dtype.element_ty), mask=mask)


@triton.jit
def neighbourhood(
    x, taps, pixel, pixels, height, width, channels, hidden,
    PRECISION: tl.constexpr, PIXELS: tl.constexpr, HIDDEN: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """A linear layer on the 3x3 neighbourhoods of some pixels; its weights are (9, C, hidden)."""
    row = pixel // width % height
    column = pixel % width
    unit = tl.arange(0, HIDDEN)
    z = tl.zeros((PIXELS, HIDDEN), tl.float32)
    for tap in range(0, 9):
        dy = tap // 3 - 1
        dx = tap % 3 - 1
        inside = (row >= -dy) & (row < height - dy) & (column >= -dx) & (column < width - dx)
        inside = inside & (pixel < pixels)
        from_pixel = (pixel + dy * width + dx)[:, None] * channels
        for start in range(0, channels, CHANNELS):
            channel = start + tl.arange(0, CHANNELS)
            present = channel < channels
            values = tl.load(
                x + from_pixel + channel[None, :],
                mask=inside[:, None] & present[None, :],
                other=0.0,
            )
            weights = tl.load(
                taps + (tap * channels + channel)[:, None] * hidden + unit[None, :],
                mask=present[:, None] & (unit < hidden)[None, :],
                other=0.0,
            )
            z = tl.dot(values, weights, z, input_precision=PRECISION)
    return z


@triton.jit
def own_grid_kernel(
    x, taps, bias1, matrix2, bias2, matrix3, bias3, matrix4, bias4, out,
    pixels, height, width, channels, hidden,
    LAYERS: tl.constexpr, PRECISION: tl.constexpr, PIXELS: tl.constexpr, HIDDEN: tl.constexpr,
    CHUNK: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """A decoder of three or four layers on the grid of its features.

    The first layer reads 3x3 neighbourhoods of `x`; `taps` holds its weights, (9, C, hidden).
    """
    pixel = tl.program_id(0).to(tl.int64) * PIXELS + tl.arange(0, PIXELS)
    unit = tl.arange(0, HIDDEN)
    z = neighbourhood(
        x, taps, pixel, pixels, height, width, channels, hidden,
        PRECISION, PIXELS, HIDDEN, CHANNELS,
    )  # fmt: skip
    h = relu_of(z, bias1, unit, hidden).to(x.dtype.element_ty)
    if LAYERS == 4:
        z = two_layers(
            h, matrix2, bias2, matrix3, hidden, hidden, PRECISION, PIXELS, HIDDEN, CHUNK, HIDDEN
        )
        h = relu_of(z, bias3, unit, hidden).to(x.dtype.element_ty)
        colour = tl.arange(0, 16)
        last = tl.load(
            matrix4 + colour[None, :] * hidden + unit[:, None],
            mask=(colour < 3)[None, :] & (unit < hidden)[:, None],
            other=0.0,
        )
        rgb = tl.dot(h, last, input_precision=PRECISION)
        store_rgb(out, rgb, bias4, pixel, pixels, 16)
    else:
        rgb = two_layers(
            h, matrix2, bias2, matrix3, hidden, 3, PRECISION, PIXELS, HIDDEN, CHUNK, 16
        )
        store_rgb(out, rgb, bias3, pixel, pixels, 16)


@triton.jit
def neighbour(query, queries, codes, upper, INTERPOLATE: tl.constexpr):
    """One code beside each query on an axis, the offset from it in cells, and its weight.

    As `axis_neighbours`, in whole numbers of parts of 1 / (2 queries). `upper` is 0 for the lower
    of the two codes and 1 for the upper; without interpolation the nearer one is taken.
    """
    parts = 2 * queries
    position = (2 * query + 1) * codes - queries
    # Triton rounds the quotient of integers towards 0. The sum is positive, so this rounds down.
    lower = (position + parts) // parts - 1
    share = position - lower * parts
    if INTERPOLATE:
        code = lower + upper
        weight = (upper * share + (1 - upper) * (parts - share)).to(tl.float32) / parts
    else:
        code = tl.where(2 * share > parts, lower + 1, lower)
        weight = tl.full(query.shape, 1.0, tl.float32)
    code = tl.minimum(tl.maximum(code, 0), codes - 1)
    return code, (position - code * parts).to(tl.float32) / parts, weight


@triton.jit
def encode(dy, dx, LEVELS: tl.constexpr, FEATURES: tl.constexpr):
    """Equation 2 for a block of offsets, (queries, FEATURES); without levels the plain offsets.

    Each octave has four numbers: the sines of dy and dx, then their cosines.
    """
    number = tl.arange(0, FEATURES)
    offset = tl.where((number % 2 == 0)[None, :], dy[:, None], dx[:, None])
    if LEVELS == 0:
        return tl.where((number < 2)[None, :], offset, 0.0)
    else:
        octave = tl.minimum(number // 4, LEVELS - 1)
        angle = offset * (1 << octave).to(tl.float32)[None, :]
        encoded = tl.where((number % 4 < 2)[None, :], tl.sin(angle), tl.cos(angle))
        return tl.where((number < 4 * LEVELS)[None, :], encoded, 0.0)


@triton.jit
def query_kernel(
    codes, offsets, matrix2, bias2, matrix3, bias3, out,
    pixels, height, width, rows, columns, hidden,
    INTERPOLATE: tl.constexpr, LEVELS: tl.constexpr, FEATURES: tl.constexpr,
    PRECISION: tl.constexpr, PIXELS: tl.constexpr, HIDDEN: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """Equation 3 at the pixels of any grid: the mean of the MLP's values by area.

    `codes` holds the first layer's output for each code's features, (B, rows, columns, hidden);
    `offsets` is that layer's matrix for an encoded offset, (hidden, numbers).
    """
    pixel = tl.program_id(0).to(tl.int64) * PIXELS + tl.arange(0, PIXELS)
    image = pixel // width // height
    row = (pixel // width % height).to(tl.int32)
    column = (pixel % width).to(tl.int32)
    unit = tl.arange(0, HIDDEN)
    number = tl.arange(0, FEATURES)
    numbers = 4 * LEVELS if LEVELS > 0 else 2
    from_offset = tl.load(
        offsets + unit[None, :] * numbers + number[:, None],
        mask=(number < numbers)[:, None] & (unit < hidden)[None, :],
        other=0.0,
    )
    total = tl.zeros((PIXELS, 16), tl.float32)
    members = 4 if INTERPOLATE else 1
    for member in range(0, members):
        y, dy, wy = neighbour(row, height, rows, member // 2, INTERPOLATE)
        x, dx, wx = neighbour(column, width, columns, member % 2, INTERPOLATE)
        code = (image * rows + y) * columns + x
        mask = (pixel < pixels)[:, None] & (unit < hidden)[None, :]
        z = tl.load(codes + code[:, None] * hidden + unit[None, :], mask=mask, other=0.0)
        encoded = encode(dy, dx, LEVELS, FEATURES).to(from_offset.dtype)
        z = tl.dot(encoded, from_offset, z.to(tl.float32), input_precision=PRECISION)
        h = tl.maximum(z, 0.0).to(matrix2.dtype.element_ty)
        rgb = two_layers(
            h, matrix2, bias2, matrix3, hidden, 3, PRECISION, PIXELS, HIDDEN, CHUNK, 16
        )
        total += (wy * wx)[:, None] * rgb
    store_rgb(out, total, bias3, pixel, pixels, 16)  # weights sum to 1: one bias


Features = Float[Tensor, "b c h w"]
Image = Float[Tensor, "b 3 h w"]


def blocks_of(hidden: int, dtype: torch.dtype) -> dict[str, Any]:
    """Sizes of blocks whose hidden units fit into 64 to 96 KiB on the chip."""
    half = dtype.itemsize == 2
    return {
        "PRECISION": float_precision(),
        "PIXELS": 64 if half else 32,
        "HIDDEN": power_of_two(hidden),
        "CHUNK": 32 if half else 16,
        "num_warps": 8 if hidden > 128 else 4,
        "num_stages": 2 if half else 1,
    }


def matrices(layers: Any, dtype: torch.dtype) -> list[Tensor]:
    """Matrix and bias of each layer after the first; biases are added in float32."""
    pairs = [(layer.weight.to(dtype).contiguous(), layer.bias.float()) for layer in layers[1:]]
    return [tensor for pair in pairs for tensor in pair]


def on_own_grid(decoder: PaperDecoder | ReleasedDecoder, features: Features) -> Image:
    """Decode on the grid of the features."""
    first = decoder.layers[0]
    dtype, channels, hidden = compute_dtype(features), decoder.width, first.out_features
    if isinstance(decoder, ReleasedDecoder):
        bias = first.bias + 2 * first.weight[:, -2:].sum(dim=1)  # both cell inputs are 2
    else:  # each pixel centre is a code, so the offset is 0
        bias = first.bias + decoder.offset_part(first.weight.new_zeros(1, 1, 2)).flatten()
    taps = first.weight[:, : 9 * channels].unflatten(1, (channels, 9)).permute(2, 1, 0)
    x = features.to(dtype).movedim(1, -1).contiguous()
    batch, height, width, _ = x.shape
    pixels = batch * height * width
    out = x.new_empty(batch, height, width, 3)
    rest = matrices(decoder.layers, dtype)
    layers = len(decoder.layers)
    rest += rest[-2:] * (4 - layers)  # arguments that three layers do not read
    blocks = blocks_of(hidden, dtype)
    launch(
        own_grid_kernel,
        (triton.cdiv(pixels, blocks["PIXELS"]),),
        x, taps.to(dtype).contiguous(), bias.float(), *rest, out,
        pixels, height, width, channels, hidden,
        LAYERS=layers, CHANNELS=16 if channels % 32 else 32, **blocks,
    )  # fmt: skip
    return out.movedim(-1, 1)


def on_other_grid(decoder: PaperDecoder, features: Features, size: Size) -> Image:
    """Evaluate the paper's decoder at the pixel centres of a grid of `size`."""
    first = decoder.layers[0]
    dtype, hidden = compute_dtype(features), first.out_features
    on_features = first.weight[:, : 9 * decoder.width]
    codes = neighbourhood_layer(features, on_features, first.bias).movedim(1, -1).contiguous()
    batch, rows, columns, _ = codes.shape
    pixels = batch * size[0] * size[1]
    out = codes.new_empty(batch, *size, 3)
    offsets = first.weight[:, 9 * decoder.width :].to(dtype).contiguous()
    blocks = blocks_of(hidden, dtype)
    launch(
        query_kernel,
        (triton.cdiv(pixels, blocks["PIXELS"]),),
        codes, offsets, *matrices(decoder.layers, dtype), out,
        pixels, *size, rows, columns, hidden,
        INTERPOLATE=decoder.interpolation,
        LEVELS=decoder.encoding.levels if decoder.encoding else 0,
        FEATURES=power_of_two(offsets.shape[1]),
        **blocks,
    )  # fmt: skip
    return out.movedim(-1, 1)


class Decode(torch.autograd.Function):
    """A kernel forward; backward, the eager decoder under autograd, as in checkpointing."""

    @staticmethod
    def forward(
        ctx: Any,
        kernel: Callable[[Tensor], Tensor],
        eager: Callable[[Tensor], Tensor],
        features: Features,
        *parameters: nn.Parameter,
    ) -> Image:
        """Decode; the parameters are arguments so that they receive gradients."""
        ctx.save_for_backward(features, *parameters)
        kind = features.device.type
        ctx.eager = eager
        ctx.autocast = partial(
            torch.autocast, kind, compute_dtype(features), torch.is_autocast_enabled(kind)
        )
        return kernel(features)

    @staticmethod
    def backward(ctx: Any, gradient: Image) -> tuple[Tensor | None, ...]:
        """The gradients of the features and the parameters, with the autocast of the forward."""
        features, *parameters = ctx.saved_tensors
        with torch.enable_grad(), ctx.autocast():
            features = features.detach().requires_grad_(ctx.needs_input_grad[2])
            image = ctx.eager(features)
        inputs = [x for x in (features, *parameters) if x.requires_grad]
        found = iter(torch.autograd.grad(image, inputs, gradient))
        gradients = [next(found) if x.requires_grad else None for x in (features, *parameters)]
        return None, None, *gradients


def decode_released(decoder: ReleasedDecoder, features: Features) -> Image:
    """`ReleasedDecoder.forward` as one kernel."""
    kernel, eager = partial(on_own_grid, decoder), partial(ReleasedDecoder.forward, decoder)
    return Decode.apply(kernel, eager, features, *decoder.parameters())


def decode_paper(decoder: PaperDecoder, features: Features, size: Size | None) -> Image:
    """`PaperDecoder.forward`, on the features' own grid or another one, as one kernel."""
    if size is None or tuple(size) == size_of(features):
        kernel: Callable[[Tensor], Tensor] = partial(on_own_grid, decoder)
    else:
        kernel = partial(on_other_grid, decoder, size=size)
    eager = partial(PaperDecoder.forward, decoder, size=size)
    return Decode.apply(kernel, eager, features, *decoder.parameters())
