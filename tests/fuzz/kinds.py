"""The kinds of files that are damaged, and how the program reads each."""

from __future__ import annotations

import io
import json
import os
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from golden_recipe import DIM8
from PIL import Image, ImageCms, PngImagePlugin
from safetensors.torch import save

from nerdrain import NeRDRain, NeRDRainConfig, derain, load_model
from nerdrain.checkpoints.weights import fingerprint, save_checkpoint
from nerdrain.data.images import load_image, read_image, save_image
from nerdrain.errors import ChecksumWarning, ImageWarning, NerdrainError
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


def images(name: str) -> list[bytes]:
    """Small images in one format of Pillow, of every kind that it stores, with metadata."""
    rng = np.random.default_rng(3)
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "A camera", 6
    exif.get_ifd(0x8825)[1] = "N"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    more = {"exif": exif.tobytes(), "icc_profile": profile, "dpi": (72, 72), "xmp": b"<x:xmpmeta/>"}
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", "somebody", zip=True)
    text.add_itxt("Title", "rain", zip=True)
    colour = Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8))
    alpha, palette = colour.convert("RGBA"), colour.quantize(16)
    grey16 = Image.fromarray(rng.integers(0, 65536, (9, 11), dtype=np.uint16))
    floats = Image.fromarray(rng.random((9, 11), dtype=np.float32))
    pages = {"save_all": True, "append_images": [colour.rotate(180), grey16]}
    frames = {"save_all": True, "append_images": [colour.rotate(180)]}
    samples = {
        "PNG": [
            (colour, more | {"pnginfo": text}),
            (palette, {"transparency": 3}),
            (grey16, {"transparency": 7}),
        ],
        "JPEG": [(colour, more), (colour, {"progressive": True}), (colour.convert("CMYK"), {})],
        "TIFF": [
            (colour, more),
            (colour, pages),
            *((colour, {"compression": c}) for c in ("tiff_lzw", "tiff_deflate", "jpeg")),
            *((image, {}) for image in (grey16, floats, palette, colour.convert("CMYK"))),
            (colour.convert("1"), {"compression": "group4"}),
        ],
        "WEBP": [(colour, more), (alpha, {"lossless": True}), (colour, frames)],
        "GIF": [(colour, {"comment": b"rain"}), (colour, frames)],
        "BMP": [(colour, {}), (palette, {})],
    }
    files = []
    for image, options in samples[name]:
        file = io.BytesIO()
        image.save(file, name, **options)
        files.append(file.getvalue())
    return files


class Stub(torch.nn.Module):
    """Returns its input, so that the time is that of reading and writing."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def derain_and_write(path: Path) -> tuple[Any, ...]:
    """Read, derain and write an image as the command does; check the file that was written."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImageWarning)
        image = load_image(path)
        dry = derain(image, Stub())
        assert dry.size == image.size, f"the size changed to {dry.size}"
        name = path.stem + (path.suffix if dry.mode[0] not in "IF" else ".tif")
        with tempfile.TemporaryDirectory() as folder:
            try:
                written = load_image(save_image(dry, Path(folder, name)))
            except NerdrainError as error:
                if "cannot hold this image" not in str(error):
                    raise
                written = load_image(save_image(dry, Path(folder, "again.png")))
            assert written.size == image.size, f"the written file has the size {written.size}"
            assert len(os.listdir(folder)) == 1, "a file was left"
        rgb = read_image(path)
        assert rgb.shape == (image.height, image.width, 3)
        return image.size, image.mode, rgb.tobytes()


def with_checksums(content: bytes) -> bytes:
    """A PNG whose chunks have the right checksums, as far as their lengths lead."""
    fixed, at = bytearray(content), 8
    while at + 12 <= len(fixed):
        end = at + 8 + int.from_bytes(fixed[at : at + 4], "big")
        if end + 4 > len(fixed):
            break
        fixed[end : end + 4] = zlib.crc32(fixed[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(fixed)


def image_kind(
    name: str, suffix: str, full: int, share: int, finish: Callable[[bytes], bytes] = bytes
) -> Kind:
    return Kind(
        *(suffix, lambda: images(name), derain_and_write),
        verified=False,
        full=full,
        share=share,
        finish=finish,
    )


KINDS = {
    "PNG": image_kind("PNG", ".png", 500, 20),
    "PNG, right checksums": image_kind("PNG", ".png", 1500, 60, with_checksums),
    "JPEG": image_kind("JPEG", ".jpg", 2000, 60),
    "TIFF": image_kind("TIFF", ".tif", 3000, 120),
    "WebP": image_kind("WEBP", ".webp", 1200, 40),
    "GIF": image_kind("GIF", ".gif", 1000, 40),
    "BMP": image_kind("BMP", ".bmp", 800, 30),
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
