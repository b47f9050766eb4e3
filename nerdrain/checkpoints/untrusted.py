"""Read files of weights that may be damaged or hostile; check them before anything is built.

`torch.load` verifies no checksum, and it builds the objects of a pickle before anybody can look at
them. So the sizes, the checksums and the pickle of a ``.pth`` file are checked first.
"""

from __future__ import annotations

import io
import mmap
import pickle
import pickletools
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import torch
from safetensors import safe_open
from torch import Tensor

from nerdrain.errors import NerdrainError

# In brackets: a released file of the paper's network, with the state of its optimizer.
LARGEST_FILE = 2**30
"""Bytes of a ``.pth`` file (0.28e9)."""
LARGEST_HEADER = 2**22
"""Bytes of a ``.pth`` file's pickle (0.35e6), or of a ``.safetensors`` file's header (0.1e6)."""
MOST_OPERATIONS = 500_000
"""Operations of a pickle (0.12e6)."""
MOST_MEMBERS = 20_000
"""Files in the zip archive that a ``.pth`` file is (3,794)."""

_PLAIN = re.compile(
    r"torch\._utils _rebuild_(tensor_v2|parameter)|torch \w+Storage|torch Size"
    r"|collections (OrderedDict|Counter)"
)
"""The globals of a pickle that holds numbers, text, containers and dense tensors only."""


@contextmanager
def explain_damage(path: Path, kind: str) -> Iterator[None]:
    """Turn the errors of the library that reads a file into one sentence."""
    try:
        yield
        return
    except NerdrainError:
        raise
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


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a ``.safetensors`` file.

    Raises:
        NerdrainError: The file is damaged, or its header is longer than that of any checkpoint.
    """
    with explain_damage(path, "safetensors"):
        with path.open("rb") as file:
            header = int.from_bytes(file.read(8), "little")
        if LARGEST_HEADER < header < path.stat().st_size:
            raise NerdrainError(f"{path}: its header is too long; give a NeRD-Rain checkpoint.")
        with safe_open(path, framework="pt") as tensors:
            metadata = tensors.metadata() or {}
            return {name: tensors.get_tensor(name) for name in tensors.keys()}, metadata  # noqa: SIM118


def has_checksums(path: Path) -> bool:
    """Whether a ``.pth`` file is a zip archive, as PyTorch writes since version 1.6."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def read_pth(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.pth`` file, by the file's names. No code in the file runs.

    Raises:
        NerdrainError: The file is damaged, too large, or holds something else than named tensors.
    """
    with explain_damage(path, "PyTorch"):
        if path.stat().st_size > LARGEST_FILE:
            raise _too_large(path)
        (_check_zip if has_checksums(path) else _check_old_format)(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not (state and isinstance(state, dict)) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in state.items()
    ):
        raise NerdrainError(
            f'{path}: it has no "state_dict" of named tensors; give a NeRD-Rain checkpoint.'
        )
    return state


def _too_large(path: Path) -> NerdrainError:
    return NerdrainError(f"{path}: larger than any NeRD-Rain checkpoint; give one of them.")


def _check_zip(path: Path) -> None:
    """Check the sizes, the checksum of every member, and the pickle."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        members = sum(1 for _ in re.finditer(rb"PK\x01\x02", content))
    if members > MOST_MEMBERS:  # before zipfile makes an object of each
        raise _too_large(path)
    with zipfile.ZipFile(path) as archive:
        files = archive.infolist()
        names = {file.filename for file in files}
        pickles = [file for file in files if file.filename.endswith("/data.pkl")]
        if (
            sum(file.file_size for file in files) > LARGEST_FILE
            or pickles[0].file_size > LARGEST_HEADER
        ):
            raise _too_large(path)
        stored = all(file.compress_type == zipfile.ZIP_STORED for file in files)  # as torch does
        if len(names) < len(files) or not stored or len(pickles) > 1 or archive.testzip():
            raise zipfile.BadZipFile
        _check_pickle(path, io.BytesIO(archive.read(pickles[0])))


def _check_old_format(path: Path) -> None:
    """Check the five pickles with which a file of PyTorch before 1.6 starts; it has no checksum."""
    with path.open("rb") as file:
        start = io.BytesIO(file.read(LARGEST_HEADER))
    for _ in range(5):  # magic number, version, machine, content, order of the tensors
        _check_pickle(path, start)


def _check_pickle(path: Path, file: IO[bytes]) -> None:
    """Read a pickle's operations, without carrying them out, up to its end.

    Raises:
        NerdrainError: It has too many operations, or tensors that are not dense.
        UnpicklingError: It has a global that a checkpoint does not need.
    """
    for count, (operation, argument, _) in enumerate(pickletools.genops(file)):
        if count > MOST_OPERATIONS:
            raise _too_large(path)
        if operation.name == "GLOBAL" and not _PLAIN.fullmatch(str(argument)):
            module, _, name = str(argument).partition(" ")
            if module == "torch._utils" and re.fullmatch(r"_rebuild_\w{1,60}", name):
                raise NerdrainError(
                    f"{path}: it holds tensors that are not plain, such as sparse, quantised, "
                    f"nested or meta tensors ({name}); save dense floating-point tensors."
                )
            raise pickle.UnpicklingError
