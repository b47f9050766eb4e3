"""Let a network use the kernels, where they run; PyTorch computes the same everywhere else."""

import warnings
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nerdrain.kernels.launch import LARGEST
from nerdrain.model.coordinates import Size
from nerdrain.model.inr import PaperDecoder, ReleasedDecoder
from nerdrain.model.transformer import GatedFeedForward, TransformerBlock


def has_triton() -> bool:
    """Whether Triton 3.3 or newer is installed: it exists for Linux, and torch for CUDA brings it.

    The compiler of Triton 3.2, for torch 2.6, ends the process with some of these kernels.
    """
    try:
        major, minor = version("triton").split(".")[:2]
    except PackageNotFoundError:
        return False
    return (int(major), int(minor)) >= (3, 3)


TRITON = has_triton()
if TRITON:
    from nerdrain.kernels.gate import depthwise, depthwise_gate
    from nerdrain.kernels.inr import decode_paper, decode_released
    from nerdrain.kernels.norm_project import norm_project

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@cache
def triton_works(device: torch.device) -> bool:
    """Try a kernel on one pixel. Triton may find no C compiler, or a GPU that it does not know."""
    try:
        x, weight = torch.ones(1, 16, 1, 1, device=device), torch.ones(16, 1, 3, 3, device=device)
        return bool((depthwise(x, weight) == 1).all())
    except Exception as error:  # Triton, the driver and the compiler each have their own
        warnings.warn(
            f"Triton does not run on {device} ({str(error).strip():.200}), so the network uses "
            "PyTorch's own operations, which give the same results more slowly. Triton needs a C "
            "compiler, such as gcc, and an NVIDIA GPU of compute capability 7.0 or newer.",
            stacklevel=2,
        )
        return False


def runs_kernels(x: Tensor) -> bool:
    """Whether kernels compute the result for `x`: the one place that chooses.

    They need CUDA and at most 32 bits. `torch.compile` makes its own kernels, of the eager code.
    """
    return (
        x.is_cuda
        and x.dtype in DTYPES
        and x.numel() > 0
        and not torch.compiler.is_compiling()
        and triton_works(x.device)
    )


def padded_weights(layer: GatedFeedForward) -> tuple[Tensor, Tensor, Tensor]:
    """The three weights with zeros for more hidden channels, up to a multiple of 16.

    A GPU reads rows of such lengths with fewer, wider loads. The new channels are gelu(0) * 0 = 0.
    """
    expand, taps, project = layer.expand.weight, layer.depthwise.weight, layer.project.weight
    hidden = project.shape[1]
    more = -hidden % 16
    expand, taps = (  # the gate's channels, then the values': each half grows
        F.pad(weight.unflatten(0, (2, hidden)), (0, 0, 0, 0, 0, 0, 0, more)).flatten(0, 1)
        for weight in (expand, taps)
    )
    return expand, taps, F.pad(project, (0, 0, 0, 0, 0, more))


class FusedTransformerBlock(TransformerBlock):
    """A `TransformerBlock` with the same parameters, in kernels where they run."""

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Refine features, keeping their shape."""
        if not runs_kernels(x):
            return super().forward(x)
        norm, attention = self.norm1, self.attention
        qkv = norm_project(x, norm.weight, norm.bias, attention.qkv.weight)
        qkv = depthwise(qkv, attention.qkv_depthwise.weight)
        x = x + attention.attend(*qkv.chunk(3, dim=1))
        norm, (expand, taps, project) = self.norm2, padded_weights(self.feed_forward)
        hidden = norm_project(x, norm.weight, norm.bias, expand)
        return x + F.conv2d(depthwise_gate(hidden, taps), project)


class FusedReleasedDecoder(ReleasedDecoder):
    """A `ReleasedDecoder` with the same parameters, in one kernel where it runs."""

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 h w"]:
        """Decode features to an image."""
        if not runs_kernels(features):
            return super().forward(features)
        return decode_released(self, features)


class FusedPaperDecoder(PaperDecoder):
    """A `PaperDecoder` with the same parameters, in one kernel where it runs."""

    def forward(
        self, features: Float[Tensor, "b c h w"], size: Size | None = None
    ) -> Float[Tensor, "b 3 H W"]:
        """Evaluate at the pixel centres of a grid of `size` (by default the features' own)."""
        if not runs_kernels(features):
            return super().forward(features, size)
        return decode_paper(self, features, size)


FUSED: dict[type[nn.Module], type[nn.Module]] = {
    TransformerBlock: FusedTransformerBlock,
    ReleasedDecoder: FusedReleasedDecoder,
    PaperDecoder: FusedPaperDecoder,
}


def fits(module: nn.Module) -> bool:
    """Whether there is a kernel for a module of this kind and size."""
    if isinstance(module, TransformerBlock):
        return module.norm1.weight.numel() <= LARGEST
    if isinstance(module, ReleasedDecoder | PaperDecoder):
        return module.layers[0].out_features <= LARGEST
    return False


def use_kernels(network: nn.Module) -> None:
    """Let a network's Transformer blocks and INR decoders use kernels on CUDA devices.

    The modules keep their parameters, and only their classes change. On other devices, without
    Triton, in float64 and in `torch.compile`, they compute as before. Call it before
    `grad_checkpointing` wraps the blocks.
    """
    for module in network.modules() if TRITON else ():
        if type(module) in FUSED and fits(module):
            module.__class__ = FUSED[type(module)]
