"""Read and write image files, with their metadata.

Pillow does the reading and writing. This module turns every failure into one clear sentence, and
writes a file completely or not at all.
"""

import io
import stat
import warnings
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError, features
from torch import Tensor

from nerdrain.data.metadata import is_lossless_webp, read_metadata, writer_options
from nerdrain.errors import ImageWarning, NerdrainError
from nerdrain.files import IMAGE_SUFFIXES, READ_ONLY_SUFFIXES, write_atomically

#: Options of Pillow's writers with the least loss, by format.
_OPTIONS: dict[str, dict[str, Any]] = {
    "AVIF": {"quality": 90, "subsampling": "4:4:4"},
    "JPEG": {"quality": 95, "subsampling": 0},
    "TIFF": {"compression": "tiff_deflate"},
    "WEBP": {"quality": 95},
}


#: How HEIC files start, after their first four bytes.
_HEIF_BRANDS = {b"ftyp" + brand for brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1")}
_NOT_FINITE = "the image cannot be saved because it holds NaN or infinite values; replace them."


def turn_upright(image: Image.Image) -> Image.Image:
    """Return a copy that is rotated as its EXIF says; invalid EXIF rotates nothing."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # Pillow fails in many ways on invalid EXIF, and the image is more important
        return image.copy()


def _has_16_bit_colour(image: Image.Image, stream: BinaryIO) -> bool:
    """Whether the file has 16 bits per colour channel, of which Pillow reads only 8."""
    if image.mode not in ("RGB", "RGBA", "LA"):
        return False
    if image.format == "PNG":
        stream.seek(0)
        return stream.read(25)[24:] == b"\x10"  # IHDR's bit depth
    bits = image.tag_v2.get(258, (8,)) if image.format == "TIFF" else (8,)  # type: ignore[attr-defined]
    return max(bits) > 8


def _decode(stream: BinaryIO, name: str) -> tuple[Image.Image, list[str]]:
    """Decode a file and rotate the image upright; also list the parts of the file not read."""
    unread = []
    with warnings.catch_warnings():
        # Pillow warns of odd metadata, and above 89 megapixels; it refuses twice that.
        warnings.simplefilter("ignore")
        with _open_image(stream, name) as opened:
            opened.load()
            upright = turn_upright(opened)
            frames = getattr(opened, "n_frames", 1)
            if frames > 1 and opened.format != "MPO":  # phones add a preview as second frame
                unread.append(f"{frames} frames, but only the first is read")
            info = read_metadata(opened)
            if "transparency" in opened.info:
                info["transparency"] = opened.info["transparency"]
            if _has_16_bit_colour(opened, stream):
                unread.append("16 bits per channel, but only 8 are read")
            if is_lossless_webp(stream):
                info["lossless"] = True
    upright.info, upright.format = info, opened.format
    return upright, unread


def _check_file(path: Path) -> None:
    """Raise an error that says why a path is not a file to read."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, ValueError):  # ValueError: a zero byte in the name
        raise NerdrainError(f"{path} does not exist; check the path.") from None
    except OSError as error:
        raise NerdrainError(f"{path} cannot be read ({error.strerror}).") from None
    if stat.S_ISDIR(mode):
        raise NerdrainError(f"{path} is a folder, not an image; check the path.")
    if not stat.S_ISREG(mode):
        raise NerdrainError(f"{path} is a pipe or a device; give a file, or - for standard input.")


def _open(source: str | Path | BinaryIO) -> AbstractContextManager[BinaryIO]:
    if not isinstance(source, str | Path):
        return nullcontext(source)
    _check_file(Path(source))
    return Path(source).open("rb")


def _open_image(stream: BinaryIO, name: str) -> Image.Image:
    """Open an image with Pillow; HEIC files with the optional package pillow-heif."""
    try:
        return Image.open(stream)
    except UnidentifiedImageError:
        stream.seek(4)
        if stream.read(8) not in _HEIF_BRANDS:
            raise
        stream.seek(0)
    try:
        import pillow_heif
    except ImportError:
        raise NerdrainError(
            f"{name} is a HEIC file, and the package that reads these is missing; install it "
            'with: pip install "nerdrain[heic]".'
        ) from None
    pillow_heif.register_heif_opener()
    return Image.open(stream)


def load_image(source: str | Path | BinaryIO, name: str = "standard input") -> Image.Image:
    """Read an image file in any format of Pillow, and rotate it upright as its EXIF says.

    The image keeps its own mode and format, and its metadata in its `info`; the keys are those of
    `nerdrain.data.metadata`. HEIC needs the optional package pillow-heif.

    Args:
        source: a path, or a seekable binary stream.
        name: the name of a stream in messages.

    Raises:
        NerdrainError: The file does not exist, is not an image, is damaged or has too many pixels.

    Warns:
        ImageWarning: The file holds more than is read, either 16-bit colour or several frames.
    """
    shown = str(source) if isinstance(source, str | Path) else name
    try:
        with _open(source) as stream:
            image, unread = _decode(stream, shown)
    except NerdrainError:
        raise
    except UnidentifiedImageError:
        raise NerdrainError(
            f"{shown} is not an image, or it is damaged; open it in an image viewer to check."
        ) from None
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise NerdrainError(f"{shown} has more than {limit} megapixels; scale it down.") from None
    except MemoryError:
        raise NerdrainError(f"{shown} is too large for the memory; scale it down.") from None
    except Exception as error:  # a damaged file makes Pillow's decoders fail in any way
        if isinstance(error, OSError) and error.errno is not None:  # permission, a broken disk
            raise NerdrainError(f"{shown} cannot be read ({error.strerror}).") from None
        raise NerdrainError(
            f"{shown} is damaged or incomplete ({_describe(error)}); copy it again from its source."
        ) from None
    for part in unread:
        warnings.warn(f"{shown} holds {part}.", ImageWarning, stacklevel=2)
    return image


def _describe(error: Exception) -> str:
    """Pillow's message, at most 200 characters, with the type if it is not an OSError."""
    text = "".join(c if c.isprintable() else "?" for c in " ".join(str(error).split())[:200])
    return text if isinstance(error, OSError) and text else f"{type(error).__name__}: {text}"


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


def save_image(
    image: Image.Image | np.ndarray,
    path: str | Path,
    *,
    overwrite: bool = True,
    quality: int | None = None,
) -> Path:
    """Write an image file, completely or not at all.

    Args:
        image: a PIL image, or an array (h, w) or (h, w, 1..4), uint8, uint16 (grey only) or float
            in [0, 1]. The metadata in `info` of a PIL image is kept if the format stores it.
        path: the suffix chooses the format: avif, bmp, gif, jpg, png, tif or webp.
        overwrite: whether an existing file is replaced.
        quality: 1 to 100 for JPEG, WebP and AVIF; None chooses little loss.

    Raises:
        NerdrainError: The suffix is unknown, the format cannot store the image, the file exists
            and is not to be replaced, or the disk is full.

    Warns:
        ImageWarning: Metadata is lost because the format cannot store it.
    """
    path = Path(path)
    if path.is_dir():
        raise NerdrainError(f"{path} is a folder; give the path of a file in it.")
    content = encode_image(image, format_of(path), quality=quality, name=str(path))
    write_atomically(path, content, overwrite=overwrite)
    return path


def format_of(path: Path) -> str:
    """Return Pillow's name of the format that a file's suffix stands for, e.g. "JPEG".

    Raises:
        NerdrainError: The suffix is not one of an image format that can be written.
    """
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        only_read = "can only be read" if suffix in READ_ONLY_SUFFIXES else "is unknown"
        suffixes = ", ".join(known[1:] for known in IMAGE_SUFFIXES)
        raise NerdrainError(f"{path}: the image suffix {only_read}; use one of {suffixes}.")
    if suffix == ".avif" and not features.check("avif"):
        raise NerdrainError(
            f"{path}: this installation of Pillow has no AVIF; use another format, such as webp."
        )
    return Image.registered_extensions()[suffix]


def encode_image(
    image: Image.Image | np.ndarray, kind: str, *, quality: int | None = None, name: str = "image"
) -> bytes:
    """Encode an image as the content of a file; see `save_image`.

    Args:
        image: a PIL image or an array.
        kind: Pillow's name of the format, e.g. "JPEG".
        quality: 1 to 100 for JPEG, WebP and AVIF.
        name: the file's name in messages.
    """
    picture = image if isinstance(image, Image.Image) else _from_array(image)
    if picture.mode == "F" and not np.isfinite(np.asarray(picture)).all():
        raise NerdrainError(f"{name}: {_NOT_FINITE}")
    options = dict(_OPTIONS.get(kind, {}))
    lossy = quality is not None and "quality" in options
    if lossy:
        options["quality"] = quality
    try:
        # Pillow does not report these two losses.
        if picture.mode[0] in "IF" and kind not in ("PNG", "TIFF"):
            raise ValueError("the format has 8 bits per channel")
        if picture.mode in ("LA", "PA", "RGBA") and kind == "BMP":
            raise ValueError("the format has no transparency")
        try:
            metadata, lost = writer_options(kind, picture.info)
            if lossy:
                metadata.pop("lossless", None)
            content = _encode(picture, kind, options | metadata)
        except Exception:  # such as invalid metadata; without it the image can still be written
            bare = picture.copy()
            bare.info = {}  # Pillow's writers also read it
            content, lost = _encode(bare, kind, options), ["its metadata"]
    except MemoryError:
        raise
    except Exception as error:  # Pillow's writers fail in many ways
        raise NerdrainError(
            f"{name}: a {kind} file cannot hold this image (mode {picture.mode}, "
            f"{picture.width}x{picture.height}: {_describe(error)}); save it as png or tif."
        ) from None
    if lost:
        warnings.warn(
            f"{name} loses {', '.join(lost)}, because {kind} cannot store it.",
            ImageWarning,
            stacklevel=2,
        )
    return content


def _encode(picture: Image.Image, kind: str, options: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **options)
    return buffer.getvalue()


def _from_array(array: np.ndarray) -> Image.Image:
    """Convert an array to a PIL image; round floats to 8 bits."""
    if np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all():
            raise NerdrainError(_NOT_FINITE)
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

    Grey is repeated over the three channels and alpha is dropped. 16-bit grey and float grey in
    [0, 1] are scaled and rounded to 8 bits.

    Raises:
        NerdrainError: As `load_image`, or float grey is outside of [0, 1], or 32-bit grey outside
            of 0 to 65535.
    """
    image = load_image(path)
    if image.mode[0] not in "IF":
        return np.asarray(image.convert("RGB"))
    values = np.asarray(image)  # convert("RGB") would clip instead of scale
    try:
        white = check_range(values)
    except NerdrainError as error:
        raise NerdrainError(f"{path}: {error}") from None
    grey = np.floor(np.clip(values / white, 0, 1) * 255 + 0.5).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def check_range(values: np.ndarray) -> float:
    """Return the value of white: 255 or 65535 for integers, 1 for floats.

    Raises:
        NerdrainError: Floats are NaN, infinite or clearly outside of [0, 1]; 32-bit integers are
            outside of 0 to 65535; or the dtype is another one.
    """
    dtype = values.dtype.newbyteorder("=")
    if dtype in (np.uint8, np.uint16):
        return float(np.iinfo(dtype).max)
    if not values.size:
        return 1.0
    low, high = float(values.min()), float(values.max())
    if dtype == np.int32:
        if low < 0 or high > 65535:
            raise NerdrainError(
                f"a 32-bit integer image must hold values from 0 to 65535, but its values are from "
                f"{low:.0f} to {high:.0f}; scale it to 16 bits."
            )
        return 65535.0
    refuse_outside(low, high)
    return 1.0


def refuse_outside(low: float, high: float) -> None:
    """Raise an error if the smallest and largest value are not those of a float image in [0, 1].

    A small overshoot from interpolation is accepted.
    """
    if not (np.isfinite(low) and np.isfinite(high)):
        raise NerdrainError("the image holds NaN or infinite values; replace them first.")
    if low < -1 or high > 2:
        raise NerdrainError(
            f"a float image must be in [0, 1], but its values are from {low:g} to {high:g}; "
            "divide it by its white value."
        )


def to_tensor(image: np.ndarray) -> Float32[Tensor, "3 h w"]:
    """Convert (H, W, 3), uint8 or float in [0, 1], to (3, H, W) float32 in [0, 1]."""
    tensor = torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C")).to(torch.float32)
    return tensor.div_(255) if image.dtype == np.uint8 else tensor
