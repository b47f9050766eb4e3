"""datasets.py and what it stands on: pairing, synthetic, augmentation and images."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from torch.utils.data import DataLoader

from nerdrain.data import pairing
from nerdrain.data.augmentation import SYMMETRIES, adjust_saturation, augment, random_crop
from nerdrain.data.datasets import ImageFolder, PairedFolder
from nerdrain.data.images import read_image, to_tensor
from nerdrain.data.pairing import LAYOUTS
from nerdrain.data.synthetic import SyntheticRain, TrainingCrops
from nerdrain.errors import NerdrainError


def write(path, value, size=(6, 4)):
    """An image of one grey value, so that a test can tell which file a tensor came from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value,) * 3).save(path, **({} if path.suffix == ".png" else QUALITY))


QUALITY = {"quality": 100}


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def values(pairs):
    """{name: (rainy, clean)} as grey values."""
    return {
        name: tuple(round(float(image.mean()) * 255) for image in pairs[index])
        for index, name in enumerate(pairs.names)
    }


# ---------------------------------------------------------------- every layout


def nerdrain(root):
    for i in (1, 2, 10):
        write(root / "train" / "input" / f"{i}.png", 100 + i)
        write(root / "train" / "target" / f"{i}.jpg", i)  # another suffix is no other name
    return {"train": {f"{i}": (100 + i, i) for i in (1, 2, 10)}}


def rain200_original(root):
    for i in (1, 2, 10):
        write(root / "rain" / "X2" / f"norain-{i}x2.png", 100 + i)
        write(root / "norain" / f"norain-{i}.png", i)
    return {"train": {f"norain-{i}x2": (100 + i, i) for i in (1, 2, 10)}}


def rain200_same_names(root):
    for split, shift in (("train", 0), ("test", 50)):
        write(root / split / "rain" / "1.png", 100 + shift)
        write(root / split / "norain" / "1.png", 1 + shift)
    return {"train": {"1": (100, 1)}, "test": {"1": (150, 51)}}


def rain100(root):
    for i in (1, 2):
        write(root / "rainy" / f"rain-00{i}.png", 100 + i)
        write(root / f"norain-00{i}.png", i)
    return {"test": {f"rain-00{i}": (100 + i, i) for i in (1, 2)}}


def did(root):
    for level in ("Heavy", "Light"):
        halves = np.concatenate([np.full((4, 6, 3), v, np.uint8) for v in (200, 30)], axis=1)
        path = root / f"Rain_{level}" / "train2018new" / "7.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(halves).save(path)
    return {"train": {"Rain_Heavy/7": (200, 30), "Rain_Light/7": (200, 30)}}


def ddn(root):
    for i in (3, 900, 901):
        write(root / "ground_truth" / f"{i}.jpg", i % 100)
        for j in range(1, 15):
            write(root / "rainy_image" / f"{i}_{j}.jpg", 120 + j)
    row = {i: {f"{i}_{j}": (120 + j, i % 100) for j in range(1, 15)} for i in (3, 900, 901)}
    return {"train": row[3] | row[900], "test": row[901]}


def ddn_split_folders(root):
    for split, i in (("train", 950), ("test", 4)):  # a user may split it in another way
        write(root / split / "ground truth" / f"{i}.jpg", i % 100)
        write(root / split / "rainy image" / f"{i}_1.jpg", 120)
    return {"train": {"950_1": (120, 50)}, "test": {"4_1": (120, 4)}}


def spa_list(root):
    lines = []
    for i in (1, 2):
        write(root / "real_world" / f"{i}.png", 100 + i)
        write(root / "real_world_gt" / f"{i}.png", i)
        lines.append(f"/real_world/{i}.png /real_world_gt/{i}.png\n\n")
    (root / "real_world.txt").write_text("".join(lines))
    return {"train": {f"real_world/{i}": (100 + i, i) for i in (1, 2)}}


def spa_test(root):
    for i in (0, 1):
        write(root / "test" / "rain" / f"00{i}.png", 100 + i)
        write(root / "test" / "gt" / f"00{i}gt.png", i)
    return {"test": {f"00{i}": (100 + i, i) for i in (0, 1)}}


BUILDERS = {
    "nerdrain": [nerdrain],
    "rain200": [rain200_original, rain200_same_names],
    "rain100": [rain100],
    "did": [did],
    "ddn": [ddn, ddn_split_folders],
    "spa": [spa_list, spa_test],
}


@pytest.mark.parametrize(
    ("layout", "build"),
    [(layout, build) for layout, builds in BUILDERS.items() for build in builds],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_every_layout_pairs_by_name(tmp_path, layout, build):
    for split, expected in build(tmp_path).items():
        pairs = PairedFolder(tmp_path, layout, split, count=len(expected))
        assert len(pairs) == len(pairs.names) == len(expected)
        for name, (rainy, clean) in values(pairs).items():
            assert (rainy, clean) == pytest.approx(expected[name], abs=1)  # JPEG rounds
        rainy, clean = pairs[0]
        assert rainy.shape == clean.shape == (3, 4, 6)
        assert rainy.dtype == clean.dtype == torch.float32
        pairs.check()


def test_did_with_the_rainy_half_on_the_right_and_flat(tmp_path):
    did(tmp_path)
    folder = tmp_path / "Rain_Heavy" / "train2018new"
    pairs = PairedFolder(folder, "did", "test", rainy_side="right")
    assert values(pairs) == {"7": (30, 200)}


def test_pairs_are_a_sequence_that_ends(tmp_path):
    nerdrain(tmp_path)
    pairs = PairedFolder(tmp_path)
    assert len(list(pairs)) == 3
    assert torch.equal(pairs[-1][0], pairs[2][0])
    with pytest.raises(IndexError):
        pairs[3]


def test_a_flat_folder_without_partners(tmp_path):
    write(tmp_path / "b.png", 7)
    write(tmp_path / "a.JPG", 9)
    (tmp_path / "notes.txt").write_text("no image")
    folder = ImageFolder(tmp_path)
    assert [name for _, name in folder] == folder.names == ["a", "b"]
    assert folder[1][0].mean() == pytest.approx(7 / 255)


# ---------------------------------------------------------------- what is wrong with a folder


def _remove(*parts):
    return lambda root: root.joinpath(*parts).unlink()


def _add(*parts, value=1, size=(6, 4)):
    return lambda root: write(root.joinpath(*parts), value, size)


@pytest.mark.parametrize(
    ("layout", "build", "split", "harm", "message"),
    [
        (
            "nerdrain",
            nerdrain,
            "train",
            _remove("train", "target", "2.jpg"),
            r"input.2\.png has no clean image, because '2' is missing in .*target",
        ),
        (
            "nerdrain",
            nerdrain,
            "train",
            _remove("train", "input", "10.png"),
            r"target.10\.jpg has no rainy image in .*input",
        ),
        (
            "nerdrain",
            nerdrain,
            "train",
            _add("train", "input", "2.jpg"),
            r"2\.jpg and 2\.png have the same name; keep only one",
        ),
        ("nerdrain", nerdrain, "test", lambda root: None, r"no folder .*input; check the path"),
        (
            "rain200",
            rain200_original,
            "train",
            _remove("norain", "norain-10.png"),
            r"norain-10x2\.png has no clean image, because 'norain-10' is missing",
        ),
        (
            "rain100",
            rain100,
            "test",
            _remove("norain-002.png"),
            r"rain-002\.png has no clean image, because 'norain-002' is missing",
        ),
        (
            "ddn",
            ddn,
            "train",
            _remove("rainy_image", "900_13.jpg"),
            r"^900_13 is missing in .*rainy_image",
        ),
        (
            "ddn",
            ddn,
            "train",
            _add("rainy_image", "a.jpg"),
            r"a\.jpg is not named \{i\}_\{j\}, as DDN",
        ),
        (
            "ddn",
            ddn,
            "train",
            _add("ground_truth", "sky.jpg"),
            r"sky\.jpg is not named \{i\}, as DDN",
        ),
        (
            "ddn",
            ddn,
            "test",
            _remove("ground_truth", "901.jpg"),
            r"holds no image of the split 'test'",
        ),
        (
            "spa",
            spa_test,
            "test",
            _remove("test", "gt", "001gt.png"),
            r"001\.png has no clean image, because '001gt' is missing",
        ),
        (
            "spa",
            spa_list,
            "train",
            _remove("real_world_gt", "2.png"),
            r"real_world\.txt, line 3: .*2\.png is missing",
        ),
        (
            "spa",
            spa_list,
            "train",
            lambda root: (root / "real_world.txt").write_bytes(b"\xff\xfe one two"),
            r"real_world\.txt is not a text file; save it as UTF-8",
        ),
        (
            "spa",
            spa_list,
            "train",
            lambda root: (root / "real_world.txt").write_text("one\n"),
            r"line 1 must hold two paths, 'rainy clean'",
        ),
        (
            "spa",
            spa_list,
            "train",
            _remove("real_world.txt"),
            r"nor one list file \(\*\.txt\) of lines 'rainy clean'; keep one list in the folder",
        ),
        (
            "spa",
            spa_list,
            "train",
            lambda root: (root / "real_world.txt").write_text("\n"),
            "holds no pair in the layout 'spa'",
        ),
    ],
)
def test_what_is_missing_is_named(tmp_path, layout, build, split, harm, message):
    build(tmp_path)
    harm(tmp_path)
    with pytest.raises(NerdrainError, match=message) as caught:
        PairedFolder(tmp_path, layout, split)
    assert "\n" not in str(caught.value)


def test_many_missing_files_are_counted(tmp_path):
    nerdrain(tmp_path)
    for i in (1, 2):
        (tmp_path / "train" / "target" / f"{i}.jpg").unlink()
    with pytest.raises(NerdrainError, match=r"1\.png \(and 1 more\) has no clean image"):
        PairedFolder(tmp_path)


def test_options_that_do_not_exist(tmp_path):
    nerdrain(tmp_path)
    with pytest.raises(NerdrainError, match="no layout 'rain300'; choose one of nerdrain, rain200"):
        PairedFolder(tmp_path, "rain300")
    with pytest.raises(NerdrainError, match=r"no folder .*nowhere; check the path"):
        PairedFolder(tmp_path / "nowhere")
    with pytest.raises(NerdrainError, match="rainy_side must be 'left' or 'right', not 'top'"):
        PairedFolder(tmp_path, "did", rainy_side="top")
    with pytest.raises(NerdrainError, match=r"\(train\) holds 3 pairs, not 1800"):
        PairedFolder(tmp_path, count=1800)
    with pytest.raises(NerdrainError, match="holds no image"):
        ImageFolder(tmp_path)


def test_two_sizes_are_not_a_pair(tmp_path):
    nerdrain(tmp_path)
    write(tmp_path / "train" / "input" / "2.png", 1, size=(6, 5))
    with pytest.raises(NerdrainError, match=r"2\.png is 6x5 and .*2\.jpg is 6x4; both images"):
        PairedFolder(tmp_path).check()


def test_an_odd_width_cannot_be_halved(tmp_path):
    write(tmp_path / "1.png", 1, size=(5, 4))
    with pytest.raises(
        NerdrainError, match=r"1\.png is 5 pixels wide and cannot be cut into two halves"
    ):
        PairedFolder(tmp_path, "did", "test")[0]


# ---------------------------------------------------------------- image files


def test_images_of_every_kind_become_rgb_bytes(tmp_path):
    colour, grey = noise(5, 7, 3), noise(5, 7)
    Image.fromarray(colour).save(tmp_path / "rgb.png")
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(np.dstack([colour, grey])).save(tmp_path / "rgba.png")
    Image.fromarray(grey).convert("P").save(tmp_path / "palette.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    Image.fromarray(grey > 127).save(tmp_path / "bits.png")
    repeated = np.repeat(grey[:, :, None], 3, axis=2)
    expected = {"rgb": colour, "rgba": colour, "grey": repeated, "palette": repeated}
    expected |= {"deep": repeated, "bits": np.where(repeated > 127, 255, 0)}
    for name, array in expected.items():
        image = read_image(tmp_path / f"{name}.png")
        assert image.dtype == np.uint8 and np.array_equal(image, array), name


def test_a_photograph_held_sideways_is_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    Image.fromarray(noise(4, 8, 3)).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "turned.png"), np.rot90(noise(4, 8, 3), -1))


@pytest.mark.parametrize("content", [b"", b"no image at all", None], ids=["empty", "text", "cut"])
def test_a_broken_image_is_named(tmp_path, content):
    path = tmp_path / "broken.png"
    Image.fromarray(noise(64, 64, 3)).save(path)
    path.write_bytes(path.read_bytes()[:3000] if content is None else content)
    with pytest.raises(NerdrainError, match=r"broken\.png is (not an image|damaged)"):
        read_image(path)
    with pytest.raises(NerdrainError, match=r"absent\.png does not exist"):
        read_image(tmp_path / "absent.png")


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_to_tensor_is_rgb_first_in_0_to_1(dtype):
    image = noise(3, 5, 3)
    given = image if dtype == np.uint8 else (image / 255).astype(dtype)
    tensor = to_tensor(given[:, ::-1])
    assert tensor.dtype == torch.float32 and tensor.shape == (3, 3, 5)
    np.testing.assert_allclose(tensor[1].numpy(), image[:, ::-1, 1] / 255, atol=1e-6)


# ---------------------------------------------------------------- crops and augmentation


@given(height=st.integers(1, 40), width=st.integers(1, 40), patch=st.integers(40, 130))
def test_small_images_are_reflected_as_numpy_does(height, width, patch):
    image = np.arange(height * width, dtype=np.float32).reshape(height, width)
    missing = ((0, patch - height), (0, patch - width))
    crop = random_crop(torch.from_numpy(image)[None, None], patch, np.random.default_rng(0))
    assert np.array_equal(crop[0, 0].numpy(), np.pad(image, missing, mode="reflect"))


@given(
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    patch=st.integers(1, 24),
    seed=st.integers(0, 99),
)
def test_a_crop_is_one_window_of_both_images(height, width, patch, seed):
    ramp = torch.arange(height * width, dtype=torch.float32).reshape(1, 1, height, width)
    rainy, clean = random_crop(torch.cat([ramp, ramp + 0.5]), patch, np.random.default_rng(seed))
    assert rainy.shape == (1, patch, patch)
    assert torch.equal(clean - rainy, torch.full_like(rainy, 0.5))
    if height >= patch and width >= patch:
        top, left = divmod(int(rainy[0, 0, 0]), width)
        assert torch.equal(rainy, ramp[0, :, top : top + patch, left : left + patch])


def test_the_symmetries_are_the_squares_eight_and_identity_twice():
    square = torch.tensor([[[0.0, 1.0], [2.0, 3.0]]])
    turned = [tuple(change(square).flatten().tolist()) for change in SYMMETRIES]
    assert len(turned) == 9 and len(set(turned)) == 8
    assert turned.count((0, 1, 2, 3)) == 2


def test_augmentation_is_as_frequent_as_released():
    # Greys keep their values under a change of saturation, one colour keeps its place under a turn.
    greys = torch.tensor([[0.1, 0.3], [0.6, 0.9]]).expand(3, 2, 2)
    colour = torch.tensor([0.2, 0.5, 0.6])[:, None, None].expand(3, 2, 2)
    images, rounds = torch.stack([greys, colour]), 3000
    rng = np.random.default_rng(0)
    draws = [augment(images, rng) for _ in range(rounds)]
    kept = sum(torch.allclose(turned, greys, atol=1e-6) for turned, _ in draws)
    saturated = sum(not torch.allclose(changed, colour, atol=1e-6) for _, changed in draws)
    assert kept / rounds == pytest.approx(2 / 9, abs=0.025)
    assert saturated / rounds == pytest.approx(1 / 3, abs=0.025)
    # The factor is uniform in [0.8, 1.2]: read it off one channel's distance from the grey.
    grey = 0.299 * 0.2 + 0.587 * 0.5 + 0.114 * 0.6
    factors = np.array([(float(changed[0, 0, 0]) - grey) / (0.2 - grey) for _, changed in draws])
    factors = factors[np.abs(factors - 1) > 1e-5]
    assert 0.8 <= factors.min() < 0.81 and 1.19 < factors.max() <= 1.2 + 1e-6
    assert factors.mean() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.2])
def test_saturation_is_pillows(factor):
    image = noise(9, 8, 3)
    ours = adjust_saturation(to_tensor(image)[None], factor)[0]
    theirs = to_tensor(np.asarray(ImageEnhance.Color(Image.fromarray(image)).enhance(factor)))
    assert (ours - theirs).abs().max() < 2 / 255
    assert ours.min() >= 0 and ours.max() <= 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_augmentation_keeps_the_dtype(dtype):
    images = torch.rand(0, 3, 5, 4, dtype=dtype)  # and an empty batch is no special case
    assert augment(images, np.random.default_rng(0)).dtype == dtype
    assert adjust_saturation(torch.rand(1, 3, 1, 1, dtype=dtype), 1.2).dtype == dtype


# ---------------------------------------------------------------- synthetic rain


PHOTOS = [noise(40, 50, 3), noise(30, 20, 3, seed=1)]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("style", ["light", "heavy", "mixed"])
@pytest.mark.parametrize("mode", ["additive", "screen", "veil", "mixed"])
def test_synthetic_pairs_are_a_photograph_and_its_rain(style, mode):
    pairs = SyntheticRain(PHOTOS, style, mode, seed=1)
    assert len(pairs) == 2
    for photo, (rainy, clean) in zip(PHOTOS, pairs, strict=True):
        assert torch.equal(clean, to_tensor(photo))
        assert rainy.shape == clean.shape and rainy.dtype == torch.float32
        assert rainy.min() >= 0 and rainy.max() <= 1
        assert not torch.equal(rainy, clean)
        if mode in ("additive", "screen"):
            assert (rainy >= clean - 1e-6).all()


@pytest.mark.parametrize("bank", [0, 2])
def test_a_style_keeps_its_own_mode(bank):
    white = [np.full((64, 64, 3), 255, np.uint8)] * 4

    def darkest(style):
        pairs = SyntheticRain(white, style, "additive", seed=2, bank=bank, bank_size=80)
        return min(rainy.min() for rainy, _ in pairs)

    assert darkest("opaque") < 0.95  # added light cannot make white darker
    assert darkest("light") == 1


def test_items_follow_from_seed_epoch_and_index():
    pairs = SyntheticRain(PHOTOS, "heavy", seed=3, patch_size=16, repeats=2)
    first = pairs[1]
    assert pairs.epoch == 0 and same(first, pairs[1])
    assert same(first, SyntheticRain(PHOTOS, "heavy", seed=3, patch_size=16)[1])
    assert not same(first, pairs[3])  # the same photograph's second item
    assert not same(first, SyntheticRain(PHOTOS, "heavy", seed=4, patch_size=16)[1])
    pairs.set_epoch(1)
    assert not same(first, pairs[1])
    pairs.set_epoch(0)
    assert same(first, pairs[1])


def test_a_patch_is_cropped_before_it_rains():
    rainy, clean = SyntheticRain(PHOTOS, "light", patch_size=35)[1]  # larger than the photograph
    assert rainy.shape == clean.shape == (3, 35, 35)
    assert torch.equal(
        clean,
        torch.from_numpy(
            np.pad(PHOTOS[1], ((0, 5), (0, 15), (0, 0)), mode="reflect").transpose(2, 0, 1) / 255
        ).float(),
    )


def test_a_bank_serves_rain_that_was_drawn_once():
    black = [np.zeros((24, 24, 3), np.uint8)] * 8
    pairs = SyntheticRain(black, "heavy", seed=5, bank=2, bank_size=40)
    assert [(layer.shape, mode) for layer, mode in pairs.bank] == [((40, 40), None)] * 2
    windows = [
        layer[top : top + 24, left : left + 24][:, ::way]
        for layer, _ in pairs.bank
        for top in range(17)
        for left in range(17)
        for way in (1, -1)
    ]
    for rainy, _ in pairs:
        assert any(np.array_equal(rainy[0].numpy(), window) for window in windows)
    assert not same(pairs[0], pairs[1])
    with pytest.raises(NerdrainError, match="a 50x40 image is larger than the bank's layers of 16"):
        SyntheticRain(PHOTOS, bank=1, bank_size=16)[0]


def test_some_items_stay_dry():
    pairs = SyntheticRain(PHOTOS, "heavy", "veil", dry=0.3, repeats=100)
    dry = sum(torch.equal(*pairs[index]) for index in range(200))
    assert dry / 200 == pytest.approx(0.3, abs=0.1)


@pytest.mark.filterwarnings("error")  # torch warns of memory that is not the tensor's own
def test_photographs_from_a_folder_and_from_files(tmp_path):
    for index, photo in enumerate(PHOTOS):
        Image.fromarray(photo).save(tmp_path / f"{index}.png")
    expected = SyntheticRain(PHOTOS)[1]
    assert same(SyntheticRain(tmp_path)[1], expected)
    assert same(SyntheticRain([tmp_path / "0.png", str(tmp_path / "1.png")])[1], expected)
    assert SyntheticRain(tmp_path, patch_size=16)[0][0].shape == (3, 16, 16)
    write(tmp_path / "one" / "pixel.png", 9, size=(1, 1))
    assert SyntheticRain(tmp_path / "one")[0][1].shape == (3, 1, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"photos": []}, "there are no photographs; give"),
        ({"style": "drizzle"}, "no rain style 'drizzle'"),
        ({"style": {"light": 1e308, "heavy": 1e308}}, "give shares of 0 or more, at least one"),
        (
            {"mode": "multiply"},
            "no mode 'multiply'; choose one of additive, screen, veil, opaque, mixed",
        ),
        ({"seed": -1}, "seed -1 is negative"),
        ({"dry": 1.5}, r"dry=1\.5, variety=0\.0 and .* dry and variety in \[0, 1\]"),
        ({"variety": -0.1}, r"variety=-0\.1 and"),
        ({"patch_size": 0}, "patch_size=0, bank=0"),
        ({"bank": -1}, "bank=-1"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(NerdrainError, match=message):
        SyntheticRain(**({"photos": PHOTOS} | options))


# ---------------------------------------------------------------- training crops


class Ramp(torch.utils.data.Dataset):
    """Pairs whose two images differ by a constant, so that a test sees them move together."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        image = 0.2 + torch.linspace(0, 0.1, 3 * 20 * 30).reshape(3, 20, 30) * (index + 1)
        return image + 0.25, image


def test_training_crops_move_both_images_alike():
    crops = TrainingCrops(Ramp(), patch_size=8, repeats=4)
    assert len(crops) == 12
    for rainy, clean in crops:
        assert rainy.shape == clean.shape == (3, 8, 8) and clean.is_contiguous()
        # Saturation acts on colours, not on the grey that is between the two.
        assert torch.allclose(rainy - clean, torch.full_like(clean, 0.25), atol=1e-5)
    assert len({float(clean.sum()) for _, clean in crops}) == 12


def test_training_crops_without_augmentation_are_windows(tmp_path):
    nerdrain(tmp_path)
    crops = TrainingCrops(PairedFolder(tmp_path), patch_size=16, augment=False)
    assert crops[0][0].shape == (3, 16, 16)  # from 6x4 pixels, reflected
    crops.set_epoch(2)  # of a dataset that has no epochs itself
    assert crops.epoch == 2


def test_epochs_reach_the_rain_beneath_and_persistent_workers():
    pairs = SyntheticRain(PHOTOS, "heavy", seed=1)
    crops = TrainingCrops(pairs, patch_size=8, seed=1)
    loaders = [
        DataLoader(crops, batch_size=2, num_workers=workers, persistent_workers=workers > 0)
        for workers in (0, 1)
    ]
    epochs = []
    for epoch in (0, 1):
        crops.set_epoch(epoch)
        assert pairs.epoch == epoch
        (here,), (there,) = loaders[0], loaders[1]
        assert same(here, there)
        epochs.append(here)
    assert not same(*epochs)


def test_training_crops_need_pixels():
    with pytest.raises(NerdrainError, match="patch_size=0 and repeats=1 must both be 1 or more"):
        TrainingCrops(Ramp(), patch_size=0)


def test_every_layout_is_tested_and_described():
    assert BUILDERS.keys() == LAYOUTS.keys()
    described = re.findall(r"^(\w+) {3,}\S", pairing.__doc__, flags=re.MULTILINE)
    assert described == list(LAYOUTS)
