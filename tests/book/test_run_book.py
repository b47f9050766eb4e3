"""tools/run_book.py and the cache of executed notebooks: what runs, is kept, is forgotten."""

import importlib.util
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def root(tmp_path):
    """A project whose book has one chapter that works and one that fails."""
    (tmp_path / "nerdrain").mkdir()
    (tmp_path / "nerdrain" / "a.py").write_text("a = 1\n", encoding="utf-8")
    (tmp_path / "notebooks").mkdir()
    for name, source in (("good", "print(6 * 7)"), ("bad", "assert 6 * 9 == 42, 'no'")):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source, id="one")])
        nbformat.write(notebook, tmp_path / "notebooks" / f"{name}.ipynb")
    chapters = "".join(f"  - file: {page}\n" for page in ("notebooks/good", "notebooks/bad"))
    toc = f"root: index\nparts:\n- chapters:\n{chapters}  - file: book/prose\n"
    (tmp_path / "_toc.yml").write_text(toc, encoding="utf-8")
    return tmp_path


def test_runs_what_is_missing_and_says_what_failed(root, monkeypatch, capfd):
    tool = load(ROOT / "tools" / "run_book.py")
    monkeypatch.setattr(tool, "ROOT", root)
    monkeypatch.setattr(tool, "CACHE", root / "_build" / ".jupyter_cache")
    assert tool.main(["--workers", "1"]) == 1
    said = capfd.readouterr()
    assert "good.ipynb ran in" in said.out
    assert "bad.ipynb failed" in said.err and "AssertionError: no" in said.err

    assert tool.main(["--workers", "1"]) == 1
    assert "good.ipynb" not in capfd.readouterr().out  # kept
    cache = tool.get_cache(str(tool.CACHE))
    kept = cache.match_cache_notebook(nbformat.read(root / "notebooks" / "good.ipynb", 4))
    assert cache.get_cache_bundle(kept.pk).nb.cells[0].outputs[0].text == "42\n"


def test_cache_forgets_when_the_package_changes(root):
    extension = load(ROOT / "book" / "_ext" / "nerdrain_cache.py")
    cache = root / "cache"
    assert extension.forget_if_changed(root, cache)  # nothing is known yet
    result = cache / "executed"
    result.mkdir()
    assert not extension.forget_if_changed(root, cache)
    assert result.exists()
    (root / "nerdrain" / "a.py").write_text("a = 2\n", encoding="utf-8")
    assert extension.forget_if_changed(root, cache)
    assert not result.exists()
    (root / "nerdrain" / "b.py").touch()  # a file more counts, too
    assert extension.forget_if_changed(root, cache)
