"""Reading and writing photographs as files, and what travels with them.

Pillow reads and writes; this module adds one clear sentence
for every way in which that fails, and files that appear whole or not at all.
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
from nerdrain.files import write_atomically

__all__ = ["load_image", "metadata", "plain_mode", "read_image", "save_image", "to_tensor"]

#: Suffix -> Pillow's format and the options that lose least.
_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".bmp": ("BMP", {}),
    ".gif": ("GIF", {}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".png": ("PNG", {}),
    ".tif": ("TIFF", {"compression": "tiff_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_deflate"}),
    ".webp": ("WEBP", {"quality": 95}),
}

#: What Pillow's decoders raise for broken files, beside OSError.
_BROKEN = (SyntaxError, ValueError, EOFError, IndexError, KeyError, struct.error, zlib.error)


_PLAIN_MODES = {"L", "LA", "RGB", "RGBA", "F"}  # modes that are arrays as they are


def metadata(image: Image.Image) -> dict[Any, Any]:
    """What travels with a photograph: EXIF (upright, without thumbnail), ICC profile, dpi."""
    kept: dict[Any, Any] = {
        key: image.info[key] for key in ("icc_profile", "dpi") if image.info.get(key)
    }
    if "exif" in image.info:
        try:
            exif = Image.Exif()  # image.getexif() is the image's own, which must keep its turn
            exif.load(image.info["exif"])
            exif.pop(ExifTags.Base.Orientation, None)
            kept["exif"] = exif.tobytes()
        except (*_BROKEN, OSError, TypeError, AttributeError):
            pass  # cameras write odd EXIF; the picture matters more
    return kept


def _lost_bits(image: Image.Image, path: Path) -> bool:
    """Whether the file has 16 bits a channel of colour, of which Pillow reads 8."""
    if image.mode not in ("RGB", "RGBA", "LA"):
        return False
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24:] == b"\x10"  # IHDR's bit depth
    bits = image.tag_v2.get(258, (8,)) if image.format == "TIFF" else (8,)  # type: ignore[attr-defined]
    return max(bits) > 8


def load_image(path: str | Path) -> Image.Image:
    """Read a photograph, turned upright as its EXIF says.

    Args:
        path: of a file that Pillow reads.

    Returns:
        The decoded image in its own mode, with EXIF and ICC profile in its `info`.

    Raises:
        NerdrainError: no such file, not an image, damaged, or absurdly large.

    Warns:
        ImageWarning: the file holds more than is read: 16-bit colour, or several frames.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder, not an image" if path.is_dir() else "does not exist"
        raise NerdrainError(f"{path} {what}.")
    try:
        with warnings.catch_warnings():
            # Pillow warns from 89 megapixels on, and refuses twice that: a large panorama is fine.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                opened.load()
                upright = ImageOps.exif_transpose(opened)
                notes = ["16 bits a channel, of which 8 are read"] * _lost_bits(opened, path)
                frames = getattr(opened, "n_frames", 1)
                if frames > 1 and opened.format != "MPO":  # phones add a preview as second frame
                    notes += [f"{frames} frames, of which the first is read"]
                info = metadata(upright)
                if "transparency" in opened.info:
                    info["transparency"] = opened.info["transparency"]
    except UnidentifiedImageError:
        raise NerdrainError(f"{path} is not an image that can be read, or it is damaged.") from None
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise NerdrainError(f"{path} has more than {limit} megapixels: scale it down.") from None
    except MemoryError:
        raise NerdrainError(f"{path} is too large for this machine's memory.") from None
    except OSError as error:
        if error.errno is not None:  # the system's: permission, a broken disk
            raise NerdrainError(f"{path} cannot be read: {error.strerror}.") from None
        raise NerdrainError(f"{path} is damaged or incomplete ({error}).") from None
    except _BROKEN as error:
        raise NerdrainError(f"{path} is damaged ({error}).") from None
    for note in notes:
        warnings.warn(f"{path} holds {note}.", ImageWarning, stacklevel=2)
    upright.info = info
    return upright


def plain_mode(image: Image.Image) -> Image.Image:
    """A PIL image in a mode that is an array of grey or RGB values, with or without alpha."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        return image
    if "transparency" in image.info and image.mode in ("1", "L", "P", "RGB"):
        return image.convert("RGBA" if image.mode in ("P", "RGB") else "LA")
    if image.mode in _PLAIN_MODES:
        return image
    if image.mode in ("CMYK", "LAB"):
        return _managed(image)
    other = {"1": "L", "La": "LA", "PA": "RGBA", "RGBa": "RGBA"}
    return image.convert(other.get(image.mode, "RGB"))


def _managed(image: Image.Image) -> Image.Image:
    """CMYK or LAB as sRGB, through the image's own colour profile where it has one."""
    lab = image.mode == "LAB"
    profile: bytes | None = image.info.get("icc_profile")
    if not lab and not profile:
        return image.convert("RGB")
    source = ImageCms.createProfile("LAB") if lab else io.BytesIO(profile or b"")
    try:
        converted = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, ImportError):
        if lab:
            raise NerdrainError("a LAB image cannot be converted here: save it as RGB.") from None
        return image.convert("RGB")
    assert converted is not None  # it is only when it works in place
    return converted


def save_image(image: Image.Image | np.ndarray, path: str | Path) -> Path:
    """Write a photograph; the file appears whole or not at all.

    Args:
        image: a PIL image, whose EXIF, ICC profile and dpi are kept where the format has room for
            them; or an array (h, w) or (h, w, 1..4), uint8, uint16 (grey only) or float in [0, 1].
        path: its suffix names the format: bmp, gif, jpg, png, tif or webp.

    Raises:
        NerdrainError: an unknown suffix, a format that cannot hold the image, or a full disk.
    """
    path = Path(path)
    if path.suffix.lower() not in _FORMATS:
        kinds = ", ".join(sorted({suffix[1:] for suffix in _FORMATS}))
        raise NerdrainError(f"{path}: no image format has that suffix; use one of {kinds}.")
    if path.is_dir():
        raise NerdrainError(f"{path} is a folder: name a file in it.")
    picture = image if isinstance(image, Image.Image) else _from_array(image)
    kind, options = _FORMATS[path.suffix.lower()]
    travels = {
        key: picture.info[key] for key in ("exif", "icc_profile", "dpi") if key in picture.info
    }
    if kind == "TIFF" and "exif" in travels:
        options = {}  # Pillow's compressed TIFF writer fails on EXIF's own directories, such as GPS
    buffer = io.BytesIO()
    try:
        # Two losses that Pillow is silent about.
        if picture.mode[0] in "IF" and kind not in ("PNG", "TIFF"):
            raise ValueError("it has 8 bits a channel")
        if picture.mode in ("LA", "PA", "RGBA") and kind == "BMP":
            raise ValueError("it has no transparency")
        picture.save(buffer, format=kind, **options, **travels)
    except (OSError, ValueError, KeyError, RuntimeError, struct.error) as error:
        raise NerdrainError(
            f"{path}: a {kind} file cannot hold this image (mode {picture.mode}, "
            f"{picture.width}x{picture.height}: {error}); save it as png or tif."
        ) from None
    write_atomically(path, buffer.getvalue())
    return path


def _from_array(array: np.ndarray) -> Image.Image:
    """An array as a PIL image; floats are rounded to 8 bits."""
    if np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all():
            raise NerdrainError("the image holds NaN or infinite values: it cannot be saved.")
        array = np.floor(np.clip(array, 0, 1).astype(np.float32) * 255 + 0.5).astype(np.uint8)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    grey16 = array.dtype == np.uint16 and array.ndim == 2
    if not (grey16 or array.dtype == np.uint8) or array.ndim not in (2, 3) or not array.size:
        raise NerdrainError(
            f"an array {array.shape} of {array.dtype} cannot be saved: give (h, w) or "
            "(h, w, 1..4), uint8 or float in [0, 1]; uint16 for grey only."
        )
    return Image.fromarray(np.ascontiguousarray(array))


def read_image(path: str | Path) -> UInt8[np.ndarray, "h w 3"]:
    """Reads any image file as 8-bit RGB: upright (EXIF), grey repeated, 16 bits scaled, alpha off.

    Returns:
        (H, W, 3) uint8.

    Raises:
        NerdrainError: as for `load_image`.
    """
    image = load_image(path)
    if image.mode.startswith("I"):  # 16-bit grey; convert("RGB") would clip it to white
        grey = (np.asarray(image).astype(np.int64) // 257).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    return np.asarray(image.convert("RGB"))


def to_tensor(image: np.ndarray) -> Float32[Tensor, "3 h w"]:
    """(H, W, 3) uint8, or float in [0, 1], to (3, H, W) float32 in [0, 1]."""
    channels_first = torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C"))
    if image.dtype == np.uint8:
        return channels_first.to(torch.float32).div_(255)
    return channels_first.to(torch.float32)
