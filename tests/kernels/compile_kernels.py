"""Compile every kernel for GPUs, without one; run by test_compile.py without the interpreter.

The interpreter accepts code that Triton's compiler refuses, such as a variable whose type changes
in a loop. Print one line for each kernel: its name, and the bytes of fast memory that it needs.
"""

from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from nerdrain.kernels import gate, inr, norm_project

TILE = {"TILE_H": gate.TILE_H, "TILE_W": gate.TILE_W, "BLOCK": gate.LARGEST_BLOCK}
NORM = {"CENTRE": True, "ROWS": 8, "CHANNELS": 256}
FUSED = NORM | {"PRECISION": "tf32", "ROWS": 64, "OUTPUTS": 32}
LAYERS = inr.blocks_of(256, torch.bfloat16)
KERNELS = [
    (gate.depthwise_kernel, TILE | {"FLIP": True}),
    (gate.gate_kernel, TILE),
    (gate.gate_backward_kernel, TILE),
    (gate.taps_kernel, {"PIXELS": gate.SUM_PIXELS, "BLOCK": gate.LARGEST_BLOCK}),
    (norm_project.norm_kernel, NORM),
    (norm_project.norm_project_kernel, FUSED | {"num_stages": 2}),
    (norm_project.norm_backward_kernel, NORM),
    (inr.own_grid_kernel, LAYERS | {"LAYERS": 4, "CHANNELS": 16}),
    (inr.query_kernel, LAYERS | {"INTERPOLATE": True, "LEVELS": 4, "FEATURES": 16}),
]
TENSORS = {"x", "out", "gradient", "matrix", "into_x", "codes", "offsets", "taps"}
TENSORS |= {"matrix2", "matrix3", "matrix4"}
PARAMETERS = {"weight", "bias", "into_weight", "into_bias", "bias1", "bias2", "bias3", "bias4"}


def compile_kernel(kernel: Any, constants: dict[str, Any], capability: int) -> None:
    """Compile as for bfloat16 features, float32 parameters, and lengths divisible by 16."""
    options = {name: constants[name] for name in ("num_warps", "num_stages") if name in constants}
    names = kernel.arg_names
    kinds = {name: "*bf16" if name in TENSORS else "i32" for name in names}
    kinds |= {name: "*fp32" for name in names if name in PARAMETERS}
    kinds |= {name: "constexpr" for name in names if name.isupper()}
    wide = [n for n in names if kinds[n][0] == "*" or n in ("channels", "hidden", "outputs")]
    source = ASTSource(
        fn=kernel,
        signature=kinds,
        constexprs={(names.index(n),): v for n, v in constants.items() if n in names},
        attrs={(names.index(n),): [["tt.divisibility", 16]] for n in wide},
    )
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    print(kernel.__name__, capability, compiled.metadata.shared, flush=True)


for capability in (80, 90):
    for kernel, constants in KERNELS:
        compile_kernel(kernel, constants, capability)
