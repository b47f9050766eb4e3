"""Exchange arguments and answers with a worker as files of two formats that hold data only.

The structure of a value is JSON, and its arrays are in a safetensors file. Nothing is unpickled,
and the trusted process reads only regular files of limited size.
"""

import json
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch

Arrays = dict[str, np.ndarray]

LONGEST_STRUCTURE = 2**20
"""Bytes of the JSON file of an answer."""


def flatten(value: Any, arrays: Arrays) -> Any:
    """Describe a value in JSON, and put its arrays and tensors into `arrays`.

    Raises:
        TypeError: The value holds an object of another kind.
    """
    if isinstance(value, torch.Tensor):
        value = _to_numpy(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        return _flatten_array(value, arrays)
    if isinstance(value, Mapping):
        return {"dict": [[flatten(k, arrays), flatten(v, arrays)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [flatten(each, arrays) for each in value]}
    if isinstance(value, bool | int | float | str | None):
        return {"scalar": value}
    raise TypeError(f"a {type(value).__name__} is not a tensor, a number or a list of these")


def restore(structure: Any, arrays: Mapping[str, Any], complex_from: Callable[[Any], Any]) -> Any:
    """The value that `flatten` described.

    Args:
        structure: the description.
        arrays: the arrays, or tensors, by name.
        complex_from: makes a complex array of a real one, whose last axis has two elements.

    Raises:
        ValueError, KeyError, TypeError: The description is damaged.
    """
    ((kind, content),) = structure.items()
    if kind == "array":
        return arrays[content]
    if kind == "complex":
        return complex_from(arrays[content])
    if kind == "list":
        return [restore(each, arrays, complex_from) for each in content]
    if kind == "dict":
        return {
            restore(key, arrays, complex_from): restore(each, arrays, complex_from)
            for key, each in content
        }
    if kind == "scalar" and isinstance(content, bool | int | float | str | None):
        return content
    raise ValueError(f"there is no kind {kind}")


def _to_numpy(tensor: torch.Tensor) -> np.ndarray:
    if tensor.dtype == torch.bfloat16:
        raise TypeError("a bfloat16 tensor cannot be graded; return float32 or float64")
    if tensor.layout != torch.strided:
        raise TypeError("a sparse tensor cannot be graded; return a dense one")
    return tensor.detach().cpu().resolve_conj().resolve_neg().numpy()


def _flatten_array(array: np.ndarray, arrays: Arrays) -> dict[str, str]:
    name, kind = str(len(arrays)), "array"
    if np.iscomplexobj(array):
        kind, array = "complex", np.stack([array.real, array.imag], axis=-1)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise TypeError(f"an array of dtype {array.dtype} cannot be graded")
    arrays[name] = np.array(array, array.dtype.newbyteorder("="), order="C")  # a copy without views
    return {kind: name}


def to_complex(array: np.ndarray) -> np.ndarray:
    """A complex array of a real one, whose last axis holds real and imaginary parts."""
    return array[..., 0] + 1j * array[..., 1]


def write(folder: Path, name: str, value: Any) -> None:
    """Write a value as two files; if the JSON file exists, both are complete.

    Raises:
        TypeError: The value holds an object that `flatten` refuses.
    """
    arrays: Arrays = {}
    structure = flatten(value, arrays)
    safetensors.numpy.save_file(arrays, folder / f"{name}.safetensors")
    part = folder / f"{name}.part"
    part.write_text(json.dumps(structure), encoding="utf-8")
    part.replace(folder / f"{name}.json")


def read(folder: Path, name: str, largest: int) -> Any:
    """Read a value that an untrusted process has written; its arrays are NumPy arrays.

    Args:
        folder: the folder, in which no process writes any more.
        name: the name of the two files, without suffix.
        largest: bytes of the file with the arrays.

    Raises:
        FileNotFoundError: There is no such value.
        ValueError: The files are damaged, too large, or no regular files.
    """
    text = read_regular(folder / f"{name}.json", LONGEST_STRUCTURE)
    content = read_regular(folder / f"{name}.safetensors", largest)
    try:
        return restore(json.loads(text), safetensors.numpy.load(content), to_complex)
    except Exception as error:  # each library has its own errors for damaged files
        raise ValueError(f"its result is damaged ({type(error).__name__})") from None


def read_regular(path: Path, largest: int) -> bytes:
    """Read a regular file, but follow no link and wait for no pipe.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is too large or not a regular file.
    """
    if path.parent.is_symlink():
        raise ValueError("its folder of results is a link")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"its result cannot be read ({error.strerror})") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("its result is not a regular file")
        if status.st_size > largest:
            raise ValueError(f"its result has more than {largest / 2**20:.3g} MiB")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(largest)
    finally:
        os.close(descriptor)
