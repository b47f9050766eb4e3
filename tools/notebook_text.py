"""Print a notebook as text: what changed in a chapter, for `git diff`, `git log -p` and `git show`.

    git config diff.notebook.textconv "python3 tools/notebook_text.py"

Once that is said in a clone, .gitattributes sees to the rest. A cell comes with id and metadata,
then its source, then what it prints; of a picture only that it is there, and if it is another.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

PICTURES = ("image/png", "image/jpeg")
WIDGET = "application/vnd.jupyter.widget-view+json"


def joined(text: str | list[str]) -> str:
    """Return text that a notebook may hold as a list of lines."""
    return text if isinstance(text, str) else "".join(text)


def output_lines(output: dict[str, Any]) -> list[str]:
    """Return an output's lines, each marked as one."""
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
    """Return the whole notebook, a block to each cell."""
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
