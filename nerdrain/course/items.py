"""The language of a grader: items of points, the calls that they need, and verdicts on answers.

An assignment's `grade.py` makes items. The grader runs their calls in a worker process that holds
only the student's files and the inputs. The item's judge then gets the answers in the trusted
process.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Call:
    """One call of a function of the hand-in, or one run of a test file of the hand-in.

    Args:
        function: "module:name" in the hand-in; it is called with keyword arguments.
        arguments: NumPy arrays, which arrive as torch tensors of the same dtype; int, float, bool,
            str, None; and lists and dicts of all of these.
        files: more files, by relative path, that lie beside the student's files during this call.
            They replace files of the student. A call with files runs in a process of its own.
        gradients: names of floating arguments. The answer then also holds the gradient of the sum
            of all floating outputs with respect to each.
        tests: a file of the hand-in that pytest runs, in place of a function, in a process of its
            own. The answer's value is {"passed": [names], "failed": [names], "errors": count}.
    """

    function: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    gradients: Sequence[str] = ()
    tests: str = ""


@dataclass(frozen=True)
class Answer:
    """The result of a call, as data: no object of the student's code is in it.

    Args:
        value: what the function returned; tensors are NumPy arrays, tuples are lists.
        gradients: the gradient of each argument that the call names.
        error: None, or one sentence that says why there is no value.
    """

    value: Any = None
    gradients: Mapping[str, np.ndarray] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class Verdict:
    """How much of an item's points an answer gets, and why.

    Args:
        share: from 0 to 1.
        feedback: what is wrong, without an expected value; empty if nothing is wrong.
    """

    share: float
    feedback: str = ""


@dataclass(frozen=True)
class Item:
    """A part of the automatic points of an assignment.

    Args:
        name: its name in `points` of assignment.yaml.
        points: its points.
        calls: they run one after another in one worker process, but see `Call.files`.
        judge: computes the verdict from the answers, one for each call. It must not change
            anything outside it, because it runs once for each hand-in.
        reads: files of the hand-in. `judge` gets an answer for each before those of the calls; its
            value is the file's bytes, or None if the file is missing.
        tolerates_errors: whether `judge` also runs if an answer is an error. By default an error
            gives no points and is the feedback.
    """

    name: str
    points: float
    calls: Sequence[Call]
    judge: Callable[[Sequence[Answer]], Verdict]
    tolerates_errors: bool = False
    reads: Sequence[str] = ()


def all_or_nothing(problem: str | None) -> Verdict:
    """All points if there is no problem, otherwise none and the problem as feedback."""
    return Verdict(1.0) if problem is None else Verdict(0.0, problem)


def compare(value: object, expected: np.ndarray | float, tolerance: float) -> str | None:
    """Compare an answer's value with an expected array or number.

    Args:
        value: the value of an `Answer`, or the answer itself.
        expected: an array, whose shape and dtype must agree, or a number, for which any number or
            array of one element is accepted.
        tolerance: the largest absolute difference.

    Returns:
        None if they agree. Otherwise one sentence that names the shape, the dtype or the first
        wrong index, but no expected value.
    """
    if isinstance(value, Answer):
        if value.error is not None:
            return value.error
        value = value.value
    if not isinstance(expected, np.ndarray):
        return _compare_number(value, float(expected), tolerance)
    if not isinstance(value, np.ndarray):
        return f"the result is a {type(value).__name__} and not a tensor."
    if value.shape != expected.shape:
        return f"the shape is {value.shape}, but must be {expected.shape}."
    if value.dtype != expected.dtype:
        return f"the dtype is {value.dtype}, but must be {expected.dtype}."
    return _first_difference(value, expected, tolerance)


def _compare_number(value: object, expected: float, tolerance: float) -> str | None:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"the result is a {type(value).__name__} and not a number."
    if not np.isfinite(value):
        return "the result is not a finite number."
    return None if abs(value - expected) <= tolerance else "the number is wrong."


def _first_difference(value: np.ndarray, expected: np.ndarray, tolerance: float) -> str | None:
    """The first index at which two arrays of one shape and dtype disagree, in a sentence."""
    wide = np.complex128 if np.iscomplexobj(expected) else np.float64
    ours, theirs = expected.astype(wide), value.astype(wide)
    if not np.isfinite(theirs).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(theirs))[0])
        return f"the value at index {index} is not finite."
    wrong = np.abs(theirs - ours) > tolerance
    if not wrong.any():
        return None
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"{int(wrong.sum())} of {wrong.size} values are wrong; the first is at index {index}."
