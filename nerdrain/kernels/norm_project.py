"""The layer norm over channels and the 1x1 convolution that follows it, in one kernel.

Both halves of a Transformer block begin with the two. A 1x1 convolution is a matrix product: each
pixel is a row of C numbers, which is multiplied by a matrix (C, D). One kernel normalises a block
of rows and multiplies it at once, so the normalised features are never written to memory.

On a GPU, tensor cores multiply float16, bfloat16 and TF32. For exact float32 a library's matrix
product is faster than Triton's, so there only the norm is a kernel and torch convolves.
"""

from typing import Any

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from nerdrain.kernels.launch import compute_dtype, float_precision, launch, power_of_two

BLOCK_SIZE = 2048  # numbers that a program of the norm alone reads at once
GRADIENT_PROGRAMS = 512  # at most so many programs share the rows of a gradient's sum


@triton.jit
def normalise(x, row, channel, rows, channels, CENTRE: tl.constexpr):
    """Rows of `x` with mean 0 and variance 1; the same without the shift; and 1 / deviation."""
    present = (channel < channels)[None, :]
    at = row.to(tl.int64)[:, None] * channels + channel[None, :]
    values = tl.load(x + at, mask=(row < rows)[:, None] & present, other=0.0).to(tl.float32)
    mean = tl.sum(values, axis=1) / channels
    centred = tl.where(present, values - mean[:, None], 0.0)  # a block is wider than a row
    variance = tl.sum(centred * centred, axis=1) / channels
    inverse = (1.0 / tl.sqrt(variance + 1e-5))[:, None]
    centred = centred * inverse
    normal = centred
    if not CENTRE:
        normal = values * inverse
    return centred, normal, inverse


@triton.jit
def scale(normal, weight, bias, channel, channels, CENTRE: tl.constexpr):
    """Normalised rows times the learned weight, plus the bias."""
    present = channel < channels
    scaled = normal * tl.load(weight + channel, mask=present, other=0.0).to(tl.float32)[None, :]
    if CENTRE:
        scaled += tl.load(bias + channel, mask=present, other=0.0).to(tl.float32)[None, :]
    return scaled


@triton.jit
def norm_kernel(
    x, weight, bias, out, rows, channels,
    CENTRE: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """The layer norm alone."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    channel = tl.arange(0, CHANNELS)
    _, normal, _ = normalise(x, row, channel, rows, channels, CENTRE)
    scaled = scale(normal, weight, bias, channel, channels, CENTRE)
    to = out + row.to(tl.int64)[:, None] * channels + channel[None, :]
    mask = (row < rows)[:, None] & (channel < channels)[None, :]
    tl.store(to, scaled.to(out.dtype.element_ty), mask=mask)


@triton.jit
def norm_project_kernel(
    x, weight, bias, matrix, out, rows, channels, outputs,
    CENTRE: tl.constexpr, PRECISION: tl.constexpr,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr, OUTPUTS: tl.constexpr,
):  # fmt: skip
    """The layer norm and the projection: normalise some rows once, then loop over the outputs."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    channel = tl.arange(0, CHANNELS)
    _, normal, _ = normalise(x, row, channel, rows, channels, CENTRE)
    scaled = scale(normal, weight, bias, channel, channels, CENTRE).to(matrix.dtype.element_ty)
    at = out + row.to(tl.int64)[:, None] * outputs
    for start in range(0, outputs, OUTPUTS):
        output = start + tl.arange(0, OUTPUTS)
        part = tl.load(  # a block (channels, outputs) of the matrix, which is stored (D, C)
            matrix + output[None, :] * channels + channel[:, None],
            mask=(output < outputs)[None, :] & (channel < channels)[:, None],
            other=0.0,
        )
        product = tl.dot(scaled, part, input_precision=PRECISION)  # sums are float32
        mask = (row < rows)[:, None] & (output < outputs)[None, :]
        tl.store(at + output[None, :], product.to(out.dtype.element_ty), mask=mask)


@triton.jit
def norm_backward_kernel(
    x, weight, gradient, into_x, into_weight, into_bias, rows, channels, share,
    CENTRE: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Gradients of the norm's input, and of its weight and bias summed over `share` rows.

    Let n be the normalised row before the learned weight, c the same with mean 0, r the inverse
    deviation, g the gradient of n, and <.> the mean over channels. With the shift, n = c and the
    gradient of the row is r (g - <g> - c <g n>). Without it, <g> is missing.
    """
    channel = tl.arange(0, CHANNELS)
    present = channel < channels
    factor = tl.load(weight + channel, mask=present, other=0.0).to(tl.float32)[None, :]
    sum_weight = tl.zeros((ROWS, CHANNELS), tl.float32)
    sum_bias = tl.zeros((ROWS, CHANNELS), tl.float32)
    for start in range(0, share, ROWS):
        row = tl.program_id(0) * share + start + tl.arange(0, ROWS)
        centred, normal, inverse = normalise(x, row, channel, rows, channels, CENTRE)
        at = row.to(tl.int64)[:, None] * channels + channel[None, :]
        mask = (row < rows)[:, None] & present[None, :]
        incoming = tl.load(gradient + at, mask=mask, other=0.0).to(tl.float32)
        sum_weight += incoming * normal
        sum_bias += incoming
        g = incoming * factor
        row_gradient = g - centred * (tl.sum(g * normal, axis=1) / channels)[:, None]
        if CENTRE:
            row_gradient -= (tl.sum(g, axis=1) / channels)[:, None]
        to = into_x + at
        tl.store(to, (row_gradient * inverse).to(into_x.dtype.element_ty), mask=mask)
    at = tl.program_id(0) * channels + channel
    tl.store(into_weight + at, tl.sum(sum_weight, axis=0), mask=present)
    tl.store(into_bias + at, tl.sum(sum_bias, axis=0), mask=present)


Rows = Float[Tensor, "b h w c"]
Vector = Float[Tensor, " c"]
Matrix = Float[Tensor, "d c"]


def count_rows(x: Rows) -> int:
    """The number of pixels."""
    return x.numel() // x.shape[-1]


def norm_rows(x: Rows, weight: Vector, bias: Vector | None, dtype: torch.dtype) -> Rows:
    """The layer norm alone, in `dtype`."""
    rows, channels = count_rows(x), x.shape[-1]
    block = power_of_two(channels)
    step = max(1, BLOCK_SIZE // block)
    out = torch.empty_like(x, dtype=dtype)
    tensors = x, weight, weight if bias is None else bias, out
    blocks = {"CENTRE": bias is not None, "ROWS": step, "CHANNELS": block}
    launch(norm_kernel, (triton.cdiv(rows, step),), *tensors, rows, channels, **blocks)
    return out


def norm_project_rows(x: Rows, weight: Vector, bias: Vector | None, matrix: Matrix) -> Rows:
    """The norm and the projection in one kernel, in the dtype of `matrix`."""
    rows, channels, outputs = count_rows(x), x.shape[-1], matrix.shape[0]
    out = x.new_empty(*x.shape[:-1], outputs, dtype=matrix.dtype)
    # The rows and two blocks of the matrix share a processor's fast memory: 96 KiB at the most.
    half, block = matrix.itemsize == 2, power_of_two(channels)
    step = 64 if half else 32
    part = 64 if half and block <= 128 else 32
    tensors = x, weight, weight if bias is None else bias, matrix, out
    blocks = {"ROWS": step, "CHANNELS": block, "OUTPUTS": part}
    launch(
        norm_project_kernel,
        (triton.cdiv(rows, step),),
        *tensors, rows, channels, outputs,
        CENTRE=bias is not None, PRECISION=float_precision(), **blocks, num_stages=2,
    )  # fmt: skip
    return out


def norm_backward(
    x: Rows, weight: Vector, bias: Vector | None, gradient: Rows
) -> tuple[Rows, Vector, Vector | None]:
    """The gradients of the norm's input, weight and bias, from that of its output."""
    rows, channels = count_rows(x), x.shape[-1]
    block = power_of_two(channels)
    step = max(1, BLOCK_SIZE // block)
    share = triton.cdiv(triton.cdiv(rows, GRADIENT_PROGRAMS), step) * step
    parts = triton.cdiv(rows, share)
    into_x = torch.empty_like(x)
    sums = x.new_empty(2, parts, channels, dtype=torch.float32)
    tensors = x, weight, gradient, into_x, sums[0], sums[1]
    blocks = {"CENTRE": bias is not None, "ROWS": step, "CHANNELS": block}
    launch(norm_backward_kernel, (parts,), *tensors, rows, channels, share, **blocks)
    into_weight, into_bias = sums.sum(dim=1)
    return (
        into_x,
        into_weight.to(weight.dtype),
        None if bias is None else into_bias.to(bias.dtype),
    )


def images(rows: Rows) -> Float[Tensor, "b c h w"]:
    """Rows of channels as torch's convolutions take them, without a copy."""
    return rows.movedim(-1, 1)


class NormProject(torch.autograd.Function):
    """The computation of `norm_project`, on rows, with its gradients."""

    @staticmethod
    def forward(ctx: Any, x: Rows, weight: Vector, bias: Vector | None, matrix: Matrix) -> Rows:
        """Normalise and project."""
        ctx.save_for_backward(x, weight, bias, matrix)
        if matrix.dtype == torch.float32 and float_precision() == "ieee":
            normal = norm_rows(x, weight, bias, matrix.dtype)
            return F.conv2d(images(normal), matrix[:, :, None, None]).movedim(1, -1)
        return norm_project_rows(x, weight, bias, matrix)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Rows) -> tuple[Rows, Vector, Vector | None, Matrix]:
        """Back through the projection by torch, then through the norm by a kernel.

        The normalised rows were not kept: computing them again reads less memory than they take.
        """
        x, weight, bias, matrix = ctx.saved_tensors
        normal = norm_rows(x, weight, bias, matrix.dtype)
        into_normal, into_matrix, _ = torch.ops.aten.convolution_backward(
            images(gradient.contiguous()), images(normal), matrix[:, :, None, None],
            None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [True, True, False],
        )  # fmt: skip
        into_normal = into_normal.movedim(1, -1).contiguous()
        into_x, into_weight, into_bias = norm_backward(x, weight, bias, into_normal)
        return into_x, into_weight, into_bias, into_matrix.flatten(1)


def norm_project(
    x: Float[Tensor, "b c h w"],
    weight: Float[Tensor, " c"],
    bias: Float[Tensor, " c"] | None,
    projection: Float[Tensor, "d c 1 1"],
) -> Float[Tensor, "b d h w"]:
    """`ChannelLayerNorm` with its weight and bias, then a 1x1 convolution, channels-last.

    Without a bias the norm does not subtract the mean. The norm is computed in float32. The product
    and the result have the dtype of `x`, or that of autocast.
    """
    matrix = projection.flatten(1).to(compute_dtype(x)).contiguous()
    rows = x.movedim(1, -1).contiguous()
    return images(NormProject.apply(rows, weight, bias, matrix))
