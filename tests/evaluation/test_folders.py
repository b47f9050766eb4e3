"""evaluation.py: folders matched by name, rows, means, and what is said when a name is missing."""

import numpy as np
import pytest
from PIL import Image
from torch import nn

from nerdrain.data.images import save_image
from nerdrain.errors import NerdrainError
from nerdrain.evaluation.folders import Score, evaluate_folders, mean_score
from nerdrain.evaluation.metrics import METRICS
from nerdrain.inference.derain import derain

RNG = np.random.default_rng(3)


@pytest.fixture
def folders(tmp_path):
    """Two restored images and their targets; `b` has another suffix in each folder."""
    restored, target = tmp_path / "restored", tmp_path / "target"
    arrays = {}
    for folder, suffix in ((restored, "png"), (target, "bmp")):
        folder.mkdir()
        for name in ("b", "a.1"):
            arrays[folder.name, name] = RNG.integers(0, 256, (12, 14, 3), dtype=np.uint8)
            kind = "png" if name == "a.1" else suffix
            Image.fromarray(arrays[folder.name, name]).save(folder / f"{name}.{kind}")
    (restored / ".hidden.png").write_bytes(b"")
    (target / "notes.txt").write_text("not an image")
    return restored, target, arrays


def test_rows_by_name(folders):
    restored, target, arrays = folders
    rows = list(evaluate_folders(restored, target))
    assert [row.name for row in rows] == ["a.1", "b"]
    for row in rows:
        pair = arrays["restored", row.name], arrays["target", row.name]
        assert (row.psnr, row.ssim) == tuple(f(*pair) for f in METRICS["matlab-y"])


def test_the_order_is_that_of_the_names_without_suffix(tmp_path):
    for name in ("a-1.png", "a.png"):  # the order of the files' names
        Image.fromarray(np.zeros((11, 11, 3), np.uint8)).save(tmp_path / name)
    assert [row.name for row in evaluate_folders(tmp_path, tmp_path)] == ["a", "a-1"]


def test_several_conventions(folders):
    restored, target, _ = folders
    rows = list(evaluate_folders(str(restored), str(target), list(METRICS)))
    assert [row.convention for row in rows] == [*METRICS, *METRICS]


def test_an_image_that_cannot_be_compared_goes_to_on_error(folders):
    restored, target, _ = folders
    (restored / "a.1.png").write_bytes(b"no image")
    with pytest.raises(NerdrainError):
        list(evaluate_folders(restored, target))
    errors = []
    rows = evaluate_folders(restored, target, on_error=lambda *error: errors.append(error))
    assert [row.name for row in rows] == ["b"]
    ((name, error),) = errors
    assert name == "a.1" and isinstance(error, NerdrainError)


def test_derained_float_images_are_scored_as_their_8_bits(tmp_path):
    grey = RNG.integers(0, 256, (20, 24), dtype=np.uint8)
    noisy = np.clip(grey / 255 + RNG.normal(0, 0.1, grey.shape), 0, 1)
    for folder in ("float", "bytes", "target"):
        (tmp_path / folder).mkdir()
    dry = derain(Image.fromarray(noisy.astype(np.float32)), nn.Identity())
    save_image(dry, tmp_path / "float" / "a.tif")
    save_image(noisy, tmp_path / "bytes" / "a.png")
    save_image(grey, tmp_path / "target" / "a.png")
    (a,), (b,) = (
        evaluate_folders(tmp_path / name, tmp_path / "target", "rgb") for name in ("float", "bytes")
    )
    assert a == b and 15 < a.psnr < 25


def test_mean():
    values = ((20, 0.5), (30, 0.6), (70, 0.1))  # the medians are 30 and 0.5
    rows = [Score(name, "rgb", *value) for name, value in zip("abc", values, strict=True)]
    mean = mean_score(iter(rows))
    assert mean == Score("mean", "rgb", 40, pytest.approx(0.4))
    assert type(mean.psnr) is type(mean.ssim) is float
    assert mean_score(rows[:1], name="a") == rows[0]
    for bad in ([], [*rows, Score("a", "full-y", 1, 1)]):
        with pytest.raises(NerdrainError, match="one convention"):
            mean_score(bad)


def test_what_is_missing_is_named_before_anything_is_read(folders):
    restored, target, _ = folders
    (target / "b.bmp").unlink()
    with pytest.raises(NerdrainError, match=r"target has no target for b\.$"):
        evaluate_folders(restored, target)
    for i in range(5):
        (target / f"n{i}.png").write_bytes(b"no image")
    with pytest.raises(NerdrainError, match=r"for n0, n1, n2, n3, n4\.$"):
        evaluate_folders(restored, target)
    for i in range(5, 7):
        (target / f"n{i}.png").write_bytes(b"no image")
    with pytest.raises(NerdrainError, match=r"has no restored image for n0, .*, n4 and 2 more\.$"):
        evaluate_folders(restored, target)


def test_two_images_of_one_name(folders):
    restored, target, _ = folders
    (restored / "b.jpg").write_bytes(b"")
    with pytest.raises(NerdrainError, match=r"b\.jpg and b\.png have the same name"):
        evaluate_folders(restored, target)


def test_two_sizes_name_both_files(folders):
    restored, target, arrays = folders
    Image.fromarray(arrays["restored", "b"][:-1]).save(restored / "b.png")
    with pytest.raises(NerdrainError, match=r"b\.png and .*b\.bmp: .*14x11 and 14x12"):
        list(evaluate_folders(restored, target))


def test_invalid_folders(tmp_path):
    with pytest.raises(NerdrainError, match=r"no folder .*nowhere"):
        evaluate_folders(tmp_path / "nowhere", tmp_path)
    with pytest.raises(NerdrainError, match="holds no image"):
        evaluate_folders(tmp_path, tmp_path)


def test_misspelt_convention(folders):
    restored, target, _ = folders
    with pytest.raises(NerdrainError, match="'psnr'"):
        evaluate_folders(restored, target, "psnr")
