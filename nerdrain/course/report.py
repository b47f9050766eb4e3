"""Write what a class got: grades.csv, and for each student a JSON file and a page of HTML."""

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
from nerdrain.files import write_atomically

TEMPLATE = Path(__file__).with_name("report.html.j2")


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
        "remarks": list(grade.remarks),
    }


def write_student(folder: Path, values: dict[str, Any]) -> None:
    """Write a student's JSON and HTML. The page needs no other file."""
    name = values["student"]
    text = json.dumps(values, indent=2) + "\n"
    write_atomically(folder / f"{name}.json", text.encode())
    write_atomically(folder / f"{name}.html", render(values).encode(errors="backslashreplace"))


def render(values: dict[str, Any]) -> str:
    """The page of a student. All text of the hand-in is escaped."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(values)


def write_table(path: Path, assignment: Assignment, grades: Sequence[Grade]) -> None:
    """Write grades.csv: a row for each student, with empty columns for the rubric's points."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    rubric = list(assignment.rubric)
    table.writerow(["student", *assignment.points, "automatic", *rubric, "remarks"])
    for grade in grades:
        points = ["" if r.points is None else f"{r.points:g}" for r in grade.results]
        total = f"{grade.points:g}" if grade.is_complete else ""
        remarks = " ".join(grade.remarks)
        table.writerow([grade.student, *points, total, *[""] * len(rubric), remarks])
    write_atomically(path, text.getvalue().encode(errors="backslashreplace"))
