"""Grade hand-ins: run their calls in workers, judge the answers here, and lose nobody's grade."""

import json
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from nerdrain.course.assignment import (
    LOADING,
    REPORT_FILE,
    VARIANT_FILE,
    Assignment,
    Grader,
    load_assignment,
    load_grader,
    variant_file,
)
from nerdrain.course.handins import ABSENT, STUDENT, HandIn
from nerdrain.course.items import Answer, Call, Item, Verdict
from nerdrain.course.keys import Key
from nerdrain.course.sandbox import Launcher
from nerdrain.errors import NerdrainError, shorten

SHARED = "everyone"
"""Student id of a bundle that all students share."""
OTHER_VARIANT = f"{VARIANT_FILE} is not the file of this student's bundle"
"""Beginning of the remark about a `variant.json` with other values than the key gives."""


@dataclass(frozen=True)
class Result:
    """The automatic points of one item.

    Args:
        item: its name.
        points: the points, or None if the grader itself failed.
        of: the most points.
        feedback: what is wrong; empty if nothing is.
    """

    item: str
    points: float | None
    of: float
    feedback: str


@dataclass(frozen=True)
class Grade:
    """The points of a student, and the reasons.

    Args:
        student: id of the student.
        results: one for each item.
        remarks: sentences about the hand-in as a whole.
    """

    student: str
    results: tuple[Result, ...]
    remarks: tuple[str, ...] = ()

    @property
    def points(self) -> float:
        """The sum of the automatic points."""
        return sum(result.points or 0.0 for result in self.results)

    @property
    def is_complete(self) -> bool:
        """Whether the grader could judge every item."""
        return all(result.points is not None for result in self.results)


class Task:
    """An assignment with its grader and a key.

    Args:
        folder: the assignment's folder.
        key: the lecturer's key.
        shared: whether all students have the same variant.
    """

    def __init__(self, folder: Path, key: Key, *, shared: bool = False) -> None:
        self.folder, self.key, self.shared = folder, key, shared
        self.assignment: Assignment = load_assignment(folder)
        self.grader: Grader = load_grader(folder)

    def variant_file(self, student: str) -> bytes:
        """The content of the student's `variant.json`."""
        name = SHARED if self.shared else student
        return variant_file(self.grader, self.key.variant(self.assignment.id, name))

    def items(self, student: str) -> list[Item]:
        """The items of a student's variant, checked against the assignment's points.

        Raises:
            NerdrainError: Names or points differ from those in assignment.yaml.
        """
        name = SHARED if self.shared else student
        with LOADING:
            items = self.grader.items(self.key.variant(self.assignment.id, name))
        found = {item.name: float(item.points) for item in items}
        if found != self.assignment.points:
            raise NerdrainError(
                f"{self.folder.name}: grade.py has the items {found}, but assignment.yaml has "
                f"{self.assignment.points}."
            )
        return items

    def grade(self, handin: HandIn, launcher: Launcher, items: list[Item] | None = None) -> Grade:
        """Grade one hand-in. An error of the grader itself becomes a remark."""
        try:
            items = items if items is not None else self.items(handin.student)
            remarks = tuple(self.remarks(handin))
            results = tuple(self._grade_item(item, handin, launcher) for item in items)
            return Grade(handin.student, results, remarks)
        except Exception as error:
            return ungraded(self.assignment, handin.student, error)

    def remarks(self, handin: HandIn) -> Iterator[str]:
        """Sentences about missing and unexpected files."""
        if handin.refused == ABSENT:
            yield ABSENT.capitalize()
            return
        if handin.refused:
            yield f"The hand-in was refused: {handin.refused}"
            return
        if not handin.files:
            yield "The hand-in is empty."
            return
        expected = [*self.assignment.files, *[REPORT_FILE] * self.assignment.report]
        unread = [name for name in handin.files if name not in (*expected, VARIANT_FILE)]
        for name in expected:
            if name not in handin.files:
                yield f"{name} is missing{_similar(name, unread)}."
        given = handin.files.get(VARIANT_FILE)
        if given is None:
            yield f"{VARIANT_FILE} is missing."
        elif not _same_json(given, expected_file := self.variant_file(handin.student)):
            yield f"{OTHER_VARIANT}{_owner(given, expected_file)}."

    def _grade_item(self, item: Item, handin: HandIn, launcher: Launcher) -> Result:
        answers = self._answers(item, handin, launcher)
        errors = [answer.error for answer in answers if answer.error is not None]
        if errors and not item.tolerates_errors:
            return Result(item.name, 0.0, item.points, errors[0])
        try:
            with LOADING:
                verdict = item.judge(answers)
        except Exception as error:  # `verify` checks judges; here the answer has another form
            kind = type(error).__name__
            verdict = Verdict(0.0, f"the result has another form than the handout says ({kind}).")
        share = min(max(float(verdict.share), 0.0), 1.0)
        return Result(item.name, round(item.points * share, 2), item.points, verdict.feedback)

    def _answers(self, item: Item, handin: HandIn, launcher: Launcher) -> list[Answer]:
        if handin.refused:
            why = ABSENT if handin.refused == ABSENT else "the hand-in was refused."
            return [Answer(error=why)] * len([*item.reads, *item.calls])
        read = [Answer(handin.files.get(name)) for name in item.reads]
        for call in item.calls:
            name = module_file(call)
            if name not in handin.files and name not in call.files:
                missing = Answer(error=f"{name} is missing.")
                return [*read, *[missing] * len(item.calls)]
        return read + launcher.run(item.calls, handin.files, self.assignment.limits)


def module_file(call: Call) -> str:
    """The file of the hand-in that a call needs."""
    if call.tests:
        return call.tests
    return call.function.partition(":")[0].replace(".", "/") + ".py"


def ungraded(assignment: Assignment, student: str, error: Exception) -> Grade:
    """A grade without points, for a hand-in that the grader could not judge."""
    if not isinstance(error, NerdrainError):
        traceback.print_exception(error)
    sentence = _grader_failed(error)
    results = [Result(n, None, p, sentence) for n, p in assignment.points.items()]
    return Grade(student, tuple(results), (sentence,))


def grade_all(
    task: Task,
    handins: Sequence[HandIn],
    launchers: Sequence[Launcher],
    items: list[Item] | None = None,
) -> Iterator[Grade]:
    """Grade hand-ins with all launchers side by side; the grades come in the order of hand-ins.

    By default each hand-in has the items of its student's variant.
    """
    free: SimpleQueue[Launcher] = SimpleQueue()
    for launcher in launchers:
        free.put(launcher)

    def grade(handin: HandIn) -> Grade:
        launcher = free.get()
        try:
            return task.grade(handin, launcher, items)
        finally:
            free.put(launcher)

    with ThreadPoolExecutor(len(launchers)) as pool:
        yield from pool.map(grade, handins)


def named_assignments(handins: Sequence[HandIn]) -> list[str]:
    """The assignments that the hand-ins name in their variant.json, the most frequent first."""
    names: Counter[str] = Counter()
    for handin in handins:
        try:
            names[str(json.loads(handin.files[VARIANT_FILE])["assignment"])] += 1
        except (KeyError, TypeError, ValueError, RecursionError):
            continue
    return [name for name, _ in names.most_common()]


def _same_json(one: bytes, other: bytes) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except (ValueError, RecursionError):
        return False


def _owner(given: bytes, expected: bytes) -> str:
    """Whose `variant.json` it is, as far as it says so."""
    try:
        values = json.loads(given)
        named = (values["student"], values["assignment"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return ""
    ours = json.loads(expected)
    if named == (ours["student"], ours["assignment"]):
        return ", because its constants were changed, or belong to another key"
    if not all(isinstance(name, str) and STUDENT.fullmatch(name) for name in named):
        return ""
    return f"; it is that of {named[0]} for {named[1]}"


def _similar(name: str, unread: Sequence[str]) -> str:
    """The file that a student probably meant: one with the same stem or suffix."""
    same = [each for each in unread if Path(each).stem.lower() == Path(name).stem.lower()]
    beside = [each for each in unread if "/" not in each and each != "submit.py"]
    near = same or [each for each in beside if Path(each).suffix == Path(name).suffix]
    return f"; the hand-in has {shorten(near[0])}, which is not read" if near else ""


def _grader_failed(error: Exception) -> str:
    return f"Not graded, because the grader failed ({type(error).__name__}); see its output."
