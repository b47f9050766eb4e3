"""`pytest --nbval-lax notebooks` keeps the notebooks that passed, so the book can show that run.

nbval executes the cells and compares the outputs. If every cell of a notebook passed, its outputs
and the state of its widgets go into the cache that the book's build reads.
"""

import json
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book" / "_ext"))

from nerdrain_cache import forget_if_changed, keep, seconds_promised

CACHE = ROOT / "_build" / ".jupyter_cache"
PASSED = pytest.StashKey[list]()  # the outputs of the cells that passed, in order
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
SAVE_WIDGETS = """
import json, pathlib, sys
if "ipywidgets" in sys.modules:
    state = sys.modules["ipywidgets"].Widget.get_manager_state()
    if state["state"]:
        pathlib.Path({path!r}).write_text(json.dumps(state), encoding="utf-8")
"""


def pytest_sessionstart(session):
    """Forget what other sources computed, once for all workers."""
    if not hasattr(session.config, "workerinput"):
        forget_if_changed(ROOT, CACHE)


def pytest_configure(config):
    """Let the order below decide; pytest-xdist would start with the notebooks of most cells."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    """Start with the notebook that takes longest, so that no worker runs it alone at the end."""
    items.sort(key=lambda item: -seconds_promised(item.path))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Note the outputs of a cell, unless it failed or printed something else."""
    result = yield
    item.parent.stash.setdefault(PASSED, []).append(item.test_outputs)
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item, nextitem):
    """After the last cell of a notebook, keep the notebook if all of its cells passed."""
    notebook, passed = item.parent.nb, item.parent.stash.get(PASSED, [])
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if (nextitem and nextitem.parent is item.parent) or len(passed) < len(cells):
        return
    for number, (cell, outputs) in enumerate(zip(cells, passed, strict=True), start=1):
        cell.outputs, cell.execution_count = outputs, number
    if widgets := widgets_of(item.parent.kernel):
        notebook.metadata["widgets"] = {WIDGET_STATE: widgets}
    keep(notebook, item.path, CACHE)


def widgets_of(kernel):
    """Return the state of a kernel's widgets as a page embeds it, or None without widgets."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "widgets.json"
        asked = kernel.execute_cell_input(SAVE_WIDGETS.format(path=str(path)), allow_stdin=False)
        kernel.await_reply(asked, timeout=60)
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
