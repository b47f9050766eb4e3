"""Numbers in the text of a chapter come from its cells, and its quoted cost is the one it asserts.

Every decimal number, every number with thousands separators and every number of dB or per cent in a
notebook's text or figure captions has to be found in what its checked cells print, or among the
numbers in its code: an asserted band, a parameter, a figure of the paper in a dictionary. It is
found if the text has it to the same digits, or rounded.

Not looked at: mathematics, code, links' targets, citations, references to sections, equations,
tables, chapters and exercises, names such as Rain200L, and the minutes of an exercise. A number
that code cannot give goes into QUOTED below, with the reason.
"""

import ast
import io
import re
import tokenize
from pathlib import Path

import nbformat
import pytest

from nerdrain.evaluation.complexity import complexity
from nerdrain.model.config import PRESETS

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))

# By notebook: the number as the text has it, and where it is from.
BENCHMARKS = "pairs of a benchmark, counted by those who made it"
QUOTED: dict[str, dict[str, str]] = {
    "rain": dict.fromkeys(
        ["1,800", "12,600", "1,400", "12,000", "1,200", "638,492", "1,000"], BENCHMARKS
    ),
    "evaluation": {"95": "the level of an interval, which is a choice"},
    "fidelity": {"100,000": "two parts in it: a tolerance of tests/golden/test_golden.py"},
}

SKIPPED = [
    r"^(```|:::).*?^\1",  # fenced code, and directives' options
    r"\$\$.*?\$\$",
    r"\$[^$]*\$",
    r"\{[a-z:]+\}`[^`]*`",  # roles: citations, references, terms
    r"``[^`]*``|`[^`]*`",
    r"<[^>]*>",
    r"\]\([^)]*\)",  # the target of a link
    r"https?://\S+",
    r"\b([Ss]ections?|[Ee]quations?|[Tt]ables?|[Cc]hapters?|[Ee]xercises?|[Ff]igures?|[Ss]teps?"
    r"|[Ll]ines?|[Rr]ows?|[Aa]lgorithms?|[Aa]ppendix)"
    r" +\d+(\.\d+)*((,| and| to|, and) \d+(\.\d+)*)*",
    r"\b\d+(\.\d+)? minutes\b",  # of an exercise
    r"\b(version|Python|PyTorch|torch) \d+(\.\d+)*",
]
NUMBER = r"(?<![\w.,])[-−]?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\w,]*\d)|(?<![\w.])[-−]?\d+(?:\.\d+)?"
UNIT = r"(?:\s|\xa0|\*)*(?:dB|%|per cent|percentage points?)"


def plain(text: str) -> str:
    for pattern in SKIPPED:
        text = re.sub(pattern, " ", text, flags=re.DOTALL | re.MULTILINE)
    return text


def claims(text: str) -> list[tuple[str, bool]]:
    """The numbers of a text that need a source, each with whether it is a percentage."""
    text = plain(text)
    # In "14 to 17 dB" and "4.4 and 4.1 %" the unit belongs to both.
    next_too = rf" (?:to|and|or|against|±|–) (?:{NUMBER})"
    found = []
    for match in re.finditer(NUMBER, text):
        unit = re.match(rf"(?:{next_too})?({UNIT})", text[match.end() :])
        if "." in match[0] or "," in match[0] or unit:
            found.append((match[0], bool(unit) and "dB" not in unit[1]))
    return found


def value(number: str) -> float:
    return abs(float(number.replace(",", "").replace("−", "-")))


def numbers_in_code(source: str) -> list[float]:
    source = re.sub(r"^\s*[%!].*$", "", source, flags=re.MULTILINE)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    literals = [ast.literal_eval(t.string) for t in tokens if t.type == tokenize.NUMBER]
    return [abs(number) for number in literals]


def sources(notebook) -> list[float]:
    """All numbers that the code cells hold, and those that the checked ones print."""
    found: list[float] = []
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        found += numbers_in_code(cell.source)
        if "nbval-check-output" in cell.metadata.get("tags", []):
            for output in cell.outputs:
                text = output.get("text", "") + output.get("data", {}).get("text/plain", "")
                found += [value(number) for number in re.findall(NUMBER, text)]
    return found


def has_source(number: str, percent: bool, found: list[float]) -> bool:
    decimals = len(number.partition(".")[2])
    half = 0.5 * 10**-decimals + 1e-9
    scales = (1, 100) if percent else (1,)
    return any(abs(scale * other - value(number)) <= half for other in found for scale in scales)


def prose(notebook) -> str:
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    for cell in notebook.cells:
        texts.append(cell.metadata.get("mystnb", {}).get("figure", {}).get("caption", ""))
    return "\n\n".join(texts)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_number_in_the_text_has_a_source(path):
    notebook = nbformat.read(path, as_version=4)
    found = sources(notebook)
    quoted = QUOTED.get(path.stem, {})
    asked = claims(prose(notebook))
    without = [n for n, percent in asked if n not in quoted and not has_source(n, percent, found)]
    assert without == []
    assert [n for n in quoted if n not in {number for number, _ in asked}] == []


COST = re.compile(
    r"On a quiet CPU with 2 cores the notebook takes about (\d+) processor\s+seconds"
    r" and at most ([\d,]+) MiB"
)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_quoted_cost_is_the_asserted_one(path):
    cells = nbformat.read(path, as_version=4).cells
    text = re.sub(r"\s+", " ", prose(nbformat.v4.new_notebook(cells=cells)))
    ((seconds, mib),) = COST.findall(text)
    last = [cell for cell in cells if cell.cell_type == "code"][-1]
    assert last.get("id") == "cost"
    assert f"report_cost(device, seconds={seconds}, mib={mib.replace(',', '')})" in last.source


def test_numbers_that_need_a_source():
    text = """Section 4.1 has 41.71 dB in Table 3 ({cite}`x2020`), $x = 1.5$, `0.1`, and Rain200L
    has 1,800 pairs, 14 to 17 dB, 30 % of 12 pixels. *5 minutes, easy.* [it](b-1.5.html) 3 layers"""
    numbers = [number for number, _ in claims(text)]
    assert numbers == ["41.71", "1,800", "14", "17", "30"]


def test_a_number_is_found_rounded_and_not_otherwise():
    found = [41.714, 0.155, 1800.0]
    assert has_source("41.71", False, found) and has_source("41.7", False, found)
    assert not has_source("41.72", False, found)
    assert has_source("15.5", True, found) and not has_source("15.5", False, found)
    assert has_source("1,800", False, found)
    assert numbers_in_code("x = {'a': 1_800, 'b': 2e-3}  # 7.5\nassert 16 <= y < 20.5") == [
        1800, 2e-3, 16, 20.5,
    ]  # fmt: skip


README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_sizes_in_the_readme_are_what_the_package_counts():
    row = r"^\| `([\w-]+)` \| (\d+) \| ([\d,]+) \| ([\d.]+) G \| ([\d.]+) G \|$"
    rows = re.findall(row, README, flags=re.MULTILINE)
    assert {row[0] for row in rows} == {"nerd-rain", "nerd-rain-s"}
    for name, *written in rows:
        config = PRESETS[name]
        cost = complexity(config)
        macs = [f"{count / 1e9:.1f}" for count in (cost.released_macs, cost.macs)]
        assert written == [str(config.width), f"{cost.parameters:,}", *macs]
    assert f"# {complexity(PRESETS['nerd-rain']).parameters:,} parameters" in README


def test_quality_in_the_readme_is_that_of_the_model_card():
    """The card's table is what benchmarks/bench_quality.py prints; the README quotes it."""
    folder = ROOT / "data" / "checkpoints" / "nerd-rain-tiny"
    card = (folder / "README.md").read_text(encoding="utf-8")
    quoted = README[README.index("On the 16 test photographs") : README.index("prints this")]
    numbers = re.findall(r"\d+\.\d\d", quoted)
    assert len(numbers) == 11
    assert [number for number in numbers if number not in card] == []
