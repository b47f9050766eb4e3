from . import (
    checkpoints,
    cli,
    course,
    data,
    devices,
    errors,
    evaluation,
    files,
    inference,
    kernels,
    model,
    plotting,
    training,
)
from .checkpoints.weights import load_model
from .devices import pick_device
from .errors import NerdrainError
from .inference.derain import derain
from .model.config import PRESETS, NeRDRainConfig
from .model.network import Derained, NeRDRain

__all__ = [
    "PRESETS",
    "Derained",
    "NeRDRain",
    "NeRDRainConfig",
    "NerdrainError",
    "checkpoints",
    "cli",
    "course",
    "data",
    "derain",
    "devices",
    "errors",
    "evaluation",
    "files",
    "inference",
    "kernels",
    "load_model",
    "model",
    "pick_device",
    "plotting",
    "training",
]

__version__: str
