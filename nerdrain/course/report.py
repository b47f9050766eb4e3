"""Write what a class got: grades.csv, and for each student a JSON file and a page of HTML.

The lecturer writes the points of the rubric into grades.csv, and `read_report` reads them.
"""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

import nerdrain
from nerdrain.course.assignment import Assignment
from nerdrain.course.grading import Grade
from nerdrain.course.handins import STUDENT
from nerdrain.errors import NerdrainError, shorten
from nerdrain.files import write_atomically

TEMPLATE = Path(__file__).with_name("report.html.j2")
TABLE = "grades.csv"
"""Name of the table in the folder of a report."""


def describe(
    assignment: Assignment, grade: Grade, key: str, layers: Sequence[str]
) -> dict[str, Any]:
    """A student's report as plain values. Equal hand-ins give equal reports."""
    return {
        "student": grade.student,
        "assignment": assignment.id,
        "title": assignment.title,
        "key": key,
        "nerdrain": nerdrain.__version__,
        "layers": list(layers),
        "points": round(grade.points, 2),
        "of": sum(assignment.points.values()),
        "complete": grade.is_complete,
        "items": [
            {"item": r.item, "points": r.points, "of": r.of, "feedback": r.feedback}
            for r in grade.results
        ],
        "rubric": [{"part": n, "points": None, "of": p} for n, p in assignment.rubric.items()],
        "comment": "",
        "remarks": list(grade.remarks),
    }


def total(values: dict[str, Any]) -> float | None:
    """A student's points from the grader and the rubric, or None while some are missing."""
    points = [each["points"] for each in (*values["items"], *values["rubric"])]
    return None if None in points else round(sum(points), 2)


def copy_marks(values: dict[str, Any], earlier: dict[str, Any]) -> None:
    """Copy the points by hand and the comment of an earlier report into a new one."""
    values["comment"] = earlier["comment"]
    values["rubric"] = earlier["rubric"]


def write_student(folder: Path, values: dict[str, Any]) -> None:
    """Write a student's JSON and HTML. The page needs no other file."""
    name = values["student"]
    text = json.dumps(values, indent=2) + "\n"
    write_atomically(folder / f"{name}.json", text.encode())
    write_atomically(folder / f"{name}.html", render(values).encode(errors="backslashreplace"))


def write_text(folder: Path, student: str, content: bytes | None) -> None:
    """Write the text that a student handed in, to be marked; None removes an earlier one."""
    path = folder / f"{student}.md"
    if content is None:
        path.unlink(missing_ok=True)
    else:
        write_atomically(path, content)


def render(values: dict[str, Any]) -> str:
    """The page of a student. All text of the hand-in is escaped."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(values, total=total(values))


def write_table(folder: Path, students: Sequence[dict[str, Any]]) -> None:
    """Write grades.csv: a row for each student. Points that nobody gave yet are empty."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    items, rubric = ([*_points(students[0], kind)] for kind in ("items", "rubric"))
    table.writerow(["student", *items, "automatic", *rubric, "total", "comment", "remarks"])
    for values in students:
        automatic = values["points"] if values["complete"] else None
        numbers = [*_points(values, "items").values(), automatic]
        numbers += [*_points(values, "rubric").values(), total(values)]
        shown = ["" if number is None else f"{number:g}" for number in numbers]
        remarks = " ".join(values["remarks"])
        table.writerow([values["student"], *shown, values["comment"], remarks])
    write_atomically(folder / TABLE, text.getvalue().encode(errors="backslashreplace"))


def _points(values: dict[str, Any], kind: str) -> dict[str, float | None]:
    """The points of "items" or of "rubric" by name."""
    return {each.get("item") or each.get("part"): each["points"] for each in values[kind]}


def read_report(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the students' reports, with the points and comments that are in grades.csv.

    A spreadsheet may have saved the table, with semicolons and decimal commas.

    Raises:
        NerdrainError: The folder holds no report, or a row does not fit the report.
    """
    path = folder / TABLE
    try:
        content = path.read_bytes()
    except OSError:
        raise NerdrainError(f"{folder} holds no {TABLE}; grade hand-ins first.") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")  # Excel on Windows
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    found = {}
    for row in rows:
        if any(row.values()):
            values = _read_student(folder, row.get("student") or "")
            _read_marks(path, values, row)
            found[values["student"]] = values
    if not found:
        raise NerdrainError(f"{path} has no row with a student; grade hand-ins first.")
    return found


def _read_student(folder: Path, student: str) -> dict[str, Any]:
    """The JSON of a student in a row of the table."""
    path = folder / f"{student}.json"
    if STUDENT.fullmatch(student) and path.is_file():
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if values["student"] == student:  # some file systems ignore case
            return values
    raise NerdrainError(
        f"{folder / TABLE} has a row for {shorten(student)!r}, but the folder has no report of "
        "that student; write the id as it was."
    )


def _read_marks(path: Path, values: dict[str, Any], row: dict[str, str | None]) -> None:
    """Take the points of the rubric and the comment from a row of the table."""
    values["comment"] = (row.get("comment") or "").strip()
    for each in values["rubric"]:
        part, of = each["part"], each["of"]
        if part not in row:
            raise NerdrainError(f"{path} has no column {part}; grade into a new folder.")
        text = (row[part] or "").strip()
        try:
            each["points"] = float(text.replace(",", ".")) if text else None
        except ValueError:
            each["points"] = -1.0
        if each["points"] is not None and not 0 <= each["points"] <= of:
            raise NerdrainError(
                f"{path}: {values['student']} has {shorten(text)!r} in the column {part}; give a "
                f"number from 0 to {of:g}."
            )
