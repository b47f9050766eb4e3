"""Loading and saving weights: our safetensors files, and the authors' released ``.pth`` files."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

import nerdrain
from nerdrain.checkpoints.released import config_from_shapes, released_name, without_prefix
from nerdrain.errors import NerdrainError
from nerdrain.files import shipped_folder, write_atomically
from nerdrain.model.config import PRESETS, NeRDRainConfig
from nerdrain.model.network import NeRDRain

WEIGHTS = "model.safetensors"
"""The file that holds a model's weights in a folder, as the Hugging Face hub names it."""


def models_folder() -> Path:
    """The folder of the shipped models."""
    return shipped_folder("data/checkpoints")


def shipped_models() -> list[str]:
    """Names that `load_model` knows without a path."""
    return sorted(path.parent.name for path in models_folder().glob(f"*/{WEIGHTS}"))


def load_model(name_or_path: str | Path, device: torch.device | str | None = None) -> NeRDRain:
    """A network with trained weights, in evaluation mode.

    Args:
        name_or_path: A shipped model's name (``"nerd-rain-tiny"``), one of our ``.safetensors``
            files, a folder written by `NeRDRain.save_pretrained`, or a released ``.pth`` file.
            Nothing is downloaded; `NeRDRain.from_pretrained` can download a model.
        device: The CPU by default.

    Raises:
        NerdrainError: The model does not exist, or the file is damaged, holds something else such
            as code (which is not run), or does not fit the network that it describes.
    """
    path = find_weights(name_or_path)
    ours = path.suffix.lower() == ".safetensors"
    model = read_safetensors(path) if ours else read_released(path)
    return model.to(device or "cpu").eval()


def find_weights(name_or_path: str | Path) -> Path:
    """The file that a name, a folder or a path stands for."""
    path = Path(name_or_path)
    if not path.exists() and str(name_or_path) in shipped_models():
        path = models_folder() / str(name_or_path)
    if path.is_dir():
        path = path / WEIGHTS
    if path.is_file():
        return path
    known = ", ".join(shipped_models()) or "none in this installation"
    if str(name_or_path) in PRESETS:
        raise NerdrainError(
            f"{name_or_path}: no weights of it are shipped (only {known}); give a file's path."
        )
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
    """Write a ``.safetensors`` file with the weights, their SHA-256 and the configuration."""
    path = Path(path)
    state = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
    metadata = {
        "format": "pt",
        "nerdrain": nerdrain.__version__,
        "config": json.dumps(model.config.model_dump(), sort_keys=True),
        "sha256": fingerprint(state),
    }
    write_atomically(path, save(state, metadata))
    return path


@contextmanager
def explain_damage(path: Path, kind: str) -> Iterator[None]:
    """Turn the errors of the library that reads a file into one sentence."""
    try:
        yield
        return
    except pickle.UnpicklingError:
        problem = (
            "not a plain PyTorch checkpoint: it is damaged, or holds more than tensors (code in it "
            "was not run); copy it again, or take it from a source that you trust"
        )
    except PermissionError as error:
        problem = f"could not be read ({error.strerror}); check its permissions"
    except Exception:  # torch fails on damaged files in many ways, OSError included
        problem = f"not a whole {kind} file; copy or download it again"
    raise NerdrainError(f"{path}: {problem}.") from None


def read_safetensors(path: Path) -> NeRDRain:
    """One of our files, checked against its SHA-256, or one that `save_pretrained` wrote.

    The hub's mixin writes no checksum, and the configuration into ``config.json`` beside the file.
    """
    with explain_damage(path, "safetensors"), safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if "config" in metadata and metadata.get("sha256") != fingerprint(state):
        raise NerdrainError(
            f"{path}: its weights do not match their SHA-256; copy or download it again."
        )
    return network_with(read_config(path, metadata), state, path)


def read_config(path: Path, metadata: Mapping[str, str]) -> NeRDRainConfig:
    """The configuration in the metadata of a file, or in ``config.json`` beside it."""
    source = path if "config" in metadata else path.with_name("config.json")
    if not source.is_file():
        raise NerdrainError(
            f"{path}: it has no nerdrain configuration, neither inside nor in {source.name} beside "
            "it; give a file that `nerdrain convert`, `nerdrain train` or `save_pretrained` wrote."
        )
    try:
        text = metadata["config"] if source is path else source.read_text(encoding="utf-8")
        return NeRDRainConfig(**json.loads(text))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise NerdrainError(
            f"{source}: its configuration cannot be read ({reason}); copy the file again, or "
            "update nerdrain."
        ) from None


def read_released(path: Path) -> NeRDRain:
    """One of the authors' checkpoint files; see `nerdrain.checkpoints.released` for its names."""
    with explain_damage(path, "PyTorch"):
        content = torch.load(path, map_location="cpu", weights_only=True)
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not (state and isinstance(state, dict)) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in state.items()
    ):
        raise NerdrainError(
            f'{path}: it has no "state_dict" of named tensors; give a NeRD-Rain checkpoint.'
        )
    state = without_prefix(state)
    try:
        config = config_from_shapes(state)
    except NerdrainError as error:
        raise NerdrainError(
            f"{path}: not a released NeRD-Rain checkpoint ({str(error).rstrip('.')}); give one of "
            "the authors' files."
        ) from None
    return network_with(config, state, path, released_name)


def network_with(
    config: NeRDRainConfig,
    state: Mapping[str, Tensor],
    path: Path,
    rename: Callable[[str], str] = str,
) -> NeRDRain:
    """A network with the weights of `path`, where our tensor names are called ``rename(name)``.

    Raises:
        NerdrainError: Tensors are missing, unknown or of another shape; it names them as the file
            does.
    """
    with torch.device("meta"):  # shapes alone, so no memory and no random numbers are used
        model = NeRDRain(config)
    own = {rename(name): tensor.shape for name, tensor in model.state_dict().items()}
    differences = {
        "missing": sorted(own.keys() - state.keys()),
        "unknown": sorted(state.keys() - own.keys()),
        "of another shape": [
            f"{name} has {tuple(state[name].shape)} for {tuple(own[name])}"
            for name in sorted(own.keys() & state.keys())
            if state[name].shape != own[name]
        ],
    }
    listed = [
        f"{len(names)} {kind}: {', '.join(names[:3])}{', ...' * (len(names) > 3)}"
        for kind, names in differences.items()
        if names
    ]
    if listed:
        raise NerdrainError(
            f"{path}: its tensors do not fit a network of width {config.width} and blocks "
            f"{config.blocks} ({'; '.join(listed)}); give the file as it was published."
        )
    model = model.to_empty(device="cpu")
    model.load_state_dict({name: state[rename(name)] for name in model.state_dict()})
    return model


def convert_released(source: str | Path, out: str | Path) -> NeRDRain:
    """Read a released ``.pth`` file and write it as one of ours, with the same weights."""
    path = Path(source)
    if not path.is_file():
        raise NerdrainError(f"{path}: no such file; give the path of a released .pth file.")
    model = read_released(path)
    save_checkpoint(model, out)
    return model.eval()
