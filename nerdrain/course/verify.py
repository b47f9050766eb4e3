"""Check the assignments: do the graders give known hand-ins the points that they deserve?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from nerdrain.course.assignment import VARIANT_FILE, read_files, read_yaml
from nerdrain.course.grading import Grade, Task, grade_all
from nerdrain.course.handins import HandIn
from nerdrain.course.items import Item
from nerdrain.course.keys import Key
from nerdrain.course.sandbox import Launcher, launch
from nerdrain.errors import NerdrainError, Settings, shorten

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


class Edit(Settings):
    """One change of the reference solution; `old` stands exactly once in the file."""

    file: str
    old: str
    new: str


class Mistake(Settings):
    """A wrong solution in `grader/wrong.yaml`: what it loses, why, and how it differs."""

    loses: list[str]
    why: str
    edits: list[Edit] = Field(default_factory=list)


def cases(folder: Path) -> list[Case]:
    """The known hand-ins of an assignment.

    Raises:
        NerdrainError: There are too few, or wrong.yaml does not fit the solution.
    """
    grader = folder / "grader"
    solution = read_files(folder / "solution")
    found = [Case("solution", "", solution), Case("starter", "", read_files(folder / "starter"))]
    if (grader / "package_copy").is_dir():
        found.append(Case("package_copy", "", solution | read_files(grader / "package_copy")))
    correct = _overlays(grader / "correct")
    wrong = list(_wrong_cases(grader, solution))
    if len(correct) < FEWEST_CORRECT or len(wrong) < FEWEST_WRONG:
        raise NerdrainError(
            f"{folder.name} has {len(correct)} correct and {len(wrong)} wrong solutions; it needs "
            f"{FEWEST_CORRECT} and {FEWEST_WRONG}."
        )
    found += [Case("correct", name, solution | files) for name, files in correct.items()]
    return found + wrong


def _overlays(root: Path) -> dict[str, dict[str, bytes]]:
    """Files of hand-ins that differ from the solution, by the name of their folder."""
    folders = sorted(path for path in root.glob("*") if path.is_dir() and path.name[0] not in "._")
    return {path.name: read_files(path) for path in folders}


def _wrong_cases(grader: Path, solution: dict[str, bytes]) -> Iterator[Case]:
    path = grader / "wrong.yaml"
    overlays = _overlays(grader / "wrong")
    mistakes: dict[str, Any] = read_yaml(path)
    if unknown := overlays.keys() - mistakes.keys():
        raise NerdrainError(f"{path} does not name {', '.join(sorted(unknown))}.")
    for name, values in mistakes.items():
        try:
            mistake = Mistake(**values)
            files = _edited(solution | overlays.get(name, {}), mistake.edits)
        except NerdrainError as error:
            raise NerdrainError(f"{path}: {name}: {error}") from None
        yield Case("wrong", name, files, frozenset(mistake.loses))


def _edited(files: dict[str, bytes], edits: Sequence[Edit]) -> dict[str, bytes]:
    for edit in edits:
        text = files.get(edit.file, b"").decode()
        if text.count(edit.old) != 1:
            raise NerdrainError(
                f"{edit.file} has {text.count(edit.old)} times {shorten(edit.old)!r}; it must have "
                "it once."
            )
        files = files | {edit.file: text.replace(edit.old, edit.new).encode()}
    return files


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
    handins = [HandIn(student, {**case.files, VARIANT_FILE: variant}) for case in known]
    for case, grade in zip(known, grade_all(task, handins, launchers, items), strict=True):
        yield Check(task.assignment.id, student, case, grade, judge(case, grade, items))


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
