"""NeRD-Rain, readable and fast: bidirectional multi-scale implicit representations for deraining.

The paper is X. Chen, J. Pan and J. Dong, "Bidirectional Multi-Scale Implicit Neural Representations
for Image Deraining", CVPR 2024; docstrings say "the paper" and cite its sections and equations.
"""

__version__ = "0.1.0"

from nerdrain.config import PRESETS, NeRDRainConfig
from nerdrain.devices import pick_device
from nerdrain.errors import NerdrainError
from nerdrain.inference import derain
from nerdrain.network import Derained, NeRDRain
from nerdrain.checkpoints import load_model  # isort: skip

__all__ = [
    "PRESETS",
    "Derained",
    "NeRDRain",
    "NeRDRainConfig",
    "NerdrainError",
    "__version__",
    "derain",
    "load_model",
    "pick_device",
]
