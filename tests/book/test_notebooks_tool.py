"""tools/notebooks.py: the cell that installs the package where it is missing, and only there."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

import nerdrain

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "https://github.com/someone/nerdrain"


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """The tool in a project of its own, whose address can be set."""
    spec = importlib.util.spec_from_file_location("notebooks_tool", ROOT / "tools" / "notebooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setattr(module, "ROOT", tmp_path)
    set_options(tmp_path)
    return module


def set_options(root, **options):
    settings = {"sphinx": {"config": {"html_theme_options": {"repository_url": ""} | options}}}
    (root / "_config.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def write_notebook(root) -> Path:
    """A notebook of two code cells, run, in the committed form but for the cell that installs."""
    code = [nbformat.v4.new_code_cell("1 + 1", id="one"), nbformat.v4.new_code_cell("2", id="two")]
    for number, cell in enumerate(code):
        cell.execution_count = number + 1
        cell.outputs = [nbformat.v4.new_output("stream", text=f"{number}\n")]
    title = nbformat.v4.new_markdown_cell("# Title", id="title")
    path = root / "notebooks" / "small.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[title, *code]), path)
    return path


def run_cell(source, monkeypatch, *, installed):
    """What the cell runs, where the package is installed or is not."""
    commands = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: commands.append(command))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: installed or None)
    monkeypatch.setattr(sys, "path", list(sys.path))
    exec(compile(source, "install", "exec"), {})
    return commands


@pytest.mark.parametrize("address", ["", ADDRESS])
def test_does_nothing_where_the_package_is(tool, tmp_path, monkeypatch, address):
    set_options(tmp_path, repository_url=address)
    before = list(sys.path)
    assert run_cell(tool.install_source(), monkeypatch, installed=True) == []
    assert sys.path == before


def test_says_in_one_sentence_that_no_address_is_known(tool, monkeypatch):
    with pytest.raises(ModuleNotFoundError, match=r"^this kernel has no nerdrain: run .*\.$"):
        run_cell(tool.install_source(), monkeypatch, installed=False)


def test_clones_the_version_and_installs_the_clone(tool, tmp_path, monkeypatch):
    set_options(tmp_path, repository_url=ADDRESS)
    monkeypatch.chdir(tmp_path)
    clone, install = run_cell(tool.install_source(), monkeypatch, installed=False)
    assert clone[:2] == ["git", "clone"]
    assert f"--branch=v{nerdrain.__version__}" in clone
    assert clone[-2:] == [ADDRESS, "nerdrain-book"]
    assert install[:4] == [sys.executable, "-m", "pip", "install"]
    assert install[-2:] == ["-e", "nerdrain-book"]
    assert sys.path[0] == str(tmp_path / "nerdrain-book")

    (tmp_path / "nerdrain-book").mkdir()  # as after a restart of the kernel: no second clone
    assert run_cell(tool.install_source(), monkeypatch, installed=False) == [install]


def test_takes_another_branch_where_the_site_does(tool, tmp_path):
    set_options(tmp_path, repository_url=ADDRESS, repository_branch="main")
    assert json.dumps("main") in tool.install_source()


def test_sync_puts_the_cell_first_and_leaves_what_was_run(tool, tmp_path):
    path = write_notebook(tmp_path)
    assert any("another cell that installs" in fault for fault in tool.untidy(path))
    assert tool.main(["--sync", str(path)]) == 0
    assert tool.untidy(path) == []
    cells = nbformat.read(path, as_version=4).cells
    assert [cell.id for cell in cells] == ["title", "install", "one", "two"]
    assert "remove-cell" in cells[1].metadata.tags
    assert [cell.outputs[0].text for cell in cells[2:]] == ["0\n", "1\n"]

    set_options(tmp_path, repository_url=ADDRESS)
    assert any("another cell that installs" in fault for fault in tool.untidy(path))
    tool.main(["--sync", str(path)])
    tool.main(["--sync", str(path)])
    assert tool.untidy(path) == []
    assert ADDRESS in nbformat.read(path, as_version=4).cells[1].source


def test_a_notebook_as_text_for_git_diff(tool, tmp_path):
    path = write_notebook(tmp_path)
    notebook = nbformat.read(path, as_version=4)
    picture = nbformat.v4.new_output("display_data", data={"image/png": "aGVsbG8=\n"})
    notebook.cells[1].outputs.append(picture)
    nbformat.write(notebook, path)
    command = [sys.executable, str(ROOT / "tools" / "notebook_text.py"), str(path)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8")
    blocks = shown.stdout.strip().split("\n\n")
    assert blocks[0] == "=== markdown title\n# Title"
    assert blocks[1].startswith("=== code one\n1 + 1\n> 0\n> [image/png ")
    assert "aGVsbG8" not in shown.stdout
    assert "*.ipynb diff=notebook" in (ROOT / ".gitattributes").read_text(encoding="utf-8")
