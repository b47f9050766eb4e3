"""Loading and saving weights: our safetensors files, and the authors' released ``.pth`` files."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

import nerdrain
from nerdrain.config import PRESETS, NeRDRainConfig
from nerdrain.errors import NerdrainError
from nerdrain.network import NeRDRain
from nerdrain.released import config_from_shapes, released_name, without_prefix

WEIGHTS = "model.safetensors"
"""The file that holds a model's weights in a folder, as the Hugging Face hub names it."""


def checkpoints_dir() -> Path:
    """The folder of the shipped models: inside an installed package, or in the repository."""
    package = Path(nerdrain.__file__).parent
    inside = package / "shipped_checkpoints"
    return inside if inside.is_dir() else package.parent / "data" / "checkpoints"


def shipped_models() -> list[str]:
    """Names that `load_model` knows without a path."""
    return sorted(path.parent.name for path in checkpoints_dir().glob(f"*/{WEIGHTS}"))


def load_model(name_or_path: str | Path, device: torch.device | str | None = None) -> NeRDRain:
    """A network with trained weights, in evaluation mode.

    Args:
        name_or_path: A shipped model's name (``"nerd-rain-tiny"``), one of our ``.safetensors``
            files, a folder written by `NeRDRain.save_pretrained`, or a released ``.pth`` file.
            Nothing is ever downloaded: `NeRDRain.from_pretrained` does that, where it is asked to.
        device: Where to put it; the CPU by default.

    Raises:
        NerdrainError: No such model, or the file is damaged, holds something else, or does not fit
            the network it describes. Released files are read with ``weights_only=True``: a file
            that carries code is refused, and none of it runs.
    """
    path = find_weights(name_or_path)
    model = read_released(path) if path.suffix in {".pth", ".pt"} else read_safetensors(path)
    return model.to(device or "cpu").eval()


def find_weights(name_or_path: str | Path) -> Path:
    """The file that a name, a folder or a path stands for."""
    path = Path(name_or_path)
    if not path.exists() and str(name_or_path) in shipped_models():
        path = checkpoints_dir() / str(name_or_path)
    if path.is_dir():
        path = path / WEIGHTS
    if path.is_file():
        return path
    known = ", ".join(shipped_models()) or "none in this installation"
    if str(name_or_path) in PRESETS:
        raise NerdrainError(f"No trained weights of {name_or_path} are shipped (shipped: {known}).")
    raise NerdrainError(f"{path}: no such model file; give a path, or a shipped name ({known}).")


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over every tensor's name, type, shape and bytes, in order of names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_checkpoint(model: NeRDRain, path: str | Path) -> Path:
    """Write one ``.safetensors`` file with the weights, the configuration and their SHA-256.

    The file appears whole or not at all: it is written beside its place first.
    """
    path = Path(path)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    metadata = {
        "format": "pt",
        "nerdrain": nerdrain.__version__,
        "config": json.dumps(model.config.to_dict(), sort_keys=True),
        "sha256": fingerprint(state),
    }
    write_atomically(path, save(state, metadata))
    return path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that is either the old one or the whole new one, whatever happens.

    Raises:
        NerdrainError: The disk is full or the folder cannot be written; the old file is untouched.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise NerdrainError(
            f"{path}: could not be written ({error.strerror or error}); free some space or choose "
            "another folder. What was there before is untouched."
        ) from error
    finally:
        part.unlink(missing_ok=True)


def read_safetensors(path: Path) -> NeRDRain:
    """One of our files, checked against its own SHA-256 and configuration."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise NerdrainError(f"{path}: not a whole safetensors file; copy or download it again.") from error
    if "config" not in metadata:
        raise NerdrainError(
            f"{path}: it has no nerdrain configuration inside; files made by `nerdrain convert`, "
            "`nerdrain train` or `save_pretrained` have one."
        )
    if metadata.get("sha256") != fingerprint(state):
        raise NerdrainError(f"{path}: its weights do not match their SHA-256; copy or download it again.")
    config = NeRDRainConfig.from_dict(json.loads(metadata["config"]))
    return with_weights(NeRDRain(config), state, path)


def read_released(path: Path) -> NeRDRain:
    """One of the authors' checkpoint files; see `nerdrain.released` for its names."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise NerdrainError(
            f"{path}: it is not a plain PyTorch checkpoint: it holds something other than tensors, or "
            "code to run; nothing in it was run."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise NerdrainError(f"{path}: not a whole PyTorch file; copy or download it again.") from error
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state or not all(isinstance(t, Tensor) for t in state.values()):
        raise NerdrainError(f'{path}: it has no "state_dict" of tensors; is it a NeRD-Rain checkpoint?')
    state = without_prefix(state)
    try:
        model = NeRDRain(config_from_shapes(state))
    except NerdrainError as error:
        raise NerdrainError(f"{path}: not a released NeRD-Rain checkpoint: {error}.") from error
    names = {released_name(name): name for name in model.state_dict()}
    return with_weights(model, {names.get(name, name): t for name, t in state.items()}, path)


def with_weights(model: NeRDRain, state: Mapping[str, Tensor], path: Path) -> NeRDRain:
    """Load `state` strictly; a difference is one sentence that names the tensors.

    Raises:
        NerdrainError: Tensors are missing, unknown or of another shape.
    """
    own = model.state_dict()
    missing = sorted(own.keys() - state.keys())
    unknown = sorted(state.keys() - own.keys())
    misshapen = [
        f"{name} is {tuple(state[name].shape)} and should be {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    differences = [
        f"{what} {len(names)} tensor{'s' * (len(names) > 1)} ({', '.join(names[:3])}{', ...' * (len(names) > 3)})"
        for what, names in (("lacks", missing), ("has an unknown", unknown), ("disagrees in", misshapen))
        if names
    ]
    if differences:
        raise NerdrainError(
            f"{path}: does not fit a network of width {model.config.width} and blocks "
            f"{model.config.blocks}: it {'; it '.join(differences)}."
        )
    model.load_state_dict(state)
    return model


def convert_released(source: str | Path, out: str | Path) -> NeRDRain:
    """Read a released ``.pth`` file and write it as one of ours; the weights are the same numbers."""
    path = Path(source)
    if not path.is_file():
        raise NerdrainError(f"{path}: no such file.")
    model = read_released(path)
    save_checkpoint(model, out)
    return model.eval()
