"""Rewrite an OpenVINO graph so that channels stay last in memory: the same numbers, faster.

OpenVINO's convolutions keep channels last. Layer normalisation and attention read (pixels,
channels) or (channels, pixels), and OpenVINO copies each image for them. The rewritten graph reads
the convolution's memory as it is. A graph without these patterns does not change.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def keep_channels_last(model: Any) -> int:
    """Rewrite a graph of fixed shapes with batch 1 in place; return the number of changes."""
    changes = 0
    for node in model.get_ordered_ops():
        kind = node.get_type_name()
        parts = [*node.inputs(), *node.outputs()]
        if any(part.get_partial_shape().is_dynamic for part in parts):
            continue  # such as a shape that depends on values
        if kind == "MVN":
            _normalise_rows(node)
            changes += 1
        elif kind == "Reshape":
            changes += _transpose_pixels(node)
    model.validate_nodes_and_infer_types()
    return changes


def _reshape(value: Any, shape: list[int]) -> Any:
    from openvino import opset13

    return opset13.reshape(value, np.array(shape, np.int64), False).output(0)


def _transpose(value: Any, axes: list[int]) -> Any:
    from openvino import opset13

    return opset13.transpose(value, np.array(axes, np.int64)).output(0)


def _replace(old: Any, new: Any) -> None:
    for user in old.get_target_inputs():
        user.replace_source_output(new)


def _normalise_rows(node: Any) -> None:
    """Let a layer normalisation of (1, H, W, C), with weight and bias, read (1, H*W, C)."""
    value = node.input_value(0)
    shape = list(value.get_shape())
    node.input(0).replace_source_output(_reshape(value, [1, -1, shape[-1]]))
    last = node
    while len(users := list(last.output(0).get_target_inputs())) == 1:
        if users[0].get_node().get_type_name() not in ("Multiply", "Add"):
            break
        last = users[0].get_node()
    users = list(last.output(0).get_target_inputs())
    back = _reshape(last.output(0), shape)
    for user in users:
        user.replace_source_output(back)


def _transpose_pixels(node: Any) -> bool:
    """Let the users of (1, [heads,] channels, H*W) read a transposed (1, H*W, [heads,] channels).

    OpenVINO fuses the transposition into a product of matrices. A sum of squares over the pixels is
    computed before it.
    """
    shape, source = list(node.get_output_shape(0)), node.input_value(0)
    while source.get_node().get_type_name() == "Reshape":
        source = source.get_node().input_value(0)
    if source.get_partial_shape().is_dynamic:
        return False
    image = list(source.get_shape())
    users = list(node.output(0).get_target_inputs())
    if len(image) != 4 or image[0] != 1 or len(shape) not in (3, 4) or image[2] * image[3] == 1:
        return False
    channels = shape[1:-1]
    if shape != [1, *channels, image[2] * image[3]] or np.prod(channels) != image[1]:
        return False
    if all(user.get_node().get_type_name() == "Reshape" for user in users):
        return False
    pixels = _reshape(_transpose(source, [0, 2, 3, 1]), [1, shape[-1], image[1]])
    split = _reshape(pixels, [1, shape[-1], *channels])
    for user in users:
        if user.get_node().get_type_name() == "Power":
            _sum_squares(user.get_node(), pixels, [1, *channels])
        else:
            axes = [0, *range(2, 2 + len(channels)), 1]
            user.replace_source_output(_transpose(split, axes))
    return True


def _sum_squares(power: Any, pixels: Any, shape: list[int]) -> None:
    """Replace the sums of squares over all pixels."""
    from openvino import opset13

    exponent = power.input_value(1).get_node()
    for user in list(power.output(0).get_target_inputs()):
        total = user.get_node()
        axes = total.input_value(1).get_node() if total.get_type_name() == "ReduceSum" else None
        if axes is None or exponent.get_type_name() != "Constant" or (exponent.data != 2).any():
            continue
        if axes.get_type_name() == "Constant" and axes.data.tolist() in ([-1], [len(shape)]):
            squares = opset13.multiply(pixels, pixels)
            sums = opset13.reduce_sum(squares, np.array([1], np.int64), False)
            _replace(total.output(0), _reshape(sums.output(0), list(total.get_output_shape(0))))
