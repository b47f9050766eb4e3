"""The network in one file equals the package's, trains in its own loop, and explains bad input."""

import ast
import importlib.util
import sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from nerdrain.data.photos import load_photo
from nerdrain.data.rain import compose, rain_layer
from nerdrain.evaluation.metrics import psnr_matlab_y
from nerdrain.model.config import NeRDRainConfig
from nerdrain.model.network import NeRDRain
from nerdrain.training.losses import HybridLoss

FILE = Path(__file__).parents[2] / "examples/one_file.py"
ALLOWED = {"torch", "numpy", "einops", "PIL", *sys.stdlib_module_names}

spec = importlib.util.spec_from_file_location("one_file", FILE)
one_file = importlib.util.module_from_spec(spec)
spec.loader.exec_module(one_file)

SMALL = {"width": 4, "inr_hidden": 8, "blocks": (1, 1, 1)}
SIZES = [
    SMALL,
    {"width": 8, "inr_hidden": 12, "blocks": (1, 2, 1), "heads": (2, 2, 4)},
    {"width": 6, "inr_hidden": 5, "blocks": (2, 1, 2), "heads": (1, 1, 3), "expansion": 1.7},
]


def both(sizes, seed=0):
    """The package's network, whose every parameter is drawn at random, and the file's like it."""
    torch.manual_seed(seed)
    theirs = NeRDRain(NeRDRainConfig(fidelity="paper", **sizes)).double()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    ours = one_file.NeRDRain(**sizes).double()
    ours.load_state_dict(theirs.state_dict())  # strict: the same names and shapes
    return ours, theirs


def test_it_is_short_and_needs_no_package_of_ours():
    text = FILE.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 350
    tree = ast.walk(ast.parse(text))
    nodes = [node for node in tree if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module for n in nodes if isinstance(n, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= ALLOWED


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("shape", [(3, 3, 21, 38), (1, 3, 1, 1), (1, 3, 32, 16)])
def test_the_network_is_the_package_s(sizes, shape):
    ours, theirs = both(sizes)
    x = torch.rand(shape, dtype=torch.float64)
    mine, yours = ours(x), theirs(x)
    assert mine._fields == yours._fields
    for image, expected in zip(mine, yours, strict=True):
        torch.testing.assert_close(image, expected, rtol=0, atol=1e-10)


def test_the_default_sizes_are_a_package_configuration():
    sizes = {"width": 8, "blocks": (1, 1, 1), "inr_hidden": 16}
    expected = NeRDRain(NeRDRainConfig(fidelity="paper", **sizes)).state_dict()
    one_file.NeRDRain().load_state_dict(expected)


@pytest.mark.parametrize("sizes", SIZES[:2])
def test_gradients_of_the_loss_are_the_package_s(sizes):
    ours, theirs = both(sizes)
    rainy, clean = torch.rand(2, 2, 3, 32, 48, dtype=torch.float64)
    one_file.hybrid_loss(ours(rainy), clean).backward()
    HybridLoss()(theirs(rainy), clean).total.backward()
    expected = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        assert parameter.grad.abs().max() > 0, name
        torch.testing.assert_close(parameter.grad, expected[name].grad, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("size", [(64, 64), (12, 20)])
def test_every_term_of_the_loss_is_the_package_s(size):
    torch.manual_seed(1)
    shapes = [[n // k for n in size] for k in (1, 2, 4, 2, 4)]
    images = [torch.rand(2, 3, *shape, dtype=torch.float64) for shape in shapes]
    output, target = one_file.Derained(*images), torch.rand_like(images[0])
    terms = HybridLoss()(output, target)
    torch.testing.assert_close(one_file.hybrid_loss(output, target), terms.total)
    for k, term in enumerate(terms[1:]):  # char, freq, edge, inr
        alphas = [int(i == k) for i in range(4)]
        torch.testing.assert_close(one_file.hybrid_loss(output, target, alphas), term)


def test_psnr_is_the_paper_s():
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (2, 30, 40, 3), dtype=np.uint8)
    mine = one_file.psnr(*(torch.tensor(p).movedim(-1, 0) / 255 for p in pictures))
    assert mine == pytest.approx(psnr_matlab_y(*pictures), abs=0.01)


def test_rain_is_in_range_and_as_heavy_as_the_package_s():
    rng = np.random.default_rng(0)
    photo = load_photo("chelsea")[:128, :160]
    clean = torch.tensor(photo).movedim(-1, 0) / 255
    mine, yours = [], []
    for seed in range(40):
        rain = one_file.make_rain(rng, 128, 160)
        assert rain.shape == (1, 128, 160) and rain.dtype == torch.float32
        assert rain.min() >= 0 and 0.2 < rain.max() <= 1
        mine.append(one_file.psnr((clean + rain).clamp(max=1), clean))
        yours.append(psnr_matlab_y(compose(photo, rain_layer(128, 160, "heavy", seed)), photo))
    # Layers differ by 3 to 4 dB, so the standard error of each mean is about 0.6 dB.
    assert np.mean(mine) == pytest.approx(np.mean(yours), abs=1.5)
    assert np.std(mine) == pytest.approx(np.std(yours), abs=1.5)
    again = one_file.make_rain(np.random.default_rng(0), 128, 160)
    assert torch.equal(again, one_file.make_rain(np.random.default_rng(0), 128, 160))


def test_rain_falls_more_down_than_across():
    rain = torch.cat([one_file.make_rain(np.random.default_rng(k), 96, 96) for k in range(8)])
    down, across = rain.diff(dim=1).square().mean(), rain.diff(dim=2).square().mean()
    assert across > 3 * down


@pytest.fixture
def clock(monkeypatch):
    """Time as the file sees it: one second between two looks. Rain layers are small, to be fast."""
    real = one_file.make_rain
    monkeypatch.setattr(one_file, "time", SimpleNamespace(monotonic=count().__next__))
    small = lambda rng, h, w: real(rng, min(h, 64), min(w, 64))  # noqa: E731
    monkeypatch.setattr(one_file, "make_rain", small)


def test_training_ends_in_time_and_lowers_the_loss(clock):
    torch.manual_seed(0)
    model = one_file.NeRDRain(**SMALL)
    photo = torch.tensor(load_photo("chelsea")[:96, :80]).movedim(-1, 0)
    losses = one_file.train(model, [photo], np.random.default_rng(0), minutes=0.4, lr=5e-3, size=32)
    assert len(losses) == 24  # the clock advances by one second a step
    assert np.mean(losses[-8:]) < 0.85 * np.mean(losses[:8])


def test_derained_images_keep_their_size_and_range():
    torch.manual_seed(0)
    derained = one_file.derain(one_file.NeRDRain(**SMALL), torch.rand(3, 17, 30))
    assert derained.shape == (3, 17, 30)
    assert 0 <= derained.min() <= derained.max() <= 1


@pytest.fixture
def photos(tmp_path):
    """A folder with two small photographs, one of each split that is used, and an empty file."""
    folder = tmp_path / "photos"
    folder.mkdir()
    picture = Image.fromarray(load_photo("chelsea")[:64, :64])
    picture.save(folder / "a.png")
    picture.convert("L").save(folder / "b.jpg")
    (folder / "c.jpg").touch()
    (folder / "split.csv").write_text("file,split\na.png,train\nb.jpg,test\nc.jpg,validation\n")
    return folder


def run(monkeypatch, *arguments):
    """The command with these arguments, in this process."""
    monkeypatch.setattr(sys, "argv", ["one_file.py", *map(str, arguments)])
    one_file.main()


def test_the_command_trains_measures_and_writes_a_picture(
    clock, photos, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    run(monkeypatch, "--minutes", "0.02", "--photos", photos)
    printed = capsys.readouterr().out
    assert "2 steps. PSNR over MATLAB's Y of 1 photographs held back" in printed
    assert "gain" in printed
    assert Image.open("one_file.jpg").size == (128, 64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--minutes", "0"], "--minutes must be more than 0"),
        (["--minutes", "-1"], "--minutes must be more than 0"),
        (["--minutes", "nan"], "--minutes must be more than 0"),
        (["--minutes", "inf"], "--minutes must be more than 0"),
        (["--minutes", "two"], "invalid float value: 'two'"),
        (["--seed", "-1"], "--seed 0 or a whole number"),
        (["--seed", str(2**63)], "--seed 0 or a whole number"),
        (["--out", "photos/a.png"], "name a new .jpg or .png"),
        (["--out", "none/a.png"], "in a folder you can write to"),
        (["--out", "photos/a.png/b.png"], "in a folder you can write to"),
        (["--out", "picture.txt"], "name a new .jpg or .png"),
    ],
)
def test_bad_options_are_one_sentence(photos, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(photos.parent)
    monkeypatch.setattr(one_file, "train", None)  # nothing may be trained before the sentence
    before = (photos / "a.png").read_bytes()
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, "--photos", photos, *arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert (photos / "a.png").read_bytes() == before


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (None, r"split\.csv cannot be read"),
        ("", r"list only train pictures of 64x64 pixels or more"),
        ("name,split\na.png,train\n", r"split\.csv cannot be read"),
        ("file,split\na.png,train\n", r"list only test pictures"),
        ("file,split\nd.png,train\nb.jpg,test\n", r"d\.png cannot be read"),
        ("file,split\nc.jpg,train\nb.jpg,test\n", r"c\.jpg cannot be read"),
        ("file,split\na.png,train\nsmall.png,test\n", r"list only test pictures of 64x64"),
        ("file,split\na.png,train\ncut.jpg,test\n", r"cut\.jpg cannot be read"),
    ],
)
def test_bad_photographs_are_one_sentence(photos, monkeypatch, split, message):
    Image.open(photos / "a.png").crop((0, 0, 63, 64)).save(photos / "small.png")
    (photos / "cut.jpg").write_bytes((photos / "b.jpg").read_bytes()[:-300])
    if split is None:
        (photos / "split.csv").unlink()
    else:
        (photos / "split.csv").write_text(split)
    monkeypatch.setattr(one_file, "train", None)
    with pytest.raises(SystemExit, match=message) as stopped:
        run(monkeypatch, "--photos", photos)
    assert isinstance(stopped.value.code, str) and "\n" not in stopped.value.code
