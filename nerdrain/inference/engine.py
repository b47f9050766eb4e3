"""Run an exported network with OpenVINO, several times as fast as PyTorch on a CPU.

`Engine` is called like the network. It reads the file that `nerdrain export` wrote beside the
network's checkpoint, and keeps nothing on disk.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nerdrain.errors import NerdrainError
from nerdrain.inference.export import describe, is_installed
from nerdrain.inference.layout import keep_channels_last
from nerdrain.model.network import NeRDRain

if TYPE_CHECKING:
    from openvino import CompiledModel

MOST_SHAPES = 4
"""Compiled shapes that are kept; the tiles of one photograph have at most four."""
SETTINGS = {
    # Otherwise OpenVINO computes in bfloat16 or float16 where the processor can.
    "INFERENCE_PRECISION_HINT": "f32",
    "PERFORMANCE_HINT": "LATENCY",
}


class Engine(nn.Module):
    """A network whose repeated work OpenVINO does.

    ``(B, 3, H, W)`` float32 on the CPU to the same, the network's `full`. To compile the graph for
    one height and width takes seconds, so PyTorch computes the first image of each size, and
    OpenVINO all further ones. So a single small photograph takes no longer than without it.

    Args:
        network: The network, on the CPU.
        content: The exported file of this network, as `to_onnx` returns it.

    Raises:
        NerdrainError: The extra `fast` is not installed, or the content is that of another network.
    """

    def __init__(self, network: NeRDRain, content: bytes) -> None:
        super().__init__()
        if not is_installed():
            raise NerdrainError(
                "the fast engine is not installed; install it with `pip install nerdrain[fast]`."
            )
        import openvino

        self.network, self.config = network, network.config
        self.name = f"OpenVINO {openvino.__version__.partition('-')[0]}"
        self.core, self.content = openvino.Core(), content
        self.seen: Counter[tuple[int, int]] = Counter()
        self.compiled: OrderedDict[tuple[int, int], CompiledModel] = OrderedDict()
        found = read_description(content)
        if found != describe(network):
            raise NerdrainError(
                "the exported file belongs to other weights or another version of nerdrain; run "
                "`nerdrain export` again."
            )

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Derain; not clamped."""
        size = (x.shape[-2], x.shape[-1])
        self.seen[size] += 1
        if self.seen[size] == 1 or not len(x):
            return self.network(x).full
        compiled = self.compile(*size)
        images = [torch.from_numpy(compiled(image[None].numpy())["full"].copy()) for image in x]
        return torch.cat(images)

    def compile(self, height: int, width: int) -> CompiledModel:
        """The graph for one size, compiled once; the size that was not used longest gives way."""
        size = height, width
        if size not in self.compiled:
            model = self.core.read_model(self.content)
            model.reshape([1, 3, height, width])
            keep_channels_last(model)
            if len(self.compiled) == MOST_SHAPES:
                self.compiled.popitem(last=False)
            self.compiled[size] = self.core.compile_model(model, "CPU", SETTINGS)
        self.compiled.move_to_end(size)
        return self.compiled[size]


def read_description(content: bytes) -> dict[str, str]:
    """The metadata of an exported file."""
    import onnx

    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own classes
        raise NerdrainError(
            f"the exported file is damaged ({error}); run `nerdrain export` again."
        ) from None
    return {entry.key: entry.value for entry in model.metadata_props}


def exported_path(checkpoint: Path) -> Path:
    """Where `nerdrain export` writes the file of a checkpoint by default: beside it."""
    return checkpoint.with_suffix(".onnx")


def find_engine(network: NeRDRain, checkpoint: Path) -> Engine | None:
    """The engine of a network that was loaded from a file, if it is installed and was exported.

    Raises:
        NerdrainError: The exported file is damaged or belongs to other weights.
    """
    path = exported_path(checkpoint)
    if not (is_installed() and path.is_file()):
        return None
    return Engine(network, path.read_bytes())
