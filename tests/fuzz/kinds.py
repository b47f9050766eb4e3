"""The kinds of files that are damaged, and how the program reads each."""

from __future__ import annotations

import io
import json
import os
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from golden_recipe import DIM8
from safetensors.torch import save

from nerdrain import NeRDRain, NeRDRainConfig, load_model
from nerdrain.checkpoints.weights import fingerprint, save_checkpoint
from nerdrain.errors import ChecksumWarning
from nerdrain.files import shipped_folder
from nerdrain.training.recipes import Recipe, read_recipe


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        suffix: Of the file's name.
        originals: Makes the files that are damaged. Some may be hostile, so that reading them fails
            before they are damaged, too.
        read: Reads a file; the result says by ``==`` whether two files hold the same. It raises an
            AssertionError if the program did something that it must not do.
        verified: Whether a checksum finds every damage, so that no other result is accepted.
        full: Number of mutants in a full run.
        share: Number of mutants in ``make test``.
        tokens: Bytes with a meaning in such files.
        finish: Makes a file of a mutant, if the mutant is a part of the file.
    """

    suffix: str
    originals: Callable[[], Sequence[bytes]]
    read: Callable[[Path], Any]
    verified: bool
    full: int = 1000
    share: int = 50
    tokens: Sequence[bytes] = ()
    finish: Callable[[bytes], bytes] = bytes


class Bomb:
    """Unpickles by creating a folder in the current one."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("the-code-ran",)


@cache
def small_model() -> NeRDRain:
    torch.manual_seed(0)
    return NeRDRain(NeRDRainConfig(width=4, blocks=(1, 1, 1), inr_hidden=5))


def safetensors() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        return [save_checkpoint(small_model(), Path(folder, "m.safetensors")).read_bytes()]


def pth(new: bool) -> list[bytes]:
    """A file of weights, and one that holds code."""
    options = {"_use_new_zipfile_serialization": new}
    bomb = io.BytesIO()
    torch.save({"state_dict": {"a": torch.zeros(9), "x": Bomb()}}, bomb, **options)
    with tempfile.TemporaryDirectory() as folder:
        file = DIM8.write_pth(Path(folder, "model.pth"), **options)
        return [*3 * [file.read_bytes()], bomb.getvalue()]


@cache
def members() -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(pth(True)[0])) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def with_pickle(content: bytes) -> bytes:
    """A file of weights with another pickle and the right checksums."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, member in members().items():
            archive.writestr(name, content if name.endswith("data.pkl") else member)
    return file.getvalue()


def with_configuration(content: bytes) -> bytes:
    """A file of ours with another configuration and the right checksum."""
    config = content.decode(errors="replace")
    state = small_model().state_dict()
    return save(state, {"config": config, "sha256": fingerprint(state, config)})


def read_model(path: Path) -> str:
    model = load_model(path)
    return fingerprint(model.state_dict(), model.config.model_dump_json())


def read_old(path: Path) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = read_model(path)
    assert [note.category for note in caught] == [ChecksumWarning], "no warning"
    return result


def recipes() -> list[bytes]:
    files = shipped_folder("recipes").glob("*.yaml")
    texts = [path.read_bytes() for path in sorted(files)]
    return [text for text in texts if b"extends" not in text] + [
        Recipe(epochs=1).to_yaml().encode()
    ]


YAML = (
    *(b"&a ", b"*a", b"<<: *a\n", b"!!int ", b'!!int ""', b"!!timestamp foo", b"!!float x"),
    *(b"!!python/name:os.system ", b"!!binary ", b"!!set {a}\n", b"!!omap ", b"!!null ", b"! "),
    *(
        b"- ",
        b": ",
        b"? ",
        b"{",
        b"[",
        b"]",
        b"}",
        b"'",
        b'"',
        b"|\n ",
        b">\n ",
        b"#",
        b"\t",
        b"\n",
    ),
    *(b"---\n", b"...\n", b"%YAML 9.9\n", b"%TAG ! tag:x,2000:\n", b"\0", b"\xff", b"\xef\xbb\xbf"),
    *(b"9" * 5000, b"1e300", b"-.inf", b".nan", b"0x" + b"f" * 3000, b"1:59:59", b"2020-13-45"),
    *(b"[" * 500, b"{a: " * 500, b"x" * 3000, b"extends: /etc/passwd\n", b"extends: .\n"),
)
JSON = (
    *(b"[", b"]", b"{", b"}", b'"', b",", b":", b"null", b"true", b"NaN", b"-Infinity", b"1e999"),
    *(b"9" * 5000, b"[" * 900, b"[" * 10**5, b'{"a":' * 500, b"\\u0000", b'"\\ud800"', b"\x00"),
    *(b'"width": 65536, ', b'"blocks": [16, 16, 16], ', b'"unets": [8, 8, 8], ', b'"x": 1, '),
)

KINDS = {
    "safetensors": Kind(".safetensors", safetensors, read_model, verified=True),
    "configuration, signed": Kind(
        ".safetensors",
        lambda: [json.dumps(small_model().config.model_dump()).encode()],
        read_model,
        verified=False,
        tokens=JSON,
        finish=with_configuration,
    ),
    ".pth": Kind(".pth", lambda: pth(True), read_model, verified=True),
    ".pth, signed pickle": Kind(
        ".pth",
        lambda: [next(c for name, c in members().items() if name.endswith("data.pkl"))],
        read_model,
        verified=False,
        finish=with_pickle,
    ),
    ".pth, old format": Kind(".pth", lambda: pth(False), read_old, verified=False),
    "recipe": Kind(".yaml", recipes, lambda path: read_recipe(path), verified=False, tokens=YAML),
}
