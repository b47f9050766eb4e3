"""inference.py: every kind of image in and out, tiles without seams, memory that stays small."""

import io
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageCms
from torch import Tensor, nn
from torch.nn import functional as F

import nerdrain
from nerdrain import NeRDRain, NeRDRainConfig
from nerdrain.errors import NerdrainError
from nerdrain.inference.derain import (
    DEFAULT_MEMORY,
    SMALLEST,
    _TileRunner,
    derain,
    derain_tensor,
    parse_memory,
    tile_memory,
    tile_size,
)
from nerdrain.inference.tiling import split_side


class Output(NamedTuple):
    full: Tensor


class Scaled(nn.Module):
    """Multiplies an image by a constant: 1 changes nothing."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, x: Tensor) -> Output:
        return Output(x * self.factor)


class Blur(nn.Module):
    """A 3x3 mean that takes black beyond the border, as the network's convolutions do."""

    def forward(self, x: Tensor) -> Output:
        return Output(F.avg_pool2d(x, 3, stride=1, padding=1))


GOLDEN = Path(__file__).parents[1] / "golden" / "metrics"
RNG = np.random.default_rng(8)
SAME, HALF = Scaled(), Scaled(0.5)
SHAPES = [(7, 5), (7, 5, 1), (7, 5, 2), (7, 5, 3), (7, 5, 4), (1, 1, 3)]
DTYPES = [np.uint8, np.uint16, np.float16, np.float32, np.float64, ">u2"]


@pytest.fixture(scope="module")
def network() -> NeRDRain:
    torch.manual_seed(0)
    return NeRDRain(NeRDRainConfig(width=8, blocks=(1, 1, 1), inr_hidden=16)).eval()


def random_array(shape, dtype) -> np.ndarray:
    values = RNG.random(shape)
    white = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    return (values * white).astype(dtype)


# Arrays


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_come_back_as_they_were(shape, dtype):
    image = random_array(shape, dtype)
    before = image.copy()
    result = derain(image, SAME)
    assert result.dtype == image.dtype
    np.testing.assert_array_equal(image, before)
    if np.issubdtype(image.dtype, np.integer):
        np.testing.assert_array_equal(result, image)
    else:
        np.testing.assert_allclose(result, image, atol=1e-7 if dtype != np.float16 else 1e-3)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_colours_change_and_alpha_does_not(shape, dtype):
    image = random_array(shape, dtype)
    result = derain(image, HALF)
    colours = image.shape[-1] - 1 if image.ndim == 3 and image.shape[2] in (2, 4) else None
    expected = image[..., :colours] / 2.0 if colours else image / 2.0
    rounding = 0.501 if np.issubdtype(dtype, np.integer) else 1e-6
    np.testing.assert_allclose(
        result[..., :colours] if colours else result, expected, atol=rounding
    )
    if colours:
        np.testing.assert_array_equal(result[..., colours:], image[..., colours:])


@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 150), st.integers(1, 150), st.just(3))),
    st.sampled_from([None, "auto", 64, 100]),
    st.integers(0, 32),
)
def test_tiles_of_an_identity_change_no_byte(image, tile, overlap):
    np.testing.assert_array_equal(derain(image, SAME, tile=tile, overlap=overlap), image)


def test_16_bits_stay_16():
    image = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    result = derain(image, SAME)
    assert len(np.unique(result)) == image.size  # 8 bits would leave 256 values


def test_results_are_clamped():
    assert derain(np.full((2, 2, 3), 200, np.uint8), Scaled(9.0)).min() == 255
    assert derain_tensor(torch.ones(1, 3, 2, 2), Scaled(-1.0)).max() == 0


def test_grey_is_the_mean_of_the_three_channels():
    class Tint(nn.Module):
        def forward(self, x):
            return Output(x * torch.tensor([0.3, 0.6, 0.0])[:, None, None])

    grey = np.full((3, 3), 100, np.uint8)
    assert (derain(grey, Tint()) == 30).all()


def test_a_model_may_return_the_image_itself():
    image = random_array((5, 6, 3), np.uint8)
    np.testing.assert_array_equal(derain(image, nn.Identity()), image)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((3, 9, 9), np.uint8), "move the channels last"),
        (np.zeros((1, 9, 9, 3), np.uint8), "batch"),
        (np.zeros((0, 9, 3), np.uint8), "shape"),
        (np.zeros(9, np.uint8), "shape"),
        (np.zeros((9, 9), np.int32), "not int32"),
        (np.zeros((9, 9), bool), "not bool"),
        (np.full((9, 9), np.nan), "NaN"),
        (np.full((9, 9), np.inf), "infinite"),
        (np.ma.masked_equal(np.zeros((9, 9)), 0), "masked array"),
        (np.full((9, 9, 3), 255.0), "from 255 to 255; divide it"),
        (torch.zeros(1, 3, 9, 9), "not Tensor; use `derain_tensor`"),
        ([[0]], "not list"),
        ("photo.jpg", r"open 'photo\.jpg' with PIL\.Image\.open or \S*load_image first"),
        (Path("photo.jpg"), r"open 'photo\.jpg' with"),
    ],
)
def test_invalid_images(image, message):
    with pytest.raises(NerdrainError, match=message):
        derain(image, SAME)


def test_a_model_must_keep_the_size():
    with pytest.raises(NerdrainError, match=r"returned shape \(1, 3, 2, 2\) for \(1, 3, 4, 4\)"):
        derain(np.zeros((4, 4, 3)), nn.AvgPool2d(2))


@pytest.mark.parametrize("model", ["nerd-rain-tiny", Path("m.safetensors"), None])
def test_a_name_is_not_a_model(model):
    message = (
        r"the model must be a network such as nerdrain\.load_model\('nerd-rain-tiny'\), not .*"
    )
    for function, image in (
        (derain, np.zeros((4, 4, 3))),
        (derain_tensor, torch.zeros(1, 3, 4, 4)),
    ):
        with pytest.raises(NerdrainError, match=message):
            function(image, model)


@pytest.mark.parametrize("factor", [np.nan, np.inf])
def test_a_result_that_is_not_finite_is_refused(factor):
    for function, image in (
        (derain, np.ones((4, 4, 3), np.uint8)),
        (derain_tensor, torch.ones(1, 3, 4, 4)),
    ):
        with pytest.raises(NerdrainError, match="the network's result holds NaN or infinite"):
            function(image, Scaled(factor))


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_a_matrix_is_an_array():
    image = np.matrix(np.arange(12, dtype=np.uint8).reshape(3, 4))
    result = derain(image, SAME)
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(result, image)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64])
def test_strength_blends_with_the_image(dtype):
    image = random_array((5, 6, 3), dtype)
    np.testing.assert_allclose(derain(image, HALF, strength=0), image, atol=1e-7)
    rounding = 0.501 if np.issubdtype(dtype, np.integer) else 1e-6
    result = derain(image, HALF, strength=np.float32(0.5))
    np.testing.assert_allclose(result, image * 0.75, atol=rounding)
    x = torch.rand(1, 3, 5, 6)
    torch.testing.assert_close(derain_tensor(x, HALF, strength=0.2), x * 0.9)
    # The network's result is clamped before it is blended.
    bright = derain_tensor(torch.full((1, 3, 2, 2), 0.5), Scaled(9.0), strength=0.5)
    torch.testing.assert_close(bright, torch.full((1, 3, 2, 2), 0.75))


@pytest.mark.parametrize("strength", [-0.1, 1.5, np.nan])
def test_invalid_strength(strength):
    with pytest.raises(NerdrainError, match="strength must be from 0 to 1, not"):
        derain(np.zeros((4, 4)), SAME, strength=strength)


# Tensors


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("batch", [0, 1, 2])
def test_tensors(dtype, batch):
    x = torch.rand(batch, 3, 5, 7).to(dtype).requires_grad_()
    y = derain_tensor(x, HALF)
    assert y.dtype == dtype and not y.requires_grad and not y.is_inference()
    torch.testing.assert_close(y, x.detach() / 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_model_computes_in_its_own_precision(dtype):
    seen = []

    class Watch(Scaled):
        def forward(self, x):
            seen.append(x.dtype)
            return super().forward(x)

    x = torch.rand(1, 3, 100, 90)
    y = derain_tensor(x, Watch().to(dtype), tile=64)
    assert set(seen) == {dtype} and len(seen) > 1
    torch.testing.assert_close(y, x, atol=5e-3 if dtype == torch.bfloat16 else 1e-6, rtol=0)


@pytest.mark.parametrize(
    "x", [torch.zeros(3, 5, 5), torch.zeros(1, 1, 5, 5), torch.zeros(1, 3, 0, 5)]
)
def test_invalid_batches(x):
    with pytest.raises(NerdrainError, match="derain_tensor takes"):
        derain_tensor(x, SAME)
    with pytest.raises(NerdrainError, match=r"torch\.uint8"):
        derain_tensor(torch.zeros(1, 3, 5, 5, dtype=torch.uint8), SAME)


@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "NaN"), (-np.inf, "infinite"), (255, "from 0 to 255; divide")]
)
def test_tensors_out_of_range(value, message):
    x = torch.zeros(1, 3, 5, 5)
    x[0, 1, 2, 3] = value
    with pytest.raises(NerdrainError, match=message):
        derain_tensor(x, SAME)


# Tiles


def test_auto_takes_the_largest_tile_that_fits(network):
    wide = nn.Module()
    wide.config = NeRDRainConfig(width=48)
    sides = {}
    for model, width in ((network, 8), (SAME, 12), (wide, 48)):
        side = sides[width] = tile_size(3000, 4000, model)
        assert side % 16 == 0
        fits, larger = (tile_memory(n, 3000, 4000, model) for n in (side, side + 16))
        assert fits <= DEFAULT_MEMORY < larger
        assert tile_size(side, side, model) is None  # a photograph of that size is taken whole
        assert tile_size(3000, 4000, model, budget=0) == SMALLEST
    assert tile_size(1024, 1024, nerdrain.load_model("nerd-rain-tiny")) is None
    assert sides[8] > sides[12] > sides[48]
    assert tile_size(9, 9, SAME, 64) == 64 and tile_size(9000, 9000, SAME, None) is None


def test_memory_of_a_tile_by_hand(network):
    assert tile_memory(160, 990, 4000, network) == int(160 * 160 * 8 * 2.66 * 53 + 160 * 4000 * 24)
    assert tile_memory(2000, 99, 40, SAME) == 112 * 48 * 32 * 53 + 112 * 40 * 24  # the whole image


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        (12, 12),
        ("12", 12),
        ("1GiB", 2**30),
        ("2G", 2**31),
        ("800MB", 800_000_000),
        ("1.5 gib", 3 * 2**29),
        ("10k", 10240),
        ("3TB", 3 * 10**12),
    ],
)
def test_amounts_of_memory(text, amount):
    assert parse_memory(text) == amount


@pytest.mark.parametrize("text", ["", "much", "-1GiB", "1Gi", "1e9", "GiB", "1 2", 1.5, True, "1B"])
def test_invalid_amounts_of_memory(text):
    with pytest.raises(NerdrainError, match="is not an amount of memory; give one such as 1GiB"):
        derain(np.zeros((4, 4)), SAME, max_memory=text)


def test_a_bound_on_the_memory_chooses_the_tiles(network, monkeypatch):
    monkeypatch.setattr("nerdrain.inference.derain.used_memory", lambda device: 100 * 2**20)
    image, seen = random_array((300, 400, 3), np.uint8), []

    def tiles(memory: int | str, images: int = 1) -> int:
        seen.clear()
        network.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape[-1]))
        x = torch.from_numpy(image / 255).float().permute(2, 0, 1).expand(images, -1, -1, -1)
        derain_tensor(x, network, max_memory=memory)
        return max(seen)

    # 100 MiB in use count as 128. Two thirds of the other 60 are for a tile.
    side = tile_size(300, 400, network, budget=40 * 2**20)
    assert 128 < side < 300
    assert split_side(400, side, 32)[0][1] == tiles("188MiB")
    assert tiles("1GiB") == 400
    assert tiles("248MiB", images=2) == tiles("188MiB")  # each image of a batch needs its own
    message = (
        r"a bound of 150 MiB is too small, because 128 MiB are in use and tiles of 128 pixels need "
        r"29 MiB more; allow at least 157 MiB\."
    )
    with pytest.raises(NerdrainError, match=message):
        derain(image, network, max_memory="150MiB")
    assert tiles("157MiB") <= 128
    with pytest.raises(NerdrainError, match="either a tile or max_memory"):
        derain(image, network, tile=64, max_memory="1GiB")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell a process's peak memory")
def test_the_bound_is_kept():
    code = """
import numpy as np, torch
torch.set_num_threads(1)
from nerdrain import load_model
from nerdrain.devices import peak_memory_mib, used_memory
from nerdrain.inference import derain as module
image = np.random.default_rng(0).integers(0, 256, (256, 400, 3), dtype=np.uint8)
model = load_model("nerd-rain-tiny")
module.derain(image[:64, :64], model)
before, tiles = used_memory(), []
bound = before + 180 * 2**20
module.derain(image, model, max_memory=bound, progress=lambda *t: tiles.append(t))
assert 1 < len(tiles) < 9, tiles
print(bound / 2**20 - peak_memory_mib())
"""
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert 0 < float(out.stdout) < 150


def test_tiles_of_a_batch_on_a_gpu(monkeypatch):
    """Only the plan: the tests of the blending check that batches give the same image."""
    monkeypatch.setattr("nerdrain.inference.derain.used_memory", lambda device: 0)
    monkeypatch.setattr("nerdrain.inference.derain.free_memory", lambda device: 2**30)
    need = tile_memory(256, 1000, 1000, SAME)
    for device, tile, memory, batch in (
        ("cpu", 256, None, 1),
        ("cuda", 256, None, 2**29 // need),  # half of the free memory
        ("cuda", None, None, 1),
        ("cuda", "auto", "110MiB", 1),
    ):
        runner = _TileRunner(SAME, tile, 32, memory, 1.0)
        runner.device = torch.device(device)
        assert runner.layout(1000, 1000)[2] == batch


@pytest.mark.parametrize("tile", [0, 8, -64, "big", 99.5])
def test_invalid_tiles(tile):
    with pytest.raises(NerdrainError, match="tile must be"):
        derain(np.zeros((9, 9, 3)), SAME, tile=tile)


def test_integers_of_numpy_are_tiles():
    image = random_array((99, 70, 3), np.uint8)
    result = derain(image, SAME, tile=np.int64(64), overlap=np.uint8(16))
    np.testing.assert_array_equal(result, image)


@pytest.mark.parametrize("overlap", [1.5, "32", None, np.nan])
def test_invalid_overlap(overlap):
    with pytest.raises(NerdrainError, match="overlap must be a whole number of pixels, not"):
        derain(np.zeros((99, 99, 3)), SAME, overlap=overlap)


def test_overlap_must_fit():
    with pytest.raises(NerdrainError, match="cannot overlap by 48"):
        derain(np.zeros((99, 99, 3)), SAME, tile=64, overlap=40)


def test_tiles_of_a_blur_are_the_blur():
    x = torch.rand(1, 3, 200, 333)
    whole, tiled = (derain_tensor(x, Blur(), tile=tile) for tile in (None, 96))
    # A tile's own border is dark, and its weight there is next to nothing.
    assert (whole - tiled).abs().max() < 1e-3
    cut = derain_tensor(x, Blur(), tile=96, overlap=0)
    assert (whole - cut).abs().max() > 0.1


def test_progress_counts_tiles():
    calls = []

    def progress(*numbers):
        calls.append(numbers)

    image = np.zeros((100, 150), np.uint8)
    derain(Image.fromarray(image), SAME, tile=64, overlap=16, progress=progress)
    count = len(split_side(100, 64, 16)) * len(split_side(150, 64, 16))
    assert calls == [(k, count) for k in range(1, count + 1)]
    calls.clear()
    derain(image, SAME, progress=progress)
    assert calls == [(1, 1)]


def border_step(network: nn.Module, x: Tensor, overlap: int) -> float:
    """The step that the network's change makes across tile borders, over the step elsewhere."""
    change = derain_tensor(x, network, tile=128, overlap=overlap) - x
    steps = change.diff(dim=3).abs().mean((0, 1, 2))  # between columns k and k + 1
    ends = {end for piece in split_side(x.shape[3], 128, overlap) for end in piece}
    borders = [column - 1 for column in sorted(ends - {0, x.shape[3]})]
    assert borders
    elsewhere = np.delete(steps.numpy(), borders)
    return float(steps[borders].max() / np.median(elsewhere))


def test_no_seam_is_visible(network):
    photo = np.asarray(Image.open(GOLDEN / "coffee_target.png").convert("RGB"))
    x = torch.from_numpy(photo / 255).float().permute(2, 0, 1)[None]
    assert border_step(network, x, overlap=32) < 1.25
    assert border_step(network, x, overlap=0) > 2  # without overlap the same measure sees seams


@pytest.mark.parametrize("size", [(1, 1), (1, 17), (33, 2), (31, 47)])
def test_the_network_takes_odd_sizes(network, size):
    image = random_array((*size, 3), np.uint8)
    result = derain(image, network)
    assert result.shape == image.shape
    with torch.no_grad():
        x = torch.from_numpy(image / 255).float().permute(2, 0, 1)[None]
        expected = network(x).full.clamp(0, 1)[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(result - expected).max() <= 0.5001


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell a process's memory")
def test_memory_does_not_grow_with_the_photograph():
    # 12 megapixels; the network's own memory is that of a tile, and is measured elsewhere.
    code = """
import numpy as np, torch
torch.set_num_threads(1)
from nerdrain.devices import peak_memory_mib
from nerdrain.inference.derain import derain
image = np.zeros((3000, 4000, 3), np.uint8)
image[:] = 7
before = peak_memory_mib()
result = derain(image, torch.nn.Identity())
assert (result == 7).all()
print(peak_memory_mib() - before)
"""
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert float(out.stdout) < 350  # 36 for the result, 36 for a row of tiles, and copies of those


# PIL images


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "F", "I;16", "I;16B", "I"])
def test_pil_modes_that_stay(mode):
    bands = {"LA": 2, "RGB": 3, "RGBA": 4}.get(mode)
    if bands or mode == "L":
        image = Image.fromarray(random_array((6, 4, bands) if bands else (6, 4), np.uint8))
    elif mode == "F":
        image = Image.fromarray(RNG.random((6, 4)).astype(np.float32))
    else:
        values = random_array((6, 4), np.uint16)
        image = Image.fromarray(values.astype({"I": np.int32, "I;16B": ">u2"}.get(mode, np.uint16)))
    assert image.mode == mode
    result = derain(image, SAME)
    assert result.size == image.size
    assert result.mode == ("I;16" if mode == "I;16B" else mode)
    np.testing.assert_allclose(np.asarray(result), np.asarray(image), atol=1e-7)
    halved = np.asarray(derain(image, HALF)).astype(float)
    first = (..., 0) if bands in (2, 4) else ...
    np.testing.assert_allclose(halved[first], np.asarray(image)[first] / 2.0, atol=0.51)
    if bands in (2, 4):
        np.testing.assert_array_equal(halved[..., -1], np.asarray(image)[..., -1])


@pytest.mark.parametrize(
    ("mode", "comes_back"),
    [
        ("1", "L"),
        ("La", "LA"),
        ("PA", "RGBA"),
        ("RGBa", "RGBA"),
        *((mode, "RGB") for mode in ("P", "CMYK", "YCbCr", "HSV", "LAB", "RGBX")),
    ],
)
def test_pil_modes_that_cannot_hold_the_result(mode, comes_back):
    rgb = Image.fromarray(np.full((6, 4, 3), (200, 100, 50), np.uint8))
    if mode == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(rgb, *profiles, outputMode="LAB")
    elif mode in ("La", "PA"):
        image = rgb.convert("LA" if mode == "La" else "P").convert(mode)
    elif mode == "RGBa":
        image = rgb.convert("RGBA").convert("RGBa")
    else:
        image = rgb.convert(mode)
    result = derain(image, SAME)
    assert (result.mode, result.size) == (comes_back, image.size)
    if comes_back == "RGB" and mode != "P":
        # Within the rounding that going to that mode and back costs.
        assert np.abs(np.asarray(result).astype(int) - [200, 100, 50]).max() <= 4


def test_transparent_colours_become_alpha():
    image = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.info["transparency"] = 1
    result = derain(image, SAME)
    assert result.mode == "RGBA"
    assert [result.getpixel((k, 0)) for k in (0, 1)] == [(10, 20, 30, 255), (40, 50, 60, 0)]
    grey = Image.fromarray(np.array([[5, 9]], np.uint8))
    grey.info["transparency"] = 9
    assert derain(grey, SAME).getpixel((1, 0)) == (9, 0)


def test_cmyk_goes_through_its_own_profile_and_drops_it():
    image = Image.new("CMYK", (4, 4), (10, 90, 40, 5))
    image.info["icc_profile"] = b"no profile"  # unreadable: Pillow's own conversion is taken
    result = derain(image, SAME)
    assert result.getpixel((0, 0)) == image.convert("RGB").getpixel((0, 0))
    assert "icc_profile" not in result.info


def test_lab_needs_a_colour_engine(monkeypatch):
    def refuse(*args, **kwargs):
        raise ImageCms.PyCMSError("no")

    monkeypatch.setattr(ImageCms, "profileToProfile", refuse)
    with pytest.raises(NerdrainError, match="cannot convert a LAB image; save it as RGB"):
        derain(Image.new("LAB", (3, 3)), SAME)


def test_exif_turns_the_image_and_stays_without_the_turn():
    array = random_array((6, 4, 3), np.uint8)
    image = Image.fromarray(array)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to see it upright
    exif[0x010F] = "A camera"
    image.info |= {"exif": exif.tobytes(), "icc_profile": b"profile", "dpi": (72, 72)}
    result = derain(image, SAME)
    np.testing.assert_array_equal(np.asarray(result), np.rot90(array, -1))
    assert 0x0112 not in result.getexif()
    assert result.getexif()[0x010F] == "A camera"
    assert result.info["icc_profile"] == b"profile"
    assert image.info["exif"] == exif.tobytes()  # the input is left alone


def test_integers_beyond_16_bits():
    with pytest.raises(NerdrainError, match="0 to 65535"):
        derain(Image.fromarray(np.array([[70000]], np.int32)), SAME)


def test_a_damaged_file_is_one_sentence():
    buffer = io.BytesIO()
    Image.fromarray(random_array((99, 99, 3), np.uint8)).save(buffer, "JPEG")
    image = Image.open(io.BytesIO(buffer.getvalue()[:2000]))
    with pytest.raises(NerdrainError, match=r"the image cannot be decoded \(OSError: .*\)\."):
        derain(image, SAME)
