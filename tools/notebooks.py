"""Run the notebooks and write them back in the one form in which they are committed.

    python tools/notebooks.py                     # run and rewrite all of notebooks/
    python tools/notebooks.py notebooks/rain.ipynb
    python tools/notebooks.py --check             # run nothing; name what is not in that form
    python tools/notebooks.py --sync              # run nothing; rewrite the cell that installs

The first code cell of a notebook installs the package where it is missing, at the version of
`nerdrain.__version__` and from the `repository_url` of _config.yml. It is written here and nowhere
else. Where the package is there, as wherever a notebook is built or tested, it does nothing.

An unchanged notebook that runs again then shows no difference: no times, no addresses, no widget
state (the book's build makes its own), no metadata of the editor, and pictures encoded alike.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import re
import sys
import uuid
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

import nerdrain

ROOT = Path(__file__).resolve().parent.parent
WIDGET = "application/vnd.jupyter.widget-view+json"
CELL_KEYS = {"jupyter", "mystnb", "nbgrader", "slideshow", "tags"}
NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}\b")
LARGE_PNG = 150_000  # characters: a photograph's figure, which JPEG makes four times smaller
INSTALL = """\
# On a machine without the package, such as Colab, this cell installs it
# with its photographs. (tools/notebooks.py writes this cell.)
import importlib.util
import subprocess
import sys
from pathlib import Path

if importlib.util.find_spec("nerdrain") is None:
    repository, tag, clone = {address}, {tag}, "nerdrain-book"
    if not repository:
        raise ModuleNotFoundError(
            "this kernel has no nerdrain: "
            "run `pip install -e .` in a clone of its repository."
        )
    if not Path(clone).exists():
        git = ["git", "clone", "--quiet", "--depth=1", f"--branch={{tag}}"]
        subprocess.run([*git, repository, clone], check=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "-e", clone], check=True)
    # pip's own entry counts from the next start.
    sys.path.insert(0, str(Path(clone).resolve()))
"""
INTERACTIVE = "An interactive figure: run the cell, or see the built book."


def small_png(encoded: str) -> str:
    """Encode a picture again: smaller, and without the name of the program that drew it."""
    picture = Image.open(io.BytesIO(base64.b64decode(encoded)))
    if picture.mode == "RGBA" and picture.getextrema()[3] == (255, 255):
        picture = picture.convert("RGB")
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode() + "\n"


def small_jpeg(png: str) -> str:
    """Encode a figure of photographs again, without a visible loss."""
    buffer = io.BytesIO()
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    picture.save(buffer, format="JPEG", quality=90, subsampling=0, optimize=True)
    return base64.b64encode(buffer.getvalue()).decode() + "\n"


def tidy_output(output: NotebookNode, name: str) -> None:
    """Remove from an output what differs between two runs; `name` tells its widget's model."""
    output.pop("transient", None)
    if output.output_type == "stream":
        output.text = ADDRESS.sub("0x...", output.text)
        return
    data: dict[str, Any] = output.get("data", {})
    if WIDGET in data:
        data[WIDGET]["model_id"] = uuid.uuid5(uuid.NAMESPACE_URL, name).hex
        data["text/plain"] = INTERACTIVE
    for kind in ("text/plain", "text/html"):
        if kind in data:
            data[kind] = ADDRESS.sub("0x...", data[kind])
    if "image/png" in data:
        data["image/png"] = small_png(data["image/png"])
        if len(data["image/png"]) > LARGE_PNG:
            data["image/jpeg"] = small_jpeg(data.pop("image/png"))


def tidy(notebook: NotebookNode, name: str) -> None:
    """Bring an executed notebook into its committed form."""
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = nbformat.from_dict(NOTEBOOK_METADATA)
    seen: set[str] = set()
    for number, cell in enumerate(notebook.cells):
        cell.metadata = nbformat.from_dict(
            {key: value for key, value in cell.metadata.items() if key in CELL_KEYS}
        )
        if not cell.get("id") or cell.id in seen:
            cell["id"] = f"cell-{number:03d}"
        seen.add(cell.id)
        if cell.cell_type == "code":
            for place, output in enumerate(cell.outputs):
                tidy_output(output, f"{name}#{cell.id}#{place}")


def install_source() -> str:
    """Return the source of the cell that installs, for this version and the address in use."""
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    options = settings["sphinx"]["config"]["html_theme_options"]
    address = options.get("repository_url") or ""
    tag = options.get("repository_branch") or f"v{nerdrain.__version__}"
    literals = {"address": json.dumps(address), "tag": json.dumps(tag)}
    return INSTALL.format(**literals).rstrip("\n")


def put_install_cell(notebook: NotebookNode) -> None:
    """Bring the cell that installs in step, or put one before the first code cell.

    It has no output and changes no other cell's, so a notebook that was run stays as it was run.
    """
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    found = [cell for cell in code if cell.get("id") == "install"]
    if not found:
        found = [nbformat.v4.new_code_cell(id="install")]
        notebook.cells.insert(notebook.cells.index(code[0]), found[0])
        if code[0].execution_count == 1:  # it was run: so was this cell, in effect
            found[0].execution_count = 1
            for cell in code:
                cell.execution_count = cell.execution_count and cell.execution_count + 1
    found[0].source = install_source()
    # Nothing for readers of the page, folded in JupyterLab.
    found[0].metadata = nbformat.from_dict(
        {"jupyter": {"source_hidden": True}, "tags": ["remove-cell"]}
    )


def run(path: Path) -> NotebookNode:
    """Execute a notebook in its own folder, from a fresh kernel."""
    notebook = nbformat.read(path, as_version=4)
    put_install_cell(notebook)
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    )
    return client.execute()


def text_of(notebook: NotebookNode) -> str:
    """Return what the file holds, with a last line's end."""
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def untidy(path: Path) -> list[str]:
    """Return what is wrong with a committed notebook, in words; empty if nothing."""
    notebook = nbformat.read(path, as_version=4)
    before = text_of(notebook)
    faults = []
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        faults.append("was not run from a fresh kernel, top to bottom")
    if any(out.output_type == "error" for cell in code for out in cell.outputs):
        faults.append("holds an error")
    if not code or code[0].get("id") != "install" or code[0].source != install_source():
        faults.append("starts with another cell that installs than `make notebooks` writes")
    tidy(notebook, path.name)
    if text_of(notebook) != before:
        faults.append("is not in the committed form")
    return [f"{path.relative_to(ROOT)} {fault}: run `make notebooks`" for fault in faults]


def main(arguments: list[str] | None = None) -> int:
    """Run and rewrite, or check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="all of notebooks/ unless given")
    parser.add_argument("--check", action="store_true", help="run nothing, only look")
    parser.add_argument("--sync", action="store_true", help="rewrite the cell that installs")
    options = parser.parse_args(arguments)
    paths = [p.resolve() for p in options.notebooks] or sorted(ROOT.glob("notebooks/*.ipynb"))
    if options.check:
        faults = [fault for path in paths for fault in untidy(path)]
        print("\n".join(faults), end="\n" if faults else "")
        return 1 if faults else 0
    if options.sync:
        for path in paths:
            notebook = nbformat.read(path, as_version=4)
            put_install_cell(notebook)
            tidy(notebook, path.name)
            path.write_text(text_of(notebook), encoding="utf-8", newline="\n")
        return 0
    for path in paths:
        print(f"running {path.relative_to(ROOT)}", flush=True)
        notebook = run(path)
        tidy(notebook, path.name)
        path.write_text(text_of(notebook), encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
