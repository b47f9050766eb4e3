"""NeRD-Rain, readable and fast: bidirectional multi-scale implicit representations for deraining.

The paper is X. Chen, J. Pan and J. Dong, "Bidirectional Multi-Scale Implicit Neural Representations
for Image Deraining", CVPR 2024; docstrings say "the paper" and cite its sections and equations.

Names and modules are imported when they are first used, so that the command line answers at once.
"""

from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from nerdrain.checkpoints import load_model
    from nerdrain.config import PRESETS, NeRDRainConfig
    from nerdrain.devices import pick_device
    from nerdrain.errors import NerdrainError
    from nerdrain.inference import derain
    from nerdrain.network import Derained, NeRDRain

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

_HOME = {
    "PRESETS": "config",
    "Derained": "network",
    "NeRDRain": "network",
    "NeRDRainConfig": "config",
    "NerdrainError": "errors",
    "derain": "inference",
    "load_model": "checkpoints",
    "pick_device": "devices",
}


def __getattr__(name: str) -> Any:
    """Import a public name, or a module of the package, when it is first used."""
    if name in _HOME:
        value = getattr(import_module(f"nerdrain.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    if not name.startswith("_") and find_spec(f"nerdrain.{name}"):
        try:
            return import_module(f"nerdrain.{name}")
        except ModuleNotFoundError as error:  # no attribute, so that help() goes on without it
            needs = f"nerdrain.{name} needs {error.name}, which is not installed"
            raise AttributeError(needs) from error
    raise AttributeError(f"module 'nerdrain' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What completion offers: the public names, and every module of the package."""
    modules = (module.name for module in iter_modules(__path__))
    return sorted({*__all__, *(name for name in modules if not name.startswith("_"))})
