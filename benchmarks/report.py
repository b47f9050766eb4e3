"""Results of the speed benchmark: rows, their Markdown table, their JSON file, and the book's page.

`benchmarks/results/cpu.json` and `cuda.json` each hold the results of one machine. The page
`book/speed.md` shows their tables between markers, and a test compares the two.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nerdrain.files import write_atomically

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "book" / "speed.md"
NOT_MEASURED = {
    "cpu": "The benchmark has not been run on this CPU.",
    "cuda": "The benchmark has not been run on a GPU, so this page has no figure of a GPU.",
}


@dataclass(frozen=True)
class Row:
    """A measured value of one contender, or the reason why it was left out."""

    task: str  #: what is computed
    contender: str  #: how, or by which program
    value: float | None  #: median, None if left out
    unit: str  #: "s", "MiB", "crops/s", "Gmul/s" or "%"
    ratio: float | None = None  #: to the first row of the task; above 1 means better
    note: str = ""  #: the reason if left out


@dataclass(frozen=True)
class Results:
    """Everything that one run measured, on one machine."""

    machine: str  #: processor, cores, threads, version of torch
    warning: str  #: empty if the machine was quiet
    rows: tuple[Row, ...]

    def save(self, kind: str) -> Path:
        """Write the JSON file of a kind of device, "cpu" or "cuda"."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{kind}.json"
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"
        write_atomically(path, text.encode())
        return path


def load(kind: str) -> Results | None:
    """The saved results of a kind of device, None if there are none."""
    path = RESULTS / f"{kind}.json"
    if not path.is_file():
        return None
    values = json.loads(path.read_text(encoding="utf-8"))
    rows = tuple(Row(**row) for row in values.pop("rows"))
    return Results(**values, rows=rows)


def compared(task: str, unit: str, values: Mapping[str, float | str]) -> list[Row]:
    """The rows of a task; a text in place of a value is the reason why it is missing.

    The first value is the reference. Seconds and MiB are better when they are smaller, rates when
    they are larger. Values keep four significant digits.
    """
    rows: list[Row] = []
    reference = next((value for value in values.values()), 0.0)
    for contender, value in values.items():
        if isinstance(value, str):
            rows.append(Row(task, contender, None, unit, note=value))
            continue
        ratio = None
        if isinstance(reference, float) and reference > 0 and value > 0:
            ratio = rounded(value / reference if unit.endswith("/s") else reference / value)
        rows.append(Row(task, contender, rounded(value), unit, ratio))
    return rows


def rounded(value: float) -> float:
    """Four significant digits."""
    return float(f"{value:.4g}")


def digits(value: float) -> str:
    """Three significant digits, with thousands separators."""
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}".rstrip(".")


def table(results: Results) -> str:
    """The results in Markdown."""
    lines = [f"Measured on: {results.machine}."]
    if results.warning:
        lines += ["", f"**Warning: {results.warning}**"]
    lines += ["", "| task | computed by | measured | ratio |", "|---|---|---:|---:|"]
    task = ""
    for row in results.rows:
        measured = f"{digits(row.value)} {row.unit}" if row.value is not None else "left out"
        ratio = f"{row.ratio:.2f}" if row.ratio is not None else "-"
        shown = row.task if row.task != task else ""
        lines.append(f"| {shown} | {row.contender} | {measured} | {ratio} |")
        task = row.task
    missing = [row for row in results.rows if row.value is None]
    lines += [""] if missing else []
    lines += [f"- Left out: {row.task}, {row.contender}: {row.note}." for row in missing]
    return "\n".join(lines)


def page_with(page: str, saved: Mapping[str, Results | None]) -> str:
    """The page's text with the tables of the saved results between its markers."""
    for kind, results in saved.items():
        content = table(results) if results else NOT_MEASURED[kind]
        start, end = f"<!-- {kind} -->", f"<!-- end of {kind} -->"
        before, _, rest = page.partition(start)
        after = rest.partition(end)[2]
        page = f"{before}{start}\n\n{content}\n\n{end}{after}"
    return page


def update_page(kinds: Sequence[str] = ("cpu", "cuda")) -> None:
    """Write the tables of all saved results into the book's page."""
    page = PAGE.read_text(encoding="utf-8")
    write_atomically(PAGE, page_with(page, {kind: load(kind) for kind in kinds}).encode())
