"""Count the lines of the network's own files, with and without docstrings and comments.

A reader of these files in this order reads the method and nothing else.
"""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATH = ("config", "coordinates", "transformer", "unet", "inr", "feedback", "network")
IGNORED = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def code_lines(source: str) -> int:
    """Count the lines that hold code: no blank lines, comments or strings that stand alone."""
    code = {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in IGNORED
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            code -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(code)


def count() -> dict[str, tuple[int, int]]:
    """Return all lines and the lines of code of each file, by name."""
    sources = {
        name: (ROOT / "nerdrain" / "model" / f"{name}.py").read_text(encoding="utf-8")
        for name in PATH
    }
    return {name: (len(text.splitlines()), code_lines(text)) for name, text in sources.items()}


def main() -> None:
    """Print the table."""
    rows = count()
    print(f"{'file':14}{'lines':>6}{'code':>6}")
    for name, (lines, code) in rows.items():
        print(f"{name:14}{lines:6}{code:6}")
    print(f"{'total':14}{sum(n for n, _ in rows.values()):6}{sum(n for _, n in rows.values()):6}")


if __name__ == "__main__":
    main()
