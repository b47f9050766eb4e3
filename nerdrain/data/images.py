"""Read and write image files, with their metadata.

Pillow does the reading and writing. This module turns every failure into one clear sentence, and
writes a file completely or not at all.
"""

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

from nerdrain.errors import ImageWarning, NerdrainError
from nerdrain.files import IMAGE_SUFFIXES, write_atomically

#: Options of Pillow's writers with the least loss, by format.
_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "TIFF": {"compression": "tiff_deflate"},
    "WEBP": {"quality": 95},
}

#: Errors besides OSError that Pillow's decoders raise for broken files.
_DECODER_ERRORS = (SyntaxError, ValueError, EOFError, LookupError, struct.error, zlib.error)


def read_metadata(image: Image.Image) -> dict[Any, Any]:
    """Return the metadata to keep: EXIF (without orientation and thumbnail), ICC profile, dpi."""
    kept = ("icc_profile", "dpi")
    metadata: dict[Any, Any] = {key: image.info[key] for key in kept if image.info.get(key)}
    if "exif" in image.info:
        try:
            exif = Image.Exif()  # a copy, because the image must keep its own orientation
            exif.load(image.info["exif"])
            exif.pop(ExifTags.Base.Orientation, None)
            metadata["exif"] = exif.tobytes()
        except (*_DECODER_ERRORS, OSError, TypeError, AttributeError):
            pass  # some cameras write invalid EXIF; the image is more important
    return metadata


def _has_16_bit_colour(image: Image.Image, path: Path) -> bool:
    """Whether the file has 16 bits per colour channel, of which Pillow reads only 8."""
    if image.mode not in ("RGB", "RGBA", "LA"):
        return False
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24:] == b"\x10"  # IHDR's bit depth
    bits = image.tag_v2.get(258, (8,)) if image.format == "TIFF" else (8,)  # type: ignore[attr-defined]
    return max(bits) > 8


def _decode(path: Path) -> tuple[Image.Image, list[str]]:
    """Decode a file and rotate the image upright; also list the parts of the file not read."""
    unread = []
    with warnings.catch_warnings():
        # Pillow warns above 89 megapixels, but a large panorama is fine. It refuses twice that.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path) as opened:
            opened.load()
            upright = ImageOps.exif_transpose(opened)
            if _has_16_bit_colour(opened, path):
                unread.append("16 bits per channel, but only 8 are read")
            frames = getattr(opened, "n_frames", 1)
            if frames > 1 and opened.format != "MPO":  # phones add a preview as second frame
                unread.append(f"{frames} frames, but only the first is read")
            info = read_metadata(upright)
            if "transparency" in opened.info:
                info["transparency"] = opened.info["transparency"]
    upright.info = info
    return upright, unread


def load_image(path: str | Path) -> Image.Image:
    """Read an image file in any format of Pillow, and rotate it upright as its EXIF says.

    The image keeps its own mode, and its EXIF and ICC profile in its `info`.

    Raises:
        NerdrainError: The file does not exist, is not an image, is damaged or has too many pixels.

    Warns:
        ImageWarning: The file holds more than is read, either 16-bit colour or several frames.
    """
    path = Path(path)
    if not path.is_file():
        problem = "is a folder, not an image" if path.is_dir() else "does not exist"
        raise NerdrainError(f"{path} {problem}; check the path.")
    try:
        image, unread = _decode(path)
    except UnidentifiedImageError:
        raise NerdrainError(
            f"{path} is not an image, or it is damaged; open it in an image viewer to check."
        ) from None
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise NerdrainError(f"{path} has more than {limit} megapixels; scale it down.") from None
    except MemoryError:
        raise NerdrainError(f"{path} is too large for the memory; scale it down.") from None
    except (OSError, *_DECODER_ERRORS) as error:
        if isinstance(error, OSError) and error.errno is not None:  # permission, a broken disk
            raise NerdrainError(f"{path} cannot be read ({error.strerror}).") from None
        raise NerdrainError(
            f"{path} is damaged or incomplete ({error}); copy it again from its source."
        ) from None
    for part in unread:
        warnings.warn(f"{path} holds {part}.", ImageWarning, stacklevel=2)
    return image


def to_plain_mode(image: Image.Image) -> Image.Image:
    """Convert a PIL image to a mode that holds grey or RGB values, with or without alpha."""
    mode = image.mode
    if "transparency" in image.info and mode in ("1", "L", "P", "RGB"):
        return image.convert("RGBA" if mode in ("P", "RGB") else "LA")
    if mode in ("CMYK", "LAB"):
        return _convert_to_srgb(image)
    if mode in ("L", "LA", "RGB", "RGBA", "F") or mode[0] == "I":
        return image
    other = {"1": "L", "La": "LA", "PA": "RGBA", "RGBa": "RGBA"}
    return image.convert(other.get(mode, "RGB"))


def _convert_to_srgb(image: Image.Image) -> Image.Image:
    """Convert CMYK or LAB to sRGB, by the image's colour profile if it has one."""
    lab = image.mode == "LAB"
    profile: bytes | None = image.info.get("icc_profile")
    if not lab and not profile:
        return image.convert("RGB")
    source = ImageCms.createProfile("LAB") if lab else io.BytesIO(profile or b"")
    srgb = ImageCms.createProfile("sRGB")
    try:
        converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
    except (ImageCms.PyCMSError, ImportError):
        if lab:
            raise NerdrainError(
                "this installation of Pillow cannot convert a LAB image; save it as RGB first."
            ) from None
        return image.convert("RGB")
    assert converted is not None  # profileToProfile returns None only with inPlace=True
    return converted


def save_image(image: Image.Image | np.ndarray, path: str | Path) -> Path:
    """Write an image file, completely or not at all.

    Args:
        image: a PIL image, or an array (h, w) or (h, w, 1..4), uint8, uint16 (grey only) or float
            in [0, 1]. EXIF, ICC profile and dpi of a PIL image are kept if the format stores them.
        path: the suffix chooses the format: bmp, gif, jpg, png, tif or webp.

    Raises:
        NerdrainError: The suffix is unknown, the format cannot store the image or the disk is full.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        suffixes = ", ".join(known[1:] for known in IMAGE_SUFFIXES)
        raise NerdrainError(f"{path} has an unknown image suffix; use one of {suffixes}.")
    if path.is_dir():
        raise NerdrainError(f"{path} is a folder; give the path of a file in it.")
    picture = image if isinstance(image, Image.Image) else _from_array(image)
    kept = ("exif", "icc_profile", "dpi")
    metadata = {key: picture.info[key] for key in kept if key in picture.info}
    kind = Image.registered_extensions()[suffix]
    options = _OPTIONS.get(kind, {})
    if kind == "TIFF" and "exif" in metadata:
        options = {}  # Pillow's compressed TIFF writer fails on EXIF sub-directories such as GPS
    buffer = io.BytesIO()
    try:
        # Pillow does not report these two losses.
        if picture.mode[0] in "IF" and kind not in ("PNG", "TIFF"):
            raise ValueError("the format has 8 bits per channel")
        if picture.mode in ("LA", "PA", "RGBA") and kind == "BMP":
            raise ValueError("the format has no transparency")
        picture.save(buffer, format=kind, **options, **metadata)
    except (OSError, ValueError, KeyError, RuntimeError, struct.error) as error:
        raise NerdrainError(
            f"{path}: a {kind} file cannot hold this image (mode {picture.mode}, "
            f"{picture.width}x{picture.height}: {error}); save it as png or tif."
        ) from None
    write_atomically(path, buffer.getvalue())
    return path


def _from_array(array: np.ndarray) -> Image.Image:
    """Convert an array to a PIL image; round floats to 8 bits."""
    if np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all():
            raise NerdrainError(
                "the image cannot be saved because it holds NaN or infinite values; replace them."
            )
        array = np.floor(np.clip(array, 0, 1).astype(np.float32) * 255 + 0.5).astype(np.uint8)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    grey16 = array.dtype == np.uint16 and array.ndim == 2
    if not (grey16 or array.dtype == np.uint8) or array.ndim not in (2, 3) or not array.size:
        raise NerdrainError(
            f"an array of shape {array.shape} and dtype {array.dtype} cannot be saved; give (h, w) "
            "or (h, w, 1..4) in uint8 or float in [0, 1], or grey in uint16."
        )
    return Image.fromarray(np.ascontiguousarray(array))


def read_image(path: str | Path) -> UInt8[np.ndarray, "h w 3"]:
    """Read any image file as upright 8-bit RGB, with the errors and warnings of `load_image`.

    Grey is repeated over the three channels, 16-bit grey is scaled to 8 bits, alpha is dropped.
    """
    image = load_image(path)
    if image.mode.startswith("I"):  # 16-bit grey, which convert("RGB") would clip to white
        grey = (np.asarray(image).astype(np.int64) // 257).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    return np.asarray(image.convert("RGB"))


def to_tensor(image: np.ndarray) -> Float32[Tensor, "3 h w"]:
    """Convert (H, W, 3), uint8 or float in [0, 1], to (3, H, W) float32 in [0, 1]."""
    tensor = torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C")).to(torch.float32)
    return tensor.div_(255) if image.dtype == np.uint8 else tensor
