"""The cache of executed notebooks: what fills it, what stays out, when it forgets."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_cache import get_cache

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
    assert kept(root, "good").cells[0].outputs[0].text == "42\n"


def test_pages_show_the_run_that_nbval_has_compared(root):
    shown = [
        ("print(6 * 7)", "42\n"),
        ("from ipywidgets import IntSlider\n\nIntSlider(7, description='seven')", None),
    ]
    write_checked(root, "same", shown)
    write_checked(root, "other", [("print(6 * 9)", "42\n"), ("print('the last cell')", None)])
    (root / "book" / "_ext").mkdir(parents=True)
    for name in ("notebooks/conftest.py", "book/_ext/nerdrain_cache.py"):
        shutil.copy(ROOT / name, root / name)
    names = ["notebooks/same.ipynb", "notebooks/other.ipynb"]
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", *names]
    ran = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert ran.returncode == 1 and "Cell outputs differ" in ran.stdout, ran.stdout + ran.stderr

    text, slider = kept(root, "same").cells
    assert text.outputs[0].text == "42\n"
    view = slider.outputs[0].data["application/vnd.jupyter.widget-view+json"]
    widgets = kept(root, "same").metadata.widgets["application/vnd.jupyter.widget-state+json"]
    assert widgets.state[view["model_id"]].state.description == "seven"
    with pytest.raises(KeyError):
        kept(root, "other")


def write_checked(root, name, cells):
    """Write a notebook of cells, each with its source and its checked text, if any."""
    notebook = nbformat.v4.new_notebook()
    for source, text in cells:
        outputs = [nbformat.v4.new_output("stream", text=text)] if text else []
        tags = ["nbval-check-output"] if text else []
        cell = nbformat.v4.new_code_cell(source, outputs=outputs, metadata={"tags": tags})
        cell.execution_count = len(notebook.cells) + 1
        notebook.cells.append(cell)
    nbformat.write(notebook, root / "notebooks" / f"{name}.ipynb")


def kept(root, name):
    """Return a notebook as a build finds it in the cache."""
    notebook = nbformat.read(root / "notebooks" / f"{name}.ipynb", 4)
    cache = get_cache(str(root / "_build" / ".jupyter_cache"))
    return cache.merge_match_into_notebook(notebook)[1]


def test_every_chapter_promises_its_seconds():
    extension = load(ROOT / "book" / "_ext" / "nerdrain_cache.py")
    for path in ROOT.glob("notebooks/*.ipynb"):  # the order in which they run
        assert extension.seconds_promised(path) > 0, path
    assert extension.seconds_promised(Path(__file__)) == 0


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
