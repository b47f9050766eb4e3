"""metadata.py: what travels from one file to another, and what is reported as lost."""

import warnings

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin
from torch import nn

from nerdrain.data.images import load_image, save_image
from nerdrain.data.metadata import read_metadata
from nerdrain.errors import ImageWarning
from nerdrain.inference.derain import derain

RNG = np.random.default_rng(5)
RGB = Image.fromarray(RNG.integers(0, 256, (9, 7, 3), dtype=np.uint8))
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6" b="caption"/></x:xmpmeta>'
KEPT_XMP = XMP.replace(b'tiff:Orientation="6"', b"")
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif_of_a_camera() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "A camera"
    exif.get_ifd(0x8825)[1] = "N"  # GPS
    exif.get_ifd(0x8769)[0x9003] = "2024:06:01 12:00:00"
    return exif.tobytes()


def check_exif(path) -> None:
    exif = Image.open(path).getexif()
    assert exif[0x010F] == "A camera" and exif.get(0x0112, 1) == 1
    assert exif.get_ifd(0x8825)[1] == "N"
    assert exif.get_ifd(0x8769)[0x9003] == "2024:06:01 12:00:00"


def without_rain(source, target):
    """Read, derain with a network that changes nothing, and write."""
    return save_image(derain(load_image(source), nn.Identity()), target)


@pytest.fixture
def tiff(tmp_path):
    exif = Image.Exif()
    exif.load(exif_of_a_camera())
    exif[700] = XMP
    RGB.save(tmp_path / "a.tif", exif=exif.tobytes(), icc_profile=SRGB, dpi=(300, 300))
    return tmp_path / "a.tif"


@pytest.mark.parametrize("suffix", ["tif", "jpg", "png", "webp", "avif"])
def test_exif_xmp_and_profile_of_a_tiff_stay(tiff, tmp_path, suffix):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is lost
        path = without_rain(tiff, tmp_path / f"b.{suffix}")
    check_exif(path)
    image = Image.open(path)
    image.load()
    assert image.info["xmp"] == KEPT_XMP
    assert image.info["icc_profile"] == SRGB
    if suffix == "tif":
        assert image.info["dpi"] == (300, 300)
        np.testing.assert_array_equal(np.asarray(image), np.rot90(np.asarray(RGB), -1))


def test_a_tiff_without_exif_stays_compressed(tmp_path):
    flat = Image.new("RGB", (99, 99))
    flat.save(tmp_path / "a.tif", description="a field")
    path = without_rain(tmp_path / "a.tif", tmp_path / "b.tif")
    assert path.stat().st_size < 1000
    assert Image.open(path).tag_v2[270] == "a field"


def test_the_comment_and_captions_of_a_jpeg_stay(tmp_path):
    captions = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x09\x1c\x02\x78\0\x04rain\0"
    extra = b"\xff\xed" + (len(captions) + 2).to_bytes(2, "big") + captions
    RGB.save(tmp_path / "a.jpg", comment=b"a comment", xmp=XMP, extra=extra)
    image = Image.open(without_rain(tmp_path / "a.jpg", tmp_path / "b.jpg"))
    assert image.info["comment"] == b"a comment"
    assert image.info["xmp"] == KEPT_XMP
    assert [data for name, data in image.applist if name == "APP13"] == [captions]
    with pytest.warns(ImageWarning, match=r"b\.png loses IPTC, because PNG cannot store it\."):
        image = Image.open(without_rain(tmp_path / "a.jpg", tmp_path / "b.png"))
    assert image.text["Comment"] == "a comment"
    match = r"b\.webp loses the comment, IPTC, because WEBP cannot store it\."
    with pytest.warns(ImageWarning, match=match):
        without_rain(tmp_path / "a.jpg", tmp_path / "b.webp")


def test_texts_of_a_png_stay(tmp_path):
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", "A. Nonymous")
    texts.add_itxt("Title", "Regen", lang="de", tkey="Titel")
    texts.add_itxt("XML:com.adobe.xmp", XMP.decode())
    RGB.save(tmp_path / "a.png", pnginfo=texts)
    image = Image.open(without_rain(tmp_path / "a.png", tmp_path / "b.png"))
    assert image.text["Author"] == "A. Nonymous"
    assert (image.text["Title"], image.text["Title"].lang) == ("Regen", "de")
    assert image.info["xmp"] == KEPT_XMP
    with pytest.warns(ImageWarning, match="loses the PNG texts, because JPEG"):
        without_rain(tmp_path / "a.png", tmp_path / "b.jpg")


def test_the_gamma_of_a_png_stays(tmp_path):
    chunk = PngImagePlugin.PngInfo()
    chunk.add(b"gAMA", (100_000).to_bytes(4, "big"))
    RGB.save(tmp_path / "a.png", pnginfo=chunk)
    path = without_rain(tmp_path / "a.png", tmp_path / "b.png")
    assert Image.open(path).info["gamma"] == 1
    with pytest.warns(ImageWarning, match="loses the PNG's gamma, because TIFF"):
        without_rain(path, tmp_path / "c.tif")
    chunk = PngImagePlugin.PngInfo()
    chunk.add(b"gAMA", (45_455).to_bytes(4, "big"))  # what every format means
    RGB.save(tmp_path / "a.png", pnginfo=chunk)
    assert read_metadata(Image.open(tmp_path / "a.png")) == {}


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_lossless_webp_stays_lossless(tmp_path, mode):
    image = Image.fromarray(RNG.integers(0, 256, (30, 20, len(mode)), dtype=np.uint8))
    image.save(tmp_path / "a.webp", lossless=True, exact=True)
    path = without_rain(tmp_path / "a.webp", tmp_path / "b.webp")
    np.testing.assert_array_equal(np.asarray(Image.open(path)), np.asarray(image))
    lossy = save_image(load_image(path), tmp_path / "c.webp", quality=80)
    assert lossy.stat().st_size < path.stat().st_size
    lossy = without_rain(lossy, tmp_path / "d.webp")
    assert b"VP8L" not in lossy.read_bytes()


def test_a_lossless_webp_with_metadata_is_found(tmp_path):
    RGB.save(tmp_path / "a.webp", lossless=True, xmp=XMP, icc_profile=SRGB)
    assert load_image(tmp_path / "a.webp").info["lossless"] is True


def test_the_transparent_value_of_16_bit_grey_stays(tmp_path):
    class Darken(nn.Module):
        def forward(self, x):
            return x / 2

    values = np.array([[1000, 2000, 40000, 5]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png", transparency=1000)
    path = save_image(derain(load_image(tmp_path / "a.png"), Darken()), tmp_path / "b.png")
    image = Image.open(path)
    assert image.info["transparency"] == 1000
    # 2000 / 2 would be transparent too.
    np.testing.assert_array_equal(np.asarray(image), [[1000, 999, 20000, 3]])
    with pytest.warns(ImageWarning, match="loses the transparent grey value, because TIFF"):
        save_image(load_image(path), tmp_path / "c.tif")


def test_metadata_that_is_too_long_for_a_jpeg_is_reported(tmp_path):
    image = RGB.copy()
    image.info = {"xmp": b"x" * 70_000, "comment": b"kept", "exif": exif_of_a_camera()}
    with pytest.warns(ImageWarning, match=r"a\.jpg loses XMP, because JPEG"):
        path = save_image(image, tmp_path / "a.jpg")
    assert Image.open(path).info["comment"] == b"kept"


def test_metadata_that_no_writer_takes_does_not_lose_the_image(tmp_path):
    image = RGB.copy()
    image.info = {"exif": "no bytes", "dpi": ("x", "y")}
    with pytest.warns(ImageWarning, match=r"a\.tif loses its metadata"):
        path = save_image(image, tmp_path / "a.tif")
    np.testing.assert_array_equal(np.asarray(Image.open(path)), np.asarray(RGB))


@pytest.mark.parametrize("dpi", [(float("nan"), 1), (0, 0), (1, "x"), 300, (1e9, 1e9)])
def test_impossible_values_are_left_out(dpi):
    image = RGB.copy()
    image.info = {"dpi": dpi, "icc_profile": None, "comment": "text", "transparency": 3}
    assert read_metadata(image) == {}


def test_orientations_are_removed_from_xmp():
    image = RGB.copy()
    image.info["xmp"] = b"<a><tiff:Orientation>8</tiff:Orientation><b/></a>"
    assert read_metadata(image)["xmp"] == b"<a><b/></a>"
