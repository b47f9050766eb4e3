"""files.py: images and shipped files are found, and a file is the old one or the whole new one."""

import errno
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nerdrain.data.images import save_image
from nerdrain.errors import NerdrainError
from nerdrain.files import (
    IMAGE_SUFFIXES,
    _publish,
    _write_part,
    list_images,
    make_folder,
    part_names,
    remove_leftovers,
    shipped_folder,
    write_atomically,
    write_in_order,
)


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
    with pytest.raises(NerdrainError, match=r"folder\.png holds no image \(\.avif, \.bmp, \.gif"):
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


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_that_exists_is_only_replaced_on_request(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"mine", overwrite=False)
    with pytest.raises(NerdrainError, match=r"file exists; give --overwrite"):
        write_atomically(path, b"theirs", overwrite=False)
    link = tmp_path / "link"
    link.symlink_to("nowhere")
    with pytest.raises(NerdrainError, match=r"link exists"):
        write_atomically(link, b"x", overwrite=False)
    assert path.read_bytes() == b"mine"
    assert left(tmp_path) == ["file", "link"]


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """The check for an existing file comes too late if another process writes the same file."""
    path, write = tmp_path / "file", os.fsync

    def no_links(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    def slow(descriptor: int) -> None:
        write(descriptor)
        path.write_bytes(b"theirs")

    monkeypatch.setattr(os, "fsync", slow)
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(NerdrainError, match=r"file exists; give --overwrite"):
        write_atomically(path, b"mine", overwrite=False)
    assert path.read_bytes() == b"theirs"
    monkeypatch.setattr(os, "fsync", write)
    write_atomically(tmp_path / "other", b"mine", overwrite=False)
    assert left(tmp_path) == ["file", "other"]


def write_at_once(path: Path, start: Any, name: int) -> bool:
    start.wait()
    try:
        write_atomically(path, b"%d" % name * 100_000, overwrite=False)
    except NerdrainError:
        return False
    return True


def test_of_many_writers_of_one_file_one_succeeds(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(10):
            path, start = tmp_path / f"{number}", threading.Barrier(8)
            won = list(pool.map(partial(write_at_once, path, start), range(8)))
            assert won.count(True) == 1
            assert path.read_bytes() == b"%d" % won.index(True) * 100_000
    assert len(left(tmp_path)) == 10


def test_a_replaced_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for mode in (0o600, 0o644, 0o000):
        path.touch()
        path.chmod(mode)
        write_atomically(path, b"new")
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    real, link = tmp_path / "far" / "real", tmp_path / "link"
    link.symlink_to("far/real")
    for content in (b"first", b"second"):  # at first the link leads nowhere
        write_atomically(link, content)
        assert real.read_bytes() == content
    assert link.is_symlink()
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    with pytest.raises(NerdrainError, match="not a regular file"):
        write_atomically(loop, b"x")
    assert loop.is_symlink()
    assert left(tmp_path) == ["far", "link", "loop"] and left(tmp_path / "far") == ["real"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes in folders")
def test_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NerdrainError, match=r"pipe: could not be .*not a regular file.*another n"):
        write_atomically(tmp_path / "pipe", b"x")
    assert stat.S_ISFIFO((tmp_path / "pipe").lstat().st_mode)


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "the disk is full, so free some space"),
        (errno.EDQUOT, "your quota is used up, so free some space"),
        (errno.EROFS, "the disk is read-only, so choose a folder on another disk"),
        (errno.EACCES, "you may not write there"),
        (errno.EIO, "choose another folder"),
    ],
)
def test_each_failure_has_its_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(NerdrainError) as caught:
        write_atomically(tmp_path / "file", b"new")
    text = f"{tmp_path / 'file'}: could not be written ({os.strerror(number)}) and is unchanged; "
    assert str(caught.value).startswith(text + advice)
    assert left(tmp_path) == []


def test_long_names_and_files_in_the_way(tmp_path: Path) -> None:
    longest = "x" * 255
    write_atomically(tmp_path / longest, b"x")
    with pytest.raises(NerdrainError, match="choose a shorter name"):
        write_atomically(tmp_path / (longest + "x"), b"x")
    for path in (tmp_path / longest, tmp_path / longest / "a"):
        with pytest.raises(NerdrainError, match="a file is in the place of a folder"):
            write_atomically(path / "b", b"x")
        with pytest.raises(NerdrainError, match="a file is in the place of a folder"):
            make_folder(path)
    assert left(tmp_path) == [longest]
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a")


def test_leftovers_are_removed_and_live_files_stay(tmp_path: Path) -> None:
    first, second, *_ = part_names(tmp_path)
    write_atomically(tmp_path / "file", b"old")
    os.link(tmp_path / "file", first)  # killed after it published the file, before the end
    for name in (".mine.part", ".nerdrain-x.part", "movie.part"):
        (tmp_path / name).touch()
    second.symlink_to("file")
    remove_leftovers(tmp_path)
    others = [".mine.part", ".nerdrain-x.part", "movie.part"]
    assert left(tmp_path) == sorted([*others, "file", second.name])
    second.unlink()

    first.write_bytes(b"left by a process that was killed")
    write_atomically(tmp_path / "new", b"new")
    assert left(tmp_path) == sorted([*others, "file", "new"])

    with _write_part(tmp_path / "file", b"not yet") as part:
        assert part == first
        remove_leftovers(tmp_path)
        write_atomically(tmp_path / "new", b"newer")  # takes the next name
        assert part.read_bytes() == b"not yet"
    assert (tmp_path / "file").read_bytes() == b"old"
    assert left(tmp_path) == sorted([*others, "file", "new"])


def test_a_published_file_gives_its_first_name_away(tmp_path: Path) -> None:
    with ExitStack() as first, ExitStack() as second:
        part = first.enter_context(_write_part(tmp_path / "a", b"a"))
        part.replace(tmp_path / "a")
        assert second.enter_context(_write_part(tmp_path / "b", b"b")) == part
        first.close()
        assert part.read_bytes() == b"b"


def test_without_locks_nothing_is_taken_for_a_leftover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    part_names(tmp_path)[0].write_bytes(b"perhaps another process writes this")
    write_atomically(tmp_path / "file", b"new")
    assert left(tmp_path) == [part_names(tmp_path)[0].name, "file"]
    for part in part_names(tmp_path):
        part.touch()
    with pytest.raises(NerdrainError, match="64 other processes are writing in this folder"):
        write_atomically(tmp_path / "file", b"newer")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_files_that_belong_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, rainy = tmp_path / "target" / "a", tmp_path / "input" / "a"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    def write(content: tuple[bytes, bytes], overwrite: bool = False) -> None:
        write_in_order(dict(zip((target, rainy), content, strict=True)), overwrite=overwrite)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("nerdrain.files._publish", stop)
        write((b"clean", b"rainy"))
    assert left(target.parent) == left(rainy.parent) == []

    target.write_bytes(b"other")  # not ours, so it stays
    with pytest.raises(NerdrainError, match="target/a exists"):
        write((b"clean", b"rainy"))
    assert target.read_bytes() == b"other" and not rainy.exists()

    target.write_bytes(b"clean")  # left by a process that was killed between the two
    write((b"clean", b"rainy"))
    assert rainy.read_bytes() == b"rainy"
    with pytest.raises(NerdrainError, match="input/a exists"):
        write((b"clean", b"rainy"))

    original = _publish

    def publish_once(part: Path, path: Path, overwrite: bool) -> None:
        if path == rainy:
            raise KeyboardInterrupt
        original(part, path, overwrite)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("nerdrain.files._publish", publish_once)
        write((b"new", b"new rain"), overwrite=True)
    assert target.read_bytes() == b"new" and not rainy.exists()  # and not the old rain
    assert left(rainy.parent) == []
