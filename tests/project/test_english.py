"""Docstrings, comments, messages and pages are free of phrases that are hard to read.

The readers are students all over the world, so the project is written in plain English. No test can
judge a sentence, but a list of phrases catches the most frequent problems.
"""

import ast
import io
import json
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

# A regular expression, and what to write instead. Case does not matter; a space is any white space.
THINGS = "network|model|layer|decoder|encoder|unit|scale|pixel|image|grid"
PHRASES = {
    r"mend(?:s|ed|ing)?": "fix",
    r"told": "printed, passed, distinguished",
    r"made sure of": "checked",
    r"nothing makes sure": "nothing checks",
    r"dearer": "more expensive",
    r"whoever": "the person who",
    r"whatever": "any",
    r"who runs them": "the caller",
    r"so much do": "reorder the sentence",
    r"of this it": "reorder the sentence",
    r"as the argument wants": "as the argument needs",
    r"unless said": "by default",
    r"(?:is|are|was|were|be) said": "is printed, is reported",
    r"(?<!there\s)(?:is|are|was|were) no (?!longer|more|less|better|worse|other|one\b)[a-z]+": (
        "is not a"
    ),
    r"ha(?:s|ve) not(?=[.,;:])": "repeat the verb",
    r"(?:is|are|was|were) asked (?:for|at|on)|asked for": "is computed at, is needed",
    rf"(?:{THINGS})s? (?:asks?|answers?|hears?|tells?|says?|forgives?)": "reads, computes, outputs",
    r"(?:network|decoder|model)'s answers?": "the output",
    r"(?:stands?|stood) in for": "replaces",
    r"forgiv(?:es?|ing)": "penalises less",
    r"with which this (?:chapter|book|page) was written": "leave it out",
    r"sees? to (?:it|the|that)": "does",
    r"hold(?:s|ing)? (?:it|them) against": "compare with",
    r"anew|lest|albeit": "again, so that not, although",
    # A sentence that begins with "What" and is not a question: name the subject instead.
    r"(?<![*\"])(?-i:What)\b(?:[^.?!\n]|\n(?!\n))*\.(?=\s|\Z)": "name the thing",
}
SEARCHES = {
    re.compile(rf"\b(?:{phrase})(?!\w)".replace(" ", r"\s+"), re.IGNORECASE): instead
    for phrase, instead in PHRASES.items()
}

Text = tuple[int, str]  # line of its start, and the text


def problems(texts: Iterable[Text], path: str) -> list[str]:
    """The phrases to avoid, each with its file, its line and a better word."""
    return [
        f"{path}:{line + match.string.count(chr(10), 0, match.start())}: "
        f"{' '.join(match[0].split())[:60]!r} ({instead})"
        for line, text in texts
        for search, instead in SEARCHES.items()
        for match in search.finditer(without_code_and_indents(text))
    ]


def blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", "_", match[0])


def without_code_and_indents(text: str) -> str:
    """The same lines, with code in backticks blanked out."""
    text = re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", blank, text, flags=re.DOTALL)
    return re.sub(r"\n[ ]+", "\n", text)


def page(markdown: str) -> Iterator[Text]:
    """The prose of a page of Markdown, without code blocks, links' targets and front matter."""
    markdown = re.sub(r"\A---\n.*?\n---\n", blank, markdown, flags=re.DOTALL)
    fences = r"^([ ]*)(`{3,}|~{3,}).*?^[ ]*\2[ ]*$"
    markdown = re.sub(fences, blank, markdown, flags=re.DOTALL | re.MULTILINE)
    yield 1, re.sub(r"\]\([^)]*\)", blank, markdown)


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def docstrings(source: str) -> Iterator[Text]:
    """Strings that stand alone: of modules, classes and functions, and those after a constant."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and is_text(node.value):
            yield node.lineno, ast.literal_eval(node.value)


def strings(source: str) -> Iterator[Text]:
    """All strings, docstrings included; a value in an f-string is a blank."""
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.JoinedStr):
            parts = (p.value if isinstance(p, ast.Constant) else "_" for p in node.values)
            yield node.lineno, "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        else:
            waiting += ast.iter_child_nodes(node)


def comments(source: str) -> Iterator[Text]:
    """Comments; those on consecutive lines are one text."""
    first, last, lines = 0, 0, []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if lines and token.start[0] != last + 1:
            yield first, "\n".join(lines)
            lines = []
        first = first if lines else token.start[0]
        last = token.start[0]
        lines.append(token.string.lstrip("#: "))
    if lines:
        yield first, "\n".join(lines)


def read(*patterns: str) -> dict[str, str]:
    paths = sorted(path for pattern in patterns for path in ROOT.glob(pattern))
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def test_the_package_is_in_plain_english():
    found = []
    for path, source in read("nerdrain/**/*.py").items():
        found += problems([*strings(source), *comments(source)], path)
    assert found == [], "\n" + "\n".join(found)


def test_docstrings_of_scripts_are_in_plain_english():
    found = []
    for path, source in read("tools/*.py", "benchmarks/*.py", "examples/**/*.py").items():
        found += problems(docstrings(source), path)
    assert found == [], "\n" + "\n".join(found)


def test_pages_are_in_plain_english():
    found = []
    for path, text in read("*.md", "book/**/*.md", "data/**/*.md", "assignments/**/*.md").items():
        found += problems(page(text), path)
    assert found == [], "\n" + "\n".join(found)


def cell_texts(cell: dict[str, Any]) -> Iterator[Text]:
    """The prose of a cell of a notebook: Markdown, a caption, a picture's words, comments."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield from page(source)
        return
    shown = cell["metadata"].get("mystnb", {})
    yield 1, shown.get("figure", {}).get("caption", "")
    yield 1, shown.get("image", {}).get("alt", "")
    yield from docstrings(source)
    yield from comments(source)


def test_chapters_are_in_plain_english():
    found = []
    for path, text in read("notebooks/*.ipynb").items():
        for cell in json.loads(text)["cells"]:
            found += problems(cell_texts(cell), f"{path} {cell['id']}")
    assert found == [], "\n" + "\n".join(found)


PLANTED = '''"""A module.

The colours are
told to it.
"""
COUNT = 1
"""The coordinates are no
pixels."""


def f(x):
    """What f computes."""
    # The second is
    # dearer. `told` is code.
    raise ValueError(f"{x} has the mend "
                     f"{x} unless "
                     "said.")
'''


def test_a_planted_phrase_is_found_in_code():
    found = problems([*strings(PLANTED), *comments(PLANTED)], "a.py")
    assert sorted(line.partition(" (")[0] for line in found) == [
        "a.py:12: 'What f computes.'",
        "a.py:14: 'dearer'",
        "a.py:15: 'mend'",
        "a.py:15: 'unless said'",
        "a.py:4: 'told'",
        "a.py:7: 'are no pixels'",
    ]
    assert len(problems(docstrings(PLANTED), "a.py")) == 3


def test_a_planted_phrase_is_found_in_markdown_and_not_in_its_code():
    text = """---
title: told
---
# What is told here?

There is no folder, and it is no longer used. A tensor is no image.

```python
print("told")  # dearer
```

- Use `whoever` and ``mended``, see [this](told.md).

  ~~~
  unless said
  ~~~

The network tells
us whatever
"""
    assert [line.partition(" (")[0] for line in problems(page(text), "a.md")] == [
        "a.md:4: 'told'",
        "a.md:19: 'whatever'",
        "a.md:6: 'is no image'",
        "a.md:18: 'network tells'",
    ]


def test_words_that_only_contain_a_phrase_are_not_found():
    text = (
        "We recommend an amendment. What is an untold newton? There is\n  no such thing, or no one."
    )
    assert problems([(1, text)], "a.md") == []
