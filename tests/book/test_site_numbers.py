"""The numbers of the book: what the build's own run printed is what the committed notebooks hold.

It compares as nbval does: in cells tagged `nbval-check-output`, after tests/nbval_sanitize.cfg, and
not the pictures. It runs nothing, since `make strict` ran every notebook for the pages, and it is
their numbers that the text quotes. (`make nbval` runs all notebooks once more.)
"""

import configparser
import os
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(os.environ.get("NERDRAIN_SITE", ROOT / "_build" / "html")).resolve()
CACHE = Path(os.environ.get("NERDRAIN_CACHE", SITE.parent / ".jupyter_cache"))
NOTEBOOKS = sorted(
    path
    for path in ROOT.glob("notebooks/*.ipynb")
    if (SITE / path.relative_to(ROOT).with_suffix(".html")).is_file()
)
COMPARED = ("text/plain", "text/html")
WIDGET = "application/vnd.jupyter.widget-view+json"


def sanitise(text: str) -> str:
    rules = configparser.RawConfigParser()
    rules.read(ROOT / "tests" / "nbval_sanitize.cfg", encoding="utf-8")
    for section in rules.sections():
        text = re.sub(rules[section]["regex"], rules[section]["replace"], text)
    return text


def printed(cell) -> dict[str, str]:
    """What a cell shows in words, by kind: streams joined, then the rest in order."""
    shown: dict[str, str] = {}
    for output in cell.outputs:
        if output.output_type == "stream":
            parts = {output.name: output.text}
        else:
            data = output.get("data", {})
            parts = (
                {} if WIDGET in data else {kind: data[kind] for kind in COMPARED if kind in data}
            )
        for kind, text in parts.items():
            shown[kind] = shown.get(kind, "") + sanitise(text)
    return shown


def differences(committed, executed) -> dict[str, tuple]:
    """The checked cells, by id, whose words differ, with both."""
    pairs = [
        [cell for cell in notebook.cells if cell.cell_type == "code"]
        for notebook in (committed, executed)
    ]
    return {
        ours.id: (printed(ours), printed(theirs))
        for ours, theirs in zip(*pairs, strict=True)
        if "nbval-check-output" in ours.metadata.get("tags", [])
        and printed(ours) != printed(theirs)
    }


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_build_printed_what_is_committed(path):
    from jupyter_cache import get_cache

    committed = nbformat.read(path, as_version=4)
    cache = get_cache(str(CACHE))
    executed = cache.get_cache_bundle(cache.match_cache_notebook(committed).pk).nb
    assert differences(committed, executed) == {}


def test_a_changed_number_is_seen_and_an_address_is_not():
    def notebook(text, tags):
        output = nbformat.v4.new_output("stream", text=text)
        metadata = {"tags": tags}
        cell = nbformat.v4.new_code_cell("f()", id="f", outputs=[output], metadata=metadata)
        return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("words"), cell])

    checked = ["nbval-check-output"]
    first = notebook("31.4 dB at 0x7f00aa", checked)
    assert differences(first, notebook("31.4 dB at 0x7f11bb", checked)) == {}
    assert list(differences(first, notebook("31.5 dB at 0x7f00aa", checked))) == ["f"]
    assert differences(notebook("31.4", []), notebook("31.5", [])) == {}
