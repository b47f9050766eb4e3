"""images.py: files in and out, what travels with them, and one sentence for every failure."""

import io
import os
import sys
import types
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from nerdrain.data.images import encode_image, load_image, read_image, save_image
from nerdrain.data.metadata import read_metadata
from nerdrain.errors import ImageWarning, NerdrainError

RNG = np.random.default_rng(2)
RGB = RNG.integers(0, 256, (9, 7, 3), dtype=np.uint8)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif_with(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "A camera"
    exif.get_ifd(0x8825)[1] = "N"  # GPS
    return exif.tobytes()


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "tiff", "PNG"])
@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 1), (9, 7, 3), (9, 7, 4), (1, 1, 3)])
def test_lossless_formats_keep_every_byte(tmp_path, suffix, shape):
    if suffix == "bmp" and shape[-1] == 4:
        shape = shape[:2]  # it has no transparency, which is said below
    array = RNG.integers(0, 256, shape, dtype=np.uint8)
    path = save_image(array, tmp_path / f"a.{suffix}")
    loaded = np.asarray(load_image(path))
    np.testing.assert_array_equal(loaded, array[..., 0] if shape[-1] == 1 else array)
    assert [item.name for item in tmp_path.iterdir()] == [path.name]  # no temporary file is left


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "webp"])
def test_lossy_formats_lose_little(tmp_path, suffix):
    smooth = np.broadcast_to(np.linspace(0, 255, 64)[:, None, None], (64, 48, 3)).astype(np.uint8)
    loaded = np.asarray(load_image(save_image(smooth, tmp_path / f"a.{suffix}")))
    assert np.abs(loaded.astype(int) - smooth).max() <= 4


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_stays(tmp_path, suffix):
    array = RNG.integers(0, 65536, (5, 6), dtype=np.uint16)
    image = load_image(save_image(array, tmp_path / f"a.{suffix}"))
    assert image.mode == "I;16"
    np.testing.assert_array_equal(np.asarray(image), array)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_rounded_and_clamped(tmp_path, dtype):
    values = RNG.uniform(-0.5, 1.5, (20, 20)).astype(dtype)
    read = np.asarray(load_image(save_image(values, tmp_path / "a.png")))
    exact = np.clip(values.astype(np.float64), 0, 1) * 255
    assert np.abs(read - exact).max() <= 0.5 + 1e-4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation(tmp_path, orientation):
    stored = np.arange(6, dtype=np.uint8).reshape(2, 3)
    path = tmp_path / "a.png"
    Image.fromarray(stored).save(path, exif=exif_with(orientation))
    # How a viewer must turn the stored rows and columns (EXIF 2.3, tag 0x0112).
    upright = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.T,
        6: np.rot90(stored, -1),
        7: stored[::-1, ::-1].T,
        8: np.rot90(stored),
    }[orientation]
    image = load_image(path)
    np.testing.assert_array_equal(np.asarray(image), upright)
    again = load_image(save_image(image, tmp_path / "b.png"))  # and it is not turned twice
    np.testing.assert_array_equal(np.asarray(again), upright)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_exif_and_profile_travel(tmp_path, suffix):
    path = tmp_path / "a.jpg"
    Image.fromarray(RGB).save(path, exif=exif_with(6), icc_profile=SRGB, dpi=(300, 300))
    saved = load_image(save_image(load_image(path), tmp_path / f"b.{suffix}"))
    exif = Image.open(tmp_path / f"b.{suffix}").getexif()
    assert exif.get(0x0112, 1) == 1
    assert exif[0x010F] == "A camera"
    assert exif.get_ifd(0x8825)[1] == "N"
    assert saved.info["icc_profile"] == SRGB


def test_bmp_leaves_behind_what_it_has_no_room_for(tmp_path):
    image = Image.fromarray(RGB)
    image.info |= {"exif": exif_with(1), "icc_profile": SRGB}
    with pytest.warns(ImageWarning, match=r"a\.bmp loses EXIF, the colour profile, because BMP"):
        assert load_image(save_image(image, tmp_path / "a.bmp")).size == (7, 9)


def test_odd_exif_is_dropped():
    image = Image.fromarray(RGB)
    image.info["exif"] = b"Exif\0\0nonsense"
    assert "exif" not in read_metadata(image)


def test_transparent_palette_is_loaded_with_its_transparency(tmp_path):
    image = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    image.save(tmp_path / "a.png", transparency=1)
    loaded = load_image(tmp_path / "a.png")
    assert loaded.mode == "P"
    assert loaded.convert("RGBA").getpixel((1, 0))[3] == 0


# To 8 bits


def test_float_grey_is_scaled_to_8_bits(tmp_path):
    values = np.array([[0, 0.25, 0.5], [0.999, 1, 1.1]], np.float32)
    Image.fromarray(values).save(tmp_path / "a.tif")
    expected = [[0, 64, 128], [255, 255, 255]]  # rounded, not cut
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[..., 1], expected)


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I"])
def test_16_bit_grey_is_scaled_to_8_bits(tmp_path, mode):
    values = np.array([[0, 128, 129, 257 * 100, 257 * 100 + 129, 65535]])
    dtype = {"I;16": "<u2", "I;16B": ">u2", "I": np.int32}[mode]
    Image.fromarray(values.astype(dtype)).save(tmp_path / "a.tif")
    assert Image.open(tmp_path / "a.tif").mode == mode
    expected = [0, 0, 1, 100, 101, 255]
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[0, :, 2], expected)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((2, 2), 255, np.float32), r"a\.tif: a float image must be in \[0, 1\], .* 255"),
        (np.full((2, 2), np.nan, np.float32), r"a\.tif: the image holds NaN"),
        (np.full((2, 2), 70000, np.int32), r"a\.tif: .* 0 to 65535, but .* 70000; scale it"),
        (np.full((2, 2), -1, np.int32), "0 to 65535"),
    ],
)
def test_values_without_a_known_white_are_refused(tmp_path, array, message):
    Image.fromarray(array).save(tmp_path / "a.tif")
    with pytest.raises(NerdrainError, match=message):
        read_image(tmp_path / "a.tif")


# What is wrong with files


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "PNG")
    return buffer.getvalue()


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (99, 99, 3), dtype=np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not an image, or it is damaged"),
        (b"some text", "is not an image"),
        (png()[:60], "is damaged"),
        (jpeg()[:2000], "is damaged or incomplete"),
        (png()[:40] + b"\xff" * 8 + png()[48:], "is damaged"),
        (png()[:16] + b"\0\0\0\0" + png()[20:], "damaged"),
    ],
)
def test_broken_files(tmp_path, content, message):
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    with pytest.raises(NerdrainError, match=message) as caught:
        load_image(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.data())
def test_no_damage_is_a_surprise(tmp_path_factory, data):
    # Whatever bytes are wrong, it is our error or a picture, never another exception.
    content = bytearray(data.draw(st.sampled_from([png(), jpeg()[:3000]])))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damage") / "a.png"
    path.write_bytes(bytes(content))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = load_image(path)
        except NerdrainError:
            return
    assert image.size


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(NerdrainError, match=r"nowhere\.png does not exist"):
        load_image(tmp_path / "nowhere.png")
    with pytest.raises(NerdrainError, match="is a folder, not an image"):
        load_image(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_paths_that_are_no_files(tmp_path):
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    os.mkfifo(tmp_path / "fifo.png")
    for name, problem in (
        ("loop.png", "cannot be read (Too many levels of symbolic links)."),
        ("fifo.png", "is a pipe or a device; give a file, or - for standard input."),
        ("zero\0.png", "does not exist; check the path."),
        ("x" * 300 + ".png", "cannot be read (File name too long)."),
    ):
        with pytest.raises(NerdrainError) as caught:
            load_image(tmp_path / name)
        assert str(caught.value) == f"{tmp_path / name} {problem}"


def tiff_pages() -> bytes:
    buffer = io.BytesIO()
    pages = [Image.fromarray(RNG.integers(0, 256, (9, 7, 3), dtype=np.uint8)) for _ in range(3)]
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore::nerdrain.errors.ImageWarning")
def test_every_truncation_of_a_tiff_is_one_sentence(tmp_path):
    content = tiff_pages()
    path = tmp_path / "a.tif"
    for length in range(0, len(content), 3):
        path.write_bytes(content[:length])
        try:
            load_image(path)
        except NerdrainError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)


def test_an_unexpected_error_of_a_decoder_is_named(tmp_path, monkeypatch):
    path = save_image(RGB, tmp_path / "a.png")
    monkeypatch.setattr(Image, "open", refuse(TypeError("odd\n" + "x" * 9999)))
    with pytest.raises(
        NerdrainError, match=r"damaged or incomplete \(TypeError: odd x+\)"
    ) as caught:
        load_image(path)
    assert len(str(caught.value)) < 500


def test_heic_needs_a_package(tmp_path, monkeypatch):
    path = tmp_path / "a.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(20))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(NerdrainError, match=r"a\.heic is a HEIC .* pip install .nerdrain\[heic\]"):
        load_image(path)
    # With the package, Pillow opens the file.
    stub = types.ModuleType("pillow_heif")
    stub.register_heif_opener = lambda: monkeypatch.setattr(
        Image, "open", lambda stream: Image.new("RGB", (4, 2), "red")
    )
    monkeypatch.setitem(sys.modules, "pillow_heif", stub)
    assert load_image(path).size == (4, 2)


def refuse(error):
    def raiser(*args, **kwargs):
        raise error

    return raiser


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied"), r"cannot be read \(Permission denied\)"),
        (MemoryError(), "too large for the memory"),
        (SyntaxError("broken PNG file"), "is damaged"),
    ],
)
def test_errors_of_the_system(tmp_path, monkeypatch, error, message):
    path = save_image(RGB, tmp_path / "a.png")
    monkeypatch.setattr(Image, "open", refuse(error))
    with pytest.raises(NerdrainError, match=message):
        load_image(path)


def test_decompression_bombs(tmp_path, monkeypatch):
    path = save_image(RGB, tmp_path / "a.png")  # 63 pixels
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_image(path).size == (7, 9)  # a large panorama is fine
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)
    with pytest.raises(NerdrainError, match="megapixels; scale it down"):
        load_image(path)


def png16(colour_type: int, channels: int) -> bytes:
    """A PNG of 2x2 pixels with 16 bits a channel, written by hand: Pillow does not write it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return len(data).to_bytes(4, "big") + kind + data + crc.to_bytes(4, "big")

    header = (2).to_bytes(4, "big") * 2 + bytes([16, colour_type, 0, 0, 0])
    rows = b"".join(b"\0" + bytes(range(4 * channels)) for _ in range(2))
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(("colour_type", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_unread_bits_give_a_warning(tmp_path, colour_type, channels):
    path = tmp_path / "a.png"
    path.write_bytes(png16(colour_type, channels))
    with pytest.warns(ImageWarning, match=r"a\.png holds 16 bits per channel, but only 8 are read"):
        assert load_image(path).size == (2, 2)


def test_16_bit_grey_and_8_bit_tiff_need_no_note(tmp_path):
    (tmp_path / "a.png").write_bytes(png16(0, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_image(tmp_path / "a.png").mode == "I;16"
        load_image(save_image(RGB, tmp_path / "b.tif"))


def test_several_frames_give_a_warning(tmp_path):
    first, second = (Image.new("RGB", (3, 3), colour) for colour in ("red", "blue"))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    with pytest.warns(ImageWarning, match="holds 2 frames, but only the first is read"):
        assert load_image(tmp_path / "a.gif").convert("RGB").getpixel((0, 0)) == (255, 0, 0)


# What cannot be saved


@pytest.mark.parametrize(
    ("array", "name", "message"),
    [
        (RGB, "a.heic", r"a\.heic: the image suffix can only be read; use one of avif, bmp, gif"),
        (RGB, "a", "the image suffix is unknown"),
        (np.zeros((4, 4, 4), np.uint8), "a.jpg", "a JPEG file cannot hold this image.*save it as"),
        (np.zeros((4, 4, 4), np.uint8), "a.bmp", "the format has no transparency"),
        (np.zeros((4, 4), np.uint16), "a.jpg", "the format has 8 bits per channel"),
        (np.zeros((4, 4), np.uint16), "a.webp", "the format has 8 bits per channel"),
        (np.zeros((4, 4), np.uint16), "a.gif", "the format has 8 bits per channel"),
        (np.zeros((4, 4, 3), np.uint16), "a.png", "grey in uint16"),
        (np.zeros((4, 4), np.int64), "a.png", "int64 cannot be saved"),
        (np.zeros((0, 4, 3), np.uint8), "a.png", "cannot be saved"),
        (np.zeros((2, 4, 4, 3), np.uint8), "a.png", "cannot be saved"),
        (np.full((2, 2), np.nan), "a.png", "NaN"),
        (np.zeros((1, 70000), np.uint8), "a.jpg", "cannot hold this image"),
        (np.zeros((1, 70000), np.uint8), "a.gif", "cannot hold this image"),
    ],
)
def test_what_cannot_be_saved(tmp_path, array, name, message):
    with pytest.raises(NerdrainError, match=message):
        save_image(array, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_not_a_file(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(NerdrainError, match="is a folder; give the path of a file in it"):
        save_image(RGB, tmp_path / "a.png")


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = save_image(RGB, tmp_path / "a.png")
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", refuse(OSError(28, "No space left on device")))
    with pytest.raises(NerdrainError, match=r"a\.png.*No space left on device"):
        save_image(RGB[::-1], path)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["a.png"]


def test_a_picture_that_is_not_finite_is_not_saved(tmp_path):
    image = Image.fromarray(np.array([[0, np.inf]], np.float32))
    with pytest.raises(
        NerdrainError, match=r"a\.tif: the image cannot be saved because it holds NaN"
    ):
        save_image(image, tmp_path / "a.tif")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_stays_if_it_is_not_to_be_replaced(tmp_path):
    path = save_image(RGB, tmp_path / "a.png", overwrite=False)
    before = path.read_bytes()
    with pytest.raises(NerdrainError, match=r"a\.png exists; give --overwrite"):
        save_image(RGB[::-1], path, overwrite=False)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
def test_quality(kind):
    sizes = [len(encode_image(RGB.repeat(9, 0), kind, quality=q)) for q in (5, None, 100)]
    assert sizes[0] < sizes[1] <= sizes[2]
