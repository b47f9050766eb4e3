"""The assignments of the course: where they lie, their settings, and their graders."""

import importlib.util
import io
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from pydantic import Field
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from nerdrain.course.items import Item
from nerdrain.course.keys import Variant
from nerdrain.errors import NerdrainError, Settings, suggest
from nerdrain.files import shipped_folder

VARIANT_FILE = "variant.json"
"""File of a bundle with the constants of the student's variant."""
REPORT_FILE = "report.md"
"""File of a hand-in with the written parts."""
# Held while code of a grader runs, because it may use global state such as `sys.path`.
LOADING = threading.RLock()

Points = Annotated[float, Field(ge=0, le=100)]


class Limits(Settings):
    """Limits of a worker process together with all its children."""

    seconds: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """Seconds by the clock for one item."""
    cpu_seconds: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """Seconds of processor time for one item."""
    memory_mib: Annotated[int, Field(ge=1, le=2**20)] = 1500
    """Resident memory; torch itself needs about 300 MiB of it."""
    file_mib: Annotated[float, Field(gt=0, le=2**12)] = 20.0
    """Size of one file that is written."""
    disk_mib: Annotated[float, Field(gt=0, le=2**14)] = 100.0
    """Size of all files together."""
    output_kib: Annotated[float, Field(gt=0, le=2**14)] = 1024.0
    """Size of the text that is printed."""
    open_files: Annotated[int, Field(ge=16, le=4096)] = 128
    """Number of files that are open at once."""
    processes: Annotated[int, Field(ge=1, le=256)] = 8
    """Number of processes at once."""


class Assignment(Settings):
    """The settings in an assignment's `assignment.yaml`."""

    id: Annotated[str, Field(pattern="^a[0-9]+$")]
    """Short name, such as a2."""
    title: str
    """Title of the handout."""
    hours: Annotated[float, Field(gt=0, le=40)]
    """Hours that a student needs."""
    chapters: list[str]
    """Names of the notebooks on which it builds, without suffix."""
    teaches: str
    """One sentence: what a student can do afterwards."""
    files: list[str]
    """Files of the hand-in that are graded automatically."""
    report: bool = False
    """Whether `report.md` belongs to the hand-in."""
    points: dict[str, Points]
    """Automatic points of each item."""
    rubric: dict[str, Points] = Field(default_factory=dict)
    """Points that a person gives, of each written part."""
    limits: Limits = Limits()
    """Limits of each worker."""
    varies: str
    """One sentence: what the key varies."""


@dataclass(frozen=True)
class Grader:
    """The functions of an assignment's `grader/grade.py`.

    Args:
        items: makes the items of a variant.
        constants: makes the values that the student is given in `variant.json`.
        files: makes more files of the bundle, by relative path.
    """

    items: Callable[[Variant], list[Item]]
    constants: Callable[[Variant], dict[str, Any]]
    files: Callable[[Variant], Mapping[str, bytes]]


def assignments_folder() -> Path:
    """The folder of the assignments in a checkout of the repository.

    Raises:
        NerdrainError: The package was installed without a checkout.
    """
    folder = shipped_folder("assignments")
    if not folder.is_dir():
        raise NerdrainError(
            "the assignments are not part of the installed package; clone the repository and "
            "install it with `pip install -e .`, or give their folder with --assignments."
        )
    return folder


def find_assignments(root: Path) -> dict[str, Path]:
    """The folders of all assignments below `root`, by id, in order.

    Raises:
        NerdrainError: There is none.
    """
    found = {
        path.parent.name.partition("-")[0]: path.parent
        for path in sorted(root.glob("a*-*/assignment.yaml"))
    }
    if not found:
        raise NerdrainError(f"{root} holds no assignment; check the path.")
    return found


def find_assignment(root: Path, name: str) -> Path:
    """The folder of one assignment, by its id such as "a2" or its folder's name.

    Raises:
        NerdrainError: There is no such assignment.
    """
    found = find_assignments(root)
    for identifier, folder in found.items():
        if name in (identifier, folder.name):
            return folder
    hint = suggest(name, [*found, *(folder.name for folder in found.values())])
    hint = hint or f"the assignments are {', '.join(found)}"
    raise NerdrainError(f"there is no assignment {name!r}; {hint}.")


def read_yaml(path: Path) -> Any:
    """The plain values in a YAML file.

    Raises:
        NerdrainError: The file cannot be read, or is not YAML.
    """
    try:
        return YAML(typ="safe", pure=True).load(io.StringIO(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise NerdrainError(f"{path} cannot be read ({type(error).__name__}).") from None
    except YAMLError as error:
        raise NerdrainError(f"{path} is not YAML: {' '.join(str(error).split())}.") from None


def load_assignment(folder: Path) -> Assignment:
    """Read the settings of the assignment in a folder.

    Raises:
        NerdrainError: A setting is missing, unknown or has the wrong type.
    """
    path = folder / "assignment.yaml"
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise NerdrainError(f"{path} must be a mapping of settings.")
    try:
        if isinstance(limits := values.get("limits"), dict):
            values["limits"] = Limits(**limits)
        return Assignment(**values)
    except NerdrainError as error:
        raise NerdrainError(f"{path}: {error}") from None


def load_grader(folder: Path) -> Grader:
    """Load an assignment's `grader/grade.py`. Modules beside it are imported by plain name.

    Raises:
        NerdrainError: There is no grader, or a function is missing in it.
    """
    path = folder / "grader" / "grade.py"
    if not path.is_file():
        raise NerdrainError(f"{path} is missing, so this assignment cannot be graded.")
    with LOADING, import_from(path.parent):
        module = _load(path, f"nerdrain_grader_{folder.name.replace('-', '_')}")
    for name in ("items", "constants"):
        if not hasattr(module, name):
            raise NerdrainError(f"{path} has no function {name}.")
    return Grader(module.items, module.constants, getattr(module, "files", lambda variant: {}))


@contextmanager
def import_from(folder: Path) -> Iterator[None]:
    """Let modules in a folder be imported by their plain names."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _load(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def variant_file(grader: Grader, variant: Variant) -> bytes:
    """The student's `variant.json`: the assignment, the student, and the constants by name."""
    with LOADING:
        constants = grader.constants(variant)
    values = {"assignment": variant.assignment, "student": variant.student, **constants}
    return (json.dumps(values, indent=2) + "\n").encode()


def read_files(folder: Path) -> dict[str, bytes]:
    """All files below a folder, by relative path, without caches of Python."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
