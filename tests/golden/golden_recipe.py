"""The recipe of tests/golden/README.md: weights and files for networks as they were released.

Everything here is in the released checkpoint's own names, so that a test of our names against them
is a test.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from nerdrain import NeRDRain, NeRDRainConfig
from nerdrain.checkpoints.released import released_name

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Golden:
    """One set of golden files: a network, its weights' seed, and what was computed with it."""

    name: str
    width: int
    blocks: tuple[int, int, int]
    seed: int

    @property
    def config(self) -> NeRDRainConfig:
        return NeRDRainConfig(width=self.width, blocks=self.blocks)

    def shapes(self) -> dict[str, list[int]]:
        """Names and shapes in the released file's order."""
        return dict(json.loads((FOLDER / f"{self.name}_keys.json").read_text()))

    def weights(self) -> dict[str, Tensor]:
        """The released state dict that the recipe draws."""
        rng = np.random.Generator(np.random.PCG64(self.seed))
        shapes = self.shapes().items()
        return {name: torch.from_numpy(draw(rng, name, shape)) for name, shape in shapes}

    def io(self) -> dict[str, Tensor]:
        """Inputs, targets, outputs, losses and some gradients."""
        return load_file(FOLDER / f"{self.name}_io.safetensors")

    def gradient_norms(self) -> dict[str, float | None]:
        """Of the total loss, by released name; None where a parameter has no gradient."""
        return json.loads((FOLDER / f"{self.name}_gradnorms.json").read_text())

    def model(self) -> NeRDRain:
        """Our network with these weights; fails unless the two sets of names agree one to one."""
        weights = self.weights()
        model = NeRDRain(self.config)
        model.load_state_dict({k: weights.pop(released_name(k)) for k in model.state_dict()})
        assert not weights, f"released tensors without a counterpart: {sorted(weights)}"
        return model

    def write_pth(self, path: Path, *, prefix: str = "", bare: bool = False, **save: Any) -> Path:
        """A file as the authors publish it: epoch, weights and the optimiser's state."""
        state = {prefix + name: tensor for name, tensor in self.weights().items()}
        moment = torch.zeros(3)
        optimizer = {
            "state": {0: {"step": torch.tensor(5.0), "exp_avg": moment, "exp_avg_sq": moment}},
            "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999), "eps": 1e-8, "params": [0]}],
        }
        whole = {"epoch": 5, "state_dict": state, "optimizer": optimizer}
        torch.save(state if bare else whole, path, **save)
        return path


def draw(rng: np.random.Generator, name: str, shape: list[int]) -> np.ndarray:
    """One tensor of the recipe."""
    z = rng.standard_normal(shape).astype(np.float32)
    if name.endswith("temperature") or (len(shape) == 1 and name.endswith("body.weight")):
        z = 1 + 0.1 * z
    elif len(shape) == 1:
        z = 0.05 * z
    else:
        z = z / np.sqrt(np.prod(shape[1:]))
    return np.asarray(z, dtype=np.float32)


DIM8 = Golden("released_dim8", 8, (1, 1, 1), 7)
DEEP = Golden("released_dim8_deep", 8, (2, 3, 3), 11)
SMALL = Golden("released_S", 32, (2, 3, 3), 21)
FULL = Golden("released_full", 48, (2, 3, 3), 31)


def difference(ours: Tensor, golden: Tensor) -> float:
    """max|ours - golden| / max|golden|, the measure of tests/golden/README.md."""
    return float((ours.detach() - golden).abs().max() / golden.abs().max())
