"""The book's pages: a reference of every module, links both ways, words, symbols and figures."""

import importlib.util
import math
import re
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path
from pkgutil import walk_packages
from typing import Annotated

import nbformat
import pytest
import typer
import yaml
from pydantic import Field

import nerdrain
from nerdrain.cli import app
from nerdrain.errors import Settings
from nerdrain.evaluation.complexity import PAPER_TABLE_2, complexity

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
LISTED = [chapter for part in TOC["parts"] for chapter in part["chapters"]]
CHAPTERS = [Path(c["file"]).name for c in LISTED if c["file"].startswith("notebooks/")]

COMMANDS = typer.main.get_command(app).commands
# Modules whose content the directive `command-line` prints.
PRINTED = {f"cli.{name}" for name in COMMANDS}
MODULE = r"automodule:: nerdrain\.([\w.]+)"
# A word of a shape: `*batch` has its asterisk, that of `4*c` is arithmetic.
WORD = r"(?<!\S)\*[a-z]+|[A-Za-z]\w*"


@cache
def page(name: str) -> str:
    return (BOOK / f"{name}.md").read_text(encoding="utf-8")


@cache
def reference() -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8") for path in (BOOK / "api").glob("*.md")}


@cache
def extension():
    place = BOOK / "_ext" / "nerdrain_api.py"
    spec = importlib.util.spec_from_file_location("nerdrain_api", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def chapter(stem: str) -> str:
    cells = nbformat.read(ROOT / "notebooks" / f"{stem}.ipynb", as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def prose() -> dict[str, str]:
    """Everything that a reader reads, by name of the page."""
    pages = {str(path): path.read_text(encoding="utf-8") for path in BOOK.rglob("*.md")}
    return pages | {stem: chapter(stem) for stem in CHAPTERS}


def terms() -> dict[str, str]:
    """Each word of the glossary and its definition."""
    blocks = re.findall(r":::\{glossary\}\n(.*?)\n:::", page("glossary"), flags=re.S)
    entries = re.split(r"\n\n(?=\S)", "\n\n".join(blocks))
    return {word.strip(): text for word, _, text in (e.partition("\n") for e in entries)}


def committed(name: str) -> bool:
    """Whether a module is in the repository, if there is one."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        return True
    place = name.replace(".", "/")
    command = ["git", "ls-files", f"{place}.py", f"{place}/__init__.py"]
    return bool(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)


@cache
def modules() -> set[str]:
    """The package's modules with documented names, e.g. "model.inr", without its packages."""
    found = walk_packages(nerdrain.__path__, "nerdrain.")
    names = {m.name for m in found if not m.ispkg and not m.name.rpartition(".")[2].startswith("_")}
    return {name.removeprefix("nerdrain.") for name in names if committed(name)}


def packages() -> set[str]:
    return {m.name for m in walk_packages(nerdrain.__path__, "nerdrain.") if m.ispkg}


def test_every_module_has_a_reference():
    documented = re.findall(MODULE, "\n".join(reference().values()))
    assert "{command-line}" in reference()["command-line"]
    assert len(documented) == len(set(documented))
    hint = "name a new module on a page of book/api/ and in book/api.md"
    assert set(documented) | PRINTED == modules(), hint


def test_a_section_is_headed_by_its_module():
    for name, text in reference().items():
        headings = re.findall(r"^##+ `nerdrain\.([\w.]+)`$", text, flags=re.M)
        assert headings == re.findall(MODULE, text), name


def test_the_reference_lists_its_pages_and_modules():
    (entry,) = (c for c in LISTED if c["file"] == "book/api")
    listed = [section["file"] for section in entry["sections"]]
    assert sorted(listed) == sorted(f"book/api/{name}" for name in reference())
    rows = dict(re.findall(r"\| \[[^]]+\]\(api/([\w-]+)\.md\) \| ([^|]+) \|", page("api")))
    assert rows.keys() == reference().keys()
    for name, text in reference().items():
        named = set(re.findall(MODULE, text))
        named |= PRINTED if "{command-line}" in text else set()
        assert set(re.findall(r"`([\w.]+)`", rows[name])) == named, name


def first_cells(heading: str) -> set[str]:
    """The first cells of the table under a heading of the reference."""
    section = page("api").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `(nerdrain\.\w+)`", section, flags=re.M))


def test_public_names_and_packages_are_in_the_reference():
    public = {f"nerdrain.{name}" for name in nerdrain.__all__}
    top_modules = {f"nerdrain.{name}" for name in modules() if "." not in name}
    expected = public - packages() - top_modules | {"nerdrain.__version__"}
    assert first_cells("The public names") == expected
    assert first_cells("The rooms") == packages()
    assert all(f"`{name}`" in page("api") for name in top_modules)


class Example(Settings):
    """A model with every kind of field that the reference shows."""

    size: Annotated[int, Field(ge=1, le=2**16)] = 8
    sizes: Annotated[tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]], Field()]
    rate: Annotated[float, Field(gt=0, lt=1e6)] = 0.5
    name: str | None = None


def test_types_and_ranges_of_settings_are_shown():
    schema = Example.model_json_schema()["properties"]
    ranges = {name: extension().describe_range(schema[name]) for name in schema}
    assert ranges == {
        "size": "Range: at least 1 and at most 65,536.",
        "sizes": "Range of each: at least 0.",
        "rate": "Range: greater than 0 and less than 1,000,000.",
        "name": "",
    }
    sizes = Example.model_fields["sizes"].annotation
    assert extension().remove_checks(sizes) == tuple[int, int]
    is_field = extension().FieldDocumenter.is_field
    assert is_field(Example, "size")
    assert not is_field(Example, "model_config") and not is_field(Path, "name")


def test_tests_that_the_reference_names_exist():
    for name, text in reference().items():
        for place in re.findall(r"`(tests/[\w/.]+)`", text):
            assert (ROOT / place).is_file(), f"{name}: {place}"


@pytest.mark.parametrize("stem", CHAPTERS)
def test_chapter_and_reference_link_to_each_other(stem):
    pages = extension().CHAPTERS[stem]  # the extension ends the chapter with links to these
    for name in pages:
        assert f"(../../notebooks/{stem}.ipynb)" in reference()[name]


@pytest.mark.parametrize("entry", [c for c in LISTED if "title" in c], ids=lambda c: c["file"])
def test_chapter_is_listed_under_its_number_and_heading(entry):
    stem = Path(entry["file"]).name
    number = list(extension().CHAPTERS).index(stem)
    heading = chapter(stem).splitlines()[0].removeprefix("# ")
    assert entry["title"] == f"{number}. {heading}"


def test_the_front_page_lists_every_chapter_with_a_line():
    front = page("index").partition("## Chapters\n")[2].partition("\n## ")[0]
    found = re.findall(r"^- \[(.+?)\]\(\.\./(notebooks/\w+)\.ipynb\): \S.+$", front, flags=re.M)
    assert found == [(c["title"], c["file"]) for c in LISTED if c["file"].startswith("notebooks/")]


def test_glossary_says_where_each_word_is_met():
    for word, text in terms().items():
        assert re.search(r"[Cc]hapter|\{py:", text), f"{word}: link to a chapter or to code"


def words_in_use() -> set[str]:
    """What {term} names, in lower case."""
    shown = re.findall(r"\{term\}`([^`]+)`", "\n".join(prose().values()))
    return {re.sub(r"^.*<(.+)>$", r"\1", " ".join(word.split())).lower() for word in shown}


def test_every_word_of_the_glossary_is_used_and_the_other_way_round():
    assert words_in_use() == {word.lower() for word in terms()}


def test_every_word_of_a_shape_is_in_the_notation():
    source = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("nerdrain/**/*.py"))
    kinds = "Float|Float32|Int|Int64|UInt8|Num|Shaped"
    shapes = re.findall(rf'\b(?:{kinds})\[[\w.]+, "([^"]*)"\]', source)
    words = {word for shape in shapes for word in re.findall(WORD, shape)}
    words -= {"self", "levels"}  # of an f-string
    legend = page("notation").partition("## Shapes in annotations")[2].partition("\n## ")[0]
    listed = set(re.findall(WORD, " ".join(re.findall(r"`([^`]+)`", legend))))
    assert words <= listed, words - listed


def commands() -> list[str]:
    """Every call of the command line in a block of shell code, one a line."""
    found = []
    for name in ("faq", "how-to-run", "preface"):
        for block in re.findall(r"```sh\n(.*?)```", page(name), flags=re.S):
            found += [line.partition("#")[0].strip() for line in block.splitlines()]
    return [line for line in found if line.startswith("nerdrain ")]


@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_book_is_one_of_the_program(line):
    _, name, *rest = shlex.split(line)
    command = COMMANDS[name]
    options = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    assert {word for word in rest if word.startswith("-")} <= options


def test_figures_of_the_questions():
    faq = page("faq")
    assert f"= {20 * math.log10(255 / 219):.3f}\\ \\text{{dB}}" in faq
    forward = PAPER_TABLE_2["nerd-rain"][1] * 1e9  # ours too: tests/evaluation/test_complexity.py
    assert f"{forward / 1e9:.1f} billion" in faq
    assert f"about {3 * forward / 1e9:.0f} billion" in faq
    sets = [(600, 1_800), (200, 12_000), (200, 12_600), (10, 638_492)]
    for epochs, pairs in sets:
        steps = epochs * pairs
        row = f"| {epochs} × {pairs:,} | {steps:,} | {3 * forward * steps / 1e17:.1f} × 10¹⁷ |"
        assert row in faq, row
    hours = 2 * 3 * forward * 600 * 1_800 / 10e12 / 3600
    assert f"would take {hours:.0f} hours" in faq


def test_scales_of_the_questions():
    faq = page("faq")
    full = nerdrain.PRESETS["nerd-rain"]
    for unets in [(0, 2, 3), (2, 2, 2), (3, 2, 1), (0, 0, 3)]:
        cost = complexity(full.with_changes(unets=unets))
        parameters, macs = f"{cost.parameters / 1e6:.1f} M", f"{cost.macs / 1e9:.1f} G"
        if unets == (0, 0, 3):
            assert f"{parameters} parameters and {macs}" in faq
        else:
            row = rf"\| {', '.join(map(str, unets))} \| [\d.]+ dB \| {parameters} \| {macs} \|"
            assert re.search(row, faq), row
