"""Print a notebook as text, so that `git diff`, `git log -p` and `git show` are readable.

    git config diff.notebook.textconv "python3 tools/notebook_text.py"

Run this command once in a clone; .gitattributes does the rest. The text of a cell is its id and
metadata, its source and its printed output. A picture is shown as a checksum.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

PICTURES = ("image/png", "image/jpeg")
WIDGET = "application/vnd.jupyter.widget-view+json"


def joined(text: str | list[str]) -> str:
    """Return text as one string; a notebook may store it as a list of lines."""
    return text if isinstance(text, str) else "".join(text)


def output_lines(output: dict[str, Any]) -> list[str]:
    """Return the lines of an output, each with the prefix ">"."""
    data = output.get("data", {})
    for kind in PICTURES:
        if kind in data:
            digest = hashlib.sha256(joined(data[kind]).encode()).hexdigest()
            return [f"> [{kind} {digest[:12]}]"]
    if WIDGET in data:
        return ["> [interactive figure]"]
    text = joined(output.get("text", data.get("text/plain", output.get("traceback", ""))))
    return [f"> {line}" for line in text.splitlines()]


def as_text(notebook: dict[str, Any]) -> str:
    """Return the whole notebook as text, one block for each cell."""
    lines = []
    for cell in notebook["cells"]:
        metadata = json.dumps(cell["metadata"], sort_keys=True) if cell["metadata"] else ""
        lines.append(f"=== {cell['cell_type']} {cell.get('id', '')} {metadata}".rstrip())
        lines += joined(cell["source"]).splitlines()
        for output in cell.get("outputs", []):
            lines += output_lines(output)
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    with open(sys.argv[1], encoding="utf-8") as file:
        print(as_text(json.load(file)))
