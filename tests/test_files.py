"""files.py: images and shipped files are found, and a file is the old one or the whole new one."""

import errno
import os
from pathlib import Path

import pytest
from PIL import Image

from nerdrain.data.images import save_image
from nerdrain.errors import NerdrainError
from nerdrain.files import IMAGE_SUFFIXES, list_images, shipped_folder, write_atomically


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file"
    for content in (b"", b"first", b"second"):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        NerdrainError, match=r"file: could not be written \(No space left"
    ) as caught:
        write_atomically(path, b"new")
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    folder = tmp_path / "folder"
    (folder / "full").mkdir(parents=True)
    for path in (tmp_path / "file" / "below", folder):
        with pytest.raises(NerdrainError, match="could not be written"):
            write_atomically(path, b"x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_every_image_suffix_can_be_written(tmp_path: Path, suffix: str) -> None:
    path = save_image(Image.new("RGB", (3, 2)), tmp_path / f"image{suffix}")
    with Image.open(path) as image:
        assert image.size == (3, 2)


def test_images_of_a_folder(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "a.jpg", "._a.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["a.jpg", "a.png", "b.JPG"]
    with pytest.raises(NerdrainError, match=r"folder\.png holds no image \(\.bmp, \.gif"):
        list_images(tmp_path / "folder.png")
    for missing in (tmp_path / "missing", tmp_path / "a.png"):
        with pytest.raises(NerdrainError, match=r"there is no folder .*; check the path"):
            list_images(missing)


@pytest.mark.parametrize("name", ["recipes", "data/checkpoints"])
def test_where_shipped_files_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    root = Path(__file__).resolve().parents[1]
    assert shipped_folder(name) == root / name
    monkeypatch.setattr("nerdrain.files.PACKAGE", tmp_path)
    installed = tmp_path / "shipped" / Path(name).name
    installed.mkdir(parents=True)
    assert shipped_folder(name) == installed
