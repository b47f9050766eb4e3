"""Make an autograder for Gradescope, and run it there.

The zip file has Gradescope's form: `setup.sh` installs the package, and `run_autograder` grades one
hand-in and writes `results.json`. Only the lecturer uploads it: it holds the key.
"""

import io
import json
import sys
import traceback
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nerdrain.course.bundle import requirements
from nerdrain.course.grading import SHARED, Grade, Task
from nerdrain.course.handins import STUDENT, HandIn, read_handin
from nerdrain.course.keys import PRACTICE, Key
from nerdrain.course.sandbox import Launcher
from nerdrain.errors import NerdrainError
from nerdrain.files import PACKAGE, write_atomically

SETUP = """#!/usr/bin/env bash
# Installs the package. Gradescope runs this once, when it builds the autograder.
set -euo pipefail
ROOT="${AUTOGRADER:-/autograder}"
cd "$ROOT/source"
PYTHON="${PYTHON:-python3}"
if ! "$PYTHON" -c "import sys; sys.exit(sys.version_info < (3, 11))"; then
  apt-get update && apt-get install -y python3.11 python3.11-venv  # Ubuntu 22.04 has 3.10
  PYTHON=python3.11
fi
"$PYTHON" -m venv --system-site-packages "$ROOT/env" || {
  apt-get update && apt-get install -y python3-venv && "$PYTHON" -m venv "$ROOT/env"
}
"$ROOT/env/bin/python" -m pip install --extra-index-url https://download.pytorch.org/whl/cpu \\
  -c requirements.txt -e "./package[course]"
"""
RUN = """#!/usr/bin/env bash
# Grades the hand-in in submission/ and writes results/results.json.
set -euo pipefail
ROOT="${AUTOGRADER:-/autograder}"
mkdir -p "$ROOT/results"
"${GRADER_PYTHON:-$ROOT/env/bin/python}" -m nerdrain.course.gradescope "$ROOT"
"""
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "LICENSE-CONTENT")
FOLDERS = ("nerdrain", "data", "recipes")
LEFT_OUT = ("correct", "wrong", "wrong.yaml", "package_copy")


def export(task: Task) -> bytes:
    """The autograder of an assignment as a zip file. It holds the key.

    Raises:
        NerdrainError: The package is not in a checkout of its repository.
    """
    root = PACKAGE.parent
    if not (root / "pyproject.toml").is_file():
        raise NerdrainError("an export needs a checkout of the repository, which it puts in.")
    settings = {
        "assignment": task.folder.name,
        "secret": "practice" if task.key.is_practice else task.key.secret.hex(),
        "shared": task.shared,
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (("setup.sh", SETUP), ("run_autograder", RUN)):
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o755 << 16
            archive.writestr(info, text)
        archive.writestr("settings.json", json.dumps(settings, indent=2) + "\n")
        archive.writestr("requirements.txt", requirements())
        for path in _sources(root):
            archive.write(path, f"package/{path.relative_to(root).as_posix()}")
        for path in _grader_files(task.folder):
            relative = path.relative_to(task.folder).as_posix()
            archive.write(path, f"assignments/{task.folder.name}/{relative}")
    return content.getvalue()


def _sources(root: Path) -> Iterator[Path]:
    yield from (root / name for name in SOURCES)
    for folder in FOLDERS:
        yield from _files(root / folder)


def _grader_files(folder: Path) -> Iterator[Path]:
    """The settings and the grader, without the known hand-ins."""
    yield folder / "assignment.yaml"
    for path in _files(folder / "grader"):
        if path.relative_to(folder / "grader").parts[0] not in LEFT_OUT:
            yield path


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def grade_submission(root: Path) -> dict[str, Any]:
    """Grade the hand-in in Gradescope's folder, and return the content of `results.json`.

    Args:
        root: the folder with `source`, `submission` and `submission_metadata.json`.
    """
    source = root / "source"
    settings = json.loads((source / "settings.json").read_text(encoding="utf-8"))
    secret = settings["secret"]
    key = Key(PRACTICE if secret == "practice" else bytes.fromhex(secret))
    task = Task(source / "assignments" / settings["assignment"], key, shared=settings["shared"])
    student = SHARED if task.shared else student_of(root / "submission_metadata.json")
    read = read_handin(root / "submission")
    with Launcher() as launcher:
        layers = launcher.probe()
        grade = task.grade(HandIn(student, read.files, read.refused), launcher)
    lines = [*grade.remarks, f"Graded as {student}, with {key.name}."]
    return describe(grade, [*lines, f"Active: {', '.join(layers)}."])


def student_of(metadata: Path) -> str:
    """The student's id: the email address of the first user of the submission.

    Raises:
        NerdrainError: The file names no user, or the address is not a student's id.
    """
    try:
        user = json.loads(metadata.read_text(encoding="utf-8"))["users"][0]
        name = str(user["email"])
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        raise NerdrainError("submission_metadata.json names no user with an email.") from None
    if not STUDENT.fullmatch(name):
        raise NerdrainError("the email of the submission is not a student's id.")
    return name


def describe(grade: Grade, lines: list[str]) -> dict[str, Any]:
    """A grade in the form of Gradescope's `results.json`."""
    return {
        "output": "\n".join(lines),
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": [
            {
                "name": result.item,
                "score": result.points or 0.0,
                "max_score": result.of,
                "output": result.feedback or "correct",
                "visibility": "visible",
            }
            for result in grade.results
        ],
    }


def main(root: Path) -> None:
    """Grade, and write `results.json` in any case."""
    try:
        results = grade_submission(root)
    except Exception as error:
        traceback.print_exc()
        text = f"The autograder failed ({type(error).__name__}); this is not the student's fault."
        results = {"score": 0.0, "output": text, "stdout_visibility": "hidden", "tests": []}
    content = json.dumps(results, indent=2) + "\n"
    write_atomically(root / "results" / "results.json", content.encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
