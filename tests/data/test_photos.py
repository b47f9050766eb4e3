"""photos.py: the folder is found, whole, credited and split as it says."""

import csv
import shutil

import numpy as np
import pytest

from nerdrain.data import photos
from nerdrain.errors import NerdrainError

# The split is fixed: a model trained on "train" must never be scored on its own photographs.
SIZES = {"train": 60, "validation": 8, "test": 16}
# Photographs of one scene, animal or kind of building: a group stays on one side of train/test.
GROUPS = [
    {"cat", "cat-2", "chelsea"},
    {"giraffe", "giraffe-2"},
    {"bent-pyramid", "great-pyramid-of-giza", "meidum-pyramid", "red-pyramid"},
    {"panda", "red-panda"},
]


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A data folder with the tables and one photograph only, named by NERDRAIN_DATA."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("index.csv", "split.csv", "chelsea.jpg"):
        shutil.copy(photos.photos_dir() / name, folder)
    monkeypatch.setenv("NERDRAIN_DATA", str(tmp_path))
    return folder


def test_split_is_a_fixed_partition():
    parts = {split: photos.photo_names(split) for split in photos.SPLITS}
    assert {split: len(names) for split, names in parts.items()} == SIZES
    together = [name for names in parts.values() for name in names]
    assert sorted(together) == sorted(photos.photo_names())
    assert {"astronaut", "chelsea", "coffee"} <= set(parts["test"])


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: min(group))
def test_like_photographs_do_not_straddle_train_and_test(group):
    index = photos.photo_index()
    assert not {"train", "test"} <= {index[name].split for name in group}


def test_files_are_those_of_the_index():
    assert photos.find_changed_photos() == []
    files = {path.stem for path in photos.photos_dir().glob("*.jpg")}
    assert files == set(photos.photo_names())


def test_every_photograph_is_free_and_credited():
    for photo in photos.photo_index().values():
        assert photo.licence in {"Public domain", "CC0-1.0"}
        assert photo.author and photo.credit == f"{photo.author}, {photo.licence}"


@pytest.mark.parametrize("name", ["chelsea", "chelsea.jpg", "cabrillo"])
def test_load_gives_rgb_of_the_listed_size(name):
    image = photos.load_photo(name)
    photo = photos.photo_index()[name.removesuffix(".jpg")]
    assert image.dtype == np.uint8 and image.shape == (photo.height, photo.width, 3)


def test_astronaut_is_the_familiar_one():
    # Independent of the index: the mean colour of scikit-image's own picture, JPEG error aside.
    data = pytest.importorskip("skimage.data")
    ours = photos.load_photo("astronaut").astype(float)
    assert np.abs(ours.mean((0, 1)) - data.astronaut().mean((0, 1))).max() < 1.0


def test_names_and_splits_that_do_not_exist():
    with pytest.raises(NerdrainError, match="no split 'dev'; choose one of train, validation, t"):
        photos.photo_names("dev")
    with pytest.raises(NerdrainError, match=r"no photograph 'yeti'; photo_names\(\) lists all"):
        photos.load_photo("yeti")


def test_missing_and_broken_files(copied):
    with pytest.raises(NerdrainError, match=r"astronaut\.jpg is missing; restore it"):
        photos.load_photo("astronaut")
    (copied / "chelsea.jpg").write_bytes((copied / "chelsea.jpg").read_bytes()[:5000])
    with pytest.raises(NerdrainError, match=r"chelsea\.jpg is damaged or incomplete .*; copy it"):
        photos.load_photo("chelsea")
    assert "chelsea" in photos.find_changed_photos() and "astronaut" in photos.find_changed_photos()


def test_split_and_index_must_agree(copied):
    with (copied / "split.csv").open("a", newline="") as out:
        csv.writer(out).writerow(["aaa.jpg", "train"])
    with pytest.raises(NerdrainError, match=r"aaa\.jpg is in one only"):
        photos.photo_names()
    (copied / "split.csv").unlink()
    with pytest.raises(NerdrainError, match=r"split\.csv cannot be read"):
        photos.photo_names()


def test_folder_from_the_environment(copied, tmp_path):
    assert photos.photos_dir() == tmp_path / "photos"


def test_no_folder_says_to_clone(tmp_path, monkeypatch):
    monkeypatch.setenv("NERDRAIN_DATA", str(tmp_path))
    with pytest.raises(NerdrainError, match=r"has no photos/index\.csv; set it to the 'data'"):
        photos.photos_dir()
    monkeypatch.delenv("NERDRAIN_DATA")
    monkeypatch.setattr(photos, "PACKAGE", tmp_path / "site-packages" / "nerdrain")
    with pytest.raises(NerdrainError, match="clone the repository, or set NERDRAIN_DATA"):
        photos.photos_dir()
