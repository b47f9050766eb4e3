"""Make what a student gets, and check a hand-in before it is handed in."""

import importlib.metadata
import io
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import nerdrain
from nerdrain.course.assignment import (
    LOADING,
    REPORT_FILE,
    VARIANT_FILE,
    Assignment,
    read_files,
)
from nerdrain.course.grading import SHARED, Task
from nerdrain.errors import NerdrainError

TEXTS = Path(__file__).with_name("bundle_files")
"""Files of every bundle: the AI policy, submit.py and pytest.ini."""
NEEDED = ("jinja2", "packaging", "pytest")
"""The extra `course` of pyproject.toml."""
MOST_SECONDS = 600.0
"""Seconds that the public tests may take."""


def bundle(task: Task, student: str = SHARED) -> dict[str, bytes]:
    """The files that a student gets, by relative path."""
    folder, assignment = task.folder, task.assignment
    variant = task.key.variant(assignment.id, SHARED if task.shared else student)
    with LOADING:
        more = dict(task.grader.files(variant))
    tests = {f"tests/{name}": data for name, data in read_files(folder / "tests").items()}
    texts = {name: data for name, data in read_files(TEXTS).items() if name != "README.md"}
    submit = texts["submit.py"].decode().replace('"@FILES@"', _as_list(handed_in(assignment)))
    return {
        **texts,
        "submit.py": submit.encode(),
        "README.md": readme(assignment, student).encode(),
        "handout.md": (folder / "handout.md").read_bytes(),
        "requirements.txt": requirements().encode(),
        VARIANT_FILE: task.variant_file(student),
        **tests,
        **read_files(folder / "starter"),
        **more,
    }


def handed_in(assignment: Assignment) -> list[str]:
    """The files that submit.py puts into the zip file."""
    report = [REPORT_FILE] * assignment.report
    return [*assignment.files, *report, VARIANT_FILE]


def _as_list(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def readme(assignment: Assignment, student: str) -> str:
    """The README of a bundle."""
    text = (TEXTS / "README.md").read_text(encoding="utf-8")
    values = {
        "TITLE": f"{assignment.id}: {assignment.title}",
        "HOURS": f"{assignment.hours:g} {'hour' if assignment.hours == 1 else 'hours'}",
        "FILES": ", ".join(f"`{name}`" for name in handed_in(assignment)),
        "STUDENT": student,
    }
    return re.sub("@([A-Z]+)@", lambda match: values[match[1]], text)


def requirements() -> str:
    """This package and everything it needs, each with the version that is installed here."""
    pins: dict[str, str] = {}
    waiting = ["nerdrain", *NEEDED]
    while waiting:
        requirement = Requirement(waiting.pop())
        extras = requirement.extras or {""}
        name = canonicalize_name(requirement.name)
        if name in pins:
            continue
        try:
            found = importlib.metadata.distribution(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            continue
        pins[name] = found.version.partition("+")[0]
        for line in found.requires or ():
            marker = Requirement(line).marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(line)
    pins.pop("nerdrain", None)
    lines = "".join(f"{name}=={version}\n" for name, version in sorted(pins.items()))
    return (
        f"# Versions for nerdrain {nerdrain.__version__}; README.md says how to install.\n{lines}"
    )


def write_bundle(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a bundle as a new folder.

    Raises:
        NerdrainError: The folder exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise NerdrainError(f"{folder} exists; choose another folder.")
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def zip_bundle(top: str, files: Mapping[str, bytes]) -> bytes:
    """A bundle as a zip file with one folder; equal files give equal bytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(f"{top}/{name}"), data, zipfile.ZIP_DEFLATED)
    return content.getvalue()


def run_public_tests(folder: Path) -> int:
    """Run the public tests of a bundle with pytest, which prints; returns its exit code.

    Raises:
        NerdrainError: The folder is not a bundle, or the tests take too long.
    """
    if not (folder / "tests").is_dir() or not (folder / VARIANT_FILE).is_file():
        raise NerdrainError(f"{folder.resolve()} is not the folder of an assignment's bundle.")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    try:
        return subprocess.run(
            command, cwd=folder, timeout=MOST_SECONDS, check=False, env=environment
        ).returncode
    except subprocess.TimeoutExpired:
        raise NerdrainError(
            f"the public tests took longer than {MOST_SECONDS:g} s; look for an endless loop."
        ) from None
