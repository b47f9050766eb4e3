"""Public tests: valid names, no failure on the given modules, and one example fault is found."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

BUGS = "test_bugs.py"
PARTS = (
    *("mix_windows", "channel_attention", "gate", "make_stack"),
    *("centres", "encode", "ensemble_weights", "resize"),
    *("augment", "frequency_loss", "update_average", "learning_rate"),
    *("luma", "psnr", "ssim", "mean_psnr"),
)
NAME = re.compile(f"test_({'|'.join(PARTS)})(_.*)?")
"""Names of tests: the part, and then nothing, or an underscore and more."""
EXAMPLE = """

def luma(image):
    return OFFSET + 0 * image.sum(axis=-1)
"""


@pytest.fixture
def folder() -> Path:
    """The folder of the hand-in: the one that holds the given modules."""
    places = [Path.cwd(), *map(Path, sys.path)]
    return next(place for place in places if (place / BUGS).is_file())


def run(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run the student's tests in a folder."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", BUGS]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def names_of_tests(folder: Path) -> list[str]:
    """The names of all functions that pytest takes for tests, in classes too."""
    tree = ast.parse((folder / BUGS).read_text(encoding="utf-8"))
    functions = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return [name for name in functions if name.startswith("test")]


def test_every_test_names_its_part(folder: Path) -> None:
    """A test with another name gives no points, and it may cost some."""
    assert [name for name in names_of_tests(folder) if not NAME.fullmatch(name)] == []


def test_every_part_has_a_test(folder: Path) -> None:
    """Each of the sixteen parts has at least one test."""
    tested = {found[1] for found in map(NAME.fullmatch, names_of_tests(folder)) if found}
    assert [part for part in PARTS if part not in tested] == []


def test_your_tests_pass_on_the_given_modules(folder: Path) -> None:
    """A test that fails on a correct version costs all points of a theme."""
    result = run(folder)
    assert result.returncode == 0, result.stdout


def test_your_tests_find_the_example(folder: Path, tmp_path: Path) -> None:
    """A luma that ignores the image must make one of your tests fail."""
    for path in [*folder.glob("*.py"), folder / "variant.json"]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with (tmp_path / "metrics.py").open("a", encoding="utf-8") as file:
        file.write(EXAMPLE)
    assert run(tmp_path).returncode == 1, "no test fails, although luma ignores the image"
