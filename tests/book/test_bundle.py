"""tools/bundle.py: the book as one zip, the same bytes for the same pages."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "bundle.py"
PAGES = {"index.html": b"<p>front</p>", "book/index.html": b"<p>book</p>", "_static/a.css": b"a{}"}


def run_tool(site: Path, target: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, str(TOOL), "--site", str(site), "--to", str(target)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def write_site(folder: Path, names, modified: int) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PAGES[name])
        os.utime(path, (modified, modified))
    return folder


@pytest.fixture
def zips(tmp_path):
    """One site written twice: in another order, at another time, with another mode."""
    first = write_site(tmp_path / "a", sorted(PAGES), 1_000_000_000)
    second = write_site(tmp_path / "b", sorted(PAGES, reverse=True), 1_700_000_000)
    (second / "index.html").chmod(0o600)
    targets = tmp_path / "first.zip", tmp_path / "new" / "second.zip"
    for site, target in zip((first, second), targets, strict=True):
        done = run_tool(site, target)
        assert done.returncode == 0, done.stderr
        assert "3 files" in done.stdout
    return targets


def test_same_pages_give_the_same_bytes(zips):
    assert zips[0].read_bytes() == zips[1].read_bytes()


def test_holds_every_file_in_one_folder_and_nothing_else(zips):
    with zipfile.ZipFile(zips[1]) as archive:
        assert archive.testzip() is None
        found = {name: archive.read(name) for name in archive.namelist()}
    assert found == {f"nerdrain-book/{name}": content for name, content in PAGES.items()}
    assert list(zips[1].parent.iterdir()) == [zips[1]]  # no half-written file beside it


def test_says_that_there_is_no_book(tmp_path):
    done = run_tool(tmp_path, tmp_path / "book.zip")
    assert done.returncode == 1
    assert "make book" in done.stderr
    assert not (tmp_path / "book.zip").exists()
