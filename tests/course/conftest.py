"""A small assignment for the tests of the course, and a process that starts its workers."""

import json
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nerdrain.course.assignment import VARIANT_FILE, assignments_folder, find_assignments
from nerdrain.course.grading import Grade, Task
from nerdrain.course.handins import HandIn
from nerdrain.course.keys import Key
from nerdrain.course.sandbox import Launcher

SETTINGS = """
id: a9
title: Scaling
hours: 1
chapters: [coordinates]
teaches: Scale a tensor.
files: [scaling.py]
report: true
points: {scale: 2, describe: 1}
rubric: {proof: 4}
limits: {seconds: 3, cpu_seconds: 2, memory_mib: 900, file_mib: 1, disk_mib: 4, output_kib: 64,
         processes: 4}
varies: The key draws the factor.
"""

GRADE = """
import numpy as np
from nerdrain.course.items import Call, Item, Verdict, all_or_nothing, compare


def constants(variant):
    return {"factor": variant.uniform("factor", 2, 9)}


def items(variant):
    x = variant.generator("x").normal(size=(2, 3))
    expected = x * constants(variant)["factor"]
    return [
        Item("scale", 2, [Call("scaling:scale", {"x": x}), Call("scaling:scale", {"x": -x})],
             lambda answers: all_or_nothing(
                 compare(answers[0], expected, 1e-9) or compare(answers[1], -expected, 1e-9))),
        Item("describe", 1, [Call("scaling:describe", {"numbers": [1, 2.5]})],
             lambda answers: Verdict(float(answers[0].value == {"count": 2, "sum": 3.5}))),
    ]
"""

SOLUTION = """
import json
from pathlib import Path

FACTOR = json.loads(Path(__file__).with_name("variant.json").read_text())["factor"]


def scale(x):
    return x * FACTOR


def describe(numbers):
    return {"count": len(numbers), "sum": sum(numbers)}
"""
STARTER = '''
def scale(x):
    """Multiply by the factor in variant.json."""
    raise NotImplementedError


def describe(numbers):
    """Count and sum of a list."""
    raise NotImplementedError
'''
WRONG = {"copy": SOLUTION.replace("x * FACTOR", "x"), "empty": SOLUTION.replace("len", "id")}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text), encoding="utf-8")


@pytest.fixture(scope="session")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of assignments with one small assignment."""
    root = tmp_path_factory.mktemp("course")
    folder = root / "a9-scaling"
    write(folder / "assignment.yaml", SETTINGS)
    write(folder / "handout.md", "# Scaling\n")
    write(folder / "rubric.md", "# Rubric\n")
    write(folder / "grader" / "grade.py", GRADE)
    write(folder / "solution" / "scaling.py", SOLUTION)
    write(folder / "solution" / "report.md", "Done.\n")
    write(folder / "starter" / "scaling.py", STARTER)
    write(folder / "starter" / "report.md", "# Report\n")
    write(folder / "tests" / "test_scaling.py", "import scaling\n\ndef test_it():\n    scaling\n")
    return root


@pytest.fixture(scope="session")
def task(course: Path) -> Task:
    return Task(course / "a9-scaling", Key(b"a key of the tests"))


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    with Launcher() as process:
        yield process


@pytest.fixture(scope="session")
def grade(task: Task, launcher: Launcher) -> Callable[..., Grade]:
    """Grade a hand-in with this module."""

    def grade_module(source: str, student: str = "s1", **files: bytes) -> Grade:
        variant = task.variant_file(student)
        content = {"scaling.py": textwrap.dedent(source).encode(), VARIANT_FILE: variant, **files}
        return task.grade(HandIn(student, {"report.md": b"", **content}), launcher)

    return grade_module


@pytest.fixture
def solution() -> str:
    return SOLUTION


@pytest.fixture
def hand_in(task: Task) -> Callable[..., Path]:
    """Write a hand-in as a folder."""

    def write_folder(folder: Path, source: str = SOLUTION, variant_of: str = "") -> Path:
        write(folder / "scaling.py", source)
        write(folder / "report.md", "Done.\n")
        (folder / VARIANT_FILE).write_bytes(task.variant_file(variant_of or folder.name))
        return folder

    return write_folder


@pytest.fixture(scope="session")
def shipped() -> dict[str, Path]:
    """The assignments of the repository."""
    return find_assignments(assignments_folder())


@pytest.fixture(scope="session")
def load() -> Callable[[Path], dict]:
    return lambda path: json.loads(path.read_text(encoding="utf-8"))
