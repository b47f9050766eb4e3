"""Metadata of image files: read it from one format, and store it in another as far as possible.

Metadata is kept in the `info` of a PIL image, under these keys:

- "exif": bytes, without the orientation and the thumbnail
- "xmp": bytes, without the orientation
- "icc_profile": bytes, the colour profile
- "dpi": two numbers
- "comment": bytes, of JPEG and GIF
- "text": the texts of a PNG by keyword
- "gamma": the encoding exponent of a PNG, if it is not the usual 1/2.2
- "iptc": bytes, the APP13 segments of a JPEG, which hold IPTC captions
- "transparency": the transparent value of 16-bit grey
- "lossless": True for a lossless WebP
"""

import math
import re
from collections.abc import Mapping
from typing import Any, BinaryIO

from PIL import ExifTags, Image, PngImagePlugin

#: The keys that each format stores.
STORED_KEYS = {
    "AVIF": ("exif", "xmp", "icc_profile"),
    "BMP": ("dpi",),
    "GIF": ("comment",),
    "JPEG": ("exif", "xmp", "icc_profile", "dpi", "comment", "iptc"),
    "PNG": ("exif", "xmp", "icc_profile", "dpi", "comment", "text", "gamma", "transparency"),
    "TIFF": ("exif", "xmp", "icc_profile", "dpi"),
    "WEBP": ("exif", "xmp", "icc_profile"),
}
#: The keys whose loss is reported, with their names for the user. The resolution is not reported.
_NAMES = {
    "exif": "EXIF",
    "xmp": "XMP",
    "icc_profile": "the colour profile",
    "comment": "the comment",
    "text": "the PNG texts",
    "gamma": "the PNG's gamma",
    "iptc": "IPTC",
    "transparency": "the transparent grey value",
}
_XMP_TAG = 700
_SUBFOLDERS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
#: Tags of a TIFF that describe the photograph. The others describe how its pixels are stored.
_TIFF_TAGS = (
    ExifTags.Base.DocumentName,
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.HostComputer,
    ExifTags.Base.Rating,
    ExifTags.Base.Copyright,
    ExifTags.Base.XPTitle,
    ExifTags.Base.XPComment,
    ExifTags.Base.XPAuthor,
    ExifTags.Base.XPKeywords,
    ExifTags.Base.XPSubject,
)
_ORIENTATION = re.compile(rb'tiff:Orientation="\d"|<tiff:Orientation>\d</tiff:Orientation>')
#: A JPEG stores EXIF, XMP and a comment in one segment each, with a length of 16 bits.
_JPEG_SEGMENT = 65_000


def read_metadata(image: Image.Image) -> dict[Any, Any]:
    """Return the metadata to keep, by the keys of this module.

    Metadata that cannot be read is left out, because the image is more important.
    """
    info = image.info
    metadata: dict[Any, Any] = {}
    for key in ("icc_profile", "comment", "xmp", "iptc"):
        if isinstance(info.get(key), bytes) and info[key]:
            metadata[key] = info[key]
    if "xmp" in metadata:
        metadata["xmp"] = _ORIENTATION.sub(b"", metadata["xmp"])  # the image is turned upright
    if exif := _read_exif(image):
        metadata["exif"] = exif
    dpi = info.get("dpi")
    if isinstance(dpi, tuple) and len(dpi) == 2 and all(_is_resolution(n) for n in dpi):
        metadata["dpi"] = dpi
    texts = image.text if isinstance(image, PngImagePlugin.PngImageFile) else info.get("text")
    raw = ("XML:com.adobe.xmp", "Raw profile type exif", "Raw profile type APP1")
    if isinstance(texts, dict) and (kept := {k: texts[k] for k in texts if k not in raw}):
        metadata["text"] = kept
    gamma = info.get("gamma")
    if isinstance(gamma, float) and 0 < gamma < 100 and abs(gamma - 1 / 2.2) > 1e-3:
        metadata["gamma"] = gamma
    if image.format in ("JPEG", "MPO"):
        segments = [data for name, data in getattr(image, "applist", []) if name == "APP13"]
        if segments:
            metadata["iptc"] = b"".join(
                b"\xff\xed" + (len(data) + 2).to_bytes(2, "big") + data for data in segments
            )
    if image.mode[0] == "I" and isinstance(info.get("transparency"), int):
        metadata["transparency"] = info["transparency"]
    if info.get("lossless") is True:
        metadata["lossless"] = True
    return metadata


def _is_resolution(value: object) -> bool:
    try:
        number = float(value)  # type: ignore[arg-type]
    except Exception:  # a TIFF may store 1/0
        return False
    return math.isfinite(number) and 0 < number < 65536


def _read_exif(image: Image.Image) -> bytes | None:
    exif = Image.Exif()  # a copy, because the image must keep its own orientation
    try:
        own = image.getexif()
        if image.format == "TIFF":
            for tag in _TIFF_TAGS:
                if tag in own:
                    exif[tag] = own[tag]
            folders = {folder: own.get_ifd(folder) for folder in _SUBFOLDERS}
            for folder, entries in folders.items():
                if entries:
                    exif.get_ifd(folder).update(entries)
            return exif.tobytes() if exif or any(folders.values()) else None
        exif.load(own.tobytes())
        exif.pop(ExifTags.Base.Orientation, None)
        return exif.tobytes() if exif else None
    except Exception:  # some cameras write invalid EXIF, on which Pillow fails in many ways
        return None


def is_lossless_webp(stream: BinaryIO) -> bool:
    """Whether a file is a WebP whose first image is stored without loss (chunk "VP8L")."""
    stream.seek(0)
    header = stream.read(12)
    if header[:4] != b"RIFF" or header[8:] != b"WEBP":
        return False
    for _ in range(100):
        name, size = stream.read(4), int.from_bytes(stream.read(4), "little")
        if name in (b"VP8L", b"VP8 ", b""):
            return name == b"VP8L"
        stream.seek(16 if name == b"ANMF" else size + size % 2, 1)  # ANMF holds the chunks of one
    return False


def writer_options(kind: str, metadata: Mapping[Any, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the options of Pillow's writer that store metadata, and the names of what is lost.

    Args:
        kind: Pillow's name of the format, a key of `STORED_KEYS`.
        metadata: values by the keys of this module; other keys are ignored.
    """
    kept = {key: metadata[key] for key in STORED_KEYS[kind] if key in metadata}
    if kind == "JPEG":
        for key in ("exif", "xmp", "comment"):
            if len(kept.get(key, b"")) > _JPEG_SEGMENT:
                del kept[key]
    lost = [name for key, name in _NAMES.items() if key in metadata and key not in kept]
    if "iptc" in kept:
        kept["extra"] = kept.pop("iptc")
    if kind == "PNG":
        texts = PngImagePlugin.PngInfo()
        if "gamma" in kept:
            texts.add(b"gAMA", round(kept.pop("gamma") * 100_000).to_bytes(4, "big"))
        if "comment" in kept:
            texts.add_text("Comment", kept.pop("comment").decode("utf-8", "replace"))
        for keyword, text in kept.pop("text", {}).items():
            texts.add_text(keyword, text)
        if "xmp" in kept:
            texts.add_itxt("XML:com.adobe.xmp", kept.pop("xmp").decode("utf-8", "replace"))
        kept["pnginfo"] = texts
    if kind == "TIFF" and ("exif" in kept or "xmp" in kept):
        exif = Image.Exif()
        exif.load(kept.get("exif", b""))
        if "xmp" in kept:
            exif[_XMP_TAG] = kept.pop("xmp")
        if any(folder in exif for folder in _SUBFOLDERS):
            kept["compression"] = None  # Pillow's compressed writer loses the sub-directories
        kept["exif"] = exif.tobytes()
    if kind == "WEBP" and metadata.get("lossless"):
        kept |= {"lossless": True, "exact": True}
    return kept, lost
