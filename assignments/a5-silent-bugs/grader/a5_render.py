"""Write modules for a student's tests: one version of every part, with the constants of a key."""

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

Constants = Mapping[str, float]

MODULES = {
    "layers": ("mix_windows", "channel_attention", "gate", "make_stack"),
    "coordinates": ("centres", "encode", "ensemble_weights", "resize"),
    "training": ("augment", "frequency_loss", "update_average", "learning_rate"),
    "metrics": ("luma", "psnr", "ssim", "mean_psnr"),
}
"""The parts in each module. No part calls another, so a fault changes exactly one of them."""
PARTS = {part: module for module, parts in MODULES.items() for part in parts}
GIVEN = {
    "layers": ("GAIN",),
    "coordinates": ("SPAN", "BASE"),
    "training": ("FLIP_AXIS", "FLOOR"),
    "metrics": ("OFFSET", "PEAK"),
}
"""The constants that each module of the bundle defines."""


@cache
def _source() -> tuple[str, dict[str, ast.FunctionDef]]:
    """The text of `a5_parts.py`, and its functions by name."""
    text = (Path(__file__).parent / "a5_parts.py").read_text(encoding="utf-8")
    nodes = ast.parse(text).body
    return text, {node.name: node for node in nodes if isinstance(node, ast.FunctionDef)}


def correct_versions(part: str) -> list[str]:
    """Names of the correct versions of a part, the given one first."""
    return [part, *(name for name in _source()[1] if name.startswith(f"{part}__also_"))]


def faulty_versions(part: str) -> list[str]:
    """Names of the faulty versions of a part."""
    return [name for name in _source()[1] if name.startswith(f"{part}__fault_")]


class _Inline(ast.NodeTransformer):
    """Replace the names of constants by their values."""

    def __init__(self, constants: Mapping[str, Any]) -> None:
        self.constants = constants

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """The value, if the name is that of a constant."""
        if node.id not in self.constants:
            return node
        return ast.Constant(self.constants[node.id])


def hidden_module(versions: Mapping[str, str], constants: Constants) -> bytes:
    """A module with one version of each of its parts, without docstrings and names of versions.

    Args:
        versions: for each part, the name of the version.
        constants: values of all constants.
    """
    functions = []
    for part, version in versions.items():
        text = ast.unparse(_source()[1][version])
        node = ast.parse(text).body[0]
        assert isinstance(node, ast.FunctionDef)
        node.name, node.body = part, node.body[1:]
        functions.append(ast.unparse(_Inline(constants).visit(node)))
    return "\n\n\n".join(["import numpy as np\nArray = np.ndarray", *functions, ""]).encode()


def given_module(module: str, constants: Constants) -> bytes:
    """A module of the bundle: the given version of each part, with docstrings and constants."""
    text, nodes = _source()
    head = f'"""The correct parts of the theme "{module}", for your tests."""\n\nimport numpy as np'
    values = "\n".join(f"{name} = {constants[name]!r}" for name in GIVEN[module])
    functions = [ast.get_source_segment(text, nodes[part]) or "" for part in MODULES[module]]
    return "\n\n\n".join([f"{head}\n\nArray = np.ndarray\n{values}", *functions, ""]).encode()


def hidden_modules(changed: Mapping[str, str], constants: Constants) -> dict[str, bytes]:
    """All modules, by file name.

    Args:
        changed: for some parts, the name of a version; the others are as given.
        constants: values of all constants.
    """
    return {
        f"{module}.py": hidden_module({part: changed.get(part, part) for part in parts}, constants)
        for module, parts in MODULES.items()
    }
