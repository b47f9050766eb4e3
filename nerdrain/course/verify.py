"""Check the assignments: do the graders give known hand-ins the points that they deserve?"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nerdrain.course.assignment import VARIANT_FILE, read_files, read_yaml
from nerdrain.course.grading import Grade, Task
from nerdrain.course.handins import HandIn
from nerdrain.course.items import Item
from nerdrain.course.keys import Key
from nerdrain.course.sandbox import Launcher, launch
from nerdrain.errors import NerdrainError

FEWEST_CORRECT, FEWEST_WRONG = 3, 8
"""Number of hand-ins of each kind that an assignment needs."""
STUDENTS = ("verify", "verify-2", "verify-3")
"""Students whose variants are checked; by default only the first."""


@dataclass(frozen=True)
class Case:
    """A hand-in whose points are known.

    Args:
        kind: solution, starter, package_copy, correct or wrong.
        name: its name in its folder.
        files: its files, without variant.json.
        loses: for a wrong hand-in, the items that must lose points.
    """

    kind: str
    name: str
    files: dict[str, bytes]
    loses: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Check:
    """The outcome of a case.

    Args:
        assignment: id of the assignment.
        student: the student whose variant was used.
        case: the hand-in.
        grade: its grade.
        problem: why the outcome is wrong, or an empty text.
    """

    assignment: str
    student: str
    case: Case
    grade: Grade
    problem: str


def cases(folder: Path) -> list[Case]:
    """The known hand-ins of an assignment.

    Raises:
        NerdrainError: There are too few, or expected.yaml names others.
    """
    grader = folder / "grader"
    solution = read_files(folder / "solution")
    found = [Case("solution", "", solution), Case("starter", "", read_files(folder / "starter"))]
    if (grader / "package_copy").is_dir():
        found.append(Case("package_copy", "", solution | read_files(grader / "package_copy")))
    correct = _overlays(grader / "correct", solution)
    wrong = _overlays(grader / "wrong", solution)
    if len(correct) < FEWEST_CORRECT or len(wrong) < FEWEST_WRONG:
        raise NerdrainError(
            f"{folder.name} has {len(correct)} correct and {len(wrong)} wrong solutions; it needs "
            f"{FEWEST_CORRECT} and {FEWEST_WRONG}."
        )
    expected: dict[str, Any] = read_yaml(grader / "expected.yaml")
    if set(expected) != set(wrong):
        raise NerdrainError(
            f"{folder.name}: expected.yaml and the folder wrong/ differ in "
            f"{', '.join(sorted(set(expected) ^ set(wrong)))}."
        )
    found += [Case("correct", name, files) for name, files in correct.items()]
    found += [
        Case("wrong", name, files, frozenset(expected[name]["loses"]))
        for name, files in wrong.items()
    ]
    return found


def _overlays(root: Path, solution: dict[str, bytes]) -> dict[str, dict[str, bytes]]:
    """Hand-ins that differ from the solution in some files, by name."""
    folders = sorted(path for path in root.glob("*") if path.is_dir() and path.name[0] not in "._")
    return {path.name: solution | read_files(path) for path in folders}


def verify(
    folders: Sequence[Path], *, jobs: int = 2, students: Sequence[str] = STUDENTS[:1]
) -> Iterator[Check]:
    """Grade all known hand-ins of assignments with the practice key."""
    with launch(jobs) as launchers:
        for folder in folders:
            task, known = Task(folder, Key.practice()), cases(folder)
            for student in students:
                yield from _verify_variant(task, known, student, launchers)


def _verify_variant(
    task: Task, known: Sequence[Case], student: str, launchers: Sequence[Launcher]
) -> Iterator[Check]:
    items, variant = task.items(student), task.variant_file(student)
    free = list(launchers)

    def check(case: Case) -> Check:
        launcher = free.pop()
        try:
            handin = HandIn(student, {**case.files, VARIANT_FILE: variant})
            grade = task.grade(handin, launcher, items)
        finally:
            free.append(launcher)
        return Check(task.assignment.id, student, case, grade, judge(case, grade, items))

    with ThreadPoolExecutor(len(launchers)) as pool:
        yield from pool.map(check, known)


def judge(case: Case, grade: Grade, items: Sequence[Item]) -> str:
    """Why the grade of a known hand-in is wrong, or an empty text."""
    if not grade.is_complete:
        return "the grader failed"
    total = sum(item.points for item in items)
    lost = {r.item for r in grade.results if r.points is not None and r.points < r.of}
    if case.kind in ("solution", "correct") and lost:
        reasons = [f"{r.item}: {r.feedback}" for r in grade.results if r.item in lost]
        return f"loses points ({'; '.join(reasons)})"
    if case.kind == "starter" and grade.points > 0:
        return "gets points"
    if case.kind == "package_copy" and grade.points >= total / 2:
        return "gets half of the points or more"
    if case.kind == "wrong" and lost != case.loses:
        return f"must lose points in {', '.join(sorted(case.loses))}"
    return ""
