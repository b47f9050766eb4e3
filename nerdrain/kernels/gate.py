"""Depth-wise 3x3 convolutions and the gelu gate of the feed-forward layer, in one kernel each.

For the gate, PyTorch runs a convolution, a gelu and a product. Each of the three reads its input
from memory and writes its result to memory. The arithmetic is small (nine products per number), so
the memory traffic decides the time. One kernel reads the input once and writes only the product.

A feature map is stored channels-last: memory holds the pixels one after the other, and each pixel
is a row of C contiguous numbers. A kernel is written for one block of the result, here a tile of
TILE_H x TILE_W pixels and BLOCK channels. It is started as a grid of programs, one per block, which
run in parallel and in any order. All sums are float32, for inputs of any dtype.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from nerdrain.kernels.launch import compute_dtype, launch, power_of_two

TILE_H, TILE_W = 4, 8
LARGEST_BLOCK = 64  # channels of a program: 64 numbers of 2 bytes are one cache line
SUM_PIXELS = 64  # pixels that the sum of a tap's gradient reads at once
SUM_PROGRAMS = 64  # at most so many programs share the pixels of that sum


@triton.jit
def tile_of_program(height, width, TILE_H: tl.constexpr, TILE_W: tl.constexpr):
    """The pixels of this program: image, row and column of each, and its number in memory."""
    across = tl.cdiv(width, TILE_W)
    down = tl.cdiv(height, TILE_H)
    tile = tl.program_id(0)
    inside_tile = tl.arange(0, TILE_H * TILE_W)
    image = tile // (across * down)
    row = (tile // across) % down * TILE_H + inside_tile // TILE_W
    column = tile % across * TILE_W + inside_tile % TILE_W
    # A large photograph has more numbers than 32 bits count.
    pixel = (image.to(tl.int64) * height + row) * width + column
    return row, column, pixel


@triton.jit
def convolve(
    x, taps, row, column, pixel, channel, height, width, channels, stride, FLIP: tl.constexpr
):
    """The convolution at some pixels and channels, as a block (pixels, channels).

    `x` and `taps` point to the first of `channels` numbers in rows of `stride` numbers: one row for
    each pixel, and one for each of the nine taps. Pixels outside the image are zeros. `FLIP` turns
    the 3x3 kernels by 180 degrees, as the gradient needs them.
    """
    here = x + pixel[:, None] * stride + channel[None, :]
    present = channel < channels
    total = tl.zeros((row.shape[0], channel.shape[0]), tl.float32)
    for above in range(3):  # a loop at run time; the inner one is unrolled by the compiler
        dy = above - 1
        for left in tl.static_range(3):
            dx = left - 1
            inside = (row >= -dy) & (row < height - dy) & (column >= -dx) & (column < width - dx)
            # A mask keeps a load inside the tensor: elsewhere it reads nothing, and gives zeros.
            mask = inside[:, None] & present[None, :]
            values = tl.load(here + (dy * width + dx) * stride, mask=mask, other=0.0)
            tap = above * 3 + left
            number = 8 - tap if FLIP else tap
            factor = tl.load(taps + number * stride + channel, mask=present, other=0.0)
            total += values.to(tl.float32) * factor.to(tl.float32)[None, :]
    return total


@triton.jit
def depthwise_kernel(
    x, taps, out, height, width, channels,
    FLIP: tl.constexpr, TILE_H: tl.constexpr, TILE_W: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """A plain depth-wise convolution."""
    row, column, pixel = tile_of_program(height, width, TILE_H, TILE_W)
    channel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    total = convolve(x, taps, row, column, pixel, channel, height, width, channels, channels, FLIP)
    mask = ((row < height) & (column < width))[:, None] & (channel < channels)[None, :]
    to = out + pixel[:, None] * channels + channel[None, :]
    tl.store(to, total.to(out.dtype.element_ty), mask=mask)


@triton.jit
def convolve_halves(x, taps, row, column, pixel, channel, height, width, hidden):
    """Both halves of the convolved channels; the second begins `hidden` numbers later in a row."""
    a = convolve(x, taps, row, column, pixel, channel, height, width, hidden, 2 * hidden, False)
    x += hidden
    taps += hidden
    b = convolve(x, taps, row, column, pixel, channel, height, width, hidden, 2 * hidden, False)
    return a, b


@triton.jit
def gate_kernel(
    x, taps, out, height, width, hidden,
    TILE_H: tl.constexpr, TILE_W: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """gelu(a) * b, where a and b are the first and the second half of the convolved channels."""
    row, column, pixel = tile_of_program(height, width, TILE_H, TILE_W)
    channel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    a, b = convolve_halves(x, taps, row, column, pixel, channel, height, width, hidden)
    gelu = a * 0.5 * (1.0 + tl.erf(a * 0.7071067811865476))  # 1 / sqrt(2)
    mask = ((row < height) & (column < width))[:, None] & (channel < hidden)[None, :]
    to = out + pixel[:, None] * hidden + channel[None, :]
    tl.store(to, (gelu * b).to(out.dtype.element_ty), mask=mask)


@triton.jit
def gate_backward_kernel(
    x, taps, gradient, out, height, width, hidden,
    TILE_H: tl.constexpr, TILE_W: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The gradients of a and b, from that of gelu(a) * b; a and b are computed a second time.

    A second convolution is cheaper than keeping a and b in memory since the forward pass.
    """
    row, column, pixel = tile_of_program(height, width, TILE_H, TILE_W)
    channel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    a, b = convolve_halves(x, taps, row, column, pixel, channel, height, width, hidden)
    mask = ((row < height) & (column < width))[:, None] & (channel < hidden)[None, :]
    of = gradient + pixel[:, None] * hidden + channel[None, :]
    incoming = tl.load(of, mask=mask, other=0.0).to(tl.float32)
    # gelu(a) = a Phi(a), with the normal distribution Phi; so gelu'(a) = Phi(a) + a phi(a).
    distribution = 0.5 * (1.0 + tl.erf(a * 0.7071067811865476))
    density = tl.exp(-0.5 * a * a) * 0.3989422804014327  # 1 / sqrt(2 pi)
    gradient_a = incoming * b * (distribution + a * density)
    gradient_b = incoming * a * distribution
    to = out + pixel[:, None] * (2 * hidden) + channel[None, :]
    tl.store(to, gradient_a.to(out.dtype.element_ty), mask=mask)
    tl.store(to + hidden, gradient_b.to(out.dtype.element_ty), mask=mask)


@triton.jit
def taps_kernel(
    x, gradient, out, pixels, height, width, channels, share,
    PIXELS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradient of one tap: a sum over pixels of gradient times shifted input.

    Each program adds up `share` pixels in a loop and writes its part of the sum, (parts, 9, C).
    The caller adds the parts. Programs that add to one number would need atomic operations, whose
    order, and so whose rounding, differs between runs.
    """
    tap = tl.program_id(0)  # the taps of one part run at the same time and share the cache
    part = tl.program_id(1)
    channel = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    dy = tap // 3 - 1
    dx = tap % 3 - 1
    present = (channel < channels)[None, :]
    first = part.to(tl.int64) * share
    total = tl.zeros((PIXELS, BLOCK), tl.float32)
    for start in range(0, share, PIXELS):
        pixel = first + start + tl.arange(0, PIXELS)
        row = pixel // width % height
        column = pixel % width
        inside = (row >= -dy) & (row < height - dy) & (column >= -dx) & (column < width - dx)
        mask = (inside & (pixel < pixels))[:, None] & present
        at = pixel[:, None] * channels + channel[None, :]
        shifted = at + (dy * width + dx) * channels
        incoming = tl.load(gradient + at, mask=mask, other=0.0).to(tl.float32)
        total += incoming * tl.load(x + shifted, mask=mask, other=0.0).to(tl.float32)
    to = out + (part * 9 + tap) * channels + channel
    tl.store(to, tl.sum(total, axis=0), mask=channel < channels)


Rows = Float[Tensor, "b h w c"]
Taps = Float[Tensor, "9 c"]


def tile_grid(x: Rows, channels: int) -> tuple[tuple[int, int], dict[str, int]]:
    """The grid of programs for a result of so many channels, and the sizes of their blocks."""
    images, height, width, _ = x.shape
    block = min(LARGEST_BLOCK, power_of_two(channels))
    tiles = images * triton.cdiv(height, TILE_H) * triton.cdiv(width, TILE_W)
    grid = tiles, triton.cdiv(channels, block)
    return grid, {"TILE_H": TILE_H, "TILE_W": TILE_W, "BLOCK": block}


def convolve_rows(x: Rows, taps: Taps, *, flip: bool) -> Rows:
    """A depth-wise convolution; with `flip`, its input's gradient from that of its output."""
    _, height, width, channels = x.shape
    out = torch.empty_like(x)
    grid, blocks = tile_grid(x, channels)
    launch(depthwise_kernel, grid, x, taps, out, height, width, channels, FLIP=flip, **blocks)
    return out


def taps_gradient(x: Rows, gradient: Rows, taps: Taps) -> Taps:
    """The gradient of the taps, from the input and the gradient of the output."""
    images, height, width, channels = x.shape
    pixels = images * height * width
    block = min(LARGEST_BLOCK, power_of_two(channels))
    share = triton.cdiv(triton.cdiv(pixels, SUM_PROGRAMS), SUM_PIXELS) * SUM_PIXELS
    parts = triton.cdiv(pixels, share)
    out = x.new_empty(parts, 9, channels, dtype=torch.float32)
    grid = 9, parts, triton.cdiv(channels, block)
    sizes = pixels, height, width, channels, share
    launch(taps_kernel, grid, x, gradient, out, *sizes, PIXELS=SUM_PIXELS, BLOCK=block)
    return out.sum(0).to(taps.dtype)


class Depthwise(torch.autograd.Function):
    """The convolution of `depthwise`, on rows, with its gradients."""

    @staticmethod
    def forward(ctx: Any, x: Rows, taps: Taps) -> Rows:
        """Convolve."""
        ctx.save_for_backward(x, taps)
        return convolve_rows(x, taps, flip=False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Rows) -> tuple[Rows, Taps]:
        """The gradients of the input and of the taps."""
        x, taps = ctx.saved_tensors
        gradient = gradient.contiguous()
        into_x = convolve_rows(gradient, taps, flip=True)
        return into_x, taps_gradient(x, gradient, taps)


class DepthwiseGate(torch.autograd.Function):
    """The convolution and gate of `depthwise_gate`, on rows, with their gradients."""

    @staticmethod
    def forward(ctx: Any, x: Rows, taps: Taps) -> Rows:
        """Convolve, and multiply one half of the channels by the gelu of the other."""
        ctx.save_for_backward(x, taps)
        _, height, width, channels = x.shape
        hidden = channels // 2
        out = x.new_empty(*x.shape[:3], hidden)
        grid, blocks = tile_grid(x, hidden)
        launch(gate_kernel, grid, x, taps, out, height, width, hidden, **blocks)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Rows) -> tuple[Rows, Taps]:
        """Back through the gate, then through the convolution."""
        x, taps = ctx.saved_tensors
        _, height, width, channels = x.shape
        convolved = torch.empty_like(x)  # the gradient of the convolution's output
        grid, blocks = tile_grid(x, channels // 2)
        sizes = height, width, channels // 2
        gradient = gradient.contiguous()
        launch(gate_backward_kernel, grid, x, taps, gradient, convolved, *sizes, **blocks)
        into_x = convolve_rows(convolved, taps, flip=True)
        return into_x, taps_gradient(x, convolved, taps)


def taps_of(weight: Float[Tensor, "c 1 3 3"]) -> Taps:
    """The weights with all channels of a tap side by side, as a kernel reads them."""
    return weight.flatten(1).T.contiguous()


def depthwise(
    x: Float[Tensor, "b c h w"], weight: Float[Tensor, "c 1 3 3"]
) -> Float[Tensor, "b c h w"]:
    """`torch.nn.functional.conv2d(x, weight, padding=1, groups=C)`, channels-last.

    The result has the dtype of `x`, or that of autocast; `weight` may have another one.
    """
    rows = x.to(compute_dtype(x)).movedim(1, -1).contiguous()
    return Depthwise.apply(rows, taps_of(weight)).movedim(-1, 1)


def depthwise_gate(
    x: Float[Tensor, "b 2*c h w"], weight: Float[Tensor, "2*c 1 3 3"]
) -> Float[Tensor, "b c h w"]:
    """gelu(a) * b, where a and b are the two halves of `depthwise(x, weight)`, channels-last.

    `GatedFeedForward` computes the same in three steps. Dtypes are as for `depthwise`.
    """
    rows = x.to(compute_dtype(x)).movedim(1, -1).contiguous()
    return DepthwiseGate.apply(rows, taps_of(weight)).movedim(-1, 1)
