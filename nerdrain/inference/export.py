"""Export a network to one ONNX file, for OpenVINO, ONNX Runtime and the browser.

The file holds its weights in float16 and computes in float32, because sums over many pixels (the
lengths of queries and keys) overflow float16.
"""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

import nerdrain
from nerdrain.checkpoints.weights import fingerprint
from nerdrain.errors import NerdrainError
from nerdrain.model.config import NeRDRainConfig
from nerdrain.model.network import Derained, NeRDRain

if TYPE_CHECKING:
    from onnx import ModelProto

PACKAGES = ("onnx", "onnxscript", "openvino")
"""The packages of the extra `fast`."""
OPSET = 20
"""The first version of ONNX's operators with Gelu."""
SCALE = {"full": 1, "half": 2, "quarter": 4, "inr_half": 2, "inr_quarter": 4}
"""The outputs in the order of `Derained`, and by how much each is smaller than the image."""
CHECKED_SIZES = ((1, 1), (7, 19), (33, 16), (40, 56))
"""Heights and widths of the random images on which a file is compared with PyTorch."""
LARGEST_DIFFERENCE = 1e-4
"""Allowed between the file and PyTorch with the same weights; a wrong graph differs by far more."""


class _Outputs(nn.Module):
    """A network that returns a tuple of some of its outputs."""

    def __init__(self, network: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        result: Derained = self.network(image)
        return tuple(getattr(result, name) for name in self.names)


class _Switched(_Outputs):
    """The same, and the messages of all feedback units are multiplied by a second input."""

    network: NeRDRain

    def forward(self, image: Tensor, feedback: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        def multiply(unit: nn.Module, inputs: object, message: Tensor) -> Tensor:
            return message * feedback

        units = [unit for scale in self.network.feedback.values() for unit in scale]
        hooks = [unit.register_forward_hook(multiply) for unit in units]
        try:
            return super().forward(image)
        finally:
            for hook in hooks:
                hook.remove()


def is_installed() -> bool:
    """Whether the extra `fast` is installed."""
    return all(find_spec(name) is not None for name in PACKAGES)


def without_feedback(network: NeRDRain) -> NeRDRain:
    """The same network and weights without its feedback units (section 3.2)."""
    config = network.config.with_changes(feedback="none")
    other = NeRDRain(config)
    own = other.state_dict()
    other.load_state_dict({name: t for name, t in network.state_dict().items() if name in own})
    return other.eval()


def to_onnx(
    network: NeRDRain, *, every_output: bool = False, feedback_switch: bool = False
) -> bytes:
    """The content of an ONNX file that computes what `network` computes.

    Its input `image` is a float32 RGB image (1, 3, H, W) in [0, 1], any H and W from 1 up. Its
    output is `full`; with `every_output` also the others that the network has, by the names of
    `Derained`. With `feedback_switch` it has a second input `feedback`, a float32 number: 1
    computes the network, and 0 the network without its feedback units (`without_feedback`). So one
    file holds the weights of both. Its metadata name the version of nerdrain, the network's
    configuration, and the SHA-256 of weights and configuration that our checkpoints hold.

    The weights are rounded to float16. The file is compared with PyTorch on random images.

    Raises:
        NerdrainError: The extra `fast` is not installed, a weight does not fit into float16, or the
            file does not compute what PyTorch computes.
    """
    if not is_installed():
        raise NerdrainError(
            "the export needs more packages; install them with `pip install nerdrain[fast]`."
        )
    from onnx import helper

    rounded = round_weights(network)
    names = output_names(rounded) if every_output else ["full"]
    model = _trace(rounded, names, feedback_switch)
    _store_weights_in_half(model)
    _strip(model)
    _add_border(model, names, multiple=padding_multiple(network.config))
    model.producer_name, model.producer_version = "nerdrain", nerdrain.__version__
    helper.set_model_props(model, describe(network))
    content: bytes = model.SerializeToString()
    check_against(content, rounded, names, {"feedback": 1.0} if feedback_switch else {})
    if feedback_switch:
        check_against(content, without_feedback(rounded), names, {"feedback": 0.0})
    return content


def round_weights(network: NeRDRain) -> NeRDRain:
    """A copy on the CPU with each weight rounded to float16, stored in float32."""
    rounded = copy.deepcopy(network).cpu().half().float().eval().requires_grad_(False)
    for name, tensor in rounded.state_dict().items():
        if not tensor.isfinite().all():
            raise NerdrainError(
                f"the tensor {name} has values above 65504, which float16 cannot store; train with "
                "a smaller learning rate."
            )
    return rounded


def padding_multiple(config: NeRDRainConfig) -> int:
    """The network pads height and width to a multiple of this."""
    return 2 << sum(n > 0 for n in config.unets)


def output_names(network: NeRDRain) -> list[str]:
    """The outputs that a network has."""
    with torch.inference_mode():
        result = network(torch.zeros(1, 3, 16, 16))
    return [name for name in SCALE if getattr(result, name) is not None]


def _trace(network: NeRDRain, names: list[str], feedback_switch: bool) -> ModelProto:
    """The graph of the network on images whose sides are multiples of its padding."""
    multiple = padding_multiple(network.config)
    rows, columns = (torch.export.Dim(name, min=2, max=2**12) for name in ("rows", "columns"))
    shapes: dict[str, Any] = {"image": {2: multiple * rows, 3: multiple * columns}}
    outputs = _Outputs(network, names).eval()
    example: tuple[Tensor, ...] = (torch.rand(1, 3, 4 * multiple, 6 * multiple),)
    if feedback_switch:
        outputs = _Switched(network, names).eval()
        example, shapes["feedback"] = (*example, torch.ones(())), {}
    with _quiet(), torch.no_grad():
        exported = torch.export.export(outputs, example, dynamic_shapes=shapes, strict=False)
        # Without its optimiser, which takes minutes and drops "+ eps" for eps up to 1e-8.
        program = torch.onnx.export(
            exported,
            dynamo=True,
            opset_version=OPSET,
            optimize=False,
            verbose=False,
            input_names=list(shapes),
            output_names=names,
        )
    assert program is not None
    return program.model_proto


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the exporter's notes about packages that it could use and about its own future."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _store_weights_in_half(model: ModelProto) -> None:
    """Store float32 tensors in float16 and cast them to float32, if this changes no value."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims, dtype=int) < 16:
            continue
        values = numpy_helper.to_array(tensor)
        half = values.astype(np.float16)
        if (half.astype(np.float32) != values).any():
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.float16"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _strip(model: ModelProto) -> None:
    """Remove what only helps to debug the exporter: places in source files, long names, shapes."""
    graph = model.graph
    model.doc_string = graph.doc_string = ""
    del graph.value_info[:], model.metadata_props[:], graph.metadata_props[:]
    kept = {value.name for value in [*graph.input, *graph.output]}
    short: dict[str, str] = {"": ""}  # an input that a node does not use has no name
    for part in [*graph.initializer, *graph.node]:
        part.doc_string = ""
        del part.metadata_props[:]
        for value in [part.name] if hasattr(part, "dims") else part.output:
            if value not in kept:
                short.setdefault(value, f"{len(short):x}")
    for node in graph.node:
        node.name = ""
    for tensor in graph.initializer:
        tensor.name = short[tensor.name]
    _rename(graph, short)


def _add_border(model: ModelProto, names: list[str], multiple: int) -> None:
    """Pad the image to a multiple by repeating its border, and crop the outputs."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph

    def constant(name: str, *values: int) -> str:
        graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> Any:
        return helper.make_node(kind, inputs, [output], **attributes)

    _rename(graph, {"image": "padded", **{name: f"{name}.padded" for name in names}})
    before = [
        node("Shape", ["image"], "size", start=2, end=4),
        node("Neg", ["size"], "size.negative"),
        node("Mod", ["size.negative", constant("multiple", multiple)], "missing"),
        node("Concat", [constant("none", *[0] * 6), "missing"], "pads", axis=0),
        node("Pad", ["image", "pads"], "padded", mode="edge"),
    ]
    constant("axes", 2, 3)
    constant("corner", 0, 0)
    after = []
    for name in names:
        scale = SCALE[name]
        size = f"{name}.size"
        after += [
            node("Add", ["size", constant(f"{name}.up", scale - 1)], f"{size}.up"),
            node("Div", [f"{size}.up", constant(f"{name}.scale", scale)], size),
            node("Slice", [f"{name}.padded", "corner", size, "axes"], name),
        ]
    nodes = [*before, *graph.node, *after]
    sides: list[str] = ["height", "width"]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *sides])
    inputs = [image, *copy.deepcopy(graph.input[1:])]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(nodes)
    graph.input.extend(inputs)
    for name in names:
        sides = [f"{name}_height", f"{name}_width"] if SCALE[name] > 1 else ["height", "width"]
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, *sides]))


def _rename(graph: Any, names: dict[str, str]) -> None:
    """Rename values of a graph."""
    for node in graph.node:
        for values in (node.input, node.output):
            values[:] = [names.get(value, value) for value in values]


def describe(network: NeRDRain) -> dict[str, str]:
    """The metadata of an exported file."""
    config = json.dumps(network.config.model_dump(), sort_keys=True)
    return {
        "nerdrain": nerdrain.__version__,
        "config": config,
        "sha256": fingerprint(network.state_dict(), config),
    }


def check_against(
    content: bytes, network: NeRDRain, names: list[str], numbers: dict[str, float] | None = None
) -> None:
    """Compare an ONNX file, given `numbers` for its other inputs, with a network on random images.

    Raises:
        NerdrainError: They differ by more than `LARGEST_DIFFERENCE`.
    """
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.compile_model(openvino.Core().read_model(content), "CPU", settings)
    generator = torch.Generator().manual_seed(0)
    outputs = _Outputs(network, names)
    others = {name: np.array(value, np.float32) for name, value in (numbers or {}).items()}
    for height, width in CHECKED_SIZES:
        x = torch.rand(1, 3, height, width, generator=generator)
        with torch.inference_mode():
            expected = outputs(x)
        found = compiled({"image": x.numpy()} | others).values()
        for name, theirs, ours in zip(names, found, expected, strict=True):
            shapes = tuple(theirs.shape), tuple(ours.shape)
            difference = np.abs(theirs - ours.numpy()).max() if shapes[0] == shapes[1] else np.inf
            if not difference <= LARGEST_DIFFERENCE * max(1.0, float(ours.abs().max())):
                raise NerdrainError(
                    f"the exported output {name} differs from PyTorch's by {difference:.2g} on "
                    f"an image of {height}x{width}, so no file was written; install the "
                    "versions of torch and onnxscript that constraints.txt names."
                )
