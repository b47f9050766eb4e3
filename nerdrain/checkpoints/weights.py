"""Loading and saving weights: our safetensors files, and the authors' released ``.pth`` files."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

import nerdrain
from nerdrain.checkpoints.released import config_from_shapes, released_name, without_prefix
from nerdrain.checkpoints.untrusted import has_checksums, read_pth, read_tensors
from nerdrain.devices import pick_device
from nerdrain.errors import ChecksumWarning, NerdrainError, abbreviate, shorten, suggest
from nerdrain.files import shipped_folder, write_atomically
from nerdrain.kernels.attach import use_kernels
from nerdrain.model.config import PRESETS, NeRDRainConfig
from nerdrain.model.network import NeRDRain

WEIGHTS = "model.safetensors"
"""The file that holds a model's weights in a folder, as the Hugging Face hub names it."""
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Types of weights that are read; the network computes in float32."""


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
            Nothing is downloaded; `NeRDRain.from_pretrained` can download a model, but it checks
            neither the file's SHA-256 nor its tensors. `load_model` checks both, also for the
            folder into which a model was downloaded.
        device: The CPU by default.

    Raises:
        NerdrainError: The model does not exist, or the file is damaged, holds something else such
            as code (which is not run), or does not fit the network that it describes; or this
            machine has no such device.

    Warns:
        ChecksumWarning: The file has no checksum, because PyTorch before 1.6 wrote it.
    """
    where = pick_device(str(device)) if device is not None else "cpu"
    path = find_weights(name_or_path)
    ours = path.suffix.lower() == ".safetensors"
    model = read_safetensors(path) if ours else read_released(path)
    if torch.device(where).type == "cuda":
        use_kernels(model)
    return model.to(where).eval()


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
    hint = suggest(str(name_or_path), [*PRESETS, *shipped_models()])
    raise NerdrainError(
        f"{path}: no such model file; {hint or f'give a path, or a shipped name ({known})'}."
    )


def fingerprint(state: Mapping[str, Tensor], config: str) -> str:
    """SHA-256 over the configuration's text and every tensor's name, type, shape and bytes.

    The order of the tensors does not matter.
    """
    digest = hashlib.sha256(f"{config}\n".encode())
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_checkpoint(
    model: NeRDRain,
    path: str | Path,
    *,
    dtype: torch.dtype | None = None,
    overwrite: bool = True,
) -> Path:
    """Write a ``.safetensors`` file with the weights, the configuration and one SHA-256 of both.

    The same model always gives the same bytes. `dtype` is the type of the stored weights, by
    default their own; `torch.float16` halves the file. `overwrite` is that of `write_atomically`.

    Raises:
        NerdrainError: A weight is too large for `dtype`.
    """
    path = Path(path)
    state = {
        name: t.detach().cpu().to(dtype).contiguous() for name, t in model.state_dict().items()
    }
    for name, tensor in state.items():
        if dtype is not None and not torch.isfinite(tensor).all():
            raise NerdrainError(f"{name} has values too large for {dtype}; use torch.float32.")
    config = json.dumps(model.config.model_dump(), sort_keys=True)
    metadata = {
        "format": "pt",
        "nerdrain": nerdrain.__version__,
        "config": config,
        "sha256": fingerprint(state, config),
    }
    write_atomically(path, sort_header(save(state, metadata)), overwrite=overwrite)
    return path


def sort_header(content: bytes) -> bytes:
    """A safetensors file with the keys of its header in order; the library's order is random."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:start]), sort_keys=True, separators=(",", ":"))
    header += " " * (-len(header) % 8)  # the tensors start at a multiple of 8 bytes
    return len(header).to_bytes(8, "little") + header.encode() + content[start:]


def read_safetensors(path: Path) -> NeRDRain:
    """One of our files, checked against its SHA-256, or one that `save_pretrained` wrote.

    The hub's mixin writes no checksum, and the configuration into ``config.json`` beside the file.
    """
    state, metadata = read_tensors(path)
    source = path if "config" in metadata else path.with_name("config.json")
    if not source.is_file():
        raise NerdrainError(
            f"{path}: it has no nerdrain configuration, neither inside nor in {source.name} beside "
            "it; give a file that `nerdrain convert`, `nerdrain train` or `save_pretrained` wrote."
        )
    with explain_configuration(source):
        text = metadata["config"] if source is path else source.read_text(encoding="utf-8")
    if metadata.keys() & {"config", "sha256"} and metadata.get("sha256") != fingerprint(
        state, text
    ):
        raise NerdrainError(
            f"{path}: its weights or its configuration do not match their SHA-256; copy or "
            "download it again."
        )
    with explain_configuration(source):
        config = NeRDRainConfig(**json.loads(text))
    return network_with(config, state, path)


@contextmanager
def explain_configuration(source: Path) -> Iterator[None]:
    """Turn the errors of a configuration's text into one sentence."""
    try:
        yield
    except (OSError, ValueError, TypeError, RecursionError) as error:
        reason = shorten(" ".join(str(error).split()).rstrip("."), 300)
        raise NerdrainError(
            f"{source}: its configuration cannot be read ({reason}); copy the file again, or "
            "update nerdrain."
        ) from None


def read_released(path: Path) -> NeRDRain:
    """One of the authors' checkpoint files; see `nerdrain.checkpoints.released` for its names."""
    state = without_prefix(read_pth(path))
    try:
        config = config_from_shapes(state)
    except NerdrainError as error:
        raise NerdrainError(
            f"{path}: not a released NeRD-Rain checkpoint ({str(error).rstrip('.')}); give one of "
            "the authors' files."
        ) from None
    model = network_with(config, state, path, released_name)
    if not has_checksums(path):
        warnings.warn(
            f"{path}: a file of PyTorch before 1.6 has no checksum, so damage to its weights "
            "cannot be noticed; compare it with its source.",
            ChecksumWarning,
            stacklevel=2,
        )
    return model


def network_with(
    config: NeRDRainConfig,
    state: Mapping[str, Tensor],
    path: Path,
    rename: Callable[[str], str] = str,
) -> NeRDRain:
    """A network with the weights of `path`, where our tensor names are called ``rename(name)``.

    Raises:
        NerdrainError: Tensors are missing, unknown, of another shape or type, or not finite; it
            names them as the file does.
    """
    with torch.device("meta"):  # shapes alone, so no memory and no random numbers are used
        model = NeRDRain(config)
    own = {rename(name): tensor.shape for name, tensor in model.state_dict().items()}
    common = sorted(own.keys() & state.keys())
    differences = {
        "missing": sorted(own.keys() - state.keys()),
        "unknown": [shorten(name) for name in sorted(state.keys() - own.keys())],
        "of another shape": [
            f"{name} has {abbreviate(tuple(state[name].shape))} for {tuple(own[name])}"
            for name in common
            if state[name].shape != own[name]
        ],
        "of another type": [
            f"{name} is {state[name].dtype}" for name in common if state[name].dtype not in FLOATS
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
    for name, tensor in model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise NerdrainError(
                f"{path}: its tensor {rename(name)} holds NaN or infinity; copy or download it "
                "again."
            )
    return model


def convert_released(source: str | Path, out: str | Path, *, overwrite: bool = True) -> NeRDRain:
    """Read a released ``.pth`` file and write it as one of ours, with the same weights."""
    path = Path(source)
    if not path.is_file():
        raise NerdrainError(f"{path}: no such file; give the path of a released .pth file.")
    model = read_released(path)
    save_checkpoint(model, out, overwrite=overwrite)
    return model.eval()
